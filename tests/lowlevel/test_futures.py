"""Futures of ``concurrent.futures`` in asynchronous code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import sniffio

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.futures import AsyncExecutor, unwrap_future

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def executor(pool: ThreadPoolExecutor, backend: AsyncBackend) -> AsyncExecutor[ThreadPoolExecutor]:
    return AsyncExecutor(pool, backend)


class Blocker:
    """Keeps the only thread of the pool busy."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.running, self.release = threading.Event(), threading.Event()
        self.future = pool.submit(self.block)
        assert self.running.wait(5)

    def block(self) -> str:
        self.running.set()
        self.release.wait(5)
        return "blocked"


# --- unwrap_future


@pytest.mark.parametrize("moment", ["before", "from the loop", "from a thread"])
@pytest.mark.parametrize("outcome", [42, ZeroDivisionError()])
async def test_the_outcome_is_returned_whoever_completes_the_future(
    backend: AsyncBackend, moment: str, outcome: Any
) -> None:
    future: Future[int] = Future()

    def complete() -> None:
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    if moment == "before":
        complete()
    elif moment == "from the loop":
        asyncio.get_running_loop().call_later(0.001, complete)
    else:
        threading.Timer(0.002, complete).start()
    waiting = asyncio.wait_for(unwrap_future(future, backend), 5)
    if isinstance(outcome, Exception):
        with pytest.raises(ZeroDivisionError) as info:
            await waiting
        assert info.value is outcome
    else:
        assert await waiting == outcome


async def test_cancelling_who_waits_cancels_a_future_that_has_not_begun(backend: AsyncBackend) -> None:
    future: Future[int] = Future()
    with backend.move_on_after(0.001) as scope:
        await unwrap_future(future, backend)
    assert scope.cancelled_caught()
    assert future.cancelled()


@pytest.mark.parametrize("by_scope", [True, False])
async def test_a_running_future_is_waited_for_and_its_outcome_returned(backend: AsyncBackend, by_scope: bool) -> None:
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()

    async def run() -> int:
        if not by_scope:
            return await unwrap_future(future, backend)
        with backend.move_on_after(0):
            return await unwrap_future(future, backend)
        pytest.fail("cancelled")

    task = asyncio.create_task(run())
    for _ in range(5):
        await asyncio.sleep(0)
        if not by_scope:
            task.cancel()
            break
    asyncio.get_running_loop().call_later(0.005, future.set_result, 42)
    await asyncio.wait([task], timeout=5)
    assert task.result() == 42


async def test_a_future_cancelled_by_somebody_else_is_no_cancellation_of_the_task(backend: AsyncBackend) -> None:
    future: Future[int] = Future()
    asyncio.get_running_loop().call_later(0.001, future.cancel)
    for _ in range(2):
        with pytest.raises(concurrent.futures.CancelledError):
            await unwrap_future(future, backend)


@pytest.mark.parametrize("future_first", [True, False])
@pytest.mark.parametrize("from_thread", [True, False])
async def test_the_cancellation_of_the_waiting_task_wins(
    backend: AsyncBackend, future_first: bool, from_thread: bool
) -> None:
    future: Future[int] = Future()
    task = asyncio.create_task(unwrap_future(future, backend))
    await asyncio.sleep(0)

    def cancel_future() -> None:
        if from_thread:
            thread = threading.Thread(target=future.cancel)
            thread.start()
            thread.join()
        else:
            future.cancel()

    for cancel in (cancel_future, task.cancel) if future_first else (task.cancel, cancel_future):
        cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


@pytest.mark.parametrize("turns", range(6))
async def test_it_wins_whatever_the_turn_in_which_it_comes(backend: AsyncBackend, turns: int) -> None:
    future: Future[int] = Future()
    task = asyncio.create_task(unwrap_future(future, backend))
    await asyncio.sleep(0)
    future.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    was_in_time = task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled() == was_in_time
    assert turns or was_in_time


async def test_the_cancellation_of_the_waiting_task_wins_over_a_future_cancelled_before(backend: AsyncBackend) -> None:
    future: Future[int] = Future()
    future.cancel()

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await unwrap_future(future, backend)

    task = asyncio.create_task(run())
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_a_future_that_has_a_result_gives_it_to_a_task_that_is_cancelled(backend: AsyncBackend) -> None:
    future: Future[int] = Future()
    future.set_result(42)
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        assert await unwrap_future(future, backend) == 42
    assert not scope.cancelled_caught()


# --- the executor


