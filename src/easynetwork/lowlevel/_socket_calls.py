"""What a socket is asked or told, and how the answers are to be read."""

from __future__ import annotations

__all__ = ["bind_socket", "check_plain_socket", "is_connected", "raise_saved_error"]

import errno
import socket as _socket
from typing import Any

from ._errors import error_from_errno
from .constants import NOT_CONNECTED_SOCKET_ERRNOS
from .socket import ISocket, SupportsSocketOptions

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
