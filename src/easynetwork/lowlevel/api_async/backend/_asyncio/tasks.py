"""Task groups on `asyncio.TaskGroup`."""

from __future__ import annotations

__all__ = ["AsyncioTask", "AsyncioTaskGroup", "task_info"]

import asyncio
import contextvars
import math
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel.api_async.backend.abc import Task, TaskGroup, TaskInfo

from .scopes import AsyncioCancelScope, ignore_cancellation

if TYPE_CHECKING:
    from typing import Self

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T_PosArgs = TypeVarTuple("_T_PosArgs")


def task_info(task: asyncio.Task[Any]) -> TaskInfo:
    """Returns what is known of *task*."""
    coro: Any = task.get_coro()
    return TaskInfo(id(task), task.get_name(), coro)


class AsyncioTask(Task[_T_co]):
    """A task of asyncio."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[_T_co]) -> None:
        self._task = task

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._task!r}>"

    @property
    def info(self) -> TaskInfo:
        return task_info(self._task)

    def done(self) -> bool:
        return self._task.done()

    def cancel(self) -> bool:
        return self._task.cancel()

    def cancelled(self) -> bool:
        return self._task.cancelled()

    async def wait(self) -> None:
        if not self._task.done():
            await asyncio.wait({self._task})

    async def join(self) -> _T_co:
        await self.wait()
        return self._task.result()

    async def join_or_cancel(self) -> _T_co:
        try:
            await self.wait()
        except asyncio.CancelledError:
            self._task.cancel()
            await ignore_cancellation(self.wait())
            if self._task.cancelled():
                raise
        return self._task.result()


class AsyncioTaskGroup(TaskGroup):
    """An `asyncio.TaskGroup` that leaves alone the exception of a block whose tasks are well.

    The block is in a scope of its own: within `ignore_cancellation`, the request of asyncio's group to end the block
    cannot be told from one that comes from outside, and does not reach it.
    """

    __slots__ = ("_block", "_context", "_group", "_on_task_end")

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._block = AsyncioCancelScope(math.inf)
        # The same two objects for all tasks: a server has a task for each idle connection.
        self._on_task_end = self._end_block
        self._context = contextvars.copy_context()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._block.__enter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            try:
                self._block.__exit__(exc_type, exc_val, exc_tb)
            finally:  # even if a scope was left open in the block: no task may stay behind
                await self._group.__aexit__(exc_type, exc_val, exc_tb)
        except BaseExceptionGroup as group:
            if exc_val is not None and group.exceptions == (exc_val,):
                return  # raised as it is by ``async with``
            raise
        finally:
            await _absorb_request()

    def start_soon(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        /,
        *args: *_T_PosArgs,
        name: str | None = None,
    ) -> None:
        _ = self.create_task(coro_func(*args), name)

    async def start(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        /,
        *args: *_T_PosArgs,
        name: str | None = None,
    ) -> Task[_T]:
        started = asyncio.get_running_loop().create_future()

        async def run() -> _T:
            if started.cancelled():
                raise asyncio.CancelledError
            started.set_result(None)
            return await coro_func(*args)

        task = AsyncioTask(self.create_task(run(), name))
        try:
            await started
        except asyncio.CancelledError:
            task.cancel()
            await ignore_cancellation(task.wait())
            raise
        return task

    def create_task(self, coroutine: Coroutine[Any, Any, _T], name: str | None) -> asyncio.Task[_T]:
        """Returns a new task of the group. *coroutine* is closed if the group is not open."""
        try:
            task = self._group.create_task(coroutine, name=name)
        except RuntimeError:
            coroutine.close()
            raise
        task.add_done_callback(self._on_task_end, context=self._context)
        return task

    def _end_block(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._block.cancel()


async def _absorb_request() -> None:
    """Takes what is left, before Python 3.13, of a request that was taken back before the task could notice it.

    A failed task cancels the block of its group; one that was shielded at that moment has not noticed.
    """
    task = asyncio.current_task()
    if task is not None and not task.cancelling() and getattr(task, "_must_cancel", False):
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
