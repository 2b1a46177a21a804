"""Base class of the endpoints."""

from __future__ import annotations

__all__ = ["Endpoint"]

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from easynetwork.lowlevel.api_sync.transports._hooks import close_abruptly
from easynetwork.lowlevel.api_sync.transports.abc import BaseTransport


class Endpoint(BaseTransport):
    """Base class of the endpoints. An open endpoint that is garbage-collected warns and closes its transport."""

    __slots__ = ("_transport",)

    _transport: BaseTransport

    def __init__(self, transport: BaseTransport) -> None:
        self._transport = transport

    def __del__(self) -> None:
        transport: BaseTransport | None = getattr(self, "_transport", None)
        if transport is not None and not transport.is_closed():
            try:
                warnings.warn(f"unclosed endpoint {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:
                close_abruptly(transport)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_transport', None)!r}>"

    def is_closed(self) -> bool:
        return self._transport.is_closed()

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._transport.extra_attributes
