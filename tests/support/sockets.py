"""Plain sockets on the loopback interface: connected pairs, and addresses that nothing listens at."""

from __future__ import annotations

__all__ = ["PATIENCE", "reset", "stream_pair", "tcp_pair", "udp_socket", "unused_address"]

import socket
import struct

PATIENCE = 20.0
"""Seconds that a blocking socket of a test waits. Nothing is expected to take as long."""

_SMALL = 1 << 14
"""Bytes. With a much smaller buffer, TCP itself stands still for a while whenever the window was full."""


def tcp_pair(
    family: socket.AddressFamily = socket.AF_INET, *, small_buffers: bool = False
) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection.

    Parameters:
        family: ``AF_INET`` or ``AF_INET6``.
        small_buffers: let the kernel take little of what the first end sends.
    """
    with socket.socket(family) as listener:
        if small_buffers:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        listener.bind(("localhost", 0))
        listener.listen()
        ours = socket.socket(family)
        if small_buffers:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)
        ours.connect(listener.getsockname())
        return ours, listener.accept()[0]


def stream_pair(family: socket.AddressFamily, *, small_buffers: bool = False) -> tuple[socket.socket, socket.socket]:
    """Return two connected stream sockets, ours and that of the peer. The peer gives up after `PATIENCE`.

    Parameters:
        family: of TCP or of Unix sockets.
        small_buffers: let the kernel take little of what our end sends.
    """
    if family == getattr(socket, "AF_UNIX", None):
        ours, peer = socket.socketpair(family)
        if small_buffers:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)
    else:
        ours, peer = tcp_pair(family, small_buffers=small_buffers)
    peer.settimeout(PATIENCE)
    return ours, peer


def udp_socket() -> socket.socket:
    """Return a blocking UDP socket, bound to a free port. It gives up after `PATIENCE`."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(PATIENCE)
    return sock


def unused_address(kind: socket.SocketKind = socket.SOCK_STREAM) -> tuple[str, int]:
    """Return an address that no socket is bound to."""
    with socket.socket(type=kind) as sock:
        sock.bind(("127.0.0.1", 0))
        host, port = sock.getsockname()
    return host, port


def reset(sock: socket.socket) -> None:
    """Close *sock* so that its peer gets a reset (RST) instead of the end of the stream."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
