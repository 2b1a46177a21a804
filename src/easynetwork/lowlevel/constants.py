"""Numbers and sets of error codes that several modules agree on."""

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
"""How many bytes are read from a stream at once, at most."""

MAX_DATAGRAM_BUFSIZE: Final[int] = 64 * 1024
"""Largest datagram that is read, in bytes. UDP cannot carry more over IP without jumbograms."""

SSL_HANDSHAKE_TIMEOUT: Final[float] = 60.0
"""Seconds that a TLS handshake may take."""

SSL_SHUTDOWN_TIMEOUT: Final[float] = 30.0
"""Seconds that the exchange of TLS close-notify alerts may take."""

HAPPY_EYEBALLS_DELAY: Final[float] = 0.25
"""Seconds to wait for a connection before trying the next address at the same time (RFC 8305, section 5)."""

ACCEPT_CAPACITY_ERROR_SLEEP_TIME: Final[float] = 0.1
"""Seconds that a listener pauses when accept(2) fails with one of `ACCEPT_CAPACITY_ERRNOS`."""

ACCEPT_CAPACITY_ERRNOS: Final[frozenset[int]] = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""accept(2) fails because this process or this system is short of something; the connection stays in the backlog."""


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
"""accept(2) reports what happened to one pending connection, not to the listener: accept the next one."""

CLOSED_SOCKET_ERRNOS: Final[frozenset[int]] = frozenset({errno.EBADF, errno.ENOTSOCK})
"""The file descriptor is no socket (any more)."""

NOT_CONNECTED_SOCKET_ERRNOS: Final[frozenset[int]] = frozenset({errno.ENOTCONN, errno.EINVAL})
"""getpeername(2) says that the socket is not connected. macOS says EINVAL when the peer has gone."""


def _sc_iov_max() -> int:
    try:
        return os.sysconf("SC_IOV_MAX")
    except (AttributeError, ValueError, OSError):
        return -1


SC_IOV_MAX: Final[int] = _sc_iov_max()
"""How many buffers sendmsg(2) takes at once; negative if unknown."""

SCM_CREDENTIALS: Final[int | None] = next(
    (getattr(socket, name) for name in ("SCM_CREDENTIALS", "SCM_CREDS2", "SCM_CREDS") if hasattr(socket, name)), None
)
"""Type of the control message that carries the sender's credentials, where there is one (unix(7))."""

DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE: Final[int] = (
    socket.CMSG_SPACE(8192) if hasattr(socket, "CMSG_SPACE") else 0
)
"""Space for received control messages, in bytes."""
