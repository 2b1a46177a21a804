"""Socket options."""

from __future__ import annotations

__all__ = [
    "disable_socket_linger",
    "enable_socket_linger",
    "get_socket_linger",
    "get_socket_linger_struct",
    "set_tcp_keepalive",
    "set_tcp_nodelay",
    "set_tcp_options",
    "socket_linger",
]

import os
import socket as _socket
from contextlib import suppress
from struct import Struct
from typing import NamedTuple

from .interfaces import SupportsSocketOptions


def set_tcp_nodelay(sock: SupportsSocketOptions, state: bool) -> None:
    """Disable (true) or enable Nagle's algorithm, if the platform has the option. See :manpage:`tcp(7)`."""
    if hasattr(_socket, "TCP_NODELAY"):
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, bool(state))


def set_tcp_keepalive(sock: SupportsSocketOptions, state: bool) -> None:
    """Enable or disable keep-alive probes, if the platform has the option. See :manpage:`socket(7)`."""
    if hasattr(_socket, "SO_KEEPALIVE"):
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, bool(state))


def set_tcp_options(sock: SupportsSocketOptions) -> None:
    """Set the options of every TCP connection: no delay for small packets, and keep-alive to detect a dead peer."""
    with suppress(OSError):
        set_tcp_nodelay(sock, True)
        set_tcp_keepalive(sock, True)


class socket_linger(NamedTuple):  # the name of the C structure
    """Value of ``SO_LINGER``: whether close(2) waits for unsent data, and for how many seconds."""

    enabled: bool
    timeout: int


_LINGER: Struct = Struct("@ii" if os.name == "posix" else "@HH")


def get_socket_linger_struct() -> Struct:
    """Return the structure of the ``SO_LINGER`` value on this platform."""
    return _LINGER


def get_socket_linger(sock: SupportsSocketOptions) -> socket_linger:
    """Return the ``SO_LINGER`` option of *sock*."""
    enabled, timeout = _LINGER.unpack(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.size))
    return socket_linger(bool(enabled), timeout)


def enable_socket_linger(sock: SupportsSocketOptions, timeout: int) -> None:
    """Let close(2) wait up to *timeout* seconds for unsent data. With 0, it drops the data and sends a reset."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.pack(True, timeout))


def disable_socket_linger(sock: SupportsSocketOptions) -> None:
    """Make close(2) return at once. The system continues to send in the background."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.pack(False, 0))
