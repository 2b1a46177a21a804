"""Blocking client for Unix datagram sockets."""

from __future__ import annotations

__all__ = ["UnixDatagramClient"]

import os
import socket as _socket
from functools import partial
from typing import Any, Generic, TypeVar, overload

from easynetwork._checks import check_above_zero
from easynetwork.clients._adoption import handed_over
from easynetwork.clients._blocking_unix import BlockingUnixClient
from easynetwork.clients._unix_client import named_datagram_opener
from easynetwork.lowlevel._core.datagram_codec import check_datagram_protocol
from easynetwork.lowlevel.api_sync._connecting import adopt, open_unix_socket
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport
from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.protocol import DatagramProtocol

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class UnixDatagramClient(
    BlockingUnixClient[_T_SentPacket, _T_ReceivedPacket], Generic[_T_SentPacket, _T_ReceivedPacket]
):
    """A blocking client for a Unix datagram socket: one packet per datagram, to and from one address.

    Threads may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        path: the address of the peer: a path or an abstract name (Linux).
        socket: a connected socket that has a name, instead of a path. The client takes ownership of it.
        protocol: the protocol object.
        local_path: the address to bind to, so that the peer can answer. With None or an empty string, Linux chooses an
            abstract name. The file is never deleted.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with a path.
        ValueError: *socket* is not a Unix datagram socket, or has no name; *local_path* is required on this platform;
            *retry_interval* is not above 0; a path contains a NUL character.
        OSError: *path* cannot be used. ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        *,
        local_path: str | os.PathLike[str] | bytes | UnixSocketAddress | None = None,
        retry_interval: float = 1.0,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        *,
        retry_interval: float = 1.0,
    ) -> None: ...

    def __init__(
        self,
        arg: str | os.PathLike[str] | bytes | UnixSocketAddress | _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        *,
        retry_interval: float = 1.0,
        **connect_options: Any,
    ) -> None:
        connect = partial(open_unix_socket, _socket.SOCK_DGRAM)
        open_socket = named_datagram_opener(arg, connect, adopt, connect_options)
        with handed_over(arg):
            check_datagram_protocol(protocol)
            check_above_zero("retry_interval", retry_interval)
        sock = open_socket()
        transport = SocketDatagramTransport(sock, retry_interval)
        super().__init__(sock, transport, DatagramEndpoint(transport, protocol))
