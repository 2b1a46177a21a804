"""Threads of the asyncio backend."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, ThreadsPortal


async def in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(work), 10)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
async def test_a_call_that_fails_although_cancelled_is_reported_to_the_loop(
    backend: AsyncBackend, begun: bool, error: BaseException
) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    running = threading.Event()
    tasks: list[asyncio.Task[Any] | None] = []

    async def run() -> None:
        tasks.append(asyncio.current_task())
        running.set()
        try:
            await backend.sleep_forever()
        except asyncio.CancelledError:
            raise error

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            if begun:
                future = portal.run_coroutine_soon(run)
                running.wait(5)
                assert future.cancel()
            else:
                future = cancelled_before_it_begins(portal, run)
            return future in concurrent.futures.wait([future], timeout=5).done

        assert await in_thread(work)
    await asyncio.sleep(0)
    (report,) = reports
    assert report["exception"] is error
    assert report["task"] is tasks[0]
    assert isinstance(report["message"], str)


def cancelled_before_it_begins(
    portal: ThreadsPortal, run: Callable[[], Coroutine[Any, Any, Any]]
) -> concurrent.futures.Future[Any]:
    """Schedules ``run()`` while the loop is busy, and cancels it."""
    blocked, release = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        release.wait(5)

    portal.run_sync_soon(block)
    blocked.wait(5)
    future = portal.run_coroutine_soon(run)
    assert future.cancel()
    release.set()
    return future


@pytest.mark.parametrize("begun", [True, False])
async def test_a_call_is_cancelled_once_and_may_go_on(backend: AsyncBackend, begun: bool) -> None:
    log: list[str] = []
    running = threading.Event()

    async def run() -> str:
        running.set()
        for _ in range(3):
            try:
                await asyncio.sleep(0.002)
                log.append("slept")
            except asyncio.CancelledError:
                log.append("cancelled")
        return "dropped"

    async with backend.create_threads_portal() as portal:

        def work() -> concurrent.futures.Future[Any]:
            if not begun:
                return cancelled_before_it_begins(portal, run)
            future = portal.run_coroutine_soon(run)
            running.wait(5)
            assert future.cancel()
            return future

        future = await in_thread(work)
    # A loaded machine may let it sleep before the cancellation comes.
    assert sorted(log) == ["cancelled", "slept", "slept"]
    assert future.cancelled()


async def test_a_task_that_is_cancelled_cancels_its_future(backend: AsyncBackend) -> None:
    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await backend.coro_yield()

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            with pytest.raises(concurrent.futures.CancelledError):
                portal.run_coroutine(run)
            return True

        assert await in_thread(work)
