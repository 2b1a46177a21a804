"""The decision about the connections that a listener accepts."""

from __future__ import annotations

__all__ = ["Admission"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from .utils import aclose_forcefully

if TYPE_CHECKING:
    from .abc import AsyncStreamTransport

_Handler: TypeAlias = "Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]]"


class Admission(ABC):
    """Decides which connections are served, and is told when they end."""

    has_tls: bool = False
    """Whether the connections begin with a TLS handshake. A TLS listener sets it."""

    has_headers: bool = False
    """Whether the connections may begin with the header of a proxy, which tells their address. A listener sets it."""

    @abstractmethod
    def admit(self, transport: AsyncStreamTransport, /) -> bool:
        """Return whether a new connection is served. If not, the caller closes it at once."""

    @abstractmethod
    def admit_address(self, transport: AsyncStreamTransport, address: tuple[Any, ...] | None, /) -> bool:
        """Return whether a connection is served now that its address is known. If not, the caller closes it at once.

        This is called for each admitted connection if `has_headers` is true, before a TLS handshake.

        Parameters:
            transport: the connection.
            address: the client's, in the form of :mod:`socket`. None if the header does not tell it.
        """

    @abstractmethod
    def handshake_is_over(self, transport: AsyncStreamTransport, /, error: Exception | None) -> None:
        """Note the end of the TLS handshake on *transport*, and the error with which it failed, if it did."""

    @abstractmethod
    def release(self, transport: AsyncStreamTransport, /) -> None:
        """Note that the task of an admitted connection ends."""

    def around(self, handler: _Handler) -> _Handler:
        """Return a handler of admitted connections that releases them at the end."""

        def handle(transport: AsyncStreamTransport) -> Coroutine[Any, Any, None]:
            # Call it now: the handler of a server prepares the transport before its task begins.
            return self._release_after(handler(transport), transport)

        return handle

    def in_task(self, handler: _Handler) -> _Handler:
        """Return a handler of all connections, for a listener that cannot decide before it starts a task."""
        handle_admitted = self.around(handler)

        async def handle(transport: AsyncStreamTransport) -> None:
            await (handle_admitted if self.admit(transport) else aclose_forcefully)(transport)

        return handle

    async def _release_after(self, handling: Coroutine[Any, Any, None], transport: AsyncStreamTransport) -> None:
        try:
            await handling
        finally:
            self.release(transport)
