"""Other threads: calling into them, and letting them call in."""

from __future__ import annotations

__all__ = ["AsyncioThreadsPortal", "run_in_thread"]

import asyncio
import concurrent.futures
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import sniffio

from easynetwork.lowlevel.api_async.backend.abc import ThreadsPortal

from .scopes import ignore_cancellation

if TYPE_CHECKING:
    from typing import Self

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def run_in_thread(call: Callable[[], _T], *, abandon_on_cancel: bool) -> _T:
    """Calls *call* in a worker thread, in a copy of the context in which no asynchronous library is running."""
    context = contextvars.copy_context()
    context.run(sniffio.current_async_library_cvar.set, None)
    future = asyncio.get_running_loop().run_in_executor(None, context.run, call)
    if abandon_on_cancel:
        return await future
    return await ignore_cancellation(future)


class AsyncioThreadsPortal(ThreadsPortal):
    """Calls from other threads, by ``call_soon_threadsafe``."""

    __slots__ = ("_calls", "_group", "_loop")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._group: asyncio.TaskGroup | None = None
        self._calls: set[concurrent.futures.Future[Any]] = set()

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("A threads portal can be entered only once")
        self._group = asyncio.TaskGroup()
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
        self._loop = None
        try:
            while self._calls:  # scheduled, and not begun
                await asyncio.sleep(0)  # noqa: ASYNC110  # other threads fill the set: no event of asyncio could tell
        finally:
            try:
                await self._group.__aexit__(exc_type, exc_val, exc_tb)
            except BaseExceptionGroup as group:
                if exc_val is None or group.exceptions != (exc_val,):
                    raise

    def run_coroutine_soon(
        self, coro_func: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()
        self._schedule(future, partial(self._start_task, future, partial(coro_func, *args, **kwargs)))
        return future

    def run_sync_soon(
        self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()
        self._schedule(future, partial(self._call, future, partial(func, *args, **kwargs)))
        return future

    def _schedule(self, future: concurrent.futures.Future[Any], call: Callable[[], None]) -> None:
        loop = self._loop
        if loop is None:
            raise RuntimeError("The threads portal is not open")
        try:
            if asyncio.get_running_loop() is loop:
                raise RuntimeError("This is the thread of the event loop: no portal is needed")
        except RuntimeError as exc:
            if exc.args and "portal" in str(exc.args[0]):
                raise
        context = contextvars.copy_context()
        context.run(sniffio.current_async_library_cvar.set, "asyncio")

        def run() -> None:
            self._calls.discard(future)
            call()

        self._calls.add(future)
        try:
            loop.call_soon_threadsafe(run, context=context)
        except RuntimeError:
            self._calls.discard(future)
            raise

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

        async def run() -> None:
            try:
                result = await call()
            except asyncio.CancelledError:
                future.cancel()
                future.set_running_or_notify_cancel()
                raise
            except BaseException as exc:
                self._set_exception(future, exc)
            else:
                if future.set_running_or_notify_cancel():
                    future.set_result(result)

        task = self._group.create_task(run())
        loop = task.get_loop()

        def cancel_task(done: concurrent.futures.Future[Any]) -> None:
            if done.cancelled():
                loop.call_soon_threadsafe(task.cancel)

        future.add_done_callback(cancel_task)

    @staticmethod
    def _set_exception(future: concurrent.futures.Future[Any], exc: BaseException) -> None:
        if future.set_running_or_notify_cancel():
            future.set_exception(exc)
        else:
            context = {"message": "A call whose caller has given up has failed", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
