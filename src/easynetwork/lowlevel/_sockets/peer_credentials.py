"""Credentials of the peer of a Unix socket, as reported by the kernel."""

from __future__ import annotations

__all__ = ["UnixCredentials", "get_peer_credentials"]

import errno
import socket as _socket
import struct
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from easynetwork.lowlevel._core.errors import error_from_errno

if TYPE_CHECKING:
    from .interfaces import ISocket

_NO_ID: Final = 2**32 - 1
"""``(uid_t) -1``: the kernel does not know the user or group."""


class UnixCredentials(NamedTuple):
    """The process at the other end of a Unix socket, at the time it called connect(2) or listen(2)."""

    pid: int | None
    """Process id; None if the platform does not report it."""

    uid: int
    """Effective user id."""

    gid: int
    """Effective group id."""


def get_peer_credentials(sock: ISocket) -> UnixCredentials:
    """Return the credentials of the peer of *sock*, a connected Unix socket. Never blocks.

    Raises:
        OSError: ``EBADF`` if the socket is closed; ``EINVAL`` if the kernel does not know the peer (not connected, or
            in a process namespace that is not visible here); or any error of getsockopt(2).
        NotImplementedError: this platform is not supported.
    """
    if sock.fileno() < 0:
        raise error_from_errno(errno.EBADF)
    credentials = _fetch(sock)
    if credentials.pid == 0 or _NO_ID in (credentials.uid, credentials.gid):
        raise error_from_errno(errno.EINVAL, "the credentials of the peer are unknown")
    return credentials


if sys.platform == "linux":

    def _fetch(sock: ISocket) -> UnixCredentials:
        ucred = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        return UnixCredentials(*struct.unpack("@iII", ucred))

elif sys.platform.startswith("openbsd"):

    def _fetch(sock: ISocket) -> UnixCredentials:
        so_peercred = 0x1022  # <sys/socket.h>
        uid, gid, pid = struct.unpack("@IIi", sock.getsockopt(_socket.SOL_SOCKET, so_peercred, 12))
        return UnixCredentials(pid, uid, gid)

elif sys.platform.startswith("netbsd"):

    def _fetch(sock: ISocket) -> UnixCredentials:
        sol_local, local_peereid = 0, 3  # <sys/un.h>
        return UnixCredentials(*struct.unpack("@iII", sock.getsockopt(sol_local, local_peereid, 12)))

elif sys.platform == "darwin" or sys.platform.startswith("freebsd"):

    def _fetch(sock: ISocket) -> UnixCredentials:
        import ctypes  # optional in CPython builds, and slow to import

        uid, gid = ctypes.c_uint32(_NO_ID), ctypes.c_uint32(_NO_ID)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.getpeereid(sock.fileno(), ctypes.byref(uid), ctypes.byref(gid)) < 0:
            raise error_from_errno(ctypes.get_errno())
        return UnixCredentials(None, uid.value, gid.value)

else:

    def _fetch(sock: ISocket) -> UnixCredentials:
        raise NotImplementedError(f"Peer credentials are not available on {sys.platform}")
