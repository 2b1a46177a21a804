"""Tasks that run beside a test, on every backend, and what a test uses to wait for them."""

from __future__ import annotations

__all__ = [
    "Background",
    "Queue",
    "Running",
    "background_tasks",
    "new_event",
    "results",
    "running_task",
    "settle",
    "sleep",
    "spawn",
    "spawn_in_order",
    "until",
]

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, IEvent, TaskGroup
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend

_T = TypeVar("_T")


def new_event() -> IEvent:
    """Return an event of the running backend."""
    return ensure_backend(None).create_event()


async def sleep(delay: float) -> None:
    """Sleep, on the running backend."""
    await ensure_backend(None).sleep(delay)


async def settle() -> None:
    """Let all ready tasks run, and those just spawned, which may come after this one in a turn of the event loop."""
    for _ in range(2):
        await ensure_backend(None).coro_yield()


async def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds."""
    while not condition():
        await sleep(0.001)


class Running(Generic[_T]):
    """A task. Its error is kept: it does not cancel the tasks beside it."""

    _result: _T

    def __init__(self, backend: AsyncBackend) -> None:
        self._scope = backend.open_cancel_scope()
        self._ended = backend.create_event()
        self.error: BaseException | None = None

    async def run(self, awaitable: Awaitable[_T]) -> None:
        try:
            with self._scope:
                self._result = await awaitable
        except Exception as exc:
            self.error = exc
        finally:
            self._ended.set()

    def cancel(self) -> None:
        self._scope.cancel()

    def done(self) -> bool:
        return self._ended.is_set()

    def cancelled(self) -> bool:
        return self._scope.cancelled_caught()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await self._ended.wait()

    async def result(self) -> _T:
        """Wait until it has ended. Return its result, or raise its error."""
        await self.wait()
        if self.error is not None:
            raise self.error
        assert not self.cancelled(), "the task was cancelled"
        return self._result


async def results(*running: Running[_T]) -> list[_T]:
    """Wait until all have ended. Return their results, or raise the error of the first that failed."""
    return [await task.result() for task in running]


class Queue(Generic[_T]):
    """A queue between two tasks."""

    def __init__(self, backend: AsyncBackend | None = None) -> None:
        self._backend = ensure_backend(backend)
        self._items: list[_T] = []

    def put_nowait(self, item: _T) -> None:
        self._items.append(item)

    async def get(self) -> _T:
        while not self._items:
            await self._backend.sleep(0.0001)
        return self._items.pop(0)


class Background:
    """Starts tasks and cancels them at the end of the test."""

    def __init__(self, backend: AsyncBackend, tasks: TaskGroup) -> None:
        self._backend = backend
        self._tasks = tasks
        self.running: list[Running[Any]] = []

    def spawn(self, awaitable: Awaitable[_T]) -> Running[_T]:
        """Await *awaitable* in a task."""
        running: Running[_T] = Running(self._backend)
        self.running.append(running)
        self._tasks.start_soon(running.run, awaitable)
        return running

    async def start(self, coro_func: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> Running[_T]:
        """Run ``coro_func(*args)`` in a task, and wait until it has begun."""
        running: Running[_T] = Running(self._backend)
        self.running.append(running)
        _ = await self._tasks.start(running.run, coro_func(*args))
        return running


_current: ContextVar[Background] = ContextVar("_current")


def spawn(awaitable: Awaitable[_T]) -> Running[_T]:
    """Await *awaitable* in a task beside the test. The module has to set ``EVERY_BACKEND``."""
    return _current.get().spawn(awaitable)


async def spawn_in_order(*awaitables: Awaitable[_T]) -> list[Running[_T]]:
    """Await each in a task of its own, and begin them in order. Trio starts tasks in any order."""
    running = []
    for awaitable in awaitables:
        running.append(spawn(awaitable))
        await settle()
    return running


@contextlib.asynccontextmanager
async def background_tasks(backend: AsyncBackend) -> AsyncIterator[Background]:
    """Let `spawn` start tasks during the block. Cancel them at the end."""
    async with backend.create_task_group() as tasks:
        background = Background(backend, tasks)
        token = _current.set(background)
        try:
            yield background
        finally:
            _current.reset(token)
            for running in background.running:
                running.cancel()


@contextlib.asynccontextmanager
async def running_task(
    backend: AsyncBackend, coro_func: Callable[[], Coroutine[Any, Any, _T]]
) -> AsyncIterator[Running[_T]]:
    """Run ``coro_func()`` in a task during the block. Cancel it at the end, and wait until it has ended."""
    async with background_tasks(backend) as background:
        task = await background.start(coro_func)
        try:
            yield task
        finally:
            task.cancel()
            await task.wait()
