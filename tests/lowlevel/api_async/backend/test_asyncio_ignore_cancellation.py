from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def cancel_from_outside(
    run: Callable[[], Any], *messages: str, wait: int = 1
) -> tuple[asyncio.Task[Any], list[bool]]:
    """Runs ``run()`` in a task and cancels it once per message, with turns of the loop in between."""
    task = asyncio.create_task(run())
    requested = []
    for message in messages:
        for _ in range(wait):
            await asyncio.sleep(0)
        requested.append(task.cancel(message))
    await asyncio.wait([task], timeout=5)
    return task, requested


async def test_futures_and_tasks_will_do(backend: AsyncBackend) -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.get_loop().call_soon(future.set_result, 2)
    assert await backend.ignore_cancellation(future) == 2
    assert await backend.ignore_cancellation(asyncio.create_task(asyncio.sleep(0, 3))) == 3


async def test_the_counter_is_as_before_when_a_request_is_dropped(backend: AsyncBackend) -> None:
    with backend.move_on_after(0) as scope:
        await backend.ignore_cancellation(asyncio.sleep(0.005))
    assert scope.cancel_called()
    assert current_task().cancelling() == 0


async def test_exceptions_of_awaited_futures_reach_the_awaitable(backend: AsyncBackend) -> None:
    async def run() -> str:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.set_exception, ZeroDivisionError())
        try:
            await future
        except ZeroDivisionError:
            return "caught"
        return "missed"

    assert await backend.ignore_cancellation(run()) == "caught"


async def test_the_remembered_request_has_its_message(backend: AsyncBackend) -> None:
    async def run() -> Any:
        await backend.ignore_cancellation(asyncio.sleep(0.001))
        with pytest.raises(asyncio.CancelledError) as info:
            await backend.sleep_forever()
        return info.value.args

    task, _ = await cancel_from_outside(run, "the message")
    assert task.result() == ("the message",)


async def test_a_request_remembered_is_delivered_once(backend: AsyncBackend) -> None:
    async def run() -> int:
        await backend.ignore_cancellation(asyncio.sleep(0.001))
        with pytest.raises(asyncio.CancelledError):
            await backend.sleep_forever()
        await backend.coro_yield()
        await backend.sleep(0.001)
        return current_task().cancelling()

    task, _ = await cancel_from_outside(run, "")
    assert task.result() == 1


async def test_a_cancellation_raised_by_the_awaitable_itself_is_the_only_one(backend: AsyncBackend) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.001)
        raise asyncio.CancelledError("its own")

    async def run() -> str:
        with pytest.raises(asyncio.CancelledError) as info:
            await backend.ignore_cancellation(fail())
        assert info.value.args == ("its own",)
        await backend.coro_yield()
        await backend.sleep(0.001)
        return "not delivered again"

    task, _ = await cancel_from_outside(run, "from outside")
    assert task.result() == "not delivered again"


async def test_a_future_cancelled_within_is_no_request(backend: AsyncBackend) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.get_loop().call_soon(future.cancel)
    with pytest.raises(asyncio.CancelledError):
        await backend.ignore_cancellation(future)
    await backend.sleep(0.001)


async def test_a_request_that_came_before_is_delivered_after_it(backend: AsyncBackend) -> None:
    async def run() -> None:
        current_task().cancel()
        assert await backend.ignore_cancellation(asyncio.sleep(0.001, "done")) == "done"
        await backend.sleep_forever()

    task = asyncio.create_task(run())
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_awaiting_ones_own_task_within_is_an_error(backend: AsyncBackend) -> None:
    async def run() -> None:
        with pytest.raises(RuntimeError):
            await backend.ignore_cancellation(current_task())

    await asyncio.create_task(run())
