"""The outcomes of an operation that depend on the order of events."""

from __future__ import annotations

__all__ = ["Failure", "attempt", "is_busy", "is_closed_error", "leaves"]

import errno
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from easynetwork.exceptions import BusyResourceError

_T = TypeVar("_T")


class Failure(NamedTuple):
    """The error that ended an operation."""

    error: Exception


async def attempt(operation: Callable[..., Awaitable[_T]], *args: Any) -> _T | Failure:
    """Await ``operation(*args)``; return its result, or how it has failed."""
    try:
        return await operation(*args)
    except Exception as exc:
        return Failure(exc)


def is_closed_error(outcome: object) -> bool:
    """Return whether an operation failed because the transport is closed on our side."""
    return isinstance(outcome, Failure) and isinstance(outcome.error, OSError) and outcome.error.errno == errno.EBADF


def is_busy(outcome: object) -> bool:
    """Return whether an operation was refused since another task is at it."""
    if not isinstance(outcome, Failure):
        return False
    error = outcome.error
    return isinstance(error, BusyResourceError) or (isinstance(error, OSError) and error.errno == errno.EBUSY)


def leaves(exc: BaseException) -> list[BaseException]:
    """Return the exceptions that *exc* contains, if it is a group, at any depth; otherwise *exc* itself."""
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for item in exc.exceptions for leaf in leaves(item)]
    return [exc]
