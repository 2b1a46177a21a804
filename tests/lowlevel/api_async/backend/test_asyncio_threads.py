from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


async def in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(work), 10)


async def test_a_call_that_fails_although_cancelled_is_reported_to_the_loop(backend: AsyncBackend) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    running = threading.Event()

    async def run() -> None:
        running.set()
        try:
            await backend.sleep_forever()
        except asyncio.CancelledError:
            raise ZeroDivisionError

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            future = portal.run_coroutine_soon(run)
            running.wait(5)
            assert future.cancel()
            return future in concurrent.futures.wait([future], timeout=5).done

        assert await in_thread(work)
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


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
