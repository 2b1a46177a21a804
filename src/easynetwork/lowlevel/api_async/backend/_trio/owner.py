"""Base class of all objects that own a socket."""

from __future__ import annotations

__all__ = ["SocketOwner"]

import socket as _socket
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport

from .sockets import close_socket

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class SocketOwner(AsyncBaseTransport):
    """Owns a non-blocking socket. If dropped while open, it emits a warning and closes the socket."""

    __slots__ = ("_backend", "_socket")

    KIND: ClassVar = "transport"
    """The kind of object that the warning names."""

    def __init__(self, backend: AsyncBackend, sock: _socket.socket) -> None:
        self._backend = backend
        self._socket = sock

    def __del__(self) -> None:
        if hasattr(self, "_socket") and not self.is_closing():
            warnings.warn(f"unclosed {self.KIND} {self!r}", ResourceWarning, stacklevel=2, source=self)
            close_socket(self._socket)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_socket', None)!r}>"

    def is_closing(self) -> bool:
        return self._socket.fileno() < 0

    async def aclose(self) -> None:
        close_socket(self._socket)
        await trio.lowlevel.checkpoint()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return socket_attributes(lambda: self._socket)
