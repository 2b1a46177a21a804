"""``ignore_cancellation()`` of the asyncio backend among asyncio's own ways to cancel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.asyncio_tasks import current_task

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


async def cancel_from_outside(
    run: Callable[[], Any], *messages: str, wait: int = 1
) -> tuple[asyncio.Task[Any], list[bool]]:
    """Run ``run()`` in a task and cancels it once per message, with turns of the loop in between."""
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


# --- delivered at the next suspension


SHIELDED: dict[str, Callable[[AsyncBackend], Any]] = {
    "ignore_cancellation": lambda backend: backend.ignore_cancellation(asyncio.sleep(0.005)),
    "run_in_thread": lambda backend: backend.run_in_thread(time.sleep, 0.005),
    "cancel_shielded_coro_yield": lambda backend: backend.cancel_shielded_coro_yield(),
    "nested": lambda backend: backend.ignore_cancellation(backend.ignore_cancellation(asyncio.sleep(0.005))),
}
shielded = pytest.mark.parametrize("shielded", SHIELDED)

SUSPENSIONS: dict[str, Callable[[], Any]] = {
    "sleep(0)": lambda: asyncio.sleep(0),
    "sleep": lambda: asyncio.sleep(5),
    "event": lambda: asyncio.Event().wait(),
    "task": lambda: asyncio.create_task(asyncio.sleep(0)),
    "gather": lambda: asyncio.gather(asyncio.sleep(0), asyncio.sleep(0)),
}


@shielded
async def test_a_coroutine_that_awaits_nothing_more_keeps_its_result(backend: AsyncBackend, shielded: str) -> None:
    async def run() -> int:
        await SHIELDED[shielded](backend)
        return 42

    task, requested = await cancel_from_outside(run, "", "")
    assert task.result() == 42
    assert not task.cancelled()
    assert task.cancelling() == sum(requested)


async def test_a_coroutine_that_fails_without_another_await_keeps_its_exception(backend: AsyncBackend) -> None:
    async def run() -> None:
        await backend.ignore_cancellation(asyncio.sleep(0.001))
        raise ZeroDivisionError

    task, _ = await cancel_from_outside(run, "")
    assert isinstance(task.exception(), ZeroDivisionError)


@shielded
@pytest.mark.parametrize("suspension", SUSPENSIONS)
async def test_any_suspension_after_it_is_cancelled(backend: AsyncBackend, shielded: str, suspension: str) -> None:
    async def run() -> str:
        await SHIELDED[shielded](backend)
        with pytest.raises(asyncio.CancelledError, match="the message"):
            await SUSPENSIONS[suspension]()
        await asyncio.sleep(0.001)  # once
        return "done"

    task, _ = await cancel_from_outside(run, "the message")
    assert task.result() == "done"
    assert task.cancelling() == 1


@shielded
async def test_what_does_not_suspend_after_it_is_not_cancelled(backend: AsyncBackend, shielded: str) -> None:
    lock, event = asyncio.Lock(), asyncio.Event()
    event.set()

    async def run() -> str:
        await SHIELDED[shielded](backend)
        async with lock:
            await event.wait()
        return "done"

    task, _ = await cancel_from_outside(run, "")
    assert task.result() == "done"


@shielded
@pytest.mark.parametrize("second", SHIELDED)
async def test_a_second_shield_right_after_the_first_is_not_cancelled(
    backend: AsyncBackend, shielded: str, second: str
) -> None:
    log: list[str] = []

    async def run() -> None:
        await SHIELDED[shielded](backend)
        log.append("first")
        await SHIELDED[second](backend)
        log.append("second")
        await asyncio.sleep(0)
        log.append("unreachable")

    task, _ = await cancel_from_outside(run, "")
    assert log == ["first", "second"]
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_a_request_that_is_taken_back_meanwhile_is_not_delivered(backend: AsyncBackend) -> None:
    async with asyncio.timeout(0.001):
        await backend.ignore_cancellation(asyncio.sleep(0.01))
    with backend.move_on_after(0) as scope:
        await asyncio.sleep(5)
    assert scope.cancelled_caught()
    await asyncio.sleep(0.001)
    assert current_task().cancelling() == 0


async def test_a_request_is_not_lost_in_a_scope_opened_right_after_the_shield(backend: AsyncBackend) -> None:
    async def run() -> None:
        await backend.ignore_cancellation(asyncio.sleep(0.001))
        with backend.move_on_after(0):
            await asyncio.sleep(5)
        pytest.fail("unreachable")

    task, _ = await cancel_from_outside(run, "the message")
    assert task.cancelled()


async def test_a_scope_within_a_shield_catches_its_own_while_the_task_is_cancelled(backend: AsyncBackend) -> None:
    async def work() -> bool:
        with backend.move_on_after(0.005) as scope:
            await backend.sleep_forever()
        return scope.cancelled_caught()

    async def run() -> None:
        assert await backend.ignore_cancellation(work())
        await backend.sleep_forever()

    task, _ = await cancel_from_outside(run, "", "the message")
    assert task.cancelled()
    assert task.cancelling() == 2


async def test_a_cancellation_that_the_awaitable_raises_stands_for_a_request_remembered_before(
    backend: AsyncBackend,
) -> None:
    async def fail() -> None:
        raise asyncio.CancelledError("its own")

    async def run() -> str:
        await backend.ignore_cancellation(asyncio.sleep(0.001))
        with pytest.raises(asyncio.CancelledError):
            await backend.ignore_cancellation(fail())
        await asyncio.sleep(0.001)
        return "not delivered again"

    task, _ = await cancel_from_outside(run, "")
    assert task.result() == "not delivered again"


async def test_a_failure_of_a_group_in_a_cancelled_task_is_kept_if_nothing_is_awaited_after_it(
    backend: AsyncBackend,
) -> None:
    async def child() -> None:
        try:
            await backend.sleep_forever()
        finally:
            raise ZeroDivisionError

    async def run() -> str:
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as group:
                group.start_soon(child)
        return "done"

    task, _ = await cancel_from_outside(run, "", wait=3)
    assert task.result() == "done"
