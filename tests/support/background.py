"""Tasks that run beside a test, and what they leave for it, on every backend."""

from __future__ import annotations

__all__ = [
    "Background",
    "Queue",
    "Running",
    "background_tasks",
    "new_event",
    "results",
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
    """Returns an event of the backend that is running."""
    return ensure_backend(None).create_event()


async def sleep(delay: float) -> None:
    """Sleeps, on the backend that is running."""
    await ensure_backend(None).sleep(delay)


async def settle() -> None:
    """Lets all tasks run that are ready, and those that were just spawned: they may come after this one in a turn."""
    for _ in range(2):
        await ensure_backend(None).coro_yield()


async def until(condition: Callable[[], object]) -> None:
    """Waits until *condition* holds."""
    while not condition():
        await sleep(0.001)


class Running(Generic[_T]):
    """A task. However it ends, nobody else is disturbed."""

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
        """Waits for its end."""
        await self._ended.wait()

    async def result(self) -> _T:
        """Waits for its end, and returns what it has returned, or raises what it has raised."""
        await self.wait()
        if self.error is not None:
            raise self.error
        assert not self.cancelled(), "the task was cancelled"
        return self._result


async def results(*running: Running[_T]) -> list[_T]:
    """Waits for the ends of all, and returns what they have returned, or raises what the first has raised."""
    return [await task.result() for task in running]


class Queue(Generic[_T]):
    """What is put in one task is got in another one."""

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
    """Starts tasks that are cancelled at the end of the test."""

    def __init__(self, backend: AsyncBackend, tasks: TaskGroup) -> None:
        self._backend = backend
        self._tasks = tasks
        self.running: list[Running[Any]] = []

    def spawn(self, awaitable: Awaitable[_T]) -> Running[_T]:
        """Has *awaitable* awaited in a task."""
        running: Running[_T] = Running(self._backend)
        self.running.append(running)
        self._tasks.start_soon(running.run, awaitable)
        return running

    async def start(self, coro_func: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> Running[_T]:
        """Has ``coro_func(*args)`` run in a task, and waits until it has begun."""
        running: Running[_T] = Running(self._backend)
        self.running.append(running)
        _ = await self._tasks.start(running.run, coro_func(*args))
        return running


_current: ContextVar[Background] = ContextVar("_current")


def spawn(awaitable: Awaitable[_T]) -> Running[_T]:
    """Has *awaitable* awaited in a task beside the test, whose module has ``EVERY_BACKEND``."""
    return _current.get().spawn(awaitable)


async def spawn_in_order(*awaitables: Awaitable[_T]) -> list[Running[_T]]:
    """Has each awaited in a task of its own, that begins after those before it. Trio starts tasks in any order."""
    running = []
    for awaitable in awaitables:
        running.append(spawn(awaitable))
        await settle()
    return running


@contextlib.asynccontextmanager
async def background_tasks(backend: AsyncBackend) -> AsyncIterator[Background]:
    """Cancels the tasks at the end."""
    async with backend.create_task_group() as tasks:
        background = Background(backend, tasks)
        token = _current.set(background)
        try:
            yield background
        finally:
            _current.reset(token)
            for running in background.running:
                running.cancel()
