"""Asyncio tasks and task groups."""

from __future__ import annotations

__all__ = ["AsyncioTask", "AsyncioTaskGroup", "task_info"]

import asyncio
import contextvars
import enum
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel.api_async.backend.abc import Task, TaskGroup, TaskInfo

from .cancellers import Canceller
from .shields import ignore_cancellation, repeat_request

if TYPE_CHECKING:
    from typing import Self

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T_PosArgs = TypeVarTuple("_T_PosArgs")


def task_info(task: asyncio.Task[Any]) -> TaskInfo:
    """Return a description of *task*."""
    coro: Any = task.get_coro()
    return TaskInfo(id(task), task.get_name(), coro)


class AsyncioTask(Task[_T_co]):
    """An asyncio task."""

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


class _Stage(enum.Enum):
    CREATED = enum.auto()
    OPEN = enum.auto()
    LEAVING = enum.auto()
    LEFT = enum.auto()


class AsyncioTaskGroup(TaskGroup):
    """A task group that cancels the block of the task that entered it, with a `Canceller`.

    Any task may leave the group, in any order relative to scopes and other groups: test fixtures and exit stacks do so.
    That task waits for the tasks of the group and gets their failures. The task that entered is not cancelled any more.

    It does not use `asyncio.TaskGroup`, which ends its block with `asyncio.Task.cancel`. Such a request looks like an
    external one and does not reach a block inside `ignore_cancellation`. Before Python 3.13, it is not withdrawn if a
    task fails while the block waits (https://github.com/python/cpython/issues/116720).

    The group never cancels a task before its first step, so that the task can take ownership of its arguments.
    """

    __slots__ = (
        "_block",
        "_context",
        "_failures",
        "_idle",
        "_loop",
        "_on_task_end",
        "_stage",
        "_tasks",
    )

    _loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failures: list[BaseException] = []
        self._block = Canceller()  # cancelled together with the tasks
        self._stage = _Stage.CREATED
        self._idle: asyncio.Future[None] | None = None  # set while the group waits for its tasks
        # All tasks share these two objects, to save memory: a server has one task per idle connection.
        self._on_task_end = self._forget
        self._context = contextvars.copy_context()

    async def __aenter__(self) -> Self:
        if self._stage is not _Stage.CREATED:
            raise RuntimeError("A task group can be entered only once")
        self._block.enter()
        self._loop = asyncio.get_running_loop()
        self._stage = _Stage.OPEN
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._stage is not _Stage.OPEN:
            raise RuntimeError("The task group is not open")
        self._stage = _Stage.LEAVING
        # *ours*: the failure of a task ended the block. *others*: something else did.
        ours, others = self._block.leave(exc_val if self._block.is_of_current_task() else None)
        if exc_val is not None:
            self._end()
        request = await self._wait_for_tasks()
        self._stage = _Stage.LEFT
        outcome = self._take_outcome(None if ours and not others else exc_val, request)
        if outcome is not None and outcome is not exc_val:  # ``async with`` raises *exc_val* itself
            try:
                raise outcome from outcome.__cause__  # the cancellation of the block would be misleading as its context
            finally:
                del outcome, request  # avoid a reference cycle with the traceback

    def _take_outcome(
        self, of_block: BaseException | None, request: asyncio.CancelledError | None
    ) -> BaseException | None:
        """Return the exception to raise at the end of the group, or None."""
        failures, self._failures = self._failures, []
        if isinstance(of_block, asyncio.CancelledError):
            request = of_block
        elif of_block is not None:
            failures.append(of_block)
        if not failures:
            return request
        if request is not None:
            repeat_request(request)
        for exc in failures:
            if isinstance(exc, (KeyboardInterrupt, SystemExit)):
                return exc
        if failures[0] is of_block:
            return of_block
        return BaseExceptionGroup("Some tasks of the group failed", failures)

    async def _wait_for_tasks(self) -> asyncio.CancelledError | None:
        """Wait for all tasks. Return the first cancellation that arrives meanwhile. Later ones stay deferred."""
        request: asyncio.CancelledError | None = None
        while self._tasks:
            self._idle = self._loop.create_future()
            try:
                await (self._idle if request is None else ignore_cancellation(self._idle))
            except asyncio.CancelledError as exc:
                request = exc
                self._end()
        try:
            return request
        finally:
            del request  # avoid a reference cycle with the traceback

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

        def set_started(_: object = None) -> None:
            if not started.done():
                started.set_result(None)

        async def run() -> _T:
            if started.cancelled():
                raise asyncio.CancelledError
            set_started()
            return await coro_func(*args)

        task = self.create_task(run(), name)
        task.add_done_callback(set_started)  # in case the task is cancelled before its first step
        try:
            await started
        except asyncio.CancelledError:
            task.cancel()
            await ignore_cancellation(asyncio.wait({task}))
            raise
        return AsyncioTask(task)

    def create_task(self, coroutine: Coroutine[Any, Any, _T], name: str | None) -> asyncio.Task[_T]:
        """Return a new task of the group. If the group is not open, close *coroutine* and raise `RuntimeError`."""
        if self._stage is not _Stage.OPEN and self._stage is not _Stage.LEAVING:
            coroutine.close()
            raise RuntimeError("The task group is not open")
        task = self._loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end, context=self._context)
        if self._block.cancel_called():
            self._cancel(task)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._failures.append(exc)
            self._end()
        if not self._tasks and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _end(self) -> None:
        """Cancel the block and all tasks, including tasks that start later."""
        if not self._block.cancel_called():
            self._block.cancel()
            for task in self._tasks:
                self._cancel(task)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        self._loop.call_soon(task.cancel, context=self._context)  # after the first step of the task
