"""Asynchronous TCP client."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkClient"]

import errno
import socket as _socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

from easynetwork._checks import check_timeouts
from easynetwork.clients._async_stream import BaseAsyncStreamClient
from easynetwork.clients._inet_client import INETClient, check_remote_address, inet_opener
from easynetwork.clients._tls import tls_options, upgrade_options
from easynetwork.lowlevel._core.errors import error_from_errno, is_stream_end
from easynetwork.lowlevel._sockets.options import set_tcp_options
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.socket import INETSocketAttribute
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewSentPacket = TypeVar("_T_NewSentPacket")
_T_NewReceivedPacket = TypeVar("_T_NewReceivedPacket")


_ADDRESS_OPTIONS: Final = frozenset({"local_address", "happy_eyeballs_delay"})


class AsyncTCPNetworkClient(
    BaseAsyncStreamClient[_T_SentPacket, _T_ReceivedPacket],
    INETClient,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """An asynchronous TCP client. Tasks may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        address: host and port. The client connects on first use, with Happy Eyeballs (:rfc:`8305`).
        socket: a connected socket instead of an address. The client takes ownership of it.
        protocol: the protocol object.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        local_address: local host and port to bind to.
        happy_eyeballs_delay: seconds before an attempt for the next address starts in parallel; 0.25 if None.
        ssl: use TLS: a context, or True for `ssl.create_default_context`.
        server_hostname: the name to verify in the server's certificate; if None, the host of *address* without a
            trailing dot or a zone. With ``""``, no name is sent or verified; a custom context must allow that.
        ssl_handshake_timeout: maximum duration of the TLS handshake, in seconds; 60 if None.
        ssl_shutdown_timeout: seconds that a close waits for the server to close TLS too; 30 if None.
        ssl_standard_compatible: whether the end of the connection without a TLS closing alert is an error; True if
            None.
        max_recv_size: the number of bytes to read at once; 16 KiB if None. asyncio and uvloop may read up to 256 KiB.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with an address.
        ValueError: *max_recv_size* is not a strictly positive integer; *socket* is not a TCP socket; a TLS argument is
            given without *ssl*; *ssl* is given without a host name; a timeout is negative or NaN.
        RuntimeError: *ssl* is given, but this Python was built without TLS.
        OSError: ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ("_connect_address",)

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
        check_remote_address(arg)  # first: if host and port are two arguments, other errors would mislead
        backend = ensure_backend(backend)
        open_transport = inet_opener(
            arg,
            _socket.SOCK_STREAM,
            backend.create_tcp_connection,
            backend.wrap_stream_socket,
            connect_options,
            _ADDRESS_OPTIONS,
        )
        tls = tls_options(
            arg,
            ssl,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            ssl_standard_compatible=ssl_standard_compatible,
        )
        check_timeouts(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        super().__init__(
            backend,
            partial(_connect, open_transport, tls),
            arg if isinstance(arg, _socket.socket) else None,
            protocol,
            max_recv_size,
        )
        self._connect_address = None if isinstance(arg, _socket.socket) else arg

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, _T_NewReceivedPacket], /
    ) -> AsyncTCPNetworkClient[_T_NewSentPacket, _T_NewReceivedPacket]:
        """Exchange the protocol object. Return this client, typed for the new packets.

        The new one parses all bytes that are not part of a packet that `recv_packet` returned, also those that have
        already arrived.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
            ClientClosedError: the client is closed.
            BusyResourceError: another task is receiving.
            UnsupportedOperation: a generator of the old protocol object has already taken the start of a packet.
            ConnectionAbortedError: the stream cannot continue, see `recv_packet`.
        """
        self._set_protocol(protocol)
        client: AsyncTCPNetworkClient[Any, Any] = self
        return client

    async def start_tls(
        self,
        ssl: SSLContext | Literal[True] = True,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
    ) -> None:
        """Upgrade the connection to TLS (STARTTLS), after the server has agreed in its own protocol.

        Other tasks that send wait for the end of the handshake. If the call fails during the handshake or is cancelled,
        the client is closed.

        Parameters:
            ssl: a TLS context, or True for `ssl.create_default_context`.
            server_hostname: the name to verify in the server's certificate; if None, the host of the address.
            ssl_handshake_timeout: maximum duration of the handshake, in seconds; 60 if None.
            ssl_shutdown_timeout: seconds that a close waits for the server to close TLS too; 30 if None.
            ssl_standard_compatible: whether the end of the connection without a TLS closing alert is an error; True if
                None.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: the host name is missing; a timeout is negative or NaN.
            ssl.SSLError: the handshake failed, or bytes that are not TLS arrived before it: an attacker may have
                injected them.
            TimeoutError: the handshake took too long.
            ConnectionAbortedError: the connection ended during the handshake.
            ClientClosedError: the client is closed.
            BusyResourceError: another task is receiving.
            RuntimeError: the connection uses TLS already; `send_eof` was called; or this Python was built without TLS.
            UnsupportedOperation: a generator of the protocol object has already taken the start of a packet.
        """
        tls = upgrade_options(
            self._connect_address,
            ssl,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            ssl_standard_compatible=ssl_standard_compatible,
        )
        await self._start_tls(tls)


async def _connect(
    open_transport: Callable[[], Awaitable[AsyncStreamTransport]], tls: Mapping[str, Any] | None
) -> AsyncStreamTransport:
    """Open the transport of a client, set the TCP options and start TLS."""
    transport = await open_transport()
    set_tcp_options(transport.extra(INETSocketAttribute.socket))
    if tls is None:
        return transport
    try:
        return await AsyncTLSStreamTransport.wrap(transport, **tls)
    except OSError as exc:
        if is_stream_end(exc):
            raise error_from_errno(errno.ECONNABORTED, "during the TLS handshake") from exc
        raise
