"""The addresses and socket files of Unix socket servers."""

from __future__ import annotations

__all__ = ["check_mode", "check_unix_sockets", "find_socket_file", "listening_address", "remove_socket_file"]

import logging
import os
import socket as _socket
import sys
from collections.abc import Sequence

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.unix_address import UnixSocketAddress, to_unix_address
from easynetwork.lowlevel._sockets.unix_files import SocketFile
from easynetwork.servers._given_sockets import check_given_sockets


def listening_address(path: str | os.PathLike[str] | bytes | UnixSocketAddress) -> UnixSocketAddress:
    """Return the address for the argument *path* of a server.

    Raises:
        TypeError: *path* has the wrong type.
        ValueError: *path* contains a NUL byte, or it is empty and the platform is not Linux.
    """
    address = to_unix_address(path)
    if address.is_unnamed() and sys.platform != "linux":
        raise ValueError("A path is required: only Linux can choose one automatically")
    return address


def check_mode(mode: object) -> None:
    """Check that *mode* contains valid permissions for a socket file.

    Raises:
        TypeError: *mode* is neither None nor an integer.
        ValueError: *mode* contains bits other than permission bits.
    """
    if mode is None:
        return
    if not isinstance(mode, int):
        raise TypeError(f"'mode' must be an int, such as 0o600, or None, got {mode!r}")
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"'mode' must be from 0 to 0o7777, got {mode:#o}")


def check_unix_sockets(
    sockets: Sequence[_socket.socket],
    type_: _socket.SocketKind,
    path: str | os.PathLike[str] | bytes | UnixSocketAddress,
    mode: int | None,
    backlog: int | None = None,
) -> list[_socket.socket]:
    """Do what `check_given_sockets` does, for Unix sockets.

    Raises:
        TypeError: as there; *path* has the wrong type.
        ValueError: as there; *path* is not empty, or *mode* is not None.
    """
    if not to_unix_address(path).is_unnamed():
        raise ValueError("With 'sockets', which have addresses already, the path must be empty")
    if mode is not None:
        raise ValueError("'mode' has no effect on 'sockets', whose files exist already")
    return check_given_sockets(sockets, (_socket.AF_UNIX,), type_, backlog)


def find_socket_file(address: UnixSocketAddress) -> SocketFile | None:
    """Return the file of a socket that was just bound to *address*; None if the address has no path."""
    path = address.as_pathname()
    return None if path is None else SocketFile.at(str(path))


def remove_socket_file(file: SocketFile, logger: logging.Logger) -> None:
    """Delete *file*, unless it is gone or has been replaced. Call this before the socket is closed.

    An error is logged, not raised.
    """
    try:
        file.remove()
    except OSError as exc:
        log(logger, logging.ERROR, "The socket file %s could not be removed", file.path, exc_info=exc)
