"""The files that Unix sockets are bound to, :manpage:`unix(7)`."""

from __future__ import annotations

__all__ = ["SocketFile", "bind_to_path", "open_datagram_socket", "open_listening_socket"]

import errno
import os
import socket as _socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .calls import bind_socket
from .unix_address import UnixSocketAddress

if TYPE_CHECKING:
    from .unix_address import RawUnixSocketAddress


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A socket file, known by its inode: what others have put at the same path since is another file."""

    path: str
    device: int
    inode: int

    @classmethod
    def at(cls, path: str) -> Self | None:
        """Returns the socket file at *path*, or None if there is none.

        Raises:
            OSError: the directory cannot be searched.
        """
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        return cls(path, found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None

    def remove(self) -> None:
        """Deletes the file. Does nothing if it has gone, or if another one is there now.

        To be called before the socket is closed: as long as it is open, no other file gets the number of its inode.

        Raises:
            OSError: the file cannot be deleted.
        """
        if SocketFile.at(self.path) == self:
            with suppress(FileNotFoundError):
                os.unlink(self.path)


def bind_to_path(sock: _socket.socket, path: RawUnixSocketAddress, mode: int | None = None) -> SocketFile | None:
    """Binds *sock*, and returns the file that this has made; None for an abstract or automatic name. May block.

    Never takes over a path: whatever is there, also the file of a server that has crashed, is somebody else's.

    Parameters:
        sock: a Unix socket.
        path: a raw address.
        mode: permissions of the file; None for what the umask of the process leaves.

    Raises:
        OSError: *path* exists already (``EADDRINUSE``), or cannot be made. No file is left.
    """
    if mode is not None:
        # Linux makes the file with the permissions of the socket: it is at no moment more open than asked for.
        with suppress(OSError):
            os.fchmod(sock.fileno(), mode)
    bind_socket(sock, path)
    pathname = UnixSocketAddress.from_raw(path).as_pathname()
    if pathname is None:
        return None
    file = SocketFile.at(str(pathname))
    if file is not None and mode is not None:
        try:
            os.chmod(file.path, mode)  # the umask does not count
        except BaseException:
            file.remove()
            raise
    return file


def open_listening_socket(path: RawUnixSocketAddress, backlog: int, mode: int | None = None) -> _socket.socket:
    """Returns a stream socket that listens at *path*. May block.

    Takes over the file of a server that has died without removing it. That of a server that still answers is refused.

    Parameters:
        path: a raw address.
        backlog: how many connections may wait to be accepted.
        mode: permissions of the file; None for what the umask of the process leaves.

    Raises:
        ValueError: there is a NUL in a path name.
        OSError: *path* is in use (``EADDRINUSE``), or cannot be made. No file and no socket is left.
    """
    sock, file = _open_bound_socket(_socket.SOCK_STREAM, path, mode)
    try:
        sock.listen(backlog)
    except BaseException:
        if file is not None:
            file.remove()
        sock.close()
        raise
    return sock


def open_datagram_socket(path: RawUnixSocketAddress, mode: int | None = None) -> _socket.socket:
    """Returns a non-blocking datagram socket that is bound to *path*. May block.

    Takes over the file of a socket that is gone, and raises, as `open_listening_socket`.
    """
    sock, _ = _open_bound_socket(_socket.SOCK_DGRAM, path, mode)
    sock.setblocking(False)
    return sock


def _open_bound_socket(
    type_: _socket.SocketKind, path: RawUnixSocketAddress, mode: int | None
) -> tuple[_socket.socket, SocketFile | None]:
    path = UnixSocketAddress.from_raw(path).as_raw()
    sock = _socket.socket(_socket.AF_UNIX, type_)
    try:
        try:
            return sock, bind_to_path(sock, path, mode)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE or not _remove_dead_socket(type_, path):
                raise
        return sock, bind_to_path(sock, path, mode)
    except BaseException:
        sock.close()
        raise


def _remove_dead_socket(type_: _socket.SocketKind, path: RawUnixSocketAddress) -> bool:
    """Deletes the file at *path* if it is that of a socket, and one of *type_* finds nobody there."""
    pathname = UnixSocketAddress.from_raw(path).as_pathname()
    file = None if pathname is None else SocketFile.at(str(pathname))
    if file is None:
        return False
    with _socket.socket(_socket.AF_UNIX, type_) as probe:
        probe.setblocking(False)  # a full backlog is a sign of life as well
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            file.remove()  # unless somebody else has done all that in between
            return True
        except OSError:
            pass
    return False
