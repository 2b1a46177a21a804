"""What becomes of exceptions that handlers raise.

Stream handlers are told of the end of their connection by the end of their generator, and by what ``send_packet()``
raises. Such a `ConnectionError` of the client's own connection is not logged. One of any other origin is: see
`easynetwork.lowlevel._core.faults.Origin`.
"""

from __future__ import annotations

__all__ = ["log_handler_error", "log_stream_handler_error"]

import logging
from typing import Any

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.faults import Origin, partition
from easynetwork.lowlevel._records import log, log_fault


def log_stream_handler_error(logger: logging.Logger, exc: BaseException, address: Any, origin: Origin | None) -> None:
    """Log what a stream handler has raised, unless it says that this very connection has ended."""
    _log_error(logger, exc, address, origin, is_stream=True)


def log_handler_error(logger: logging.Logger, exc: BaseException, address: Any, origin: Origin | None) -> None:
    """Log what a datagram handler has raised."""
    _log_error(logger, exc, address, origin, is_stream=False)


def _log_error(
    logger: logging.Logger, exc: BaseException, address: Any, origin: Origin | None, *, is_stream: bool
) -> None:
    rest: BaseException | None
    closed, rest = partition(exc, lambda item: isinstance(item, ClientClosedError))
    if closed is not None:
        log(
            logger,
            logging.WARNING,
            "%s: a request handler used a client after it was closed",
            address,
            exc_info=closed,
        )
    if is_stream and origin is not None and rest is not None:
        _, rest = partition(rest, lambda item: is_end_of_connection(item, origin))
    if rest is not None:
        log_fault(logger, address, rest, origin)


def is_end_of_connection(exc: BaseException, origin: Origin) -> bool:
    """Return whether *exc* says that the connection whose errors come from *origin* has ended."""
    return isinstance(exc, Exception) and is_stream_end(exc) and origin.is_of(exc)
