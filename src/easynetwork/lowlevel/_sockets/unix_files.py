"""Files of Unix sockets, :manpage:`unix(7)`."""

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
    """A socket file, identified by its inode. A new file at the same path is a different file."""

    path: str
    device: int
    inode: int

    @classmethod
    def at(cls, path: str) -> Self | None:
        """Return the socket file at *path*, or None if there is none.

        Raises:
            OSError: the directory cannot be searched.
        """
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        return cls(path, found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None

    def remove(self) -> None:
        """Delete the file. Do nothing if it has gone or another file has replaced it.

        Call this before closing the socket. While the socket is open, no other file can get the same inode number.

        Raises:
            OSError: the file cannot be deleted.
        """
        if SocketFile.at(self.path) == self:
            with suppress(FileNotFoundError):
                os.unlink(self.path)


def bind_to_path(sock: _socket.socket, path: RawUnixSocketAddress, mode: int | None = None) -> SocketFile | None:
    """Bind *sock* and return the file that this created, or None for an abstract or automatic name.

    An existing file is never replaced, even if it was left by a server that crashed.

    Parameters:
        sock: a Unix socket.
        path: a raw address.
        mode: permissions of the file; None to apply the process's umask.

    Raises:
        OSError: *path* already exists (``EADDRINUSE``) or cannot be created. No file is left behind.
    """
    if mode is not None:
        # Linux creates the file with the permissions of the socket, so it never has wider permissions than requested.
        with suppress(OSError):
            os.fchmod(sock.fileno(), mode)
    bind_socket(sock, path)
    pathname = UnixSocketAddress.from_raw(path).as_pathname()
    if pathname is None:
        return None
    file = SocketFile.at(str(pathname))
    if file is not None and mode is not None:
        try:
            os.chmod(file.path, mode)  # bind(2) applied the umask
        except BaseException:
            file.remove()
            raise
    return file


def open_listening_socket(path: RawUnixSocketAddress, backlog: int, mode: int | None = None) -> _socket.socket:
    """Return a stream socket that listens at *path*.

    A file left by a server that no longer runs is replaced. A path where a server still answers is in use.

    Parameters:
        path: a raw address.
        backlog: maximum number of connections waiting to be accepted.
        mode: permissions of the file; None to apply the process's umask.

    Raises:
        ValueError: a pathname contains a NUL character.
        OSError: *path* is in use (``EADDRINUSE``) or cannot be created. No file or socket is left behind.
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
    """Return a non-blocking datagram socket bound to *path*.

    Replace the file of a closed socket. Raise the same errors as `open_listening_socket`.
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
    """Delete the socket file at *path* if its owner is gone: a connection is refused. Return whether it was refused."""
    pathname = UnixSocketAddress.from_raw(path).as_pathname()
    file = None if pathname is None else SocketFile.at(str(pathname))
    if file is None:
        return False
    with _socket.socket(_socket.AF_UNIX, type_) as probe:
        probe.setblocking(False)  # a full backlog also means that the server is alive
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            file.remove()  # does nothing if another process replaced the file meanwhile
            return True
        except OSError:
            pass
    return False
