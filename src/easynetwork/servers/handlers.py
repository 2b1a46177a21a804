"""The base classes of request handlers, and the clients that handlers get."""

from __future__ import annotations

__all__ = [
    "AsyncBaseClientInterface",
    "AsyncDatagramClient",
    "AsyncDatagramRequestHandler",
    "AsyncStreamClient",
    "AsyncStreamRequestHandler",
    "INETClientAttribute",
]

import contextlib
import socket as _socket
import sys
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncGenerator, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel import typed_attr
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import ISocket, SocketAddress, SocketAttribute

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")


class INETClientAttribute(typed_attr.TypedAttributeSet):
    """Attributes of a client that is connected over TCP or sends over UDP."""

    __slots__ = ()

    socket: ISocket = SocketAttribute.socket
    """A view of the socket that cannot close, read or write it."""

    local_address: SocketAddress = SocketAttribute.sockname
    """The local address of the connection or socket."""

    remote_address: SocketAddress = SocketAttribute.peername
    """The address of the client. It remains available after the connection has ended."""


if sys.platform != "win32" and hasattr(_socket, "AF_UNIX"):
    from easynetwork.lowlevel.socket import UnixCredentials, UnixSocketAddress

    __all__ += ["UNIXClientAttribute"]

    class UNIXClientAttribute(typed_attr.TypedAttributeSet):
        """Attributes of a client on a Unix socket."""

        __slots__ = ()

        socket: ISocket = SocketAttribute.socket
        """A view of the socket that cannot close, read or write it."""

        local_name: UnixSocketAddress = typed_attr.typed_attribute()
        """The local address of the connection or socket."""

        peer_name: UnixSocketAddress = typed_attr.typed_attribute()
        """The address of the client. Most clients are unnamed."""

        peer_credentials: UnixCredentials = typed_attr.typed_attribute()
        """The credentials of the peer process at the time it connected (stream sockets only)."""


class AsyncBaseClientInterface(typed_attr.TypedAttributeProvider, Generic[_T_Response], metaclass=ABCMeta):
    """The client interface that all handlers share."""

    __slots__ = ()

    @abstractmethod
    async def send_packet(self, packet: _T_Response, /) -> None:
        """Send *packet* to the client. Packets from several tasks are sent in the order of the calls.

        Raises:
            ClientClosedError: the client was closed on this side.
            ConnectionError: the connection broke.
            RuntimeError: the protocol object raised an unexpected exception (the cause). Nothing was sent, and the
                connection remains usable.
        """
        raise NotImplementedError

    async def send_packet_with_ancillary(self, packet: _T_Response, ancillary_data: Any, /) -> None:
        """Send *packet* with ancillary data (Unix sockets).

        Raises:
            UnsupportedOperation: this kind of connection does not support ancillary data.
        """
        raise UnsupportedOperation("This client does not support ancillary data")

    @abstractmethod
    def is_closing(self) -> bool:
        """Return whether the client was closed on this side."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Return the backend of the server."""
        raise NotImplementedError


class AsyncStreamClient(AsyncBaseClientInterface[_T_Response]):
    """A connected client."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Send all pending packets, then close the connection. Idempotent. A cancelled call closes abruptly."""
        raise NotImplementedError


class AsyncDatagramClient(AsyncBaseClientInterface[_T_Response]):
    """A sender of datagrams. Clients with the same address and server socket are equal."""

    __slots__ = ()

    @abstractmethod
    def __hash__(self) -> int:
        raise NotImplementedError

    @abstractmethod
    def __eq__(self, other: object, /) -> bool:
        raise NotImplementedError


class AsyncStreamRequestHandler(Generic[_T_Request, _T_Response], metaclass=ABCMeta):
    """Base class of handlers for the requests of connected clients.

    An exception from a method is logged and ends that connection, but not the server. `SystemExit`,
    `KeyboardInterrupt`, the cancellation of the server's own tasks and exceptions from `service_init` propagate. A
    `ConnectionError` that ``client.send_packet()`` raised because the client's own connection ended is not logged.
    """

    __slots__ = ("__weakref__",)

    async def service_init(self, exit_stack: contextlib.AsyncExitStack, server: Any, /) -> None:
        """Set up the service. The server calls this when it starts, before the first client.

        Parameters:
            exit_stack: closed when the server stops, after the last client.
            server: a weak reference to the server.
        """

    @abstractmethod
    def handle(
        self, client: AsyncStreamClient[_T_Response], /
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Handle one or more requests. Implement this as an asynchronous generator function.

        Each ``yield`` requests the next packet. A yielded number is the maximum time to wait for it, in seconds. Errors
        of that request are raised at the ``yield``: `StreamProtocolParseError`, `TimeoutError`, or `RuntimeError` if
        the protocol object raised an unexpected exception. When the client leaves, the generator is closed. It is also
        closed at the next ``yield`` after an invalid request if the start of the next request is unknown. When the
        generator returns, the method is called again for the next request.

        All generators of one connection run in the same task.
        """
        raise NotImplementedError

    def on_connection(
        self, client: AsyncStreamClient[_T_Response], /
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request] | Coroutine[Any, Any, None]:
        """Run once for each client, before `handle`.

        Implement this as a coroutine function, or as an asynchronous generator function that requests packets as
        `handle` does.
        """
        return _nothing()

    async def on_disconnection(self, client: AsyncStreamClient[_T_Response], /) -> None:
        """Run once after the connection of a client has ended, however it ended, if `on_connection` succeeded."""


class AsyncDatagramRequestHandler(Generic[_T_Request, _T_Response], metaclass=ABCMeta):
    """Base class of handlers for requests that arrive as datagrams.

    An exception from `handle` is logged and ends that generator, but not the server; see `AsyncStreamRequestHandler`.
    """

    __slots__ = ("__weakref__",)

    async def service_init(self, exit_stack: contextlib.AsyncExitStack, server: Any, /) -> None:
        """Set up the service when the server starts. See `AsyncStreamRequestHandler.service_init`."""

    @abstractmethod
    def handle(
        self, client: AsyncDatagramClient[_T_Response], /
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Handle one or more requests of one sender. See `AsyncStreamRequestHandler.handle`.

        Datagram senders do not disconnect. When the server is closed, generators that wait for a request are closed.
        """
        raise NotImplementedError


async def _nothing() -> None:
    pass
