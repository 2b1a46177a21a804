"""What becomes of exceptions that handlers raise."""

from __future__ import annotations

__all__ = ["log_handler_error", "log_stream_handler_error"]

import logging
from typing import Any

from easynetwork.exceptions import ClientClosedError


def log_stream_handler_error(logger: logging.Logger, exc: Exception, address: Any) -> None:
    """Logs what a stream handler has raised. That the connection has ended is no news."""
    rest = _without(exc, ClientClosedError)
    if rest is not exc:
        _log_closed_client(logger, exc, address)
    if rest is not None and (rest := _without(rest, ConnectionError)) is not None:
        _log_unhandled(logger, rest, address)


def log_handler_error(logger: logging.Logger, exc: Exception, address: Any) -> None:
    """Logs what a datagram handler has raised."""
    rest = _without(exc, ClientClosedError)
    if rest is not exc:
        _log_closed_client(logger, exc, address)
    if rest is not None:
        _log_unhandled(logger, rest, address)


def _without(exc: Exception, kind: type[Exception]) -> Exception | None:
    """Returns *exc*, or what is left of a group, without exceptions of that kind."""
    if isinstance(exc, kind):
        return None
    if isinstance(exc, ExceptionGroup):
        matching, rest = exc.split(kind)
        return exc if matching is None else rest
    return exc


def _log_closed_client(logger: logging.Logger, exc: Exception, address: Any) -> None:
    logger.warning("A request handler used the client %s after it was closed", address, exc_info=exc)


def _log_unhandled(logger: logging.Logger, exc: Exception, address: Any) -> None:
    logger.error("-" * 40)
    logger.error("Unhandled exception in a request of %s", address, exc_info=exc)
    logger.error("-" * 40)
