from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
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


async def test_it_runs_in_the_current_task(backend: AsyncBackend) -> None:
    async def run() -> tuple[object, object]:
        return backend.get_current_task(), current_task()

    assert await backend.ignore_cancellation(run()) == (backend.get_current_task(), current_task())


async def test_results_and_exceptions_are_passed_as_they_are(backend: AsyncBackend) -> None:
    async def succeed() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail(exc: BaseException) -> None:
        await asyncio.sleep(0)
        raise exc

    assert await backend.ignore_cancellation(succeed()) == 42
    for exc in (ZeroDivisionError("x"), RuntimeError("y"), ExceptionGroup("z", [OSError()])):
        with pytest.raises(type(exc)) as info:
            await backend.ignore_cancellation(fail(exc))
        assert info.value is exc


async def test_any_awaitable_will_do(backend: AsyncBackend) -> None:
    class Awaitable:
        def __await__(self) -> Generator[Any, Any, int]:
            yield from asyncio.sleep(0).__await__()
            return 1

    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.get_loop().call_soon(future.set_result, 2)
    assert await backend.ignore_cancellation(Awaitable()) == 1
    assert await backend.ignore_cancellation(future) == 2
    assert await backend.ignore_cancellation(asyncio.create_task(asyncio.sleep(0, 3))) == 3


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


async def test_any_number_of_requests_does_not_reach_it_and_is_delivered_afterwards(backend: AsyncBackend) -> None:
    events: list[str] = []

    async def work() -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        events.append("finished")
        return "result"

    async def run() -> None:
        events.append(await backend.ignore_cancellation(work()))
        try:
            await backend.coro_yield()
        except asyncio.CancelledError as exc:
            events.append(f"cancelled {exc.args}")
            raise
        events.append("unreachable")

    task, _ = await cancel_from_outside(run, "one", "two", "three")
    assert task.cancelled()
    assert events[:2] == ["finished", "result"]
    assert events[2] == "cancelled ('three',)"
    assert len(events) == 3


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


async def test_an_exception_is_raised_even_if_cancellation_was_requested(backend: AsyncBackend) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.001)
        raise ZeroDivisionError

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await backend.ignore_cancellation(fail())
        await backend.sleep_forever()

    task, _ = await cancel_from_outside(run, "")
    assert task.cancelled()


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


async def test_an_awaitable_that_does_not_suspend_is_fine(backend: AsyncBackend) -> None:
    async def immediate() -> int:
        return 42

    with backend.open_cancel_scope() as scope:
        scope.cancel()
        assert await backend.ignore_cancellation(immediate()) == 42
    assert not scope.cancelled_caught()


async def test_a_scope_cancelled_meanwhile_ends_at_the_next_checkpoint(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        assert await backend.ignore_cancellation(asyncio.sleep(0.005, "done")) == "done"
        assert scope.cancel_called()
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_a_scope_cancelled_before_does_not_reach_it(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await backend.coro_yield()
        assert await backend.ignore_cancellation(asyncio.sleep(0.005, "done")) == "done"
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_the_request_of_a_scope_that_was_left_is_dropped(backend: AsyncBackend) -> None:
    with backend.move_on_after(0) as scope:
        await backend.ignore_cancellation(asyncio.sleep(0.005))
    assert scope.cancel_called()
    assert not scope.cancelled_caught()
    for _ in range(5):
        await backend.coro_yield()
    assert current_task().cancelling() == 0


async def test_scopes_within_work(backend: AsyncBackend) -> None:
    async def work() -> bool:
        with backend.move_on_after(0.001) as scope:
            await backend.sleep_forever()
        await backend.sleep(0.001)
        return scope.cancelled_caught()

    assert await asyncio.wait_for(backend.ignore_cancellation(work()), 5)


async def test_timeouts_within_work_while_cancellation_is_requested(backend: AsyncBackend) -> None:
    async def work() -> str:
        try:
            with backend.timeout(0.001):
                await backend.sleep_forever()
        except TimeoutError:
            return "timed out"
        return "missed"

    with backend.open_cancel_scope() as scope:
        scope.cancel()
        assert await backend.ignore_cancellation(work()) == "timed out"
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_a_task_group_within_works(backend: AsyncBackend) -> None:
    async def work() -> int:
        async with backend.create_task_group() as group:
            task = await group.start(asyncio.sleep, 0.001, 42)
        return await task.join()

    async def run() -> None:
        assert await backend.ignore_cancellation(work()) == 42
        await backend.sleep_forever()

    task, _ = await cancel_from_outside(run, "a", "b")
    assert task.cancelled()


async def test_a_failing_task_ends_the_block_of_its_group_within(backend: AsyncBackend) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def work() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(fail)
            await backend.sleep_forever()

    with pytest.raises(ExceptionGroup) as info:
        await asyncio.wait_for(backend.ignore_cancellation(work()), 5)
    assert [type(exc) for exc in info.value.exceptions] == [ZeroDivisionError]
    await backend.coro_yield()
    assert current_task().cancelling() == 0


async def test_shields_can_be_nested(backend: AsyncBackend) -> None:
    async def inner() -> str:
        await backend.sleep(0.002)
        return "inner"

    async def outer() -> str:
        result = await backend.ignore_cancellation(inner())
        await backend.sleep(0.002)
        await backend.coro_yield()
        return result + " outer"

    async def run() -> None:
        assert await backend.ignore_cancellation(outer()) == "inner outer"
        await backend.sleep_forever()

    task, _ = await cancel_from_outside(run, "a", "b")
    assert task.cancelled()

    with backend.move_on_after(0) as scope:
        assert await backend.ignore_cancellation(outer()) == "inner outer"
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_awaiting_ones_own_task_within_is_an_error(backend: AsyncBackend) -> None:
    async def run() -> None:
        with pytest.raises(RuntimeError):
            await backend.ignore_cancellation(current_task())

    await asyncio.create_task(run())


async def test_a_shielded_yield_lets_others_run_and_is_no_cancellation_point(backend: AsyncBackend) -> None:
    events: list[str] = []
    asyncio.get_running_loop().call_soon(events.append, "others")
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        await backend.cancel_shielded_coro_yield()
        events.append("after")
        await backend.coro_yield()
        events.append("unreachable")
    assert events == ["others", "after"]
    assert scope.cancelled_caught()


async def test_a_task_cancelled_in_a_shielded_yield_goes_on_to_its_next_checkpoint(backend: AsyncBackend) -> None:
    passed = False

    async def run() -> None:
        nonlocal passed
        await backend.cancel_shielded_coro_yield()
        passed = True
        await backend.coro_yield()
        pytest.fail("unreachable")

    task, _ = await cancel_from_outside(run, "")
    assert passed
    assert task.cancelled()


async def test_what_cannot_be_awaited_is_refused_and_shields_nothing(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        not_awaitable: Any = 42
        with pytest.raises((TypeError, AttributeError)):
            await backend.ignore_cancellation(not_awaitable)
        scope.cancel()
        await backend.sleep(5)
    assert scope.cancelled_caught()
