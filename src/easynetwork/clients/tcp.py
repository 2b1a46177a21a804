"""Blocking TCP client."""

from __future__ import annotations

__all__ = ["TCPNetworkClient"]

import errno
import socket as _socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

from easynetwork._checks import check_above_zero, check_timeouts
from easynetwork.clients._adoption import handed_over
from easynetwork.clients._arguments import stream_bufsize
from easynetwork.clients._blocking_stream import BlockingStreamClient
from easynetwork.clients._inet_client import INETClient, inet_opener
from easynetwork.clients._tls import tls_options, upgrade_options
from easynetwork.lowlevel._core.errors import error_from_errno, is_stream_end
from easynetwork.lowlevel._sockets.options import set_tcp_options
from easynetwork.lowlevel.api_sync._connecting import adopt, open_tcp_socket
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport, SSLStreamTransport
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from ssl import SSLContext

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewSentPacket = TypeVar("_T_NewSentPacket")
_T_NewReceivedPacket = TypeVar("_T_NewReceivedPacket")

_ADDRESS_OPTIONS: Final = frozenset({"local_address", "connect_timeout"})


class TCPNetworkClient(
    BlockingStreamClient[_T_SentPacket, _T_ReceivedPacket],
    INETClient,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """A blocking TCP client. Threads may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        address: host and port. The constructor connects, trying all addresses of the host in turn.
        socket: a connected socket instead of an address. The client takes ownership of it.
        protocol: the protocol object.
        connect_timeout: maximum duration of all connection attempts together, in seconds, without name resolution; None
            for the limits of the system.
        local_address: local host and port to bind to.
        ssl: use TLS: a context, or True for `ssl.create_default_context`.
        server_hostname: the name to verify in the server's certificate; if None, the host of *address* without a
            trailing dot or a zone. With ``""``, no name is sent or verified; a custom context must allow that.
        ssl_handshake_timeout: maximum duration of the TLS handshake, in seconds; 60 if None.
        ssl_shutdown_timeout: seconds that a close waits for the server to close TLS too; 30 if None.
        ssl_standard_compatible: whether the end of the connection without a TLS closing alert is an error; True if
            None.
        max_recv_size: the maximum number of bytes per read; 16 KiB if None.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with an address.
        ValueError: *max_recv_size* is not a strictly positive integer; *retry_interval* is not above 0; *socket* is not
            a TCP socket; a TLS argument is given without *ssl*; *ssl* is given without a host name; a timeout is
            negative or NaN.
        RuntimeError: *ssl* is given, but this Python was built without TLS.
        socket.gaierror: the host is unknown.
        ExceptionGroup: the `OSError` of each address, if none could be connected.
        OSError: ``ENOTCONN``: *socket* is not connected.
        ssl.SSLError: the TLS handshake failed; ``SSLCertVerificationError`` if the cause is a certificate.
        TimeoutError: the TLS handshake took too long.
        ConnectionAbortedError: the connection ended during the TLS handshake.
    """

    __slots__ = ("_connect_address",)

    @overload
    def __init__(
        self,
        address: tuple[str, int],
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        *,
        connect_timeout: float | None = None,
        local_address: tuple[str, int] | None = None,
        ssl: SSLContext | bool | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        max_recv_size: int | None = None,
        retry_interval: float = 1.0,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        *,
        ssl: SSLContext | bool | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        max_recv_size: int | None = None,
        retry_interval: float = 1.0,
    ) -> None: ...

    def __init__(
        self,
        arg: tuple[str, int] | _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        *,
        ssl: SSLContext | bool | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        max_recv_size: int | None = None,
        retry_interval: float = 1.0,
        **connect_options: Any,
    ) -> None:
        bufsize = stream_bufsize(protocol, max_recv_size)
        open_socket = inet_opener(arg, _socket.SOCK_STREAM, open_tcp_socket, adopt, connect_options, _ADDRESS_OPTIONS)
        tls = tls_options(
            arg,
            ssl,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            ssl_standard_compatible=ssl_standard_compatible,
        )
        with handed_over(arg):
            check_above_zero("retry_interval", retry_interval)
            check_timeouts(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        sock = open_socket()
        set_tcp_options(sock)
        super().__init__(sock, _new_transport(sock, retry_interval, tls), protocol, bufsize)
        self._connect_address = None if isinstance(arg, _socket.socket) else arg

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, _T_NewReceivedPacket], /
    ) -> TCPNetworkClient[_T_NewSentPacket, _T_NewReceivedPacket]:
        """Exchange the protocol object. Return this client, typed for the new packets.

        The new one parses all bytes that are not part of a packet that `recv_packet` returned, also those that have
        already arrived.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
            ClientClosedError: the client is closed.
            BusyResourceError: another thread is receiving.
            UnsupportedOperation: a generator of the old protocol object has already taken the start of a packet.
            ConnectionAbortedError: the stream cannot continue, see `recv_packet`.
        """
        self._set_protocol(protocol)
        client: TCPNetworkClient[Any, Any] = self
        return client

    def start_tls(
        self,
        ssl: SSLContext | Literal[True] = True,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
    ) -> None:
        """Upgrade the connection to TLS (STARTTLS), after the server has agreed in its own protocol.

        Other threads that send wait for the end of the handshake. If the handshake fails, the client is closed.

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
            BusyResourceError: another thread is receiving.
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
        self._start_tls(tls)


def _new_transport(
    sock: _socket.socket, retry_interval: float, tls: Mapping[str, Any] | None
) -> SocketStreamTransport | SSLStreamTransport:
    if tls is None:
        return SocketStreamTransport(sock, retry_interval)
    try:
        return SSLStreamTransport(sock, retry_interval=retry_interval, **tls)
    except OSError as exc:
        if is_stream_end(exc):
            raise error_from_errno(errno.ECONNABORTED, "during the TLS handshake") from exc
        raise
