"""Public socket tools: addresses, options, typed attributes and a restricted view of a socket."""

from __future__ import annotations

__all__ = [
    "INETSocketAttribute",
    "IPv4SocketAddress",
    "IPv6SocketAddress",
    "ISocket",
    "SocketAddress",
    "SocketAttribute",
    "SocketProxy",
    "SupportsSocketOptions",
    "TLSAttribute",
    "disable_socket_linger",
    "enable_socket_linger",
    "get_socket_linger",
    "get_socket_linger_struct",
    "new_socket_address",
    "set_tcp_keepalive",
    "set_tcp_nodelay",
    "socket_linger",
]

import socket as _socket
import sys

from ._sockets.attributes import INETSocketAttribute, SocketAttribute, TLSAttribute
from ._sockets.inet_address import IPv4SocketAddress, IPv6SocketAddress, SocketAddress, new_socket_address
from ._sockets.interfaces import ISocket, SupportsSocketOptions
from ._sockets.options import (
    disable_socket_linger,
    enable_socket_linger,
    get_socket_linger,
    get_socket_linger_struct,
    set_tcp_keepalive,
    set_tcp_nodelay,
    socket_linger,
)
from ._sockets.proxy import SocketProxy

if sys.platform != "win32" and hasattr(_socket, "AF_UNIX"):
    from ._sockets.ancillary import HAS_CREDENTIALS, SCMRights, SocketAncillary, SocketAncillaryMessages
    from ._sockets.attributes import UNIXSocketAttribute
    from ._sockets.peer_credentials import UnixCredentials
    from ._sockets.unix_address import RawUnixSocketAddress, UnixSocketAddress

    __all__ += [
        "RawUnixSocketAddress",
        "SCMRights",
        "SocketAncillary",
        "SocketAncillaryMessages",
        "UNIXSocketAttribute",
        "UnixCredentials",
        "UnixSocketAddress",
    ]

    if HAS_CREDENTIALS:
        from ._sockets.ancillary import SCMCredentials, SocketCredential

        __all__ += ["SCMCredentials", "SocketCredential"]
