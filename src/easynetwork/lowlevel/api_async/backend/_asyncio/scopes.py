"""Cancel scopes and shielding on top of `asyncio.Task.cancel` and `asyncio.Task.uncancel`."""

from __future__ import annotations

__all__ = ["AsyncioCancelScope", "ignore_cancellation"]

import asyncio
import enum
import math
import types
import weakref
from collections.abc import Awaitable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

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


_scopes_of: weakref.WeakKeyDictionary[asyncio.Task[Any], list[AsyncioCancelScope]] = weakref.WeakKeyDictionary()
"""The scopes that each task is in, the outermost first."""

_shielded: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
"""The tasks that no scope may disturb at present."""


class AsyncioCancelScope(CancelScope):
    """Cancels its task, again and again, until the task has left the scope."""

    __slots__ = (
        "_called",
        "_cancelling",
        "_caught",
        "_deadline",
        "_delivered",
        "_delivery",
        "_state",
        "_task",
        "_timer",
    )

    _task: asyncio.Task[Any]

    def __init__(self, deadline: float) -> None:
        self._deadline = _check_time(deadline)
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
        self._cancelling = task.cancelling()
        _scopes_of.setdefault(task, []).append(self)
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
        scopes = _scopes_of[self._task]
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
        if not delivered or exc is None or self._task.cancelling() > self._cancelling:
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
        self._deadline = _check_time(when)
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
        if self._task in _shielded or self._task.done():
            return  # ignore_cancellation() takes care of it at its end
        waits_for: Any = getattr(self._task, "_fut_waiter", None)
        if waits_for is None or not waits_for.done():  # one that has its result already may have it
            self._delivered += 1
            self._task.cancel(_ScopeCancellation(f"Cancelled by {self!r}"))
        self._deliver_soon()  # level triggered: who goes on waiting within the scope is cancelled again


def _check_time(value: float) -> float:
    if math.isnan(value):
        raise ValueError("A deadline must not be NaN")
    return value


def _split_cancellation(exc: BaseException) -> tuple[bool, bool]:
    """Returns whether *exc* holds cancellations, and whether it holds anything else."""
    if isinstance(exc, asyncio.CancelledError):
        return True, False
    if isinstance(exc, BaseExceptionGroup):
        ours, others = exc.split(asyncio.CancelledError)
        return ours is not None, others is not None
    return False, True


@types.coroutine
def ignore_cancellation(awaitable: Awaitable[_T_co]) -> Generator[Any, Any, _T_co]:
    """Awaits *awaitable* in the current task, to its end. What was asked for meanwhile is asked for again after it."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("No task is running")
    outermost = task not in _shielded
    _shielded.add(task)
    request: asyncio.CancelledError | None = None
    iterator: Any = awaitable.__await__()
    try:
        yielded = iterator.send(None)
        while True:
            try:
                if yielded is None:
                    yield None
                else:
                    yield from _wait_for(yielded, task).__await__()
            except asyncio.CancelledError as exc:
                request = exc
            except RuntimeError as exc:
                yielded = iterator.throw(exc)
                continue
            if yielded is None or yielded.done():
                yielded = iterator.send(None)
    except StopIteration as stop:
        result: _T_co = stop.value
    except asyncio.CancelledError:
        request = None
        raise
    finally:
        if outermost:
            _shielded.discard(task)
            for scope in _scopes_of.get(task, ()):
                scope._deliver_soon()
        if request is not None and not (request.args and isinstance(request.args[0], _ScopeCancellation)):
            task.uncancel()
            task.cancel(*request.args)
    return result


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
