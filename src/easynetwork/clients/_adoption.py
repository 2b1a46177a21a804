"""Sockets that clients take over from their users."""

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
    """Refuse, and close, what is not a connected socket of *type_* and one of the *families*.

    With *address_options*, the socket is not touched: the call makes no sense, and does not hand it over.

    Parameters:
        sock: the socket.
        type_: the type that is required.
        families: the address families that are allowed.
        address_options: names of arguments that were given, and would make sense with an address only.

    Raises:
        TypeError: there are *address_options*; *sock* is a TLS socket.
        ValueError: *sock* is of another type or family.
        OSError: ``ENOTCONN``: *sock* is not connected.
    """
    if address_options:
        raise TypeError(f"Unexpected arguments with a socket: {', '.join(address_options)}")
    try:
        check_plain_socket(sock, type_)
        if sock.family not in families:
            names = " or ".join(family.name for family in families)
            raise ValueError(f"A socket of the family {names} is required, got one of {sock.family!s}")
        if not is_connected(sock):
            raise error_from_errno(errno.ENOTCONN)
    except BaseException:
        sock.close()
        raise


def handed_over(arg: object) -> AbstractContextManager[None]:
    """Return a context that closes *arg*, the first argument of a client, if that is a socket and the body fails."""
    return closed_on_failure(arg) if isinstance(arg, _socket.socket) else nullcontext()
