"""Cancel a call at each of its suspensions in turn, and check what it leaves behind."""

from __future__ import annotations

__all__ = ["Interruption", "Outcome", "swept"]

import asyncio
import functools
import gc
import inspect
import itertools
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
import sniffio
from tests.support.background import background_tasks
from tests.support.leftovers import nothing_left

from easynetwork.lowlevel.api_async.backend.abc import CancelScope
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend

_T = TypeVar("_T")

_MOST = 200
"""No call suspends as often. One that does is in a loop that ignores its cancellation, or waits by polling."""


class Outcome(NamedTuple, Generic[_T]):
    """How a call has ended: cancelled, or with a result. Its errors propagate."""

    cancelled: bool
    result: _T | None


class Interruption:
    """Cancels one call at its *nth* suspension.

    Parameters:
        nth: 1 is the first suspension.
        late: do not cancel at once, but when the awaited future is done, right before the call would go on. Only
            asyncio has this race: trio does not cancel a task that it has already decided to run.
    """

    def __init__(self, nth: int, *, late: bool = False) -> None:
        self.nth = nth
        self.late = late
        self.suspensions = 0
        self.cancelled = False

    @property
    def reached(self) -> bool:
        """Whether the call has suspended as often as asked."""
        return self.suspensions >= self.nth

    async def __call__(self, call: Awaitable[_T]) -> Outcome[_T]:
        """Await *call*. Cancel it when its time has come."""
        with ensure_backend(None).open_cancel_scope() as scope:
            result: _T = await _observed(call, functools.partial(self._suspended, scope))
            return Outcome(False, result)
        self.cancelled = True
        return Outcome(True, None)

    def _suspended(self, scope: CancelScope, awaited: Any) -> None:
        self.suspensions += 1
        if self.suspensions != self.nth:
            return
        if not self.late:
            scope.cancel()
        elif asyncio.isfuture(awaited):  # else, the call lets the others have their turn, or a driver receives for it
            awaited.add_done_callback(lambda _: scope.cancel())


@types.coroutine
def _observed(call: Awaitable[_T], suspended: Callable[[Any], None]) -> Generator[Any, Any, _T]:
    """Await *call*. Tell *suspended* what it awaits, each time that it does."""
    steps: Any = call.__await__()
    resume: Callable[[], Any] = functools.partial(steps.send, None)
    while True:
        try:
            awaited = resume()
        except StopIteration as stop:
            result: _T = stop.value
            return result
        suspended(awaited)
        try:
            resume = functools.partial(steps.send, (yield awaited))
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as exc:
            resume = functools.partial(steps.throw, exc)


def swept(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Run *scenario* with an `Interruption` as its first argument, once for each suspension of the call it interrupts.

    Each run must leave nothing behind: no task, no descriptor, no error in the log. The last run is the one in which
    the call ends before it is interrupted.
    """

    async def test(caplog: pytest.LogCaptureFixture, **fixtures: Any) -> None:
        on_asyncio = sniffio.current_async_library() == "asyncio"
        for late in (False, True) if on_asyncio else (False,):
            for nth in itertools.count(1):
                interruption = Interruption(nth, late=late)
                try:
                    async with nothing_left(), background_tasks(ensure_backend(None)):
                        await scenario(interruption, **fixtures)
                    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
                    assert errors == []
                    assert nth < _MOST, "the call suspends without end"
                except BaseException as exc:
                    exc.add_note(f"Cancelled at suspension {nth}, {'late' if late else 'at once'}.")
                    raise
                if not interruption.reached:
                    break
        gc.collect()  # what was dropped while it was open warns

    signature = inspect.signature(scenario)
    _, *fixtures = signature.parameters.values()
    caplog = inspect.Parameter("caplog", inspect.Parameter.KEYWORD_ONLY)
    functools.update_wrapper(test, scenario)
    vars(test)["__signature__"] = signature.replace(parameters=[*fixtures, caplog])
    return test
