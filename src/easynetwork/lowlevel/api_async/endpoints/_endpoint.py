"""The base class of all endpoints."""

from __future__ import annotations

__all__ = ["Endpoint"]

import warnings

from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport


class Endpoint(AsyncBaseTransport):
    """Emits a warning if it is dropped while open. It cannot close the transport, because that needs an event loop."""

    __slots__ = ()

    def __del__(self) -> None:
        transport: AsyncBaseTransport | None = getattr(self, "_transport", None)
        if transport is not None and not transport.is_closing():
            warnings.warn(f"unclosed endpoint {self!r}", ResourceWarning, stacklevel=2, source=self)
