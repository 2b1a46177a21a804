"""Other threads: calling into them, and letting them call in."""

from __future__ import annotations

__all__ = ["AsyncioThreadsPortal", "run_in_thread"]

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import sniffio

from easynetwork.lowlevel.api_async.backend.abc import ThreadsPortal

from .scopes import ignore_cancellation
from .tasks import AsyncioTaskGroup

if TYPE_CHECKING:
    from typing import Self

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def run_in_thread(call: Callable[[], _T], *, abandon_on_cancel: bool) -> _T:
    """Calls *call* in a worker thread, in a copy of the context in which no asynchronous library is running."""
    context = contextvars.copy_context()
    context.run(sniffio.current_async_library_cvar.set, None)
    future = asyncio.get_running_loop().run_in_executor(None, context.run, _without_stop_iteration, call)
    if abandon_on_cancel:
        return await future
    return await ignore_cancellation(future)


def _without_stop_iteration(call: Callable[[], _T]) -> _T:
    """No future takes `StopIteration`: before Python 3.12, who waits for it would wait for ever."""
    try:
        return call()
    except StopIteration as exc:
        raise RuntimeError("The function has raised StopIteration") from exc


class AsyncioThreadsPortal(ThreadsPortal):
    """Calls from other threads, by ``call_soon_threadsafe``."""

    __slots__ = ("_calls", "_group", "_lock", "_loop")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # no call comes in any more once the portal is being left
        self._loop: asyncio.AbstractEventLoop | None = None  # while the portal is open
        self._group: AsyncioTaskGroup | None = None
        self._calls: set[concurrent.futures.Future[Any]] = set()  # those scheduled, and not begun

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("A threads portal can be entered only once")
        self._group = AsyncioTaskGroup()
        await self._group.__aenter__()
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        assert self._group is not None
        with self._lock:
            self._loop = None
        while self._calls:
            await ignore_cancellation(asyncio.sleep(0))
        await self._group.__aexit__(exc_type, exc_val, exc_tb)

    def run_coroutine_soon(
        self, coro_func: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        return self._schedule(self._start_task, partial(coro_func, *args, **kwargs))

    def run_sync_soon(
        self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        return self._schedule(self._call, partial(func, *args, **kwargs))

    def _schedule(
        self, begin: Callable[[concurrent.futures.Future[Any], Callable[[], Any]], None], call: Callable[[], Any]
    ) -> concurrent.futures.Future[Any]:
        context = contextvars.copy_context()
        context.run(sniffio.current_async_library_cvar.set, "asyncio")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            self._calls.discard(future)
            begin(future, call)

        with self._lock:
            loop = self._loop
            if loop is None:
                raise RuntimeError("The threads portal is not open")
            if loop is _running_loop():
                raise RuntimeError("This is the thread of the event loop: no portal is needed")
            self._calls.add(future)
            try:
                loop.call_soon_threadsafe(run, context=context)
            except RuntimeError:  # the loop was closed without leaving the portal
                self._calls.discard(future)
                raise
        return future

    @staticmethod
    def _call(future: concurrent.futures.Future[Any], call: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = call()
            if inspect.iscoroutine(result):
                result.close()
                error = TypeError("The function has returned a coroutine")
                error.add_note("Use run_coroutine() or run_coroutine_soon()")
                raise error
        except BaseException as exc:
            future.set_exception(exc)
        else:
            future.set_result(result)

    def _start_task(self, future: concurrent.futures.Future[Any], call: Callable[[], Awaitable[Any]]) -> None:
        if future.cancelled():
            future.set_running_or_notify_cancel()
            return
        assert self._group is not None

        async def run() -> tuple[Any, BaseException | None]:
            try:
                return await call(), None
            except asyncio.CancelledError:
                raise
            except BaseException as exc:  # for the caller; nothing of it concerns the group
                return None, exc

        task = self._group.create_task(run(), None)

        def cancel_task(future: concurrent.futures.Future[Any]) -> None:
            if future.cancelled() and not task.done():
                task.get_loop().call_soon_threadsafe(task.cancel)

        task.add_done_callback(partial(_settle, future))
        future.add_done_callback(cancel_task)


def _settle(future: concurrent.futures.Future[Any], task: asyncio.Task[tuple[Any, BaseException | None]]) -> None:
    """Gives the outcome of *task* to *future*."""
    if task.cancelled():
        future.cancel()
        future.set_running_or_notify_cancel()
        return
    result, exc = task.result()
    if future.set_running_or_notify_cancel():
        if exc is None:
            future.set_result(result)
        else:
            future.set_exception(exc)
    elif exc is not None:
        message = "A call that was cancelled has failed"
        task.get_loop().call_exception_handler({"message": message, "exception": exc, "task": task})


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
