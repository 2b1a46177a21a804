"""What a socket is asked or told, and how the answers are to be read."""

from __future__ import annotations

__all__ = [
    "adopt_socket",
    "bind_socket",
    "check_is_socket",
    "check_plain_socket",
    "count_dropped_datagrams",
    "count_waiting_connections",
    "is_connected",
    "raise_saved_error",
]

import errno
import socket as _socket
import sys
from struct import Struct
from typing import Any, Final

from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel.constants import NOT_CONNECTED_SOCKET_ERRNOS
from easynetwork.lowlevel.socket import ISocket, SupportsSocketOptions

try:
    import ssl
except ImportError:  # Python without TLS
    ssl = None  # type: ignore[assignment]


def check_plain_socket(sock: _socket.socket, type_: _socket.SocketKind) -> None:
    """Refuses what is no socket of *type_*, or does TLS on its own.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is of another type.
    """
    if isinstance(sock, getattr(ssl, "SSLSocket", ())):
        raise TypeError("A TLS socket cannot be used: give the plain socket, and the TLS context")
    if sock.type != type_:
        raise ValueError(f"A socket of type {type_.name} is required, got {sock!r}")


def check_is_socket(sock: object) -> None:
    """Raise `TypeError` unless *sock* is a socket at all."""
    if not isinstance(sock, _socket.socket):
        raise TypeError(f"Expected a socket.socket, got {sock!r}")


def adopt_socket(sock: _socket.socket, type_: _socket.SocketKind) -> None:
    """Makes a socket non-blocking that was handed over to us. Closes it if it is refused; see `check_plain_socket`."""
    check_is_socket(sock)
    try:
        check_plain_socket(sock, type_)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise


def is_connected(sock: ISocket) -> bool:
    """Returns whether *sock* has a peer. Raises `OSError` if that cannot be told, for instance once it is closed."""
    try:
        sock.getpeername()
    except OSError as exc:
        if exc.errno in NOT_CONNECTED_SOCKET_ERRNOS:
            return False
        raise
    return True


def raise_saved_error(sock: SupportsSocketOptions) -> None:
    """Raises the `OSError` that the system has kept for *sock* since it was last asked, if any.

    This is how a refused datagram shows after it was sent; see ``SO_ERROR`` in :manpage:`socket(7)`.
    """
    code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if code:
        raise error_from_errno(code)


def bind_socket(sock: _socket.socket, address: Any) -> None:
    """Binds *sock* to *address*. Raises `OSError` with a text that contains *address*."""
    try:
        sock.bind(address)
    except OSError as exc:
        raise OSError(exc.errno or errno.EINVAL, f"Cannot bind to {address!r}: {exc.strerror or exc}") from exc


_SO_MEMINFO: Final = 55  # in <asm-generic/socket.h>; Python has no name for it
_MEMINFO: Final = Struct("=9I")


def count_dropped_datagrams(sock: SupportsSocketOptions) -> int:
    """Returns how many datagrams the system has dropped since *sock* was made, most of them because its queue was full.

    Known on Linux (``SK_MEMINFO_DROPS``, 32 bits wide, see :manpage:`sock_diag(7)`); 0 elsewhere.

    Raises:
        OSError: *sock* is closed.
    """
    if sys.platform != "linux":
        return 0
    counts = sock.getsockopt(_socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(counts)[8]) if len(counts) == _MEMINFO.size else 0


_TCP_INFO: Final = Struct("=8B5I")  # the beginning of ``struct tcp_info`` in <linux/tcp.h>


def count_waiting_connections(listening: SupportsSocketOptions) -> int | None:
    """Return how many connections wait to be accepted; None where the system does not tell.

    Linux tells it for TCP: of a listening socket, ``tcpi_unacked`` is the length of that queue.
    """
    if sys.platform != "linux":
        return None
    try:
        info = listening.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # not a TCP socket
        return None
    return int(_TCP_INFO.unpack(info)[-1]) if len(info) == _TCP_INFO.size else None
