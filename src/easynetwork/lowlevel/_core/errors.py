"""Errors: making them of an errno, and what they mean."""

from __future__ import annotations

__all__ = [
    "LOST_CONNECTION_ERRNOS",
    "TLS_ERRORS",
    "error_from_errno",
    "is_cut_tls",
    "is_stream_end",
    "raise_stream_error",
    "stream_error",
    "too_late",
]

import errno
import os
from typing import Final, NoReturn

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
"""The network, not the peer, has ended an established stream; see :manpage:`tcp(7)`."""


def error_from_errno(code: int, details: str = "") -> OSError:
    """Returns the `OSError` for *code*, of the subclass that Python has for it (:pep:`3151`)."""
    # The text of POSIX, "Software caused connection abort", is wrong if the peer has ended the connection.
    text = os.strerror(code) if code != errno.ECONNABORTED else "the connection has ended"
    return OSError(code, f"{text} ({details})" if details else text)


def too_late(what: str, timeout: float) -> OSError:
    """Return the `TimeoutError` (``ETIMEDOUT``) that says *what* did not happen in *timeout* seconds.

    Without the text of the system, "Connection timed out": the connection may be in perfect order.
    """
    return OSError(errno.ETIMEDOUT, f"{what} in {timeout:g} seconds")


def stream_error(exc: Exception) -> Exception:
    """Return what *exc* means, which reading or writing an established stream has raised.

    A network that gives up (retransmissions or keep-alive probes without an answer, no route any more) ends a stream
    just as a reset does, but Python has no `ConnectionError` for it, and makes ``ETIMEDOUT`` a `TimeoutError`. The
    result is a `ConnectionAbortedError` with *exc* as its cause. Anything else is returned as it is.
    """
    if not isinstance(exc, OSError) or exc.errno not in LOST_CONNECTION_ERRNOS:
        return exc
    lost = OSError(errno.ECONNABORTED, f"the connection was lost: {exc.strerror or exc}")
    lost.__cause__ = exc
    return lost


def raise_stream_error(exc: OSError) -> NoReturn:
    """Raise what `stream_error` makes of *exc*, in the ``except`` clause that has caught it."""
    raise stream_error(exc)


def is_stream_end(exc: Exception) -> bool:
    """Whether *exc* means that the peer has gone.

    That is: the connection was lost, cut without a closing alert of TLS, or closed during the handshake.
    """
    return isinstance(exc, _STREAM_ENDS)


def is_cut_tls(exc: BaseException | None) -> bool:
    """Whether *exc* means that a TLS stream ended without the closing alert of the peer."""
    return isinstance(exc, _CUT_TLS)
