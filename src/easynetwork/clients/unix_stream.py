"""Blocking client for Unix stream sockets."""

from __future__ import annotations

__all__ = ["UnixStreamClient"]

import os
import socket as _socket
from functools import partial
from typing import Any, Final, Generic, TypeVar, overload

from easynetwork._checks import check_above_zero
from easynetwork.clients._adoption import handed_over
from easynetwork.clients._arguments import stream_bufsize
from easynetwork.clients._blocking_stream import BlockingStreamClient
from easynetwork.clients._blocking_unix import BlockingUnixClient
from easynetwork.clients._unix_client import UnixStreamPeer, unix_opener
from easynetwork.lowlevel.api_sync._connecting import adopt, open_unix_socket
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.lowlevel.socket import UnixCredentials, UnixSocketAddress
from easynetwork.protocol import AnyStreamProtocolType

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewSentPacket = TypeVar("_T_NewSentPacket")
_T_NewReceivedPacket = TypeVar("_T_NewReceivedPacket")

_ADDRESS_OPTIONS: Final = frozenset({"local_path", "connect_timeout"})


class UnixStreamClient(
    BlockingUnixClient[_T_SentPacket, _T_ReceivedPacket],
    BlockingStreamClient[_T_SentPacket, _T_ReceivedPacket],
    UnixStreamPeer,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """A blocking client for a Unix stream socket.

    Threads may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        path: the address of the server: a path or an abstract name (Linux). The constructor connects.
        socket: a connected socket instead of a path. The client takes ownership of it.
        protocol: the protocol object.
        connect_timeout: seconds to wait while the server's backlog is full; None for no limit.
        local_path: the address to bind to. With an empty string, Linux chooses an abstract name. The file is never
            deleted. None leaves the socket unnamed.
        max_recv_size: the maximum number of bytes per read; 16 KiB if None.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with a path.
        ValueError: *max_recv_size* is not a strictly positive integer; *retry_interval* is not above 0; *socket* is not
            a Unix stream socket; a path contains a NUL character; *connect_timeout* is negative or NaN.
        TimeoutError: the connection was not established in time.
        OSError: *path* cannot be connected. ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ("_peer_credentials",)

    @overload
    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        *,
        connect_timeout: float | None = None,
        local_path: str | os.PathLike[str] | bytes | UnixSocketAddress | None = None,
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
        max_recv_size: int | None = None,
        retry_interval: float = 1.0,
    ) -> None: ...

    def __init__(
        self,
        arg: str | os.PathLike[str] | bytes | UnixSocketAddress | _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        *,
        max_recv_size: int | None = None,
        retry_interval: float = 1.0,
        **connect_options: Any,
    ) -> None:
        bufsize = stream_bufsize(protocol, max_recv_size)
        connect = partial(open_unix_socket, _socket.SOCK_STREAM)
        open_socket = unix_opener(arg, _socket.SOCK_STREAM, connect, adopt, connect_options, _ADDRESS_OPTIONS)
        with handed_over(arg):
            check_above_zero("retry_interval", retry_interval)
        sock = open_socket()
        super().__init__(sock, SocketStreamTransport(sock, retry_interval), protocol, bufsize)
        self._peer_credentials: UnixCredentials | None = None

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, _T_NewReceivedPacket], /
    ) -> UnixStreamClient[_T_NewSentPacket, _T_NewReceivedPacket]:
        """Exchange the protocol object. Return this client, typed for the new packets.

        `TCPNetworkClient.set_protocol` tells the details, and has the same errors.
        """
        self._set_protocol(protocol)
        client: UnixStreamClient[Any, Any] = self
        return client
