"""Checks of the bound sockets that a server is given, and their backlog."""

from __future__ import annotations

__all__ = ["check_bound_socket", "is_listening", "start_listening"]

import socket as _socket
from collections.abc import Container

from .calls import check_is_socket, check_plain_socket, get_backlog, is_connected


def check_bound_socket(sock: _socket.socket, families: Container[int], type_: _socket.SocketKind) -> None:
    """Check that a server can serve *sock*: it is open, bound and not connected.

    Raises:
        TypeError: *sock* is not a socket, or is a TLS socket.
        ValueError: *sock* has another family or type, is closed, unbound or connected, or does not refer to a socket.
    """
    check_is_socket(sock)
    check_plain_socket(sock, type_)
    if sock.family not in families:
        raise ValueError(f"The server cannot use sockets of the family {sock.family!s}: {sock!r}")
    if sock.fileno() < 0:
        raise ValueError(f"The socket is closed: {sock!r}")
    try:
        if not _is_bound(sock):
            raise ValueError(f"The socket is not bound to an address: {sock!r}")
        if is_connected(sock):
            raise ValueError(f"The socket is connected: {sock!r}")
    except OSError as exc:
        raise ValueError(f"The socket cannot be used: {exc.strerror or exc}") from exc


def _is_bound(sock: _socket.socket) -> bool:
    address = sock.getsockname()
    return bool(address[1] if isinstance(address, tuple) else address)


def is_listening(sock: _socket.socket) -> bool:
    """Return whether `listen` was called on *sock*, in any process (``SO_ACCEPTCONN``, see :manpage:`socket(7)`)."""
    return bool(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))


def start_listening(sock: _socket.socket, backlog: int) -> int:
    """Make *sock* listen unless it does so already. Return its backlog: event loops set it once more.

    Where the system does not tell the backlog of a listening socket, it becomes *backlog*.
    """
    if is_listening(sock):
        return get_backlog(sock) or backlog
    sock.listen(backlog)
    return backlog
