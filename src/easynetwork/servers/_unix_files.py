"""Where servers of Unix sockets listen, and the files that this makes."""

from __future__ import annotations

__all__ = ["check_mode", "find_socket_file", "listening_address", "remove_socket_file"]

import logging
import os
import sys
from typing import TYPE_CHECKING

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.unix_address import UnixSocketAddress, to_unix_address
from easynetwork.lowlevel._sockets.unix_files import SocketFile

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


def listening_address(path: str | os.PathLike[str] | bytes | UnixSocketAddress) -> UnixSocketAddress:
    """Returns the address meant by the argument *path* of a server.

    Raises:
        TypeError: *path* is of another type.
        ValueError: *path* contains a NUL; it is empty, and this is not Linux.
    """
    address = to_unix_address(path)
    if address.is_unnamed() and sys.platform != "linux":
        raise ValueError("A path is required: only Linux chooses one by itself")
    return address


def check_mode(mode: object) -> None:
    """Refuse what cannot be the permissions of a socket file.

    Raises:
        TypeError: *mode* is neither None nor an integer.
        ValueError: *mode* has other bits than those of permissions.
    """
    if mode is None:
        return
    if not isinstance(mode, int):
        raise TypeError(f"'mode' must be an int, such as 0o600, or None, got {mode!r}")
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"'mode' must be from 0 to 0o7777, got {mode:#o}")


async def find_socket_file(backend: AsyncBackend, address: UnixSocketAddress) -> SocketFile | None:
    """Returns the file of a socket that was just bound to *address*; None for one without a path."""
    path = address.as_pathname()
    return None if path is None else await backend.run_in_thread(SocketFile.at, str(path))


async def remove_socket_file(backend: AsyncBackend, file: SocketFile, logger: logging.Logger) -> None:
    """Deletes *file*, unless it has gone or another one has its place. Cannot be cancelled. A failure is only logged.

    To be called before the socket is closed.
    """
    try:
        await backend.ignore_cancellation(backend.run_in_thread(file.remove))
    except OSError as exc:
        log(logger, logging.ERROR, "The socket file %s could not be removed", file.path, exc_info=exc)
