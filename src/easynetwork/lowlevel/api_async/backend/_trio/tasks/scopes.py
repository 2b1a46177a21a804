"""Cancel scopes and shields built on trio's."""

from __future__ import annotations

__all__ = ["TrioCancelScope", "failures", "ignore_cancellation", "without_cancellations"]

from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import trio

from easynetwork._checks import check_not_nan
from easynetwork.lowlevel.api_async.backend.abc import CancelScope

if TYPE_CHECKING:
    from typing import Self

_T_co = TypeVar("_T_co", covariant=True)


class TrioCancelScope(CancelScope):
    """A `trio.CancelScope`."""

    __slots__ = ("_scope",)

    def __init__(self, deadline: float) -> None:
        check_not_nan("deadline", deadline)
        self._scope = trio.CancelScope(deadline=deadline)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_scope', None)!r}>"

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        return bool(self._scope.__exit__(exc_type, exc_val, exc_tb))

    def cancel(self) -> None:
        self._scope.cancel()

    def cancel_called(self) -> bool:
        return self._scope.cancel_called

    def cancelled_caught(self) -> bool:
        return self._scope.cancelled_caught

    def when(self) -> float:
        return self._scope.deadline

    def reschedule(self, when: float, /) -> None:
        check_not_nan("when", when)
        self._scope.deadline = when


async def ignore_cancellation(awaitable: Awaitable[_T_co]) -> _T_co:
    """Await *awaitable* in the current task until it ends.

    A cancellation that arrives meanwhile is not lost: it is level-triggered.
    """
    with trio.CancelScope(shield=True):
        return await awaitable
    raise AssertionError("unreachable")  # this scope is never cancelled


def failures(exc: BaseException) -> list[BaseException]:
    """Return the exceptions in *exc*, or in its nested groups, that are not cancellations."""
    if isinstance(exc, BaseExceptionGroup):
        return [failure for item in exc.exceptions for failure in failures(item)]
    return [] if isinstance(exc, trio.Cancelled) else [exc]


def without_cancellations(exc: BaseException) -> BaseException:
    """Return the failures in *exc* without its cancellations. If it contains only cancellations, return one of them.

    Return *exc* unchanged if it is not a group. Trio keeps cancellations in the groups that it raises until these leave
    the cancelled scope. The failure of a task must not change its form because the task was cancelled too.
    """
    if not isinstance(exc, BaseExceptionGroup):
        return exc
    _, failures = exc.split(trio.Cancelled)
    if failures is not None:
        return failures
    first: BaseException = exc
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
