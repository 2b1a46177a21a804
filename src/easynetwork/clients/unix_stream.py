"""A blocking client of Unix stream sockets."""

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

_ADDRESS_OPTIONS: Final = frozenset({"local_path", "connect_timeout"})


class UnixStreamClient(
    BlockingUnixClient[_T_SentPacket, _T_ReceivedPacket],
    BlockingStreamClient[_T_SentPacket, _T_ReceivedPacket],
    UnixStreamPeer,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """A blocking client of a Unix stream socket.

    Threads may send and receive at the same time; those that do the same take turns.

    Parameters:
        path: what to connect to, at once: a path, or an abstract name (Linux).
        socket: instead of a path, a connected socket. The client owns it.
        protocol: what a packet is.
        connect_timeout: how many seconds to wait for a server that is busy accepting others; None for no limit.
        local_path: what to bind the socket to; an empty one has the system choose a name (Linux). Such a file is never
            deleted. None leaves the socket unnamed.
        max_recv_size: largest number of bytes to read at once; 16 KiB if None.
        retry_interval: the longest single wait, in seconds, before an operation is tried again; may be infinite.

    Raises:
        TypeError: an argument is of the wrong type, or goes with a path only.
        ValueError: *max_recv_size* is no strictly positive integer; *retry_interval* is not above 0; *socket* is no
            Unix stream socket; a path contains a NUL; *connect_timeout* is negative or NaN.
        TimeoutError: connecting has taken too long.
        OSError: *path* cannot be connected to. ``ENOTCONN``: *socket* is not connected.
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
