"""Log records of servers. An error while logging does not stop the server."""

from __future__ import annotations

__all__ = ["Logger", "about", "log", "log_fault", "printable"]

import contextlib
import logging
import sys
import traceback
from typing import Any, Final, TypeAlias

from easynetwork.exceptions import BaseProtocolParseError
from easynetwork.lowlevel._core.errors import TLS_ERRORS, HandshakeTimeoutError, UnanswerableError
from easynetwork.lowlevel._core.faults import Origin, partition, split_fault

Logger: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"
"""What records are given to."""

_PEER_ERRORS: Final[tuple[type[Exception], ...]] = (
    BaseProtocolParseError,
    HandshakeTimeoutError,
    UnanswerableError,
    *TLS_ERRORS,
)


def log(
    logger: Logger,
    level: int,
    message: str,
    *args: object,
    exc_info: BaseException | None = None,
    extra: dict[str, object] | None = None,
) -> None:
    """Log a record with *extra* as attributes. If a filter or a handler of *logger* raises, only this record is lost.

    As in the standard library, the exception is printed if `logging.raiseExceptions` is true.
    """
    try:
        logger.log(level, message, *args, exc_info=exc_info, extra=extra, stacklevel=2)
    except BaseException as exc:
        fault, ending = split_fault(exc)
        if fault is not None and logging.raiseExceptions:
            with contextlib.suppress(Exception):
                sys.stderr.write(f"--- Logging error, lost: {message!r} {args!r} ---\n")
                traceback.print_exception(fault)
        if ending is not None:
            raise ending


def about(peer: object, **more: object) -> dict[str, object]:
    """Return the attributes of a record about *peer*, for structured logs."""
    return {"peer": str(peer), **more}


def printable(text: str) -> str:
    r"""Return *text*, part of which comes from a peer, with escapes such as ``\n`` in place of unprintable characters.

    Otherwise, a peer could write records of its own, or control the terminal that shows them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def log_fault(logger: Logger, peer: object, exc: BaseException, origin: Origin | None) -> None:
    """Log an exception that user code raised and did not handle.

    Invalid packets, invalid TLS data and late TLS handshakes of this peer, and answers to a peer at port 0, produce one
    ``WARNING`` line with the reason, and a ``DEBUG`` record with the traceback. All other errors produce one ``ERROR``
    record with the traceback.

    Parameters:
        logger: the logger.
        peer: how records name the peer.
        exc: the exception.
        origin: identifies errors caused by this peer; None if there were none.
    """
    of_peer, rest = partition(
        exc, lambda item: isinstance(item, _PEER_ERRORS) and origin is not None and origin.is_of(item)
    )
    extra = about(peer)
    if of_peer is not None:
        log(logger, logging.WARNING, "%s: %s", peer, _Reasons(of_peer), extra=extra)
        log(logger, logging.DEBUG, "%s: the handler did not catch this error", peer, exc_info=of_peer, extra=extra)
    if rest is not None:
        log(logger, logging.ERROR, "%s: unhandled exception", peer, exc_info=rest, extra=extra)


class _Reasons:
    """The peer's errors in one line. Formatted when the record is written, where `logging` handles exceptions."""

    def __init__(self, exc: BaseException) -> None:
        self._exc = exc

    def __str__(self) -> str:
        return printable(" ".join("; ".join(_reasons(self._exc)).split()))


def _reasons(exc: BaseException) -> list[str]:
    if isinstance(exc, BaseExceptionGroup):
        return [reason for item in exc.exceptions for reason in _reasons(item)]
    if isinstance(exc, BaseProtocolParseError):
        return [f"invalid packet: {exc.error}"]
    if isinstance(exc, HandshakeTimeoutError):
        return [str(exc)]
    if isinstance(exc, UnanswerableError):
        return ["it cannot be answered, because its port is 0"]
    return [f"invalid TLS: {exc}"]
