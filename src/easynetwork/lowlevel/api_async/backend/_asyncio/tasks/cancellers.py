"""Cancellation requests, made with `asyncio.Task.cancel` and withdrawn with `asyncio.Task.uncancel`.

A *canceller* is the part of a cancel scope or task group that cancels a task. *External* requests are those that no
canceller made: they come from direct calls of `asyncio.Task.cancel`. A request is *in force* until it is withdrawn.
"""

from __future__ import annotations

__all__ = ["Canceller", "TaskState", "is_of_canceller"]

import asyncio
import weakref
from typing import Any


class _Message(str):
    """The message of a canceller's request. The type distinguishes the request from external requests."""

    __slots__ = ()


def is_of_canceller(arguments: tuple[Any, ...]) -> bool:
    """Return whether a canceller made the cancellation request with these arguments."""
    return bool(arguments) and isinstance(arguments[0], _Message)


class TaskState:
    """The state of a task that has entered a canceller's block or a shield."""

    __slots__ = ("cancellers", "deferred", "delivered", "seen", "shields")

    def __init__(self) -> None:
        self.cancellers: list[Canceller] = []  # cancellers whose blocks the task is in, outermost first
        self.delivered = 0  # number of the cancellers' requests in force
        self.shields = 0  # number of shields the task is in
        self.deferred: tuple[Any, ...] | None = None  # arguments of a request that a shield has deferred
        self.seen = 0  # number of external requests the task has seen; later ones are deferred

    @staticmethod
    def of(task: asyncio.Task[Any]) -> TaskState:
        """Return the state of *task*. Create it if needed."""
        state = _states.get(task)
        if state is None:
            state = _states[task] = TaskState()
        return state

    def external_requests(self, task: asyncio.Task[Any]) -> int:
        """Return the number of external requests in force, including deferred ones."""
        return task.cancelling() - self.delivered

    def visible_requests(self, task: asyncio.Task[Any]) -> int:
        """Return the number of external requests in force, without deferred ones."""
        requests = task.cancelling() - self.delivered
        return min(requests, self.seen) if self.shields or self.deferred is not None else requests

    def defer(self, arguments: tuple[Any, ...], task: asyncio.Task[Any]) -> None:
        """Defer one of the external requests in force."""
        self.seen = min(self.seen, self.external_requests(task) - 1)
        self.deferred = arguments

    def deliver_deferred_soon(self, task: asyncio.Task[Any]) -> None:
        """Deliver the deferred request at the next suspension of *task*. A task that ends first never gets it."""
        if self.deferred is not None:
            task.get_loop().call_soon(self.deliver_deferred, task)

    def deliver_deferred(self, task: asyncio.Task[Any]) -> None:
        """Deliver the deferred request now, if there is one and *task* is in no shield."""
        if self.shields or task.done():
            return  # the shield delivers it when it ends
        arguments, self.deferred = self.deferred, None
        if arguments is not None and self.external_requests(task) > self.seen:  # not withdrawn meanwhile
            task.uncancel()
            task.cancel(*arguments)


_states: weakref.WeakKeyDictionary[asyncio.Task[Any], TaskState] = weakref.WeakKeyDictionary()

_EAGER_DELIVERIES = 100
"""Number of requests a canceller makes in consecutive loop iterations. Then it backs off, to keep the loop free."""
_LONGEST_PAUSE = 0.05
"""Longest pause between two requests, in seconds."""


class Canceller:
    """An object that cancels a task repeatedly, from `cancel` until the task has left the block.

    Any task may call `leave`, in any order relative to other cancellers. Owners with stricter rules check them first.
    """

    __slots__ = ("_called", "_delivered", "_delivery", "_is_entered", "_requests_before", "_shields", "_state", "_task")

    _task: asyncio.Task[Any]
    _state: TaskState
    _shields: int
    """Number of shields around the block."""
    _requests_before: int
    """Number of external requests that the task had seen on entry."""

    def __init__(self) -> None:
        self._called = False
        self._is_entered = False
        self._delivered = 0  # number of this canceller's requests in force
        self._delivery: asyncio.Handle | None = None

    def enter(self) -> None:
        """Enter the block in the current task.

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
        """Leave the block and withdraw the requests.

        Return two flags: whether *exc*, which ended the block, contains a cancellation by this canceller, and whether
        it contains anything else.
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
        """Cancel the task, now or when it enters the block. Idempotent."""
        self._called = True
        self.deliver_soon()

    def cancel_called(self) -> bool:
        """Return whether `cancel` was called."""
        return self._called

    def is_of_current_task(self) -> bool:
        """Return whether the current task entered the block."""
        return asyncio.current_task() is self._task

    def leave_shield(self, shields: int) -> None:
        """Resume delivery after the end of a shield, unless another shield inside the block remains.

        *shields* is the number of shields that the task is still in.
        """
        if self._shields >= shields:
            self._shields = shields
            self.deliver_soon()

    def requests_within(self, shields: int) -> int:
        """Return the number of requests in force if the block is inside at least *shields* shields, else 0."""
        return self._delivered if self._shields >= shields else 0

    def deliver_soon(self) -> None:
        """Schedule the delivery of a request, so that a block that ends without another wait is not cancelled."""
        if self._called and self._is_entered and self._delivery is None:
            self._delivery = self._task.get_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        state, task = self._state, self._task
        if self._shields < state.shields or task.done():
            return  # delivery resumes when the shield ends
        state.deliver_deferred(task)  # first: this request may have a message
        waits_for: Any = getattr(task, "_fut_waiter", None)
        if waits_for is None or not waits_for.done():  # a wait that is already done keeps its result
            self._delivered += 1
            state.delivered += 1
            task.cancel(_Message(f"Cancelled by {self!r}"))
        # Cancellation is level-triggered: a task that waits again inside the block is cancelled again.
        if self._delivered < _EAGER_DELIVERIES:
            self.deliver_soon()
        else:
            pause = min(0.001 * (self._delivered - _EAGER_DELIVERIES + 1), _LONGEST_PAUSE)
            self._delivery = task.get_loop().call_later(pause, self._deliver)


def _split_cancellation(exc: BaseException) -> tuple[bool, bool]:
    """Return whether *exc* contains cancellations, and whether it contains anything else."""
    if isinstance(exc, asyncio.CancelledError):
        return True, False
    if isinstance(exc, BaseExceptionGroup):
        ours, others = exc.split(asyncio.CancelledError)
        return ours is not None, others is not None
    return False, True
