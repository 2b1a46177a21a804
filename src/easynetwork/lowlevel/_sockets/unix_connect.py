"""Connect Unix sockets, :manpage:`unix(7)`."""

from __future__ import annotations

__all__ = ["FULL_PEER_DELAYS", "connect_attempts"]

import errno
import socket as _socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .unix_address import RawUnixSocketAddress

FULL_PEER_DELAYS: Final = (0.001, 0.064)
"""Shortest and longest pause between attempts, in seconds, if the peer's queue or the listener's backlog is full. The
system does not report when there is room again."""


def connect_attempts(sock: _socket.socket, address: RawUnixSocketAddress) -> Iterator[float]:
    """Connect the non-blocking *sock*. Yield the number of seconds to wait before each further attempt.

    Raises:
        OSError: the connection failed.
    """
    delay, longest_delay = FULL_PEER_DELAYS
    while True:
        try:
            sock.connect(address)
        except BlockingIOError:
            # The backlog of the listener is full. Waiting until the socket is writable does not help: it already is.
            yield delay
            delay = min(2 * delay, longest_delay)
        except OSError as exc:
            raise OSError(exc.errno or errno.EINVAL, f"Cannot connect to {address!r}: {exc.strerror or exc}") from exc
        else:
            return
