"""Checked socket calls, and the interpretation of their results."""

from __future__ import annotations

__all__ = [
    "ERROR_DELAY",
    "adopt_socket",
    "bind_socket",
    "check_is_socket",
    "check_plain_socket",
    "count_dropped_datagrams",
    "count_waiting_connections",
    "get_backlog",
    "is_connected",
    "raise_saved_error",
    "sending_position",
]

import errno
import socket as _socket
import sys
from struct import Struct
from typing import Any, Final

from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel.constants import NOT_CONNECTED_SOCKET_ERRNOS

from .interfaces import ISocket, SupportsSocketOptions

if sys.platform != "win32":
    import fcntl
    import termios

try:
    import ssl
except ImportError:  # Python without TLS
    ssl = None  # type: ignore[assignment]

ERROR_DELAY: Final = 0.1
"""Seconds without receiving after two errors in a row of a datagram listener: the system may lack a resource."""


def check_plain_socket(sock: _socket.socket, type_: _socket.SocketKind) -> None:
    """Check that *sock* is a socket of *type_* and not a TLS socket.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is of another type.
    """
    if isinstance(sock, getattr(ssl, "SSLSocket", ())):
        raise TypeError("A TLS socket is not supported: pass the plain socket and the TLS context")
    if sock.type != type_:
        raise ValueError(f"Expected a socket of type {type_.name}, got {sock!r}")


def check_is_socket(sock: object) -> None:
    """Raise `TypeError` unless *sock* is a socket."""
    if not isinstance(sock, _socket.socket):
        raise TypeError(f"Expected a socket.socket, got {sock!r}")


def adopt_socket(sock: _socket.socket, type_: _socket.SocketKind) -> None:
    """Take ownership of a socket and make it non-blocking. Close it if `check_plain_socket` raises an error."""
    check_is_socket(sock)
    try:
        check_plain_socket(sock, type_)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise


def is_connected(sock: ISocket) -> bool:
    """Return whether *sock* has a peer. Raise `OSError` if this is unknown, for example because *sock* is closed."""
    try:
        sock.getpeername()
    except OSError as exc:
        if exc.errno in NOT_CONNECTED_SOCKET_ERRNOS:
            return False
        raise
    return True


def raise_saved_error(sock: SupportsSocketOptions) -> None:
    """Raise the pending `OSError` of *sock* and clear it, if there is one.

    A refused datagram is reported this way after it was sent; see ``SO_ERROR`` in :manpage:`socket(7)`.
    """
    code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if code:
        raise error_from_errno(code)


def bind_socket(sock: _socket.socket, address: Any) -> None:
    """Bind *sock* to *address*. Raise `OSError` with a message that contains *address*."""
    try:
        sock.bind(address)
    except OSError as exc:
        raise OSError(exc.errno or errno.EINVAL, f"Cannot bind to {address!r}: {exc.strerror or exc}") from exc


_SO_MEMINFO: Final = 55  # <asm-generic/socket.h>; the socket module does not define it
_MEMINFO: Final = Struct("=9I")


def count_dropped_datagrams(sock: SupportsSocketOptions) -> int:
    """Return how many datagrams the system has dropped since *sock* was created, mostly because its queue was full.

    The count comes from ``SK_MEMINFO_DROPS`` on Linux (32 bits, see :manpage:`sock_diag(7)`). It is 0 elsewhere.

    Raises:
        OSError: *sock* is closed.
    """
    if sys.platform != "linux":
        return 0
    counts = sock.getsockopt(_socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(counts)[8]) if len(counts) == _MEMINFO.size else 0


_TCP_INFO: Final = Struct("=8B6I")  # the first fields of ``struct tcp_info`` in <linux/tcp.h>


def count_waiting_connections(listening: SupportsSocketOptions) -> int | None:
    """Return how many connections wait to be accepted, or None if the system does not report it.

    Linux reports it for TCP: for a listening socket, ``tcpi_unacked`` is the length of the accept queue.
    """
    return _accept_queue(listening)[0]


def get_backlog(listening: SupportsSocketOptions) -> int | None:
    """Return the maximum length of the accept queue, or None if the system does not report it.

    Linux reports it for TCP: for a listening socket, it is ``tcpi_sacked``.
    """
    return _accept_queue(listening)[1]


def _accept_queue(listening: SupportsSocketOptions) -> tuple[int, int] | tuple[None, None]:
    if sys.platform != "linux":
        return None, None
    try:
        info = listening.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # not a TCP socket
        return None, None
    if len(info) != _TCP_INFO.size:
        return None, None
    waiting, backlog = _TCP_INFO.unpack(info)[-2:]
    return waiting, backlog


_BYTES_ACKNOWLEDGED: Final = 120
"""Offset of ``tcpi_bytes_acked`` in ``struct tcp_info`` of Linux, since version 4.1."""
_SIZE_WITH_ACKNOWLEDGED: Final = 128
"""Size of that structure up to there, in bytes."""


def sending_position(sock: ISocket, unsent: int) -> object:
    """Return a value that changes when data is sent.

    On Linux, a byte of a TCP connection is sent when the peer has acknowledged it (``TCP_INFO``, see
    :manpage:`tcp(7)`), and one on a Unix socket when the peer has read it (``SIOCOUTQ``). Elsewhere, it is sent when
    the system takes it, and a new one that waits looks like progress.

    Parameters:
        sock: a stream socket.
        unsent: number of bytes that the system has not taken yet.
    """
    if sys.platform != "linux":
        return unsent
    try:
        if sock.family != _socket.AF_UNIX:
            return sock.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, _SIZE_WITH_ACKNOWLEDGED)[_BYTES_ACKNOWLEDGED:]
        return unsent, fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # closed
        return unsent
