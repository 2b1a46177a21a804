"""A TLS connection between a blocking transport or client, and a socket of the standard library."""

from __future__ import annotations

__all__ = ["cut", "raw", "send_closing_alert", "shake_hands", "shakes_hands"]

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator

from tests.support.blocking import PATIENCE, InThread


def shake_hands(sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = True) -> ssl.SSLSocket:
    """Play the other side. Return the TLS socket; *sock* is closed if that fails."""
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        sock.settimeout(PATIENCE)
        tls = context.wrap_socket(
            sock,
            server_side=server_side,
            server_hostname=None if server_side else "localhost",
            suppress_ragged_eofs=False,
        )
        stack.pop_all()
        return tls


def shakes_hands(sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = True) -> InThread[ssl.SSLSocket]:
    """Do so in a thread."""
    return InThread(shake_hands, sock, context, server_side=server_side)


@contextlib.contextmanager
def raw(peer: ssl.SSLSocket) -> Iterator[socket.socket]:
    """Give the socket below TLS."""
    with socket.socket(fileno=os.dup(peer.fileno())) as sock:
        yield sock


def send_closing_alert(peer: ssl.SSLSocket) -> None:
    """Close one direction of TLS, wait for nothing, and leave the connection as it is."""
    with raw(peer) as sock:
        blocking = sock.gettimeout()
        peer.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.unwrap()
        sock.settimeout(blocking)
        if peer.fileno() >= 0:
            peer.settimeout(PATIENCE)


def cut(peer: ssl.SSLSocket) -> None:
    """End the stream below TLS, without a closing alert."""
    with raw(peer) as sock:
        sock.shutdown(socket.SHUT_WR)
