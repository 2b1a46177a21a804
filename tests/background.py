"""Tasks that run beside a test, and what they leave for it, on every backend."""

from __future__ import annotations

__all__ = ["Background", "Queue", "Running", "background_tasks"]

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T = TypeVar("_T")


class Running(Generic[_T]):
    """A task. However it ends, nobody else is disturbed."""

    _result: _T

    def __init__(self, backend: AsyncBackend) -> None:
        self._scope = backend.open_cancel_scope()
        self._ended = backend.create_event()
        self.error: BaseException | None = None

    async def run(self, coro_func: Callable[..., Coroutine[Any, Any, _T]], args: tuple[Any, ...]) -> None:
        try:
            with self._scope:
                self._result = await coro_func(*args)
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


class Queue(Generic[_T]):
    """What is put in one task is got in another one."""

    def __init__(self, backend: AsyncBackend) -> None:
        self._backend = backend
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

    async def start(self, coro_func: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> Running[_T]:
        """Has ``coro_func(*args)`` run in a task, and waits until it has begun."""
        running: Running[_T] = Running(self._backend)
        self.running.append(running)
        _ = await self._tasks.start(running.run, coro_func, args)
        return running


@contextlib.asynccontextmanager
async def background_tasks(backend: AsyncBackend) -> AsyncIterator[Background]:
    """Cancels the tasks at the end."""
    async with backend.create_task_group() as tasks:
        background = Background(backend, tasks)
        try:
            yield background
        finally:
            for running in background.running:
                running.cancel()