def test_what_is_no_executor_is_refused(backend: AsyncBackend) -> None:
    bad: Any = object()
    with pytest.raises(TypeError):
        AsyncExecutor(bad, backend)


def test_outside_of_a_loop_a_backend_is_needed(pool: ThreadPoolExecutor) -> None:
    with pytest.raises(sniffio.AsyncLibraryNotFoundError):
        AsyncExecutor(pool)


async def test_functions_run_in_the_executor(
    executor: AsyncExecutor[ThreadPoolExecutor], pool: ThreadPoolExecutor, backend: AsyncBackend
) -> None:
    assert executor.wrapped is pool
    assert executor.backend() is backend
    assert await executor.run(int, "10", base=2) == 2
    assert await executor.run(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await executor.run(divmod, 1, 0)


@pytest.mark.parametrize("handle_contexts", [True, False])
async def test_the_context_is_copied_if_wanted(pool: ThreadPoolExecutor, handle_contexts: bool) -> None:
    def look() -> tuple[str, str | None]:
        value = variable.get()
        variable.set("changed")
        return value, sniffio.current_async_library_cvar.get()

    variable.set("set")
    executor = AsyncExecutor(pool, handle_contexts=handle_contexts)
    assert await executor.run(look) == ("set" if handle_contexts else "unset", None)
    assert variable.get() == "set"


async def test_a_call_cancelled_while_it_is_queued_is_not_made(
    executor: AsyncExecutor[ThreadPoolExecutor], pool: ThreadPoolExecutor, backend: AsyncBackend
) -> None:
    blocker = Blocker(pool)
    called: list[int] = []
    with backend.move_on_after(0.001) as scope:
        await executor.run(called.append, 1)
    blocker.release.set()
    assert scope.cancelled_caught()
    await executor.run(int)
    assert called == []


async def test_a_shutdown_waits_without_blocking_the_loop(
    executor: AsyncExecutor[ThreadPoolExecutor], pool: ThreadPoolExecutor, backend: AsyncBackend
) -> None:
    blocker = Blocker(pool)
    asyncio.get_running_loop().call_later(0.005, blocker.release.set)
    with backend.move_on_after(0):
        await executor.shutdown()
    assert blocker.future.done()
    await executor.shutdown()
    executor.shutdown_nowait()
    with pytest.raises(RuntimeError):
        await executor.run(int)
    with pytest.raises(RuntimeError):
        executor.map(int, ["1"])


async def test_a_shutdown_may_cancel_what_has_not_begun(
    executor: AsyncExecutor[ThreadPoolExecutor], pool: ThreadPoolExecutor
) -> None:
    blocker = Blocker(pool)
    queued = asyncio.create_task(executor.run(int))
    await asyncio.sleep(0.001)
    executor.shutdown_nowait(cancel_futures=True)
    with pytest.raises(concurrent.futures.CancelledError):
        await queued
    blocker.release.set()


async def test_leaving_the_block_shuts_down(backend: AsyncBackend) -> None:
    async with AsyncExecutor(ThreadPoolExecutor(1), backend) as executor:
        assert await executor.run(int) == 0
    with pytest.raises(RuntimeError):
        await executor.run(int)


async def test_map_yields_results_in_order_up_to_the_shortest_iterable(
    executor: AsyncExecutor[ThreadPoolExecutor],
) -> None:
    assert [item async for item in executor.map(pow, [1, 2, 3], [1, 2, 3, 4])] == [1, 4, 27]
    assert [item async for item in executor.map(pow, [], [1])] == []


async def test_map_submits_everything_when_it_is_called(executor: AsyncExecutor[ThreadPoolExecutor]) -> None:
    called: list[int] = []
    results = executor.map(called.append, range(5))
    await executor.run(int)
    assert called == [0, 1, 2, 3, 4]
    assert [item async for item in results] == [None] * 5


@pytest.mark.parametrize("how", ["closed", "failed"])
async def test_map_cancels_what_has_not_begun(
    executor: AsyncExecutor[ThreadPoolExecutor], pool: ThreadPoolExecutor, how: str
) -> None:
    called: list[int] = []
    release = threading.Event()

    def work(item: int) -> int:
        called.append(item)
        if item == 1:
            release.wait(5)
        if how == "failed" and item == 0:
            raise ZeroDivisionError
        return item

    results = executor.map(work, range(5))
    if how == "failed":
        with pytest.raises(ZeroDivisionError):
            await anext(results)
    else:
        assert await anext(results) == 0
        await results.aclose()
    release.set()
    await executor.run(int)
    assert set(called) <= {0, 1}
