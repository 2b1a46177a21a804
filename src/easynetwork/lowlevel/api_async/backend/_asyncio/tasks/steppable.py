"""Tasks in whose name callbacks run the code of handlers.

A *carrier* is a task of asyncio that is parked while a coroutine of handlers waits for the network. The callback that
brings something resumes that coroutine itself, as if it were the carrier: the same current task, the same context. Only
when a handler suspends (or fails, or there is something else to do) is the carrier woken, and goes on from there as an
ordinary task. See "Extending asyncio" in Python's documentation.
"""

from __future__ import annotations

__all__ = ["WAITING", "Carrier"]

import asyncio
import enum
import types
from abc import abstractmethod
from collections.abc import Generator
from typing import Any, Final

from .waiter import Waiter


class _Token(enum.Enum):
    WAITING = "what a coroutine yields when it waits for a callback, or for its turn"


# A constant: looking a member up in its enumeration takes as long as calling a function.
WAITING: Final = _Token.WAITING


class Carrier(Waiter):
    """A carrier, and what it and the callbacks that stand in for it tell each other. Parked, it waits for this."""

    __slots__ = ("_armed_for", "_failure", "_suspended", "_task", "_timer")

    _armed_for: float
    """When the timer fires. It need not know: uvloop makes no timer of what is due at once."""
    _task: asyncio.Task[Any]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        # What a callback leaves for the carrier.
        self._suspended: Any = WAITING  # what a handler has suspended with: a future, or None for ``sleep(0)``
        self._failure: BaseException | None = None  # how the coroutine ended; StopIteration if well
        self._timer: asyncio.Handle | None = None  # fires at the deadline or before

    # ------------------------------------------------------------------------------------------------- in the carrier

    @types.coroutine
    def carry(self) -> Generator[Any, Any, Any]:
        """What the task runs: the coroutine from its first step to its end, except for what callbacks do.

        Returns what the coroutine returns.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task = task
        try:
            yielded = self._begin()
            while True:
                if yielded is WAITING:
                    try:
                        yield self.renew()
                        self.result()
                    except asyncio.CancelledError as exc:
                        yielded = self._unpark_cancelled(exc)
                    else:
                        is_as_it_was = self._suspended is WAITING and self._failure is None
                        yielded = self._resume() if is_as_it_was else self._unpark()
                else:
                    try:
                        yield yielded
                    except GeneratorExit:
                        raise  # the coroutine is closed together with this one, in its own frame
                    except BaseException as exc:
                        yielded = self._throw(exc)
                    else:
                        yielded = self._resume()
        except StopIteration as stop:
            return stop.value
        finally:
            self._wakeup = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    @abstractmethod
    def _begin(self) -> Any:
        """Begins the coroutine. Returns what it yields, or raises `StopIteration`."""
        raise NotImplementedError

    @abstractmethod
    def _resume(self) -> Any:
        """Resumes the coroutine. Returns what it yields, or raises `StopIteration`."""
        raise NotImplementedError

    @abstractmethod
    def _throw(self, exc: BaseException) -> Any:
        """Resumes the coroutine with *exc*. Returns what it yields, or raises `StopIteration`."""
        raise NotImplementedError

    def _unpark(self) -> Any:
        """Goes on with what a callback has left: returns what a handler has suspended with, or raises."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure  # no cycle of an exception and its own traceback
        suspended, self._suspended = self._suspended, WAITING
        return suspended

    def _unpark_cancelled(self, exc: asyncio.CancelledError) -> Any:
        """Does what `asyncio.Task.cancel` does: it goes to what is waited for first."""
        if self._failure is not None:
            # The coroutine has ended before: that comes first. The request stays in force for the next await.
            self._task.uncancel()
            self._task.cancel(*exc.args)
            return self._unpark()
        suspended, self._suspended = self._suspended, WAITING
        if suspended in (WAITING, None) or not suspended.cancel(*exc.args):
            return self._throw(exc)
        return suspended

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def is_parked(self) -> bool:
        """Whether a callback may resume the coroutine, and the carrier is not about to."""
        return self._wakeup is not None

    # ------------------------------------------------------------------------------------------------------- time-outs

    def _begin_timeout(self, timeout: float) -> float:
        """Has `_time_out` called after that many seconds. Returns the deadline, which `_get_deadline` is to return."""
        deadline = self._loop.time() + timeout
        self._arm_timer(deadline, is_due=timeout <= 0)
        return deadline

    @abstractmethod
    def _get_deadline(self) -> float | None:
        """Returns the end of the current wait; None if it has none, or that was told already."""
        raise NotImplementedError

    @abstractmethod
    def _time_out(self) -> None:
        """Has the coroutine resumed with `TimeoutError`, if it waits for nothing but bytes."""
        raise NotImplementedError

    def _arm_timer(self, deadline: float, *, is_due: bool = False) -> None:
        if self._timer is not None:
            if self._armed_for <= deadline and not is_due:
                return  # it will be armed again when it fires: cheaper than a new timer for each packet
            self._timer.cancel()
        self._armed_for = deadline
        if is_due:
            self._timer = self._loop.call_soon(self._wait_another_turn)
        else:
            self._timer = self._loop.call_at(deadline, self._check_deadline)

    def _wait_another_turn(self) -> None:
        # The loop looks at the socket in between, so that what has arrived is not "too late".
        self._timer = self._loop.call_soon(self._check_deadline)

    def _check_deadline(self) -> None:
        self._timer = None
        deadline = self._get_deadline()
        if deadline is None or not self.is_parked():  # who waits until the same deadline again arms it again
            return
        if self._loop.time() < deadline:
            self._arm_timer(deadline)
        else:
            self._time_out()
