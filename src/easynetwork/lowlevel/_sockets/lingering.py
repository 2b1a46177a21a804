"""How a close treats input that nobody reads, and output that cannot be sent.

If a system closes a connection with unread input, or receives more data after the close, it resets the connection. The
peer then loses data that was sent to it but that it has not read (:rfc:`1122`, section 4.2.2.13; :rfc:`9112`, section
9.6). Therefore, if there is unread input, a graceful close ends the sending direction and discards input until the peer
ends its direction too.

The opposite is an abrupt close that drops output. The end of the stream would then look to the peer like the ordinary
end, after an incomplete answer. Such a connection is reset (:rfc:`9293`, section 3.10.5). Unix sockets have no reset.
"""

from __future__ import annotations

__all__ = ["LINGER_BYTES", "LINGER_TIMEOUT", "count_unread_input", "has_unread_input", "reset_on_close"]

import socket as _socket
import struct
import sys
from contextlib import suppress
from typing import Final, Protocol

LINGER_BYTES: Final = 16 * 1024 * 1024
"""Maximum number of bytes to discard. The default buffers of Linux hold less in both systems together (6 MiB received,
4 MiB sent). A peer that sends more does not stop at the end of the stream."""

LINGER_TIMEOUT: Final = 3.0
"""Seconds to discard input after all output was sent. After that, only a peer that continues to send gets a reset. To a
peer that is merely slow to receive, the system delivers the rest."""

_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""A ``struct linger`` for which a close discards unsent data and resets the connection; see :manpage:`socket(7)`."""


class _SocketLike(Protocol):
    def setsockopt(self, level: int, optname: int, value: bytes, /) -> object: ...


def reset_on_close(sock: _SocketLike) -> None:
    """Make the close of *sock* reset the connection. Do nothing if the socket is closed."""
    with suppress(OSError):
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NO_LINGER)


try:
    import fcntl
    import termios
except ImportError:  # Windows
    import select

    def has_unread_input(fileno: int) -> bool:
        """Return whether a socket is readable. This is also true at the end of its stream."""
        try:
            return bool(select.select([fileno], [], [], 0)[0])
        except (OSError, ValueError):  # closed
            return False

    def count_unread_input(fileno: int) -> int:
        """Return how many bytes a socket may have to read."""
        return 64 * 1024 if has_unread_input(fileno) else 0

else:
    _ZERO: Final = bytes(4)  # a C ``int``

    def has_unread_input(fileno: int) -> bool:
        """Return whether a socket has bytes to read (``FIONREAD``, see :manpage:`tcp(7)`)."""
        try:
            return fcntl.ioctl(fileno, termios.FIONREAD, _ZERO) != _ZERO
        except (OSError, ValueError):  # closed
            return False

    def count_unread_input(fileno: int) -> int:
        """Return how many bytes a socket has to read."""
        try:
            return int.from_bytes(fcntl.ioctl(fileno, termios.FIONREAD, _ZERO), sys.byteorder)
        except (OSError, ValueError):  # closed
            return 0
