"""How groups end when failures and cancellations, of tasks, block and surroundings, come together."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from types import FrameType
from typing import Any, NoReturn

import pytest
from tests.support.asyncio_tasks import current_task

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


async def fail_after(turns: int, exc: BaseException) -> NoReturn:
    for _ in range(turns):
        await asyncio.sleep(0)
    raise exc


async def fail_when_cancelled(exc: BaseException) -> NoReturn:
    try:
        await asyncio.Event().wait()
    finally:
        raise exc


async def wait_until_cancelled() -> NoReturn:
    await asyncio.sleep(5)
    raise AssertionError("not cancelled")


async def assert_no_stray_cancellation() -> None:
    assert current_task().cancelling() == 0
    for _ in range(3):
        await asyncio.sleep(0)


# --- a failure while the block waits


@pytest.mark.parametrize("turns", range(4))
async def test_a_failure_while_the_block_waits_leaves_the_scopes_around_it_intact(
    backend: AsyncBackend, turns: int
) -> None:
    with backend.open_cancel_scope() as scope:
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as group:
                group.start_soon(fail_after, turns, OSError())
        await assert_no_stray_cancellation()
        scope.cancel()
        await wait_until_cancelled()
    assert scope.cancelled_caught()
    await assert_no_stray_cancellation()


async def test_a_failure_of_an_inner_group_leaves_the_outer_one_intact(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as outer:
        sibling = await outer.start(backend.sleep, 0.002)
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as inner:
                inner.start_soon(fail_after, 1, OSError())
        await sibling.join()
    await assert_no_stray_cancellation()


async def test_a_second_failure_is_raised_with_the_first(backend: AsyncBackend) -> None:
    first, second = OSError(), ValueError()
    with pytest.raises(ExceptionGroup) as info:
        async with backend.create_task_group() as group:
            group.start_soon(fail_when_cancelled, second)
            group.start_soon(fail_after, 1, first)
    assert info.value.exceptions == (first, second)


# --- failures and cancellation together


@pytest.mark.parametrize("in_block", [True, False])
async def test_failures_in_a_cancelled_scope_are_raised_and_the_next_wait_is_cancelled(
    backend: AsyncBackend, in_block: bool
) -> None:
    with backend.open_cancel_scope() as scope:
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as group:
                await group.start(fail_when_cancelled, OSError())
                scope.cancel()
                if in_block:
                    await backend.sleep_forever()
        await wait_until_cancelled()
    assert scope.cancelled_caught()
    await assert_no_stray_cancellation()


@pytest.mark.parametrize("in_block", [True, False])
async def test_failures_of_a_cancelled_task_are_raised_and_its_next_wait_is_cancelled(
    backend: AsyncBackend, in_block: bool
) -> None:
    async def run() -> None:
        with pytest.raises(ExceptionGroup) as info:
            async with backend.create_task_group() as group:
                group.start_soon(fail_when_cancelled, OSError())
                if in_block:
                    await backend.sleep_forever()
        assert [type(exc) for exc in info.value.exceptions] == [OSError]
        with pytest.raises(asyncio.CancelledError, match="stop it"):
            await wait_until_cancelled()
        current_task().uncancel()
        await assert_no_stray_cancellation()

    task = asyncio.create_task(run())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel("stop it")
    await task


async def test_a_failure_and_a_cancellation_in_the_same_turn_are_both_delivered(backend: AsyncBackend) -> None:
    async def run() -> None:
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as group:
                group.start_soon(fail_after, 1, OSError())
                await backend.sleep_forever()
        await wait_until_cancelled()

    task = asyncio.create_task(run())
    for _ in range(2):
        await asyncio.sleep(0)
    task.cancel("stop it")
    with pytest.raises(asyncio.CancelledError, match="stop it"):
        await task


async def test_cancelling_a_block_that_waits_cancels_its_tasks_and_waits_for_them(backend: AsyncBackend) -> None:
    ended = False

    async def child() -> None:
        nonlocal ended
        try:
            await backend.sleep_forever()
        finally:
            await backend.sleep(0.002)
            ended = True

    with backend.move_on_after(0.001) as scope:
        async with backend.create_task_group() as group:
            group.start_soon(child)
    assert scope.cancelled_caught()
    assert ended
    await assert_no_stray_cancellation()


async def test_a_second_cancellation_hurries_no_group_and_is_not_lost(backend: AsyncBackend) -> None:
    released = asyncio.Event()
    ended = False

    async def child() -> None:
        nonlocal ended
        await backend.ignore_cancellation(released.wait())
        ended = True

    async def run() -> None:
        with pytest.raises(asyncio.CancelledError, match="first"):
            async with backend.create_task_group() as group:
                group.start_soon(child)
        assert ended
        await wait_until_cancelled()

    task = asyncio.create_task(run())
    for message in ("first", "second", "third"):
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel(message)
    await asyncio.sleep(0)
    assert not task.done()
    released.set()
    with pytest.raises(asyncio.CancelledError, match="third"):
        await task


async def test_the_failure_of_a_block_that_is_cancelled_while_it_waits_is_not_wrapped(backend: AsyncBackend) -> None:
    error = OSError()
    with backend.open_cancel_scope() as scope:
        with pytest.raises(OSError) as info:
            async with backend.create_task_group() as group:
                await group.start(backend.ignore_cancellation, asyncio.sleep(0.002))
                scope.cancel()
                raise error
        assert info.value is error
        await wait_until_cancelled()
    assert scope.cancelled_caught()


# --- interrupts, which asyncio also raises out of its loop


@pytest.mark.parametrize("module", ["asyncio", "uvloop"])
@pytest.mark.parametrize("exc_type", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("in_block", [True, False])
def test_an_interrupt_of_a_task_leaves_unwrapped(
    backend: AsyncBackend, module: str, exc_type: type[BaseException], in_block: bool
) -> None:
    loop_factory = pytest.importorskip(module).new_event_loop
    interrupt = exc_type()
    caught: list[BaseException] = []

    async def run() -> None:
        try:
            async with backend.create_task_group() as group:
                group.start_soon(fail_when_cancelled, OSError())
                group.start_soon(fail_after, 1, interrupt)
                if in_block:
                    await backend.sleep_forever()
        except BaseException as exc:
            caught.append(exc)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        task = runner.get_loop().create_task(run())
        with pytest.raises(exc_type):
            runner.get_loop().run_until_complete(task)
        runner.get_loop().run_until_complete(task)
    assert caught == [interrupt]


# --- in a shield


async def test_a_failure_ends_a_shielded_block(backend: AsyncBackend) -> None:
    async def run() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(fail_after, 1, OSError())
            await backend.sleep_forever()

    with backend.open_cancel_scope() as scope:
        with pytest.raises(ExceptionGroup):
            await backend.ignore_cancellation(run())
        await assert_no_stray_cancellation()
        scope.cancel()
        await wait_until_cancelled()
    assert scope.cancelled_caught()


@pytest.mark.parametrize("in_block", [True, False])
async def test_a_shielded_group_ends_in_its_own_time(backend: AsyncBackend, in_block: bool) -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        await backend.sleep(0.002)
        done.append(name)

    async def run() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(work, "child")
            if in_block:
                await work("block")

    with backend.open_cancel_scope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        await backend.ignore_cancellation(run())
        assert sorted(done) == (["block", "child"] if in_block else ["child"])
        await wait_until_cancelled()
    assert scope.cancelled_caught()
    await assert_no_stray_cancellation()


async def test_a_failure_in_a_shielded_group_and_a_cancellation_are_both_delivered(backend: AsyncBackend) -> None:
    async def run() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(fail_after, 3, OSError())
            await backend.sleep_forever()

    async def shielded() -> None:
        with pytest.raises(ExceptionGroup):
            await backend.ignore_cancellation(run())
        await wait_until_cancelled()

    task = asyncio.create_task(shielded())
    await asyncio.sleep(0)
    task.cancel("stop it")
    with pytest.raises(asyncio.CancelledError, match="stop it"):
        await task


# --- tasks that have not begun


@pytest.mark.lazy_tasks(reason="is about what happens before the first step of a task")
async def test_a_task_takes_its_first_step_even_if_its_group_has_failed_before(backend: AsyncBackend) -> None:
    """What it was given, such as a connection, is in its care."""
    log: list[str] = []

    async def child(name: str) -> None:
        log.append(f"{name} began")
        try:
            await backend.sleep_forever()
        finally:
            log.append(f"{name} ended")

    async def last_words() -> None:
        try:
            await backend.sleep_forever()
        finally:
            group.start_soon(child, "late")

    with pytest.raises(OSError):
        async with backend.create_task_group() as group:
            await group.start(last_words)
            group.start_soon(child, "early")
            raise OSError
    assert log == ["early began", "early ended", "late began", "late ended"]


async def test_starting_a_task_in_a_group_that_ends_returns_a_task_that_is_cancelled(backend: AsyncBackend) -> None:
    ended = False

    async def child() -> None:
        nonlocal ended
        try:
            await backend.sleep_forever()
        finally:
            ended = True

    async def last_words() -> None:
        try:
            await backend.sleep_forever()
        finally:
            task = await group.start(child)
            await task.wait()
            assert task.cancelled()

    with backend.move_on_after(0.001):
        async with backend.create_task_group() as group:
            group.start_soon(last_words)
    assert ended


@pytest.mark.lazy_tasks(reason="is about what happens before the first step of a task")
async def test_start_returns_although_the_task_is_cancelled_before_its_first_step(backend: AsyncBackend) -> None:
    called = False

    async def child() -> None:
        nonlocal called
        called = True

    async with backend.create_task_group() as group:
        starting = asyncio.create_task(group.start(child, name="child"))
        await asyncio.sleep(0)
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "child")
        task.cancel()
        assert (await asyncio.wait_for(starting, 5)).cancelled()
    assert not called


# --- misuse


async def test_no_task_outlives_a_block_that_leaves_a_scope_open(backend: AsyncBackend) -> None:
    ended = False

    async def child() -> None:
        nonlocal ended
        await backend.sleep(0.002)
        ended = True

    async def run() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(child)
            backend.open_cancel_scope().__enter__()

    await asyncio.create_task(run())
    assert ended


# --- what a group costs


@pytest.mark.lazy_tasks(reason="an eager task that fails at once is in a cycle with the frame of create_task()")
async def test_the_exceptions_of_a_group_are_in_no_reference_cycle(backend: AsyncBackend) -> None:
    class Failure(Exception):
        pass

    async def fail() -> None:
        raise Failure

    async def end_by_failure() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(fail)
            await backend.sleep_forever()

    async def end_by_cancellation() -> None:
        async with backend.create_task_group() as group:
            group.start_soon(backend.sleep_forever)
            current_task().cancel()

    async def end_of(run: Callable[[], Awaitable[None]]) -> tuple[weakref.ref[BaseException], ...]:
        try:
            await run()
        except BaseExceptionGroup as exc:
            return weakref.ref(exc), weakref.ref(exc.exceptions[0])
        except asyncio.CancelledError as exc:
            return (weakref.ref(exc),)
        raise AssertionError

    gc.disable()
    try:
        for run in (end_by_failure, end_by_cancellation):
            references = await asyncio.create_task(end_of(run))
            assert [reference() for reference in references] == [None] * len(references)
    finally:
        gc.enable()


@pytest.mark.parametrize("cancelled", [True, False])
async def test_many_tasks_that_end_at_once_cost_no_more_each_than_few(backend: AsyncBackend, cancelled: bool) -> None:
    async def calls_per_task(count: int) -> float:
        released = asyncio.Event()
        calls = 0

        def on_call(frame: FrameType, event: str, arg: object) -> None:
            nonlocal calls
            calls += 1

        try:
            with backend.open_cancel_scope() as scope:
                async with backend.create_task_group() as group:
                    for _ in range(count):
                        group.start_soon(released.wait)
                    await asyncio.sleep(0)
                    if cancelled:
                        scope.cancel()
                    released.set()
                    sys.setprofile(on_call)
        finally:
            sys.setprofile(None)
        return calls / count

    assert await calls_per_task(2000) < 2 * await calls_per_task(100)


async def test_a_task_of_a_group_costs_little_more_memory_than_one_without(backend: AsyncBackend) -> None:
    """A server has one for each idle connection."""
    released = asyncio.Event()

    async def bytes_per_task(start: Callable[[Callable[[], Coroutine[Any, Any, Any]]], object]) -> float:
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(1000):
                start(released.wait)
            await asyncio.sleep(0)
            return tracemalloc.get_traced_memory()[0] / 1000
        finally:
            tracemalloc.stop()

    bare: list[asyncio.Task[Any]] = []
    async with backend.create_task_group() as group:
        without = await bytes_per_task(lambda func: bare.append(asyncio.ensure_future(func())))
        within = await bytes_per_task(lambda func: group.start_soon(func))
        released.set()
        await asyncio.wait(bare)
    assert within < without + 200
