"""Connecting Unix sockets, :manpage:`unix(7)`."""

from __future__ import annotations

__all__ = ["FULL_PEER_DELAYS", "connect_attempts"]

import errno
import socket as _socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .unix_address import RawUnixSocketAddress

FULL_PEER_DELAYS: Final = (0.001, 0.064)
"""Shortest and longest pause, in seconds, between attempts when there is no room at the peer: nobody tells when there
is, or when the backlog of a listener is no longer full."""


def connect_attempts(sock: _socket.socket, address: RawUnixSocketAddress) -> Iterator[float]:
    """Connects *sock*, which does not block. Yields how many seconds to wait before the next attempt.

    Raises:
        OSError: that is not possible.
    """
    delay, longest_delay = FULL_PEER_DELAYS
    while True:
        try:
            sock.connect(address)
        except BlockingIOError:
            # The backlog of the listener is full. The socket is writable: who waits for that takes it for connected.
            yield delay
            delay = min(2 * delay, longest_delay)
        except OSError as exc:
            raise OSError(exc.errno or errno.EINVAL, f"Cannot connect to {address!r}: {exc.strerror or exc}") from exc
        else:
            return
