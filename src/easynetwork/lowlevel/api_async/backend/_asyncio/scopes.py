"""Cancel scopes and shielding on top of `asyncio.Task.cancel` and `asyncio.Task.uncancel`."""

from __future__ import annotations

__all__ = ["AsyncioCancelScope", "ask_again", "ignore_cancellation"]

import asyncio
import enum
import math
import types
import weakref
from collections.abc import Awaitable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from easynetwork.lowlevel._checks import check_not_nan
from easynetwork.lowlevel.api_async.backend.abc import CancelScope

if TYPE_CHECKING:
    from typing import Self

_T_co = TypeVar("_T_co", covariant=True)


class _ScopeCancellation(str):
    """The message of a cancellation that a scope asks for, so that it can be told from `asyncio.Task.cancel`."""

    __slots__ = ()


class _State(enum.Enum):
    CREATED = enum.auto()
    ENTERED = enum.auto()
    LEFT = enum.auto()


class _TaskState:
    """What is known of a task that has been in a scope or a shield."""

    __slots__ = ("scopes", "shielded", "swallowed")

    def __init__(self) -> None:
        self.scopes: list[AsyncioCancelScope] = []  # those the task is in, the outermost first
        self.shielded = 0  # how many of them, the outermost ones, are outside of a shield
        self.swallowed = 0  # how many requests of others the current shields keep from the task

    def delivered(self, outermost: int = 0) -> int:
        """Returns how often the scopes within the *outermost* ones have asked the task."""
        return sum(scope._delivered for scope in self.scopes[outermost:])


_states: weakref.WeakKeyDictionary[asyncio.Task[Any], _TaskState] = weakref.WeakKeyDictionary()

_EAGER_DELIVERIES = 100
"""So often a scope asks its task in successive turns of the loop; then less and less often, not to keep it busy."""
_LONGEST_PAUSE = 0.05
"""Longest time between two requests, in seconds."""


def _state_of(task: asyncio.Task[Any]) -> _TaskState:
    state = _states.get(task)
    if state is None:
        state = _states[task] = _TaskState()
    return state


