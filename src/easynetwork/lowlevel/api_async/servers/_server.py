"""The base class of low-level servers."""

from __future__ import annotations

__all__ = ["Server"]

import warnings

from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel.api_async._packet_streams import TransportWrapper
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport


class Server(TransportWrapper):
    """Base class of the low-level servers. It owns a listener, and warns if it is dropped with the listener open."""

    __slots__ = ("_serve_guard",)

    def __init__(self, listener: AsyncBaseTransport) -> None:
        super().__init__(listener)
        self._serve_guard = ResourceGuard("Another task is serving")

    def __del__(self) -> None:
        listener: AsyncBaseTransport | None = getattr(self, "_transport", None)
        if listener is not None and not listener.is_closing():
            warnings.warn(f"unclosed server {self!r}", ResourceWarning, stacklevel=2, source=self)

    async def aclose(self) -> None:
        """Close the listener, which ends ``serve()``. Handlers continue only in a task group that it was given."""
        await super().aclose()
