"""Task groups built on trio's nurseries."""

from __future__ import annotations

__all__ = ["TrioTask", "TrioTaskGroup", "task_info"]

import math
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel.api_async.backend.abc import Task, TaskGroup, TaskInfo

from .scopes import failures, ignore_cancellation, without_cancellations

if TYPE_CHECKING:
    from typing import Self

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T_PosArgs = TypeVarTuple("_T_PosArgs")


def task_info(task: trio.lowlevel.Task) -> TaskInfo:
    """Return a description of *task*."""
    return TaskInfo(id(task), task.name, task.coro)


class TrioTask(Task[_T_co]):
    """A trio task with its own cancel scope and its outcome. Trio does not store either."""

    __slots__ = ("_begun", "_ended", "_exception", "_result", "_scope", "_task")

    _task: trio.lowlevel.Task
    _result: _T_co

    def __init__(self) -> None:
        self._begun = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope()
        self._exception: BaseException | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_task', None)!r}>"

    async def run(self, coro_func: Callable[..., Coroutine[Any, Any, _T_co]], args: tuple[Any, ...]) -> None:
        """Run ``coro_func(*args)`` as the body of the task."""
        self._task = trio.lowlevel.current_task()
        self._begun.set()
        try:
            with self._scope:
                if self._scope.cancel_called:
                    await trio.lowlevel.checkpoint()
                try:
                    self._result = await coro_func(*args)
                except BaseException as exc:
                    self._exception = without_cancellations(exc)
                    raise self._exception
        except trio.Cancelled:
            # Re-raise if a scope around the group is cancelled. Otherwise the coroutine only passed on the cancellation
            # of another task that it joined, and it ends here.
            if trio.current_effective_deadline() == -math.inf:
                raise
        finally:
            self._ended.set()

    async def wait_begun(self) -> None:
        """Wait until the task has started. On cancellation, cancel the task and wait for its end."""
        try:
            await self._begun.wait()
        except BaseException:
            self._scope.cancel()
            await ignore_cancellation(self.wait())
            raise

    @property
    def info(self) -> TaskInfo:
        return task_info(self._task)

    def done(self) -> bool:
        return self._ended.is_set()

    def cancel(self) -> bool:
        if self.done():
            return False
        self._scope.cancel()
        return True

    def cancelled(self) -> bool:
        return self.done() and isinstance(self._exception, trio.Cancelled)

    async def wait(self) -> None:
        if not self._ended.is_set():
            await self._ended.wait()

    async def join(self) -> _T_co:
        await self.wait()
        return self._outcome()

    async def join_or_cancel(self) -> _T_co:
        try:
            await self.wait()
        except trio.Cancelled:
            self._scope.cancel()
            await ignore_cancellation(self.wait())
            if self.cancelled():
                raise
        return self._outcome()

    def _outcome(self) -> _T_co:
        if self._exception is not None:
            raise self._exception
        return self._result


class TrioTaskGroup(TaskGroup):
    """A nursery that raises an exception of the block unchanged if no task has failed."""

    __slots__ = ("_manager", "_nursery")

    def __init__(self) -> None:
        self._manager = trio.open_nursery(strict_exception_groups=True)
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        if self._nursery is not None:
            raise RuntimeError("A task group can be entered only once")
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            await self._manager.__aexit__(exc_type, exc_val, exc_tb)
            return
        except BaseExceptionGroup as group:
            if exc_val is not None and failures(group) == failures(exc_val):
                return  # ``async with`` raises it unchanged
            error = without_cancellations(group)
        try:
            raise error
        finally:
            del error  # avoid a reference cycle with the traceback

    def start_soon(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        /,
        *args: *_T_PosArgs,
        name: str | None = None,
    ) -> None:
        self._open_nursery().start_soon(coro_func, *args, name=name)

    async def start(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        /,
        *args: *_T_PosArgs,
        name: str | None = None,
    ) -> Task[_T]:
        task: TrioTask[_T] = TrioTask()
        self._open_nursery().start_soon(task.run, coro_func, args, name=coro_func if name is None else name)
        await task.wait_begun()
        return task

    def _open_nursery(self) -> trio.Nursery:
        if self._nursery is None:
            raise RuntimeError("The task group has not been entered")
        return self._nursery
