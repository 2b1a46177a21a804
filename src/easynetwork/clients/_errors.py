"""What the errors of an endpoint mean to the user of a client."""

from __future__ import annotations

__all__ = ["raise_client_error", "raise_stream_client_error"]

import errno
from typing import NoReturn

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._errors import error_from_errno, is_stream_end
from easynetwork.lowlevel.constants import CLOSED_SOCKET_ERRNOS


def raise_client_error(exc: OSError, is_closing: bool) -> NoReturn:
    """Raises what *exc* means.

    Parameters:
        exc: raised by an endpoint.
        is_closing: whether the client is closed, or is being closed.
    """
    if exc.errno in CLOSED_SOCKET_ERRNOS:
        if is_closing:
            raise ClientClosedError("The client was closed") from exc
        exc.add_note("The file descriptor was closed by somebody else")
    raise exc


def raise_stream_client_error(exc: OSError, is_closing: bool) -> NoReturn:
    """Does the same for a stream, which has an end."""
    if is_stream_end(exc):
        if is_closing:
            raise ClientClosedError("The client was closed") from exc
        if isinstance(exc, ConnectionAbortedError) and exc.__cause__ is not None:
            raise exc  # what it means was said already
        raise error_from_errno(errno.ECONNABORTED, str(exc)) from exc
    raise_client_error(exc, is_closing)
