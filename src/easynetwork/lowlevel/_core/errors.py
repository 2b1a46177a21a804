"""Creating errors from an errno, and classifying errors."""

from __future__ import annotations

__all__ = [
    "LOST_CONNECTION_ERRNOS",
    "TLS_ERRORS",
    "HandshakeTimeoutError",
    "UnanswerableError",
    "connection_lost",
    "end_of_stream",
    "error_from_errno",
    "is_cut_tls",
    "is_stream_end",
    "raise_stream_error",
    "stream_error",
    "too_late",
]

import errno
import os
from typing import Final, NoReturn, overload

from easynetwork.exceptions import IncompletePacketError

try:
    from ssl import SSLEOFError, SSLError, SSLZeroReturnError
except ImportError:  # Python without TLS
    TLS_ERRORS: tuple[type[OSError], ...] = ()
    _STREAM_ENDS: tuple[type[OSError], ...] = (ConnectionError,)
    _CUT_TLS: tuple[type[OSError], ...] = ()
else:
    TLS_ERRORS = (SSLError,)
    _CUT_TLS = (SSLEOFError,)
    _STREAM_ENDS = (ConnectionError, SSLEOFError, SSLZeroReturnError)


LOST_CONNECTION_ERRNOS: Final[frozenset[int]] = frozenset(
    code
    for name in ("ETIMEDOUT", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENETRESET")
    if (code := getattr(errno, name, None)) is not None
)
"""Errors with which the network, not the peer, ends an established stream; see :manpage:`tcp(7)`."""


class HandshakeTimeoutError(TimeoutError):
    """The peer did not complete the TLS handshake in time."""


class UnanswerableError(OSError):
    """A datagram cannot be sent to *address*, because its port is 0.

    A datagram from port 0 says that its sender expects no answer (:rfc:`768`). Anyone can forge one.
    """

    def __init__(self, code: int | None, address: object) -> None:
        super().__init__(code, f"nothing can be sent to port 0, which a sender uses that expects no answer: {address}")
        self.address = address


def error_from_errno(code: int, details: str = "") -> OSError:
    """Return the `OSError` for *code*. Python selects the subclass (:pep:`3151`)."""
    # The POSIX text, "Software caused connection abort", is wrong if the peer ended the connection.
    text = os.strerror(code) if code != errno.ECONNABORTED else "the connection has ended"
    return OSError(code, f"{text} ({details})" if details else text)


def end_of_stream(pending: int) -> ConnectionAbortedError:
    """Return the error for the end of a stream. *pending* is the number of bytes received of an incomplete packet."""
    if pending:
        return IncompletePacketError(pending)
    return ConnectionAbortedError(errno.ECONNABORTED, "the peer closed the connection")


def connection_lost(exc: OSError) -> ConnectionAbortedError:
    """Return the error to raise from *exc*, which ended the stream, in code that receives packets."""
    if isinstance(exc, IncompletePacketError):
        return IncompletePacketError(exc.nbytes)
    text = exc.strerror or str(exc)
    if is_cut_tls(exc):
        text = "the connection was lost: the peer ended TLS without a closing alert"
    elif not isinstance(exc, ConnectionAbortedError):
        text = f"the connection was lost: {text}"
    return ConnectionAbortedError(errno.ECONNABORTED, text)


def too_late(what: str, timeout: float) -> OSError:
    """Return a `TimeoutError` (``ETIMEDOUT``) that says *what* did not happen in *timeout* seconds.

    It omits the text of the system, "Connection timed out", because the connection may be healthy.
    """
    return OSError(errno.ETIMEDOUT, f"{what} in {timeout:g} seconds")


@overload
def stream_error(exc: OSError) -> OSError: ...


@overload
def stream_error(exc: Exception) -> Exception: ...


def stream_error(exc: Exception) -> Exception:
    """Return the error to raise for *exc*, which a read or write of an established stream raised.

    The network may give up a connection: retransmissions or keep-alive probes get no answer, or there is no route any
    more. This ends a stream as a reset does, but Python has no `ConnectionError` for it, and maps ``ETIMEDOUT`` to
    `TimeoutError`. libuv reports ``ENOTCONN`` if the stream was reset before it could be half-closed. For such an
    error, return a `ConnectionAbortedError` with *exc* as its cause. Return any other error unchanged.
    """
    if not isinstance(exc, OSError) or not (exc.errno in LOST_CONNECTION_ERRNOS or exc.errno == errno.ENOTCONN):
        return exc
    lost = OSError(errno.ECONNABORTED, f"the connection was lost: {exc.strerror or exc}")
    lost.__cause__ = exc
    return lost


def raise_stream_error(exc: OSError) -> NoReturn:
    """Raise `stream_error` of *exc*. Call this in the ``except`` clause that caught *exc*."""
    raise stream_error(exc)


def is_stream_end(exc: Exception) -> bool:
    """Return whether *exc* means that the peer is gone.

    This includes a lost connection, a TLS stream without a closing alert, and a connection closed during the handshake.
    """
    return isinstance(exc, _STREAM_ENDS)


def is_cut_tls(exc: BaseException | None) -> bool:
    """Return whether *exc* means that a TLS stream ended without the closing alert of the peer."""
    return isinstance(exc, _CUT_TLS)
