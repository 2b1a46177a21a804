"""``ignore_cancellation()``, on every backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, Task, TaskInfo

EVERY_BACKEND = True


async def cancel_from_outside(
    backend: AsyncBackend, run: Callable[[], Coroutine[Any, Any, None]], times: int = 1
) -> Task[None]:
    """Run ``run()`` in a task and cancels it, with turns of the event loop in between."""
    async with backend.create_task_group() as group:
        task = await group.start(run)
        for _ in range(times):
            await backend.coro_yield()
            task.cancel()
    return task


async def done_after(backend: AsyncBackend, delay: float) -> str:
    await backend.sleep(delay)
    return "done"


async def test_it_runs_in_the_current_task(backend: AsyncBackend) -> None:
    async def run() -> TaskInfo:
        await backend.coro_yield()
        return backend.get_current_task()

    assert await backend.ignore_cancellation(run()) == backend.get_current_task()


async def test_results_and_exceptions_are_passed_as_they_are(backend: AsyncBackend) -> None:
    async def succeed() -> int:
        await backend.coro_yield()
        return 42

    async def fail(exc: BaseException) -> None:
        await backend.coro_yield()
        raise exc

    assert await backend.ignore_cancellation(succeed()) == 42
    for exc in (ZeroDivisionError("x"), RuntimeError("y"), ExceptionGroup("z", [OSError()])):
        with pytest.raises(type(exc)) as info:
            await backend.ignore_cancellation(fail(exc))
        assert info.value is exc


async def test_any_awaitable_will_do(backend: AsyncBackend) -> None:
    class Awaitable:
        def __await__(self) -> Generator[Any, Any, int]:
            yield from backend.coro_yield().__await__()
            return 1

    assert await backend.ignore_cancellation(Awaitable()) == 1


async def test_any_number_of_requests_does_not_reach_it_and_is_delivered_afterwards(backend: AsyncBackend) -> None:
    events: list[str] = []

    async def work() -> str:
        for _ in range(20):
            await backend.coro_yield()
        events.append("finished")
        return "result"

    async def run() -> None:
        events.append(await backend.ignore_cancellation(work()))
        try:
            await backend.coro_yield()
        except backend.get_cancelled_exc_class():
            events.append("cancelled")
            raise
        events.append("unreachable")

    task = await cancel_from_outside(backend, run, 3)
    assert task.cancelled()
    assert events == ["finished", "result", "cancelled"]


async def test_an_exception_is_raised_even_if_cancellation_was_requested(backend: AsyncBackend) -> None:
    async def fail() -> None:
        await backend.sleep(0.001)
        raise ZeroDivisionError

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await backend.ignore_cancellation(fail())
        await backend.sleep_forever()

    task = await cancel_from_outside(backend, run)
    assert task.cancelled()


async def test_an_awaitable_that_does_not_suspend_is_fine(backend: AsyncBackend) -> None:
    async def immediate() -> int:
        return 42

    with backend.open_cancel_scope() as scope:
        scope.cancel()
        assert await backend.ignore_cancellation(immediate()) == 42
    assert not scope.cancelled_caught()


async def test_a_scope_cancelled_meanwhile_ends_at_the_next_checkpoint(backend: AsyncBackend) -> None:
    async def cancel() -> None:
        scope.cancel()

    async with backend.create_task_group() as group:
        with backend.open_cancel_scope() as scope:
            group.start_soon(cancel)
            assert await backend.ignore_cancellation(done_after(backend, 0.005)) == "done"
            assert scope.cancel_called()
            await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_a_scope_cancelled_before_does_not_reach_it(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        with contextlib.suppress(backend.get_cancelled_exc_class()):
            await backend.coro_yield()
        assert await backend.ignore_cancellation(done_after(backend, 0.005)) == "done"
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_the_request_of_a_scope_that_was_left_is_dropped(backend: AsyncBackend) -> None:
    with backend.move_on_after(0) as scope:
        await backend.ignore_cancellation(backend.sleep(0.005))
    assert scope.cancel_called()
    assert not scope.cancelled_caught()
    for _ in range(5):
        await backend.coro_yield()


async def test_scopes_within_work(backend: AsyncBackend) -> None:
    async def work() -> bool:
        with backend.move_on_after(0.001) as scope:
            await backend.sleep_forever()
        await backend.sleep(0.001)
        return scope.cancelled_caught()

    assert await backend.ignore_cancellation(work())


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
    async def work() -> str:
        async with backend.create_task_group() as group:
            task = await group.start(done_after, backend, 0.001)
        return await task.join()

    async def run() -> None:
        assert await backend.ignore_cancellation(work()) == "done"
        await backend.sleep_forever()

    task = await cancel_from_outside(backend, run, 2)
    assert task.cancelled()


async def test_a_failing_task_ends_the_block_of_its_group_within(backend: AsyncBackend) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def work() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(fail)
            await backend.sleep_forever()

    with pytest.raises(ExceptionGroup) as info:
        await backend.ignore_cancellation(work())
    assert [type(exc) for exc in info.value.exceptions] == [ZeroDivisionError]
    await backend.coro_yield()


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

    task = await cancel_from_outside(backend, run, 2)
    assert task.cancelled()

    with backend.move_on_after(0) as scope:
        assert await backend.ignore_cancellation(outer()) == "inner outer"
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_a_shielded_yield_lets_others_run_and_is_no_cancellation_point(backend: AsyncBackend) -> None:
    events: list[str] = []

    async def other() -> None:
        events.append("others")

    async with backend.create_task_group() as group:
        group.start_soon(other)
        with backend.open_cancel_scope() as scope:
            scope.cancel()
            for _ in range(2):  # in which order those run whose turn it is, is up to the event loop
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
        for _ in range(5):
            await backend.cancel_shielded_coro_yield()
        passed = True
        await backend.sleep_forever()

    task = await cancel_from_outside(backend, run)
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
