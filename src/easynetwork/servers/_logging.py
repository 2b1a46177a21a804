"""Logging of exceptions from request handlers.

A stream handler learns of the end of its connection in two ways: its generator is closed, or ``send_packet()`` raises a
`ConnectionError`. Such an error of the client's own connection is not logged. A `ConnectionError` with any other origin
is logged; see `easynetwork.lowlevel._core.faults.Origin`.
"""

from __future__ import annotations

__all__ = ["log_handler_error", "log_stream_handler_error"]

import logging
from typing import Any

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.faults import Origin, partition
from easynetwork.lowlevel._records import Logger, about, log, log_fault


def log_stream_handler_error(logger: Logger, exc: BaseException, address: Any, origin: Origin | None) -> None:
    """Log an exception of a stream handler, unless it reports the end of the client's own connection."""
    _log_error(logger, exc, address, origin, is_stream=True)


def log_handler_error(logger: Logger, exc: BaseException, address: Any, origin: Origin | None) -> None:
    """Log an exception of a datagram handler."""
    _log_error(logger, exc, address, origin, is_stream=False)


def _log_error(logger: Logger, exc: BaseException, address: Any, origin: Origin | None, *, is_stream: bool) -> None:
    rest: BaseException | None
    closed, rest = partition(exc, lambda item: isinstance(item, ClientClosedError))
    if closed is not None:
        log(
            logger,
            logging.WARNING,
            "%s: a request handler used a client after it was closed",
            address,
            exc_info=closed,
            extra=about(address),
        )
    if is_stream and origin is not None and rest is not None:
        _, rest = partition(rest, lambda item: is_end_of_connection(item, origin))
    if rest is not None:
        log_fault(logger, address, rest, origin)


def is_end_of_connection(exc: BaseException, origin: Origin) -> bool:
    """Return whether *exc* reports the end of the connection whose errors carry *origin*."""
    return isinstance(exc, Exception) and is_stream_end(exc) and origin.is_of(exc)
