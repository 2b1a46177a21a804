"""Use executors of :mod:`concurrent.futures` from coroutines."""

from __future__ import annotations

__all__ = ["AsyncExecutor", "unwrap_future"]

import concurrent.futures
import contextvars
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import sniffio

from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend

if TYPE_CHECKING:
    from typing import Self

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_Executor = TypeVar("_T_Executor", bound=concurrent.futures.Executor)


class AsyncExecutor(Generic[_T_Executor]):
    """Run functions in an executor and wait for them in coroutines. ``async with`` shuts the executor down on exit.

    Parameters:
        executor: the executor.
        backend: the asynchronous backend to wait with; None for the one that runs the current task.
        handle_contexts: call functions in a copy of the caller's context, with the current asynchronous library unset.
            Disable it for process pools: a context cannot be pickled.

    Raises:
        TypeError: *executor* is not a `concurrent.futures.Executor`.
    """

    __slots__ = ("__backend", "__executor", "__handle_contexts", "__weakref__")

    def __init__(
        self,
        executor: _T_Executor,
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        handle_contexts: bool = True,
    ) -> None:
        if not isinstance(executor, concurrent.futures.Executor):
            raise TypeError(f"Expected a concurrent.futures.Executor object, got {executor!r}")
        self.__executor: _T_Executor = executor
        self.__backend: AsyncBackend = ensure_backend(backend)
        self.__handle_contexts: bool = bool(handle_contexts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.shutdown()

    @property
    def wrapped(self) -> _T_Executor:
        """The executor."""
        return self.__executor

    def backend(self) -> AsyncBackend:
        """Return the backend that this object waits with."""
        return self.__backend

    async def run(self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``func(*args, **kwargs)`` in the executor and return its result.

        If this coroutine is cancelled before the call has started, the call is not made. If the call has started, this
        coroutine waits for it and returns its result or raises its exception.

        Raises:
            RuntimeError: the executor is shut down.
            concurrent.futures.CancelledError: the call was cancelled elsewhere, for example by the executor's shutdown.
        """
        return await unwrap_future(self.__submit(partial(func, *args, **kwargs)), self.__backend)

    def map(self, func: Callable[..., _T], *iterables: Iterable[Any]) -> AsyncGenerator[_T]:
        """Submit *func* at once for the items of all *iterables*, like `map`. Yield the results in order.

        Closing the generator cancels the calls that have not started. So does a call that fails.

        Raises:
            RuntimeError: the executor is shut down.
        """
        futures = [self.__submit(partial(func, *args)) for args in zip(*iterables, strict=False)]
        return _results(futures, self.__backend)

    def shutdown_nowait(self, *, cancel_futures: bool = False) -> None:
        """Stop accepting calls, without waiting for the calls already submitted. Idempotent.

        Parameters:
            cancel_futures: cancel the calls that have not started.
        """
        self.__executor.shutdown(wait=False, cancel_futures=cancel_futures)

    async def shutdown(self, *, cancel_futures: bool = False) -> None:
        """Stop accepting calls and wait for the calls already submitted. Idempotent. Cannot be cancelled.

        Parameters:
            cancel_futures: cancel the calls that have not started.
        """
        await self.__backend.run_in_thread(
            partial(self.__executor.shutdown, wait=True, cancel_futures=cancel_futures), abandon_on_cancel=False
        )

    def __submit(self, call: Callable[[], _T]) -> concurrent.futures.Future[_T]:
        if not self.__handle_contexts:
            return self.__executor.submit(call)
        context = contextvars.copy_context()
        context.run(sniffio.current_async_library_cvar.set, None)
        return self.__executor.submit(context.run, call)


async def _results(futures: list[concurrent.futures.Future[_T]], backend: AsyncBackend) -> AsyncGenerator[_T]:
    futures.reverse()
    try:
        while futures:
            yield await unwrap_future(futures.pop(), backend)
    finally:
        for future in futures:
            future.cancel()


async def unwrap_future(future: concurrent.futures.Future[_T], backend: AsyncBackend) -> _T:
    """Wait for *future* and return its result.

    Cancelling this coroutine cancels *future*. If *future* can no longer be cancelled, the coroutine waits for it and
    returns its result. If both were cancelled, the cancellation of the coroutine is raised.

    Raises:
        concurrent.futures.CancelledError: *future* was cancelled, but not by the cancellation of this coroutine.
    """
    if not future.done():
        try:
            await _wait(future, backend)
        except backend.get_cancelled_exc_class():
            if future.cancel():
                raise
            await backend.ignore_cancellation(_wait(future, backend))
    if future.cancelled():
        await backend.coro_yield()  # raises the cancellation of this task, which takes precedence
    return future.result(timeout=0)


async def _wait(future: concurrent.futures.Future[Any], backend: AsyncBackend) -> None:
    """Wait until *future* is done. Any thread may complete it."""
    done = backend.create_event()
    async with backend.create_threads_portal() as portal:

        def wake(_: object) -> None:
            try:
                portal.run_sync_soon(done.set)
            except RuntimeError:  # this thread runs the event loop, or the portal is closed
                done.set()

        future.add_done_callback(wake)
        await done.wait()
