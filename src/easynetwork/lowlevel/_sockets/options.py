"""Socket options."""

from __future__ import annotations

__all__ = [
    "disable_socket_linger",
    "enable_socket_linger",
    "get_socket_linger",
    "get_socket_linger_struct",
    "set_tcp_keepalive",
    "set_tcp_nodelay",
    "socket_linger",
]

import os
import socket as _socket
from struct import Struct
from typing import NamedTuple

from .interfaces import SupportsSocketOptions


def set_tcp_nodelay(sock: SupportsSocketOptions, state: bool) -> None:
    """Switches Nagle's algorithm off (true) or on, where the option exists. See :manpage:`tcp(7)`."""
    if hasattr(_socket, "TCP_NODELAY"):
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, bool(state))


def set_tcp_keepalive(sock: SupportsSocketOptions, state: bool) -> None:
    """Switches keep-alive probes on or off, where the option exists. See :manpage:`socket(7)`."""
    if hasattr(_socket, "SO_KEEPALIVE"):
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, bool(state))


class socket_linger(NamedTuple):  # the name of the C structure
    """What ``SO_LINGER`` says: whether closing waits for unsent data, and how long, in seconds."""

    enabled: bool
    timeout: int


_LINGER: Struct = Struct("@ii" if os.name == "posix" else "@HH")


def get_socket_linger_struct() -> Struct:
    """Returns the layout of the value of ``SO_LINGER`` on this platform."""
    return _LINGER


def get_socket_linger(sock: SupportsSocketOptions) -> socket_linger:
    """Returns the ``SO_LINGER`` option of *sock*."""
    enabled, timeout = _LINGER.unpack(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.size))
    return socket_linger(bool(enabled), timeout)


def enable_socket_linger(sock: SupportsSocketOptions, timeout: int) -> None:
    """Has closing wait at most *timeout* seconds for unsent data; with 0 it is dropped, and the peer sees a reset."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.pack(True, timeout))


def disable_socket_linger(sock: SupportsSocketOptions) -> None:
    """Has closing return at once, while the system goes on sending."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.pack(False, 0))
