"""Shields: await to the end in spite of cancellation."""

from __future__ import annotations

__all__ = ["ignore_cancellation", "repeat_request"]

import asyncio
import types
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar

from .cancellers import TaskState, is_of_canceller

_T_co = TypeVar("_T_co", covariant=True)


def repeat_request(exc: asyncio.CancelledError) -> None:
    """Repeat the `asyncio.Task.cancel` request that *exc* comes from, at the next suspension of the task.

    Cancellers repeat their own requests. Inside a shield, *exc* does not come from `asyncio.Task.cancel`.
    """
    task = asyncio.current_task()
    if task is None or is_of_canceller(exc.args):
        return
    state = TaskState.of(task)
    if not state.shields and state.visible_requests(task) > 0:
        state.defer(exc.args, task)
        state.deliver_deferred_soon(task)


@types.coroutine
def ignore_cancellation(awaitable: Awaitable[_T_co]) -> Generator[Any, Any, _T_co]:
    """Await *awaitable* in the current task until it ends.

    Requests that arrive meanwhile are delivered at the next suspension of the task.
    """
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
        shield.leave(is_cancelled=is_cancelled)
    return result


class _Shield:
    """The state of one `ignore_cancellation`. It defers requests, except those of cancellers inside the awaitable."""

    __slots__ = ("_deferred_before", "_from_within", "_requests", "_state", "_task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._state = state = TaskState.of(task)
        if not state.shields and state.deferred is None:
            state.seen = state.external_requests(task)
        self._deferred_before = state.deferred
        state.shields += 1
        self.note_requests()

    def note_requests(self) -> None:
        """Save the current numbers of requests before a wait."""
        state = self._state
        self._from_within = self._count_from_within()
        self._requests = state.external_requests(self._task)

    def _count_from_within(self) -> int:
        shields = self._state.shields
        return sum(canceller.requests_within(shields) for canceller in self._state.cancellers)

    def is_from_within(self, exc: asyncio.CancelledError) -> bool:
        """Return whether a canceller inside the shield ended the wait. Defer all other requests."""
        state, task = self._state, self._task
        new_requests = state.external_requests(task) - self._requests
        from_within = self._count_from_within() > self._from_within
        if new_requests or not from_within:
            if not is_of_canceller(exc.args):
                state.defer(exc.args, task)
            elif new_requests:
                state.defer((), task)  # an external request arrived together with a request of a canceller
            self.note_requests()
        return from_within

    def leave(self, *, is_cancelled: bool) -> None:
        """End the shield. Requests that were deferred and not withdrawn are delivered next.

        If the awaitable itself was cancelled, its cancellation replaces the deferred requests.
        """
        state, task = self._state, self._task
        state.shields -= 1
        if is_cancelled:
            state.deferred = self._deferred_before if state.shields else None
        elif not state.shields:
            state.deliver_deferred_soon(task)
        for canceller in state.cancellers:
            canceller.leave_shield(state.shields)


async def _wait_for(future: asyncio.Future[Any], task: asyncio.Task[Any]) -> None:
    """Wait until *future* is done. Cancelling the task does not cancel *future*."""
    if future is task:
        raise RuntimeError(f"Task cannot await on itself: {task!r}")
    # `asyncio.Task` does the same with a future that its coroutine yields.
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
