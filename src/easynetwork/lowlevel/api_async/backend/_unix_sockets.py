"""Unix sockets that work on every backend.

The calls for socket files run in the event loop, as asyncio's own do. They take microseconds, while the first thread of
a process makes every later system call slower: a Unix server pays 8 % more for each packet.
"""

from __future__ import annotations

__all__ = ["open_connected_socket", "open_datagram_socket", "open_listening_socket"]

import socket as _socket
from typing import TYPE_CHECKING

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._sockets import unix_files
from easynetwork.lowlevel._sockets.unix_address import UnixSocketAddress
from easynetwork.lowlevel._sockets.unix_connect import connect_attempts

if TYPE_CHECKING:
    from easynetwork.lowlevel._sockets.unix_address import RawUnixSocketAddress

    from .abc import AsyncBackend


async def open_connected_socket(
    backend: AsyncBackend, type_: _socket.SocketKind, path: str | bytes, local_path: str | bytes | None
) -> _socket.socket:
    """Return a new non-blocking socket connected to *path*. Bind it to *local_path* first unless that is None.

    Raises:
        ValueError: a path contains a NUL byte and is not an abstract name.
        OSError: binding or connecting failed. The socket is closed.
    """
    address = _raw_address(path)
    local_address = None if local_path is None else _raw_address(local_path)
    sock = _socket.socket(_socket.AF_UNIX, type_)
    try:
        sock.setblocking(False)
        if local_address is not None:
            unix_files.bind_to_path(sock, local_address)
        for delay in connect_attempts(sock, address):
            await backend.sleep(delay)
    except BaseException:
        sock.close()
        raise
    return sock


def open_listening_socket(path: str | bytes, backlog: int, mode: int | None) -> _socket.socket:
    """Return a new socket that listens at *path*. See `AsyncBackend.create_unix_stream_listener`."""
    check_strictly_positive("backlog", backlog)
    return unix_files.open_listening_socket(_raw_address(path), backlog, mode)


def open_datagram_socket(path: str | bytes, mode: int | None) -> _socket.socket:
    """Return a new non-blocking socket bound to *path*. See `AsyncBackend.create_unix_datagram_listener`."""
    return unix_files.open_datagram_socket(_raw_address(path), mode)


def _raw_address(path: str | bytes) -> RawUnixSocketAddress:
    return UnixSocketAddress.from_raw(path).as_raw()
