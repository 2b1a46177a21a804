"""Task groups of the asyncio backend, as asyncio's own code sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


@pytest.mark.lazy_tasks(reason="is about what happens before the first step of a task")
async def test_cancelling_start_cancels_the_task_before_its_first_step(backend: AsyncBackend) -> None:
    called = False

    def coro_func() -> Any:
        nonlocal called
        called = True
        return backend.coro_yield()

    async def caller() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await group.start(coro_func)

    async with backend.create_task_group() as group:
        task = asyncio.create_task(caller())
        await asyncio.wait([task])
        assert task.cancelled()
    assert not called


@pytest.mark.parametrize("turns", range(5))
async def test_cancelling_start_at_any_time_leaves_no_task_running(backend: AsyncBackend, turns: int) -> None:
    began = ended = 0
    returned = False

    async def child() -> None:
        nonlocal began, ended
        began += 1
        try:
            await backend.sleep_forever()
        finally:
            ended += 1

    async def caller() -> None:
        nonlocal returned
        started = await group.start(child)
        returned = True
        started.cancel()

    async with backend.create_task_group() as group:
        task = asyncio.create_task(caller())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert returned != task.cancelled()
    assert began == ended


async def test_a_group_waiting_in_a_cancelled_scope_does_not_keep_the_loop_busy(backend: AsyncBackend) -> None:
    """Cancellation is asked for again and again, but less and less often."""
    task = asyncio.current_task()
    assert task is not None
    requests = 0

    async def child() -> None:
        nonlocal requests
        await backend.ignore_cancellation(backend.sleep(0.2))
        requests = task.cancelling()

    with backend.open_cancel_scope() as scope:
        async with backend.create_task_group() as group:
            await group.start(child)
            scope.cancel()
    assert scope.cancel_called()
    assert 0 < requests < 200
    assert task.cancelling() == 0


async def test_a_cancelled_joiner_of_a_cancelled_task_is_cancelled_as_a_task(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group:
        task = await group.start(backend.sleep_forever)
        joiner = asyncio.create_task(task.join_or_cancel())
        await asyncio.sleep(0)
        joiner.cancel()
        await asyncio.wait([joiner])
        assert joiner.cancelled()
        assert task.cancelled()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 5, 6])
async def test_cancelling_gather_at_any_time_leaves_no_coroutine_unawaited(backend: AsyncBackend, turns: int) -> None:
    gathering = backend.gather(*[backend.sleep_forever() for _ in range(4)])
    task: asyncio.Task[Any] = asyncio.create_task(gathering)
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
