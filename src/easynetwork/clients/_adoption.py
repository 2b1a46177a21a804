"""Sockets that users pass to clients."""

from __future__ import annotations

__all__ = ["check_adopted_socket", "handed_over"]

import errno
import socket as _socket
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext

from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel._sockets.calls import check_plain_socket, is_connected


def check_adopted_socket(
    sock: _socket.socket,
    type_: _socket.SocketKind,
    families: Collection[_socket.AddressFamily],
    address_options: Collection[str] = (),
) -> None:
    """Check that *sock* is a connected socket of *type_* and one of the *families*. Close it otherwise.

    If *address_options* are given, the call is invalid: the socket stays open, and the caller keeps it.

    Parameters:
        sock: the socket.
        type_: the required type.
        families: the allowed address families.
        address_options: names of the given arguments that are allowed only with an address.

    Raises:
        TypeError: *address_options* is not empty, or *sock* is a TLS socket.
        ValueError: *sock* is of another type or family.
        OSError: ``ENOTCONN``: *sock* is not connected.
    """
    if address_options:
        raise TypeError(f"Arguments not allowed with a socket: {', '.join(address_options)}")
    try:
        check_plain_socket(sock, type_)
        if sock.family not in families:
            names = " or ".join(family.name for family in families)
            raise ValueError(f"Expected a socket of the family {names}, got one of {sock.family!s}")
        if not is_connected(sock):
            raise error_from_errno(errno.ENOTCONN)
    except BaseException:
        sock.close()
        raise


def handed_over(arg: object) -> AbstractContextManager[None]:
    """Return a context manager. If *arg*, a client's first argument, is a socket, a failure of the block closes it."""
    return closed_on_failure(arg) if isinstance(arg, _socket.socket) else nullcontext()
