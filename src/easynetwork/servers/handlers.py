"""What a user writes: request handlers, and the clients that they see."""

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
    """Facts about a client that came over TCP or UDP."""

    __slots__ = ()

    socket: ISocket = SocketAttribute.socket
    """The socket, without a way to close, read or write it."""

    local_address: SocketAddress = SocketAttribute.sockname
    """Our own address."""

    remote_address: SocketAddress = SocketAttribute.peername
    """The address of the client. Still known when the connection has ended."""


if sys.platform != "win32" and hasattr(_socket, "AF_UNIX"):
    from easynetwork.lowlevel.socket import UnixCredentials, UnixSocketAddress

    __all__ += ["UNIXClientAttribute"]

    class UNIXClientAttribute(typed_attr.TypedAttributeSet):
        """Facts about a client that came over a Unix socket."""

        __slots__ = ()

        socket: ISocket = SocketAttribute.socket
        """The socket, without a way to close, read or write it."""

        local_name: UnixSocketAddress = typed_attr.typed_attribute()
        """Our own address."""

        peer_name: UnixSocketAddress = typed_attr.typed_attribute()
        """The address of the client; most have none."""

        peer_credentials: UnixCredentials = typed_attr.typed_attribute()
        """The process at the other end of the connection (streams only), as it was when it connected."""


class AsyncBaseClientInterface(typed_attr.TypedAttributeProvider, Generic[_T_Response], metaclass=ABCMeta):
    """What handlers of all kinds can do with a client."""

    __slots__ = ()

    @abstractmethod
    async def send_packet(self, packet: _T_Response, /) -> None:
        """Sends *packet* to the client. Packets of several tasks leave in the order of the calls.

        Raises:
            ClientClosedError: the client was closed on this side.
            ConnectionError: the connection broke.
            RuntimeError: the protocol object crashed. Nothing was sent; the connection stays usable.
        """
        raise NotImplementedError

    async def send_packet_with_ancillary(self, packet: _T_Response, ancillary_data: Any, /) -> None:
        """Sends *packet* together with ancillary data (Unix sockets).

        Raises:
            UnsupportedOperation: this kind of connection carries none.
        """
        raise UnsupportedOperation("This client does not support ancillary data")

    @abstractmethod
    def is_closing(self) -> bool:
        """Returns whether the client was closed on this side."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Returns the backend of the server."""
        raise NotImplementedError


class AsyncStreamClient(AsyncBaseClientInterface[_T_Response]):
    """A connected client."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Sends what is to be sent, then closes the connection. Idempotent. A cancelled call closes abruptly."""
        raise NotImplementedError


class AsyncDatagramClient(AsyncBaseClientInterface[_T_Response]):
    """An address that datagrams came from. Equal to another one if address and server socket are the same."""

    __slots__ = ()

    @abstractmethod
    def __hash__(self) -> int:
        raise NotImplementedError

    @abstractmethod
    def __eq__(self, other: object, /) -> bool:
        raise NotImplementedError


class AsyncStreamRequestHandler(Generic[_T_Request, _T_Response], metaclass=ABCMeta):
    """Handles the requests of connected clients.

    What a method raises is logged and ends that connection, but never the server. `SystemExit`, `KeyboardInterrupt` and
    the cancellation of the server's own tasks propagate, and so does what `service_init` raises. A `ConnectionError`
    that ``client.send_packet()`` has raised because this very connection has ended is not logged.
    """

    __slots__ = ("__weakref__",)

    async def service_init(self, exit_stack: contextlib.AsyncExitStack, server: Any, /) -> None:
        """Called when the server starts, before the first client.

        Parameters:
            exit_stack: closed when the server stops, after the last client.
            server: a weak reference to the server.
        """

    @abstractmethod
    def handle(
        self, client: AsyncStreamClient[_T_Response], /
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Handles one request, or more: an asynchronous generator function.

        Each ``yield`` asks for the next request; a number yielded is the longest time to wait for it, in seconds.
        Errors of that request are raised there: `StreamProtocolParseError`, `TimeoutError`, `RuntimeError` for a crash
        of the protocol object. When the client leaves, the generator is closed, and so it is at the next ``yield`` if
        nothing says where the request after an invalid one begins. When it returns, it is called again for the next
        request.

        All generators of one connection run in the same task.
        """
        raise NotImplementedError

    def on_connection(
        self, client: AsyncStreamClient[_T_Response], /
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request] | Coroutine[Any, Any, None]:
        """Called once for each client, before `handle`.

        A coroutine function, or an asynchronous generator function that asks for requests as `handle` does.
        """
        return _nothing()

    async def on_disconnection(self, client: AsyncStreamClient[_T_Response], /) -> None:
        """Called once for each client whose `on_connection` was well, however the connection ended."""


class AsyncDatagramRequestHandler(Generic[_T_Request, _T_Response], metaclass=ABCMeta):
    """Handles the requests that come as datagrams.

    What `handle` raises is logged and ends that generator, but never the server: see `AsyncStreamRequestHandler`.
    """

    __slots__ = ("__weakref__",)

    async def service_init(self, exit_stack: contextlib.AsyncExitStack, server: Any, /) -> None:
        """Called when the server starts. See `AsyncStreamRequestHandler.service_init`."""

    @abstractmethod
    def handle(
        self, client: AsyncDatagramClient[_T_Response], /
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Handles one request of one sender, or more. See `AsyncStreamRequestHandler.handle`.

        Senders do not leave. Once the server is closed, and nothing more can come, generators that wait are closed.
        """
        raise NotImplementedError


async def _nothing() -> None:
    pass
