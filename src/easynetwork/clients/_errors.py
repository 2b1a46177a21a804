"""Translate the errors of an endpoint for the user of a client."""

from __future__ import annotations

__all__ = ["raise_client_error", "raise_stream_client_error"]

from typing import NoReturn

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.errors import connection_lost, is_stream_end
from easynetwork.lowlevel.constants import CLOSED_SOCKET_ERRNOS


def raise_client_error(exc: OSError, is_closing: bool) -> NoReturn:
    """Raise *exc*, or `ClientClosedError` if *exc* is due to the closing of the client.

    Parameters:
        exc: an error from an endpoint.
        is_closing: whether the client is closed or being closed.
    """
    if exc.errno in CLOSED_SOCKET_ERRNOS:
        if is_closing:
            raise ClientClosedError("The client was closed") from exc
        exc.add_note("Other code closed the file descriptor")
    raise exc


def raise_stream_client_error(exc: OSError, is_closing: bool) -> NoReturn:
    """Raise *exc*. If it means the end of the stream, raise `ClientClosedError` or `ConnectionAbortedError` instead."""
    if is_stream_end(exc):
        if is_closing:
            raise ClientClosedError("The client was closed") from exc
        if isinstance(exc, ConnectionAbortedError) and exc.__cause__ is not None:
            raise exc  # already translated
        raise connection_lost(exc) from exc
    raise_client_error(exc, is_closing)
