"""Opening TCP connections on trio."""

from __future__ import annotations

__all__ = ["wrap_stream_socket"]

import socket as _socket
from contextlib import suppress

from easynetwork.lowlevel._socket_calls import check_plain_socket
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.socket import set_tcp_nodelay

from .stream import TrioStreamTransport


def wrap_stream_socket(backend: AsyncBackend, sock: _socket.socket) -> TrioStreamTransport:
    """Makes a transport of a connected socket, which it owns from now on. See `AsyncBackend.wrap_stream_socket`."""
    try:
        check_plain_socket(sock, _socket.SOCK_STREAM)
        sock.getpeername()
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    if sock.family in (_socket.AF_INET, _socket.AF_INET6):
        with suppress(OSError):
            set_tcp_nodelay(sock, True)  # packets are complete: nothing is gained by waiting for more
    return TrioStreamTransport(backend, sock)
