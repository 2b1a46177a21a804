"""An asynchronous TCP client."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkClient"]

import errno
import socket as _socket
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, final, overload

from easynetwork.clients.abc import AbstractAsyncNetworkClient
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._checks import check_strictly_positive
from easynetwork.lowlevel._errors import error_from_errno
from easynetwork.lowlevel._framing import check_stream_protocol
from easynetwork.lowlevel._socket_calls import check_plain_socket, is_connected
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.constants import (
    CLOSED_SOCKET_ERRNOS,
    DEFAULT_STREAM_BUFSIZE,
)
from easynetwork.lowlevel.socket import (
    INETSocketAttribute,
    SocketAddress,
    SocketProxy,
    new_socket_address,
    set_tcp_keepalive,
    set_tcp_nodelay,
)
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class AsyncTCPNetworkClient(
    AbstractAsyncNetworkClient[_T_SentPacket, _T_ReceivedPacket], Generic[_T_SentPacket, _T_ReceivedPacket]
):
    """A TCP client. Tasks may send and receive at the same time; those that do the same take turns.

    Parameters:
        address: host and port to connect to, by Happy Eyeballs (:rfc:`8305`), when first used.
        socket: instead of an address, a connected socket. The client owns it.
        protocol: what a packet is.
        backend: the asynchronous library; None for the one that is running.
        local_address: what to bind the socket to.
        happy_eyeballs_delay: seconds before the next address is tried as well; 0.25 if None.
        ssl: not available in this version.
        server_hostname: not available in this version.
        ssl_handshake_timeout: not available in this version.
        ssl_shutdown_timeout: not available in this version.
        ssl_standard_compatible: not available in this version.
        max_recv_size: largest number of bytes to read at once; 16 KiB if None.

    Raises:
        TypeError: an argument is of the wrong type, or goes with an address only.
        ValueError: *max_recv_size* is no strictly positive integer; *socket* is no TCP socket; a TLS argument without
            *ssl*.
        OSError: ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = (
        "_adopted_socket",
        "_backend",
        "_closing",
        "_connect",
        "_connect_lock",
        "_connecting",
        "_endpoint",
        "_max_recv_size",
        "_protocol",
        "_receive_lock",
        "_send_lock",
        "_socket_proxy",
    )

    @overload
    def __init__(
        self,
        address: tuple[str, int],
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        local_address: tuple[str, int] | None = None,
        happy_eyeballs_delay: float | None = None,
        ssl: SSLContext | bool | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        max_recv_size: int | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        ssl: SSLContext | bool | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        max_recv_size: int | None = None,
    ) -> None: ...

    def __init__(
        self,
        arg: tuple[str, int] | _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        ssl: SSLContext | bool | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        max_recv_size: int | None = None,
        **connect_options: Any,
    ) -> None:
        check_stream_protocol(protocol)
        ssl_options = (server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout, ssl_standard_compatible)
        if ssl:
            raise NotImplementedError("TLS is not available in this version")
        if any(option is not None for option in ssl_options):
            raise ValueError("'server_hostname' and the 'ssl_*' arguments need 'ssl'")
        self._max_recv_size = DEFAULT_STREAM_BUFSIZE if max_recv_size is None else max_recv_size
        check_strictly_positive("max_recv_size", self._max_recv_size)
        self._backend = ensure_backend(backend)
        self._protocol = protocol
        self._connect = _connect_function(self._backend, arg, connect_options)
        self._adopted_socket = arg if isinstance(arg, _socket.socket) else None
        self._connect_lock = self._backend.create_lock()
        self._send_lock = self._backend.create_fair_lock()
        self._receive_lock = self._backend.create_fair_lock()
        self._connecting: CancelScope | None = None
        self._endpoint: AsyncStreamEndpoint[_T_SentPacket, _T_ReceivedPacket] | None = None
        self._socket_proxy: SocketProxy | None = None
        self._closing = False

    def __del__(self) -> None:
        endpoint: AsyncStreamEndpoint[Any, Any] | None = getattr(self, "_endpoint", None)
        if endpoint is not None and not endpoint.is_closing():
            warnings.warn(f"unclosed client {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_endpoint', None)!r}>"

    # ---------------------------------------------------------------------------------------------------- connecting

    def is_connected(self) -> bool:
        return self._endpoint is not None

    async def wait_connected(self) -> None:
        """Connects. Concurrent calls share one attempt; does nothing once connected. After a failure, tries again.

        Raises:
            ExceptionGroup: the `OSError` of each address; none could be connected to.
            socket.gaierror: the host is unknown.
            ClientClosedError: the client was closed, before or meanwhile.
        """
        if self._endpoint is None or self._closing:
            await self._connected()

    async def _connected(self) -> AsyncStreamEndpoint[_T_SentPacket, _T_ReceivedPacket]:
        async with self._connect_lock:
            self._check_open()
            if self._endpoint is not None:
                return self._endpoint
            with self._backend.open_cancel_scope() as self._connecting:
                try:
                    transport = await self._connect()
                finally:
                    self._connecting = None
                if self._closing:
                    await aclose_forcefully(transport)
                else:
                    self._endpoint = AsyncStreamEndpoint(transport, self._protocol, self._max_recv_size)
            self._check_open()
            assert self._endpoint is not None
            sock = self._endpoint.extra(INETSocketAttribute.socket)
            with suppress(OSError):
                set_tcp_nodelay(sock, True)
                set_tcp_keepalive(sock, True)
            return self._endpoint

    def _check_open(self) -> None:
        if self._closing:
            raise ClientClosedError("The client is closed")

    # ----------------------------------------------------------------------------------------------- packets

    async def send_packet(self, packet: _T_SentPacket) -> None:
        """Sends *packet*. Connects first, if need be. Packets of several tasks leave in the order of the calls.

        Waits only while there is more to send than should be kept in memory. If cancelled, it is unknown how much was
        sent.

        Raises:
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection broke.
            RuntimeError: the protocol object crashed, or `send_eof` was called before. Nothing was sent.
        """
        async with self._send_lock:
            endpoint = self._endpoint or await self._connected()
            self._check_open()
            try:
                await endpoint.send_packet(packet)
            except OSError as exc:
                self._raise_client_error(exc)

    async def send_eof(self) -> None:
        """Closes the sending direction. Receiving stays possible. Idempotent; does nothing on a closed client.

        Raises:
            ConnectionAbortedError: the connection broke.
        """
        async with self._send_lock:
            if self._closing:
                return
            endpoint = self._endpoint or await self._connected()
            try:
                await endpoint.send_eof()
            except OSError as exc:
                self._raise_client_error(exc)

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receives the next packet. Connects first, if need be. Each packet goes to one of the tasks that wait.

        If cancelled, what was received so far stays for the next call.

        Raises:
            ClientClosedError: the client is closed, or was closed meanwhile.
            ConnectionAbortedError: the connection broke or the peer has closed it.
            StreamProtocolParseError: invalid bytes were received; the next call goes on after them.
            RuntimeError: the protocol object crashed.
        """
        async with self._receive_lock:
            endpoint = self._endpoint or await self._connected()
            self._check_open()
            try:
                return await endpoint.recv_packet()
            except OSError as exc:
                self._raise_client_error(exc)

    def _raise_client_error(self, exc: OSError) -> NoReturn:
        """Raises what *exc*, raised by the endpoint, means to the user of a client."""
        if isinstance(exc, ConnectionError) or exc.errno in CLOSED_SOCKET_ERRNOS:
            if self._closing:
                raise ClientClosedError("The client was closed") from exc
            if isinstance(exc, ConnectionError):
                raise error_from_errno(errno.ECONNABORTED, str(exc)) from exc
            exc.add_note("The file descriptor was closed by somebody else")
        raise exc

    # ------------------------------------------------------------------------------------------------------- closing

    def is_closing(self) -> bool:
        return self._closing

    async def aclose(self) -> None:
        """Closes the client, after the packets that tasks are sending now. Idempotent.

        Tasks that are connecting or receiving get `ClientClosedError`. If cancelled, the connection is closed abruptly.
        """
        if self._connecting is not None:
            self._closing = True
            self._connecting.cancel()
        try:
            async with self._send_lock:
                self._closing = True
                if self._endpoint is not None:
                    await self._endpoint.aclose()
        except BaseException:
            self._closing = True
            if self._endpoint is not None and not self._endpoint.is_closing():
                await aclose_forcefully(self._endpoint._transport)
            raise
        finally:
            if self._endpoint is None and self._adopted_socket is not None:
                self._adopted_socket.close()

    # --------------------------------------------------------------------------------------------------------- facts

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    @final
    def socket(self) -> SocketProxy:
        """A view of the socket, always the same.

        Raises `AttributeError` before the client is connected, and if it is first asked for once the client is closed.
        """
        if self._socket_proxy is None:
            if self._endpoint is None or self._closing:
                raise AttributeError("The client is not connected")
            self._socket_proxy = SocketProxy(self._endpoint.extra(INETSocketAttribute.socket))
        return self._socket_proxy

    def get_local_address(self) -> SocketAddress:
        """Returns our own address.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected.
            ClientClosedError: the client is closed.
        """
        return self._address(INETSocketAttribute.sockname)

    def get_remote_address(self) -> SocketAddress:
        """Returns the address of the peer.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected.
            ClientClosedError: the client is closed.
        """
        return self._address(INETSocketAttribute.peername)

    def _address(self, attribute: Any) -> SocketAddress:
        self._check_open()
        if self._endpoint is None:
            raise error_from_errno(errno.ENOTCONN)
        return new_socket_address(self._endpoint.extra(attribute), self._endpoint.extra(INETSocketAttribute.family))


def _connect_function(
    backend: AsyncBackend, arg: object, options: dict[str, Any]
) -> Callable[[], Awaitable[AsyncStreamTransport]]:
    """Returns what makes the transport, out of the first argument of a client and the options that go with it."""
    if isinstance(arg, _socket.socket):
        try:
            if options:
                raise TypeError(f"Unexpected arguments with a socket: {', '.join(options)}")
            _check_socket(arg)
        except BaseException:
            arg.close()
            raise
        return partial(backend.wrap_stream_socket, arg)
    match arg:
        case (str(host), int(port)):
            unknown = options.keys() - {"local_address", "happy_eyeballs_delay"}
            if unknown:
                raise TypeError(f"Unexpected arguments: {', '.join(sorted(unknown))}")
            return partial(backend.create_tcp_connection, host, port, **options)
        case _:
            raise TypeError(f"Expected a socket, or a pair of host and port, got {arg!r}")


def _check_socket(sock: _socket.socket) -> None:
    check_plain_socket(sock, _socket.SOCK_STREAM)
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6):
        raise ValueError(f"A TCP socket is required, got one of the family {sock.family!s}")
    if not is_connected(sock):
        raise error_from_errno(errno.ENOTCONN)
