"""Threads: run functions in them, and accept calls from them."""

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
    """Run *call* in a worker thread. It gets a copy of the context, in which `sniffio` reports no library."""
    context = contextvars.copy_context()
    context.run(sniffio.current_async_library_cvar.set, None)
    future = asyncio.get_running_loop().run_in_executor(None, context.run, _without_stop_iteration, call)
    if abandon_on_cancel:
        return await future
    return await ignore_cancellation(future)


def _without_stop_iteration(call: Callable[[], _T]) -> _T:
    """Call *call*, but convert `StopIteration`: futures reject it, and before Python 3.12 the waiter hangs."""
    try:
        return call()
    except StopIteration as exc:
        raise RuntimeError("The function raised StopIteration") from exc


class AsyncioThreadsPortal(CallablePortal):
    """A portal that uses ``call_soon_threadsafe``."""

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
        except RuntimeError:  # no asyncio event loop runs in this thread
            return False

    def _report(self, message: str, exc: BaseException) -> None:
        report = {"message": message, "exception": exc, "task": asyncio.current_task()}
        # Since Python 3.12, the handler runs in the context of the task. A direct call would fail: the context is
        # already entered.
        self._loop.call_soon(self._loop.call_exception_handler, report)

    def _call_block(self) -> AbstractContextManager[asyncio.Task[Any]]:
        task = asyncio.current_task()
        assert task is not None
        return nullcontext(task)
