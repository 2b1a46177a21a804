"""Requests to cancel a task, made by `asyncio.Task.cancel` and taken back by `asyncio.Task.uncancel`.

A *canceller* is the part of cancel scopes and task groups that asks a task to stop. Requests of *others* are those that
no canceller has made.
"""

from __future__ import annotations

__all__ = ["Canceller", "TaskState", "is_of_canceller"]

import asyncio
import weakref
from typing import Any


class _Message(str):
    """The message of a cancellation that a canceller asks for, so that it can be told from `asyncio.Task.cancel`."""

    __slots__ = ()


def is_of_canceller(arguments: tuple[Any, ...]) -> bool:
    """Return whether a cancellation with these arguments was requested by a canceller."""
    return bool(arguments) and isinstance(arguments[0], _Message)


class TaskState:
    """What is known of a task that has been asked to stop by a canceller, or was in a shield."""

    __slots__ = ("cancellers", "delivered", "obeyed", "remembered", "shields")

    def __init__(self) -> None:
        self.cancellers: list[Canceller] = []  # those of the blocks that the task is in, the outermost first
        self.delivered = 0  # how many requests of these cancellers are in force
        self.shields = 0  # how many shields the task is in
        self.remembered: tuple[Any, ...] | None = None  # the arguments of a request that a shield has held back
        self.obeyed = 0  # how many requests of others the task has seen; later ones are held back

    @staticmethod
    def of(task: asyncio.Task[Any]) -> TaskState:
        """Return what is known of *task*."""
        state = _states.get(task)
        if state is None:
            state = _states[task] = TaskState()
        return state

    def requests_of_others(self, task: asyncio.Task[Any]) -> int:
        """Return how many requests of others are in force, those included that are held back."""
        return task.cancelling() - self.delivered

    def visible_requests(self, task: asyncio.Task[Any]) -> int:
        """Return how many requests of others are in force and not held back."""
        requests = task.cancelling() - self.delivered
        return min(requests, self.obeyed) if self.shields or self.remembered is not None else requests

    def remember(self, arguments: tuple[Any, ...], task: asyncio.Task[Any]) -> None:
        """Hold back a request of others, one of those that are in force."""
        self.obeyed = min(self.obeyed, self.requests_of_others(task) - 1)
        self.remembered = arguments

    def deliver_remembered_soon(self, task: asyncio.Task[Any]) -> None:
        """Deliver what was held back, at the next suspension of *task*: not at all if the task ends without one."""
        if self.remembered is not None:
            task.get_loop().call_soon(self._deliver_remembered, task)

    def _deliver_remembered(self, task: asyncio.Task[Any]) -> None:
        if self.shields or task.done():
            return  # the end of the shield delivers it
        arguments, self.remembered = self.remembered, None
        if arguments is not None and self.requests_of_others(task) > self.obeyed:  # and was not taken back
            task.uncancel()
            task.cancel(*arguments)


_states: weakref.WeakKeyDictionary[asyncio.Task[Any], TaskState] = weakref.WeakKeyDictionary()

_EAGER_DELIVERIES = 100
"""So often a canceller asks its task in successive turns of the loop; then less and less often, not to keep it busy."""
_LONGEST_PAUSE = 0.05
"""Longest time between two requests, in seconds."""


class Canceller:
    """Asks a task to stop, again and again, from `cancel` until the task has left the block.

    Any task may call `leave`, in any order with other cancellers: an owner that is stricter checks it before.
    """

    __slots__ = ("_called", "_delivered", "_delivery", "_is_entered", "_requests_before", "_shields", "_state", "_task")

    _task: asyncio.Task[Any]
    _state: TaskState
    _shields: int
    """How many shields are around the block."""
    _requests_before: int
    """How many requests of others the task had seen on entry."""

    def __init__(self) -> None:
        self._called = False
        self._is_entered = False
        self._delivered = 0  # how many requests of this canceller are in force
        self._delivery: asyncio.Handle | None = None

    def enter(self) -> None:
        """Begin the block in the current task.

        Raises:
            RuntimeError: no task is running.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Cancel scopes and task groups can be entered only in a task")
        self._task = task
        self._state = state = TaskState.of(task)
        self._shields = state.shields
        self._requests_before = state.visible_requests(task)
        self._is_entered = True
        state.cancellers.append(self)
        self.deliver_soon()

    def leave(self, exc: BaseException | None) -> tuple[bool, bool]:
        """End the block and take the requests back.

        Return whether *exc*, by which the task leaves the block, holds their consequences; and whether it holds
        anything else.
        """
        state, task = self._state, self._task
        self._is_entered = False
        if self._delivery is not None:
            self._delivery.cancel()
        position = state.cancellers.index(self)
        del state.cancellers[position]
        delivered, self._delivered = self._delivered, 0
        state.delivered -= delivered
        for _ in range(delivered):
            task.uncancel()
        if exc is None or not delivered or state.visible_requests(task) > self._requests_before:
            return False, True
        if any(outer._delivered and outer._shields == state.shields for outer in state.cancellers[:position]):
            return False, True
        return _split_cancellation(exc)

    def cancel(self) -> None:
        """Ask the task to stop, now or once it enters the block. Idempotent."""
        self._called = True
        self.deliver_soon()

    def cancel_called(self) -> bool:
        """Return whether `cancel` was called."""
        return self._called

    def is_of_current_task(self) -> bool:
        """Return whether the current task has entered the block."""
        return asyncio.current_task() is self._task

    def leave_shield(self, shields: int) -> None:
        """Go on, if the end of a shield leaves the task with so many *shields*, and none within the block."""
        if self._shields >= shields:
            self._shields = shields
            self.deliver_soon()

    def requests_within(self, shields: int) -> int:
        """Return how many requests are in force if the block is within so many *shields*, else 0."""
        return self._delivered if self._shields >= shields else 0

    def deliver_soon(self) -> None:
        """Deliver what is requested. Never at once: a block that ends without another wait is not cancelled."""
        if self._called and self._is_entered and self._delivery is None:
            self._delivery = self._task.get_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        state, task = self._state, self._task
        if self._shields < state.shields or task.done():
            return  # the end of the shield goes on with it
        waits_for: Any = getattr(task, "_fut_waiter", None)
        if waits_for is None or not waits_for.done():  # a wait that has its result already may have it
            self._delivered += 1
            state.delivered += 1
            task.cancel(_Message(f"Cancelled by {self!r}"))
        # Level triggered: a task that goes on waiting within the block is cancelled again.
        if self._delivered < _EAGER_DELIVERIES:
            self.deliver_soon()
        else:
            pause = min(0.001 * (self._delivered - _EAGER_DELIVERIES + 1), _LONGEST_PAUSE)
            self._delivery = task.get_loop().call_later(pause, self._deliver)


def _split_cancellation(exc: BaseException) -> tuple[bool, bool]:
    """Return whether *exc* holds cancellations, and whether it holds anything else."""
    if isinstance(exc, asyncio.CancelledError):
        return True, False
    if isinstance(exc, BaseExceptionGroup):
        ours, others = exc.split(asyncio.CancelledError)
        return ours is not None, others is not None
    return False, True
