"""Other threads: calling into them, and letting them call in."""

from __future__ import annotations

__all__ = ["AsyncioThreadsPortal", "run_in_thread"]

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import sniffio

from easynetwork.lowlevel.api_async.backend._threads_portal import CallablePortal

from .shields import ignore_cancellation

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


class AsyncioThreadsPortal(CallablePortal):
    """Calls from other threads, by ``call_soon_threadsafe``."""

    __slots__ = ("_loop",)

    LIBRARY = "asyncio"

    _loop: asyncio.AbstractEventLoop

    def _attach(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _call_soon(self, func: Callable[[], object], context: contextvars.Context) -> None:
        self._loop.call_soon_threadsafe(func, context=context)

    def _is_loop_thread(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:  # no event loop of asyncio
            return False

    def _report(self, message: str, exc: BaseException) -> None:
        report = {"message": message, "exception": exc, "task": asyncio.current_task()}
        # Not from within the task: since Python 3.12 the handler runs in the task's context, which is entered then.
        self._loop.call_soon(self._loop.call_exception_handler, report)

    def _call_block(self) -> AbstractContextManager[asyncio.Task[Any]]:
        task = asyncio.current_task()
        assert task is not None
        return nullcontext(task)
