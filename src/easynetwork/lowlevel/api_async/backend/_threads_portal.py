"""Calls from other threads: the part that all event loops share."""

from __future__ import annotations

__all__ = ["CallablePortal"]

import concurrent.futures
import contextvars
import inspect
import threading
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar

import sniffio

from .abc import AsyncBackend, TaskGroup, ThreadsPortal

if TYPE_CHECKING:
    from typing import Self

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _SupportsCancel(Protocol):
    def cancel(self) -> object: ...


class CallablePortal(ThreadsPortal):
    """A portal built on one primitive: call a function in the thread of the event loop.

    Parameters:
        backend: runs the event loop.
    """

    __slots__ = ("_backend", "_calls", "_group", "_is_open", "_lock")

    LIBRARY: ClassVar[str | None]
    """The library that `sniffio` reports during the calls. None if the library reports itself in another way."""

    def __init__(self, backend: AsyncBackend) -> None:
        self._backend = backend
        self._lock = threading.Lock()  # after `_is_open` becomes false under this lock, no new call is scheduled
        self._is_open = False
        self._group: TaskGroup | None = None
        self._calls: set[concurrent.futures.Future[Any]] = set()  # scheduled calls that have not started

    @abstractmethod
    def _attach(self) -> None:
        """Store the running event loop."""
        raise NotImplementedError

    @abstractmethod
    def _call_soon(self, func: Callable[[], object], context: contextvars.Context) -> None:
        """Schedule *func* in the event loop, in *context*. Thread-safe.

        Raises:
            RuntimeError: the event loop is closed.
        """
        raise NotImplementedError

    @abstractmethod
    def _is_loop_thread(self) -> bool:
        """Return whether the event loop runs in the current thread."""
        raise NotImplementedError

    @abstractmethod
    def _report(self, message: str, exc: BaseException) -> None:
        """Report an exception of the current task, whose caller has cancelled the call."""
        raise NotImplementedError

    @abstractmethod
    def _call_block(self) -> AbstractContextManager[_SupportsCancel]:
        """Return a context manager to run a call in the current task. It yields an object that can cancel the call."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("A threads portal can be entered only once")
        self._group = self._backend.create_task_group()
        await self._group.__aenter__()
        self._attach()
        self._is_open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        assert self._group is not None
        with self._lock:
            self._is_open = False
        while self._calls:
            await self._backend.cancel_shielded_coro_yield()
        await self._group.__aexit__(exc_type, exc_val, exc_tb)

    def run_coroutine_soon(
        self, coro_func: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        return self._schedule(self._start_task, partial(coro_func, *args, **kwargs))

    def run_sync_soon(
        self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        return self._schedule(_call, partial(func, *args, **kwargs))

    def _schedule(
        self, begin: Callable[[concurrent.futures.Future[Any], Callable[[], Any]], None], call: Callable[[], Any]
    ) -> concurrent.futures.Future[Any]:
        context = contextvars.copy_context()
        context.run(sniffio.current_async_library_cvar.set, self.LIBRARY)
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            self._calls.discard(future)
            begin(future, call)

        with self._lock:
            if not self._is_open:
                raise RuntimeError("The threads portal is not open")
            if self._is_loop_thread():
                raise RuntimeError("This is the thread of the event loop: call the function directly")
            self._calls.add(future)
            try:
                self._call_soon(run, context)
            except RuntimeError:  # the event loop has been closed with the portal still open
                self._calls.discard(future)
                raise
        return future

    def _start_task(self, future: concurrent.futures.Future[Any], call: Callable[[], Awaitable[Any]]) -> None:
        assert self._group is not None
        self._group.start_soon(self._run_task, future, call)

    async def _run_task(self, future: concurrent.futures.Future[Any], call: Callable[[], Awaitable[Any]]) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            with self._call_block() as block:
                self._cancel_with(future, block)
                result = await call()
        except self._backend.get_cancelled_exc_class():
            future.cancel()
            future.set_running_or_notify_cancel()
            await self._backend.coro_yield()  # raises again if more than this call is cancelled
            return
        except BaseException as exc:  # the caller gets it from the future; the group must not fail
            error = exc
        if future.set_running_or_notify_cancel():
            _settle(future, result, error)
        elif error is not None:
            self._report("A cancelled call failed", error)

    def _cancel_with(self, future: concurrent.futures.Future[Any], block: _SupportsCancel) -> None:
        """Cancel a call that has not started yet as soon as its *future* is cancelled."""

        def cancel_block(future: concurrent.futures.Future[Any]) -> None:
            if future.cancelled():
                with suppress(RuntimeError):  # the event loop may be closed by now
                    self._call_soon(block.cancel, contextvars.Context())

        if future.cancelled():
            block.cancel()  # takes effect at the first suspension of the call
        else:
            future.add_done_callback(cancel_block)


def _call(future: concurrent.futures.Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    result: Any = None
    error: BaseException | None = None
    try:
        result = call()
        if inspect.iscoroutine(result):
            result.close()
            error = TypeError("The function returned a coroutine")
            error.add_note("Use run_coroutine() or run_coroutine_soon()")
    except BaseException as exc:
        error = exc
    _settle(future, result, error)


def _settle(future: concurrent.futures.Future[Any], result: Any, error: BaseException | None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
