"""The base classes of request handlers, and the clients that handlers get."""

from __future__ import annotations

__all__ = [
    "AsyncBaseClientInterface",
    "AsyncDatagramClient",
    "AsyncDatagramRequestHandler",
    "AsyncStreamClient",
    "AsyncStreamRequestHandler",
    "INETClientAttribute",
    "ProxyAttribute",
]

import contextlib
import socket as _socket
import sys
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel import typed_attr
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import ISocket, SocketAddress, SocketAttribute

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
    from easynetwork.protocol import AnyStreamProtocolType

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Received = TypeVar("_T_Received", default=Any)
_T_NewResponse = TypeVar("_T_NewResponse")
_T_NewReceived = TypeVar("_T_NewReceived")


class INETClientAttribute(typed_attr.TypedAttributeSet):
    """Attributes of a client that is connected over TCP or sends over UDP."""

    __slots__ = ()

    socket: ISocket = SocketAttribute.socket
    """A view of the socket that cannot close, read or write it."""

    local_address: SocketAddress = SocketAttribute.sockname
    """The local address of the connection or socket."""

    remote_address: SocketAddress = typed_attr.typed_attribute()
    """The address of the client. It remains available after the connection has ended.

    It is the peer of the socket (`INETSocketAttribute.peername`), unless that is a proxy that tells another address:
    see `ProxyAttribute`.
    """


class ProxyAttribute(typed_attr.TypedAttributeSet):
    """What the PROXY header of a connection tells. A connection without a header does not have these attributes.

    They remain available after the connection has ended.
    """

    __slots__ = ()

    proxy_address: SocketAddress = typed_attr.typed_attribute()
    """The address of the proxy, which is the peer of the socket."""

    destination_address: SocketAddress = typed_attr.typed_attribute()
    """The address that the client connected to. The attribute is missing if the proxy does not tell it."""

    version: int = typed_attr.typed_attribute()
    """The version of the header, 1 or 2."""

    tlvs: Sequence[tuple[int, bytes]] = typed_attr.typed_attribute()
    """The type and the value of each addition to the header, in their order (version 2).

    For example, HAProxy adds the name of the server that the client asks for in TLS (0x02) and a number of the
    connection (0x05). The specification has a list.
    """


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

        Wait only while the client does not read and the send buffer is full. If the call is cancelled, any part of the
        packet may have been sent.

        Raises:
            ClientClosedError: the client was closed on this side.
            ConnectionError: the connection broke.
            OSError: the datagram cannot be sent, for example because it is too long (``EMSGSIZE``).
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


