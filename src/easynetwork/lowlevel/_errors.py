"""Errors: making them of an errno, and what they mean."""

from __future__ import annotations

__all__ = ["TLS_ERRORS", "error_from_errno", "is_cut_tls", "is_stream_end"]

import errno
import os

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


def error_from_errno(code: int, details: str = "") -> OSError:
    """Returns the `OSError` for *code*, of the subclass that Python has for it (:pep:`3151`)."""
    # POSIX blames the software for the end of a connection, whoever ended it.
    text = os.strerror(code) if code != errno.ECONNABORTED else "the connection has ended"
    return OSError(code, f"{text} ({details})" if details else text)


def is_stream_end(exc: Exception) -> bool:
    """Whether *exc* means that the peer has gone.

    That is: the connection was lost, cut without a closing alert of TLS, or closed during the handshake.
    """
    return isinstance(exc, _STREAM_ENDS)


def is_cut_tls(exc: BaseException | None) -> bool:
    """Whether *exc* means that a TLS stream ended without the closing alert of the peer."""
    return isinstance(exc, _CUT_TLS)
