"""Limits, timeouts and sets of error codes that several modules share."""

from __future__ import annotations

__all__ = [
    "ACCEPT_CAPACITY_ERRNOS",
    "ACCEPT_CAPACITY_ERROR_SLEEP_TIME",
    "CLOSED_SOCKET_ERRNOS",
    "DEFAULT_SERIALIZER_LIMIT",
    "DEFAULT_STREAM_BUFSIZE",
    "IGNORABLE_ACCEPT_ERRNOS",
    "LOST_CONNECTION_ERRNOS",
    "MAX_DATAGRAM_BUFSIZE",
    "NOT_CONNECTED_SOCKET_ERRNOS",
    "SC_IOV_MAX",
    "SSL_HANDSHAKE_TIMEOUT",
    "SSL_SHUTDOWN_TIMEOUT",
]

import errno
import os
import socket
from typing import Final

from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT

from ._core.errors import LOST_CONNECTION_ERRNOS

DEFAULT_STREAM_BUFSIZE: Final[int] = 16 * 1024
"""Default of *max_recv_size*: number of bytes to read from a stream at once. asyncio and uvloop may read 256 KiB."""

MAX_DATAGRAM_BUFSIZE: Final[int] = 64 * 1024
"""Maximum size of a received datagram, in bytes. UDP over IP cannot carry more without jumbograms."""

SSL_HANDSHAKE_TIMEOUT: Final[float] = 60.0
"""Default time limit for a TLS handshake, in seconds."""

SSL_SHUTDOWN_TIMEOUT: Final[float] = 30.0
"""Default time limit for the exchange of TLS close-notify alerts, in seconds."""

HAPPY_EYEBALLS_DELAY: Final[float] = 0.25
"""Seconds before a connection attempt to the next address starts in parallel (RFC 8305, section 5)."""

ACCEPT_CAPACITY_ERROR_SLEEP_TIME: Final[float] = 0.1
"""Seconds that a listener pauses after accept(2) failed with one of `ACCEPT_CAPACITY_ERRNOS`."""

ACCEPT_CAPACITY_ERRNOS: Final[frozenset[int]] = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors of accept(2) when the process or the system lacks descriptors or memory. The connection stays queued."""


def _existing_errnos(*names: str) -> frozenset[int]:
    return frozenset(value for name in names if isinstance(value := getattr(errno, name, None), int))


IGNORABLE_ACCEPT_ERRNOS: Final[frozenset[int]] = _existing_errnos(
    "EPERM",
    "ECONNABORTED",
    "EPROTO",
    "ENETDOWN",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
    "ENOSR",
    "ESOCKTNOSUPPORT",
    "EPROTONOSUPPORT",
    "ETIMEDOUT",
    "ECONNRESET",
)
"""Errors of accept(2) that concern one pending connection and not the listener. The next accept(2) may succeed."""

CLOSED_SOCKET_ERRNOS: Final[frozenset[int]] = frozenset({errno.EBADF, errno.ENOTSOCK})
"""Errors of a file descriptor that is closed or is not a socket."""

NOT_CONNECTED_SOCKET_ERRNOS: Final[frozenset[int]] = frozenset({errno.ENOTCONN, errno.EINVAL})
"""Errors of getpeername(2) for a socket that is not connected. macOS returns EINVAL after the peer has left."""


def _sc_iov_max() -> int:
    try:
        return os.sysconf("SC_IOV_MAX")
    except (AttributeError, ValueError, OSError):
        return -1


SC_IOV_MAX: Final[int] = _sc_iov_max()
"""Maximum number of buffers per sendmsg(2) call; negative if unknown."""

SCM_CREDENTIALS: Final[int | None] = next(
    (getattr(socket, name) for name in ("SCM_CREDENTIALS", "SCM_CREDS2", "SCM_CREDS") if hasattr(socket, name)), None
)
"""Type of the control message that carries the sender's credentials (unix(7)); None if not supported."""

DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE: Final[int] = (
    socket.CMSG_SPACE(8192) if hasattr(socket, "CMSG_SPACE") else 0
)
"""Default buffer size for received control messages, in bytes."""