class AsyncStreamClient(AsyncBaseClientInterface[_T_Response], Generic[_T_Response, _T_Received]):
    """A connected client.

    Its types are those of the packets that are sent to it, and of those that `recv_packet` returns: ``Any`` until
    `set_protocol` says more.
    """

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Send all pending packets, then close the connection. Idempotent. A cancelled call closes abruptly."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close the connection at once. Idempotent. Unsent packets are lost.

        The client sees a reset, not the ordinary end of the stream; over a Unix socket, it sees the ordinary end. A
        handler that waits for a packet sees the end of the connection. Any task may call this.

        Raises:
            UnsupportedOperation: this kind of client does not support it.
        """
        raise UnsupportedOperation("This client cannot be aborted")

    def is_draining(self) -> bool:
        """Return whether the server is draining.

        The server then closes the connection as soon as the handler waits for a packet of which nothing has arrived.
        """
        return False

    async def recv_packet(self, *, timeout: float | None = None) -> _T_Received:
        """Receive the next packet, as a ``yield`` does, in functions to which a handler delegates.

        Await it in the task of the connection: in ``handle()``, ``on_connection()`` or what they await. A handler may
        use both ways in turn.

        If the call is cancelled, no data is lost.

        Parameters:
            timeout: maximum number of seconds; None for no limit.

        Raises:
            TimeoutError: no packet arrived in time.
            ValueError: *timeout* is negative or NaN.
            ConnectionAbortedError: the client left, this side closed the connection meanwhile, or the stream cannot
                continue. If the connection broke, the cause is the error. A handler need not catch this: the
                connection then ends as if at a ``yield``.
            IncompletePacketError: the client left in the middle of a packet; a `ConnectionAbortedError`.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            ClientClosedError: the client was closed on this side before.
            BusyResourceError: a packet is already being waited for.
            RuntimeError: the protocol object raised an unexpected exception (the cause), or this is not the task of the
                connection. `asyncio.wait_for`, for example, makes another task on Python 3.11: use *timeout*.
            UnsupportedOperation: this kind of client does not support it.
        """
        raise UnsupportedOperation("This client cannot receive packets")

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewResponse, _T_NewReceived], /
    ) -> AsyncStreamClient[_T_NewResponse, _T_NewReceived]:
        """Exchange the protocol object of this connection. Return the client, typed for the new packets.

        The new one parses all bytes that are not part of a packet that the handler has received, also those that have
        already arrived. Called in ``on_connection()``, it parses all bytes.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
            BusyResourceError: a packet is being waited for.
            UnsupportedOperation: a generator of the old protocol object has already taken the start of a packet; or
                this kind of client does not support it.
            ConnectionAbortedError: the stream cannot continue: a packet failed, and only its parser knew where the next
                one starts.
        """
        raise UnsupportedOperation("This client cannot exchange its protocol object")

    async def start_tls(
        self,
        ssl: SSLContext,
        /,
        *,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
    ) -> None:
        """Upgrade the connection to TLS: do the server's side of the handshake (STARTTLS).

        All bytes that are not part of a packet that the handler has received belong to TLS. If they do not begin a TLS
        record, the call fails: they would be commands that an attacker injected before the handshake, as in
        CVE-2011-0411. Answer the client's request first, then call this.

        If the call fails or is cancelled, the connection is closed. A handler need not catch the error of a failed
        handshake: the server logs one line.

        Parameters:
            ssl: the TLS settings and certificates.
            ssl_handshake_timeout: maximum duration of the handshake, in seconds; 60 if None.
            ssl_shutdown_timeout: seconds that a close waits for the client to close TLS too; 30 if None.
            ssl_standard_compatible: whether the end of the connection without a TLS closing alert is an error; True if
                None.

        Raises:
            TypeError: *ssl* is not an `ssl.SSLContext`.
            ValueError: *ssl* is for clients only; a timeout is negative or NaN.
            ssl.SSLError: the handshake failed, or bytes that are not TLS were received before it.
            TimeoutError: the handshake took too long.
            ConnectionError: the connection ended.
            ClientClosedError: the client was closed on this side.
            BusyResourceError: a packet is being waited for.
            RuntimeError: the connection uses TLS already, or `send_eof` was called.
            UnsupportedOperation: a generator of the protocol object has already taken the start of a packet; or this
                kind of client does not support it.
        """
        raise UnsupportedOperation("This client does not support TLS")

    async def send_eof(self) -> None:
        """Close the sending direction after all packets are sent. Requests still arrive. Idempotent.

        Raises:
            ClientClosedError: the client was closed on this side.
            ConnectionError: the connection broke.
            UnsupportedOperation: the connection uses TLS, or this kind of client does not support it.
        """
        raise UnsupportedOperation("This client cannot close one direction")


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

        Each ``yield`` requests the next packet. A yielded number is the maximum time to wait for it, in seconds; None
        means no limit. `RecvParams` also ask for ancillary data. Errors of that request are raised at the ``yield``:
        `StreamProtocolParseError`, `TimeoutError`, or `RuntimeError` if the protocol object raised an unexpected
        exception. When the client leaves, the generator is closed. It is also closed at the next ``yield`` after an
        invalid request if the start of the next request is unknown. When the generator returns, the method is called
        again for the next request.

        All generators of one connection run in the same task. ``server.shutdown()`` cancels this task: the current
        ``yield`` or ``await`` raises the cancellation.
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
        """Run once at the end of a connection, however it ends, if `on_connection` succeeded."""


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
