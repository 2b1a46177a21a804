"""How long a close waits for a peer that is still sending.

A system that has to close a connection while received bytes are unread, or that receives more after it has closed,
resets the connection: the peer loses the end of what it was sent, although that had left (:rfc:`1122`, section
4.2.2.13; :rfc:`9112`, section 9.6). Where such input is there, a graceful close ends its own direction, and discards
input until the peer ends the other one.
"""

from __future__ import annotations

__all__ = ["LINGER_BYTES", "LINGER_TIMEOUT", "has_unread_input"]

from typing import Final

LINGER_BYTES: Final = 16 * 1024 * 1024
"""So many bytes are discarded at most. The default buffers of Linux hold less on both sides together (6 MiB received, 4
MiB sent): a peer that has sent more has not stopped when it saw the end."""

LINGER_TIMEOUT: Final = 3.0
"""Seconds that input is discarded for, once all output has left. After that, only a peer that goes on sending is reset:
one that is just slow to receive gets the rest from the system."""

try:
    import fcntl
    import termios
except ImportError:  # Windows
    import select

    def has_unread_input(fileno: int) -> bool:
        """Return whether something can be read from a socket; true also at the end of its stream."""
        try:
            return bool(select.select([fileno], [], [], 0)[0])
        except (OSError, ValueError):  # closed
            return False

else:
    _NOTHING: Final = bytes(4)  # a C ``int``

    def has_unread_input(fileno: int) -> bool:
        """Return whether a socket has bytes to read (``FIONREAD``, see :manpage:`tcp(7)`)."""
        try:
            return fcntl.ioctl(fileno, termios.FIONREAD, _NOTHING) != _NOTHING
        except (OSError, ValueError):  # closed
            return False