class AsyncioCancelScope(CancelScope):
    """Cancels its task, again and again, until the task has left the scope."""

    __slots__ = (
        "_called",
        "_cancelling",
        "_caught",
        "_deadline",
        "_delivered",
        "_delivery",
        "_in_task",
        "_state",
        "_task",
        "_timer",
    )

    _task: asyncio.Task[Any]
    _in_task: _TaskState

    def __init__(self, deadline: float) -> None:
        check_not_nan("deadline", deadline)
        self._deadline = deadline
        self._state = _State.CREATED
        self._called = False
        self._caught = False
        self._cancelling = 0  # what the task's counter was on entry
        self._delivered = 0  # how often we have asked the task
        self._delivery: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.name.lower()} deadline={self._deadline} called={self._called}>"

    def __enter__(self) -> Self:
        if self._state is not _State.CREATED:
            raise RuntimeError("A cancel scope can be entered only once")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A cancel scope can be entered only in a task")
        self._task = task
        self._state = _State.ENTERED
        self._in_task = state = _state_of(task)
        self._cancelling = task.cancelling() - state.swallowed
        state.scopes.append(self)
        self._watch_deadline()
        self._deliver_soon()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        if self._state is not _State.ENTERED:
            raise RuntimeError("The cancel scope is not active")
        if asyncio.current_task() is not self._task:
            raise RuntimeError("A cancel scope must be left in the task that has entered it")
        scopes = self._in_task.scopes
        if scopes[-1] is not self:
            raise RuntimeError("The cancel scopes within this one must be left first")
        scopes.pop()
        self._state = _State.LEFT
        for handle in (self._timer, self._delivery):
            if handle is not None:
                handle.cancel()
        return self._settle(exc_val)

    def _settle(self, exc: BaseException | None) -> bool:
        """Takes our requests back; returns whether *exc* is nothing but their consequence."""
        delivered, self._delivered = self._delivered, 0
        for _ in range(delivered):
            self._task.uncancel()
        requests = self._task.cancelling() - self._in_task.swallowed
        if not delivered or exc is None or requests > self._cancelling:
            return False
        ours, others = _split_cancellation(exc)
        self._caught = ours
        return ours and not others

    def cancel(self) -> None:
        self._called = True
        self._deliver_soon()

    def cancel_called(self) -> bool:
        return self._called

    def cancelled_caught(self) -> bool:
        return self._caught

    def when(self) -> float:
        return self._deadline

    def reschedule(self, when: float, /) -> None:
        check_not_nan("when", when)
        self._deadline = when
        if self._state is _State.ENTERED:
            self._watch_deadline()

    def _watch_deadline(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._called or self._deadline == math.inf:
            return
        loop = self._task.get_loop()
        if self._deadline <= loop.time():
            self.cancel()
        else:
            self._timer = loop.call_at(self._deadline, self.cancel)

    def _deliver_soon(self) -> None:
        """Never at once: a body that ends without another wait is not cancelled."""
        if self._called and self._state is _State.ENTERED and self._delivery is None:
            self._delivery = self._task.get_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        state, task = self._in_task, self._task
        if self in state.scopes[: state.shielded] or task.done():
            return  # ignore_cancellation() takes care of it at its end
        waits_for: Any = getattr(task, "_fut_waiter", None)
        if waits_for is None or not waits_for.done():  # one that has its result already may have it
            self._delivered += 1
            task.cancel(_ScopeCancellation(f"Cancelled by {self!r}"))
        # Level triggered: who goes on waiting within the scope is cancelled again.
        if self._delivered < _EAGER_DELIVERIES:
            self._deliver_soon()
        else:
            pause = min(0.001 * (self._delivered - _EAGER_DELIVERIES + 1), _LONGEST_PAUSE)
            self._delivery = task.get_loop().call_later(pause, self._deliver)


def _split_cancellation(exc: BaseException) -> tuple[bool, bool]:
    """Returns whether *exc* holds cancellations, and whether it holds anything else."""
    if isinstance(exc, asyncio.CancelledError):
        return True, False
    if isinstance(exc, BaseExceptionGroup):
        ours, others = exc.split(asyncio.CancelledError)
        return ours is not None, others is not None
    return False, True


def ask_again(exc: asyncio.CancelledError) -> None:
    """Repeats the request of `asyncio.Task.cancel` by which *exc* was raised, so that obeying it later is enough.

    The requests of scopes need no help.
    """
    task = asyncio.current_task()
    if task is None or _is_of_scope(exc.args):
        return
    state = _state_of(task)
    if task.cancelling() > state.delivered() + state.swallowed:
        task.uncancel()
        task.cancel(*exc.args)


def _is_of_scope(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments) and isinstance(arguments[0], _ScopeCancellation)


@types.coroutine
def ignore_cancellation(awaitable: Awaitable[_T_co]) -> Generator[Any, Any, _T_co]:
    """Awaits *awaitable* in the current task, to its end. What was asked for meanwhile is asked for again after it."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("No task is running")
    iterator: Any = awaitable.__await__()
    shield = _Shield(task)
    is_cancelled = False
    try:
        yielded = iterator.send(None)
        while True:
            shield.note_requests()
            try:
                if yielded is None:
                    yield None
                else:
                    yield from _wait_for(yielded, task).__await__()
            except asyncio.CancelledError as exc:
                if shield.is_from_within(exc) and (yielded is None or not yielded.cancel(*exc.args)):
                    yielded = iterator.throw(exc)
                    continue
            except RuntimeError as exc:
                yielded = iterator.throw(exc)
                continue
            if yielded is None or yielded.done():
                yielded = iterator.send(None)
    except StopIteration as stop:
        result: _T_co = stop.value
    except asyncio.CancelledError:
        is_cancelled = True
        raise
    finally:
        shield.leave(ask_again=not is_cancelled)
    return result


class _Shield:
    """Tells requests that concern a shielded awaitable, those of scopes within it, from all others."""

    __slots__ = (
        "_arguments",
        "_first_requests",
        "_from_within",
        "_outer",
        "_requests",
        "_state",
        "_swallowed",
        "_task",
    )

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._state = state = _state_of(task)
        self._outer = state.shielded
        state.shielded = len(state.scopes)
        self._first_requests = task.cancelling() - state.delivered()
        self._swallowed = 0
        self._arguments: tuple[Any, ...] | None = None  # of a swallowed request
        self.note_requests()

    def note_requests(self) -> None:
        """Counts the requests that there are before a wait."""
        state = self._state
        self._from_within = state.delivered(state.shielded)
        self._requests = self._task.cancelling() - state.delivered()

    def is_from_within(self, exc: asyncio.CancelledError) -> bool:
        """Returns whether the wait was ended by a scope within the shield. Other requests are remembered."""
        state = self._state
        requests = self._task.cancelling() - state.delivered() - self._requests
        from_within = state.delivered(state.shielded) > self._from_within
        if requests or not from_within:
            arguments = exc.args
            is_scope = _is_of_scope(arguments)
            if not is_scope:
                self._arguments = arguments
            elif requests:
                self._arguments = ()  # it came together with that of a scope
            if not requests and not is_scope:
                self._first_requests -= 1  # it was made before the shield
            self._swallowed += requests
            state.swallowed += requests
            self.note_requests()
        return from_within

    def leave(self, *, ask_again: bool) -> None:
        """Ends the shield. What was asked for, and not taken back, is asked for again."""
        state, task = self._state, self._task
        state.swallowed -= self._swallowed
        state.shielded = self._outer
        for scope in state.scopes[self._outer :]:
            scope._deliver_soon()
        is_wanted = task.cancelling() - state.delivered() > self._first_requests
        if ask_again and is_wanted and self._arguments is not None:
            task.uncancel()
            task.cancel(*self._arguments)


async def _wait_for(future: asyncio.Future[Any], task: asyncio.Task[Any]) -> None:
    """Waits until *future* is done, in such a way that cancelling the task does not cancel it."""
    if future is task:
        raise RuntimeError(f"Task cannot await on itself: {task!r}")
    # What asyncio's task does with a future that it was given to wait for.
    future._asyncio_future_blocking = False
    waiter: asyncio.Future[None] = future.get_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    try:
        await waiter
    finally:
        future.remove_done_callback(wake)
