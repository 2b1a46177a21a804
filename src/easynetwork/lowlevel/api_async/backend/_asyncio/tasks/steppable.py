"""Coroutines that callbacks of the event loop step on behalf of a task.

The task is the *carrier* of the coroutine. It is parked while the coroutine waits for the network. The callback that
delivers the data resumes the coroutine directly, as the carrier would: with the same current task and the same context.
The callback wakes the carrier only if a handler suspends or fails. Then the carrier continues as an ordinary task.
"Extending asyncio" in Python's documentation describes the functions that set the current task.
"""

from __future__ import annotations

__all__ = ["PARKED", "Steppable"]

import asyncio
import enum
import types
from abc import abstractmethod
from collections.abc import Generator
from typing import Any, Final

from .waiter import Waiter


class _State(enum.Enum):
    PARKED = "the carrier waits for a callback"


# A module constant, because looking up an enum member takes as long as a function call.
PARKED: Final = _State.PARKED


class Steppable(Waiter):
    """Base class of a coroutine that both a carrier and callbacks step. The parked carrier waits for this object.

    Subclasses define how to start and resume the coroutine. Their methods return what the carrier does next: `PARKED`,
    a coroutine to await, or an object that a task yields to the event loop (a future, or None for one turn of the
    loop).
    """

    __slots__ = ("_armed_for", "_failure", "_suspended", "_task", "_timer")

    _armed_for: float
    """When the timer is due. Kept here because uvloop returns a plain `Handle` for a deadline that has passed."""
    _task: asyncio.Task[Any]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        # Set by a callback for the carrier:
        self._suspended: Any = PARKED  # the yielded object that the callback could not handle; PARKED if none
        self._failure: BaseException | None = None  # what ended the coroutine: an error, or StopIteration

        self._timer: asyncio.Handle | None = None  # due at the deadline or earlier

    # ------------------------------------------------------------------------------------------------- in the carrier

    @types.coroutine
    def carry(self) -> Generator[Any, Any, Any]:
        """Run the coroutine from its start to its end, except for the steps that callbacks take.

        Return what the coroutine returns.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task = task
        raised: Any = None
        try:
            state = self._start()
            while True:
                is_parked = state is PARKED
                try:
                    if is_parked:
                        yield self.renew()
                        self.result()
                    elif isinstance(state, types.CoroutineType):
                        answer = yield from state.__await__()
                    else:
                        answer = yield state
                except GeneratorExit:
                    raise  # the coroutine is closed together with this one, in its own frame: see closes_coroutine()
                except BaseException as exc:
                    if is_parked and not isinstance(exc, asyncio.CancelledError):
                        raise
                    raised = exc
                # Not in the `except` block: there, the exception would be the context of all later errors of a handler.
                if raised is not None:
                    try:
                        state = self._unpark_cancelled(raised) if is_parked else self._throw(raised)
                    finally:
                        raised = None  # avoid a reference cycle with the traceback
                else:
                    state = self._unpark() if is_parked else self._resume(answer)
        except StopIteration as stop:
            return stop.value
        finally:
            self._wakeup = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    @abstractmethod
    def _start(self) -> Any:
        """Start the coroutine. Raise `StopIteration` if it returns."""
        raise NotImplementedError

    @abstractmethod
    def _look(self) -> Any:
        """Check whether the parked coroutine can be resumed, and resume it. Raise `StopIteration` if it returns."""
        raise NotImplementedError

    @abstractmethod
    def _resume(self, answer: Any) -> Any:
        """Resume the coroutine with *answer*. Raise `StopIteration` if it returns."""
        raise NotImplementedError

    @abstractmethod
    def _throw(self, exc: BaseException) -> Any:
        """Throw *exc* into the coroutine. Raise `StopIteration` if it returns."""
        raise NotImplementedError

    @abstractmethod
    def _settle(self, yielded: Any) -> Any:
        """Return what the carrier does next, given the object that the coroutine *yielded*.

        Raise `StopIteration` if the coroutine returns in the meantime.
        """
        raise NotImplementedError

    def _unpark(self) -> Any:
        """Continue with the result of the last callback."""
        if self._failure is not None:
            failure, self._failure, self._suspended = self._failure, None, PARKED
            try:
                raise failure
            finally:
                del failure  # avoid a reference cycle with the traceback
        suspended, self._suspended = self._suspended, PARKED
        return self._look() if suspended is PARKED else self._settle(suspended)

    def _unpark_cancelled(self, exc: asyncio.CancelledError) -> Any:
        """Do what `asyncio.Task.cancel` does: cancel the future that the coroutine awaits, or throw *exc* into it."""
        if self._failure is not None:
            # The coroutine ended before the cancellation, so its outcome comes first. Request the cancellation again,
            # for the next await.
            self._task.uncancel()
            self._task.cancel(*exc.args)
            return self._unpark()
        suspended, self._suspended = self._suspended, PARKED
        if isinstance(suspended, types.CoroutineType):
            suspended.close()
        if not asyncio.isfuture(suspended) or not suspended.cancel(*exc.args):
            return self._throw(exc)
        return suspended

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def is_parked(self) -> bool:
        """Return whether a callback may step the coroutine. If not, the carrier is running or about to run."""
        return self._wakeup is not None

    # -------------------------------------------------------------------------------------------------------- timeouts

    def _begin_timeout(self, timeout: float) -> float:
        """Call `_time_out` in *timeout* seconds. Return the deadline, which the caller stores for `_get_deadline`."""
        deadline = self._loop.time() + timeout
        self._arm_timer(deadline, is_due=timeout <= 0)
        return deadline

    @abstractmethod
    def _get_deadline(self) -> float | None:
        """Return the deadline of the current wait, on the clock of the loop. None means no limit."""
        raise NotImplementedError

    @abstractmethod
    def _time_out(self) -> None:
        """Resume the coroutine after its timeout, if it still waits for the network."""
        raise NotImplementedError

    def _arm_timer(self, deadline: float, *, is_due: bool = False) -> None:
        if self._timer is not None:
            if self._armed_for <= deadline and not is_due:
                return  # _check_deadline() arms it again, which is cheaper than a new timer for each packet
            self._timer.cancel()
        self._armed_for = deadline
        if is_due:
            self._timer = self._loop.call_soon(self._wait_another_turn)
        else:
            self._timer = self._loop.call_at(deadline, self._check_deadline)

    def _wait_another_turn(self) -> None:
        # The loop polls the socket before the next turn. Bytes that have already arrived are not late.
        self._timer = self._loop.call_soon(self._check_deadline)

    def _check_deadline(self) -> None:
        self._timer = None
        deadline = self._get_deadline()
        if deadline is None or not self.is_parked():
            return  # the next wait arms the timer
        if self._loop.time() < deadline:
            self._arm_timer(deadline)
        else:
            self._time_out()
