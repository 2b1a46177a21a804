"""Limits on how long a close waits for a peer that is still sending.

If a system closes a connection with unread input, or receives more data after the close, it resets the connection. The
peer then loses data that was sent to it but that it has not read (:rfc:`1122`, section 4.2.2.13; :rfc:`9112`, section
9.6). Therefore, if there is unread input, a graceful close ends the sending direction and discards input until the peer
ends its direction too.
"""

from __future__ import annotations

__all__ = ["LINGER_BYTES", "LINGER_TIMEOUT", "has_unread_input"]

from typing import Final

LINGER_BYTES: Final = 16 * 1024 * 1024
"""Maximum number of bytes to discard. The default buffers of Linux hold less in both systems together (6 MiB received,
4 MiB sent). A peer that sends more does not stop at the end of the stream."""

LINGER_TIMEOUT: Final = 3.0
"""Seconds to discard input after all output was sent. After that, only a peer that continues to send gets a reset. To a
peer that is merely slow to receive, the system delivers the rest."""

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

else:
    _ZERO: Final = bytes(4)  # a C ``int``

    def has_unread_input(fileno: int) -> bool:
        """Return whether a socket has bytes to read (``FIONREAD``, see :manpage:`tcp(7)`)."""
        try:
            return fcntl.ioctl(fileno, termios.FIONREAD, _ZERO) != _ZERO
        except (OSError, ValueError):  # closed
            return False
