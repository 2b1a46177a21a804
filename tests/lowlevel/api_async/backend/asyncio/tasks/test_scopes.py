"""Cancel scopes of the asyncio backend among asyncio's own ways to cancel."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope


async def no_stray_cancellation() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_kind_of_wait_in_a_cancelled_scope_is_cancelled_again(backend: AsyncBackend) -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    other = asyncio.ensure_future(asyncio.sleep(3600))
    released = threading.Event()
    waits: list[Callable[[], Any]] = [
        lambda: backend.sleep(3600),
        lambda: backend.coro_yield(),
        lambda: lock.acquire(),
        lambda: asyncio.Event().wait(),
        lambda: asyncio.wait([other]),
        lambda: asyncio.shield(other),
        lambda: asyncio.gather(asyncio.sleep(3600), asyncio.sleep(3600)),
        # A call that is done before the cancellation comes gives its result: nothing was waited for.
        lambda: backend.run_in_thread(released.wait, 60, abandon_on_cancel=True),
    ]
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        for wait in waits * 2:
            with pytest.raises(asyncio.CancelledError):
                await wait()
    released.set()
    assert not other.done()
    other.cancel()
    await asyncio.wait([other])
    await no_stray_cancellation()


async def test_a_cancellation_raised_anew_is_still_the_scopes_own(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        try:
            await backend.sleep_forever()
        except asyncio.CancelledError:
            raise asyncio.CancelledError("another object")
    assert scope.cancelled_caught()
    await no_stray_cancellation()


async def test_a_group_of_nothing_but_its_cancellations_is_swallowed(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        try:
            await backend.sleep_forever()
        except asyncio.CancelledError as exc:
            raise BaseExceptionGroup("several", [exc, BaseExceptionGroup("nested", [asyncio.CancelledError()])])
    assert scope.cancelled_caught()
    await no_stray_cancellation()


async def test_a_mixed_group_propagates_whole(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()
    with pytest.raises(BaseExceptionGroup) as info, scope:
        scope.cancel()
        try:
            await backend.sleep_forever()
        except asyncio.CancelledError as exc:
            raise BaseExceptionGroup("mixed", [exc, ZeroDivisionError()])
    assert [type(exc) for exc in info.value.exceptions] == [asyncio.CancelledError, ZeroDivisionError]
    assert scope.cancelled_caught()
    await no_stray_cancellation()


async def test_a_cancellation_of_the_task_propagates_through_a_scope(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()

    async def run() -> None:
        with scope:
            await backend.sleep_forever()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel("from outside")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert not scope.cancelled_caught()
    assert not scope.cancel_called()


@pytest.mark.parametrize("task_first", [True, False])
async def test_a_cancellation_of_the_task_is_not_lost_in_a_scope_that_is_cancelled_too(
    backend: AsyncBackend, task_first: bool
) -> None:
    scope = backend.open_cancel_scope()

    async def run() -> None:
        with scope:
            await backend.sleep_forever()
        await backend.sleep_forever()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    for cancel in (task.cancel, scope.cancel) if task_first else (scope.cancel, task.cancel):
        cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert not scope.cancelled_caught()


async def test_asyncio_timeout_within_a_scope_and_around_it_work(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await backend.sleep_forever()
    assert not scope.cancelled_caught()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            with scope_again(backend) as inner:
                await backend.sleep_forever()
    assert not inner.cancelled_caught()
    await no_stray_cancellation()


def scope_again(backend: AsyncBackend) -> CancelScope:
    return backend.open_cancel_scope()


async def test_the_cancelling_counter_is_restored_and_not_more(backend: AsyncBackend) -> None:
    async def run() -> int:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(asyncio.CancelledError):
            await backend.sleep_forever()
        assert task.cancelling() == 1
        with backend.open_cancel_scope() as scope:
            scope.cancel()
            await backend.sleep_forever()
        assert scope.cancelled_caught()
        return task.cancelling()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == 1


async def test_a_timeout_does_not_convert_a_cancellation_of_the_task(backend: AsyncBackend) -> None:
    async def run() -> None:
        with backend.timeout(3600):
            await backend.sleep_forever()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_scope_cannot_be_left_before_those_within(backend: AsyncBackend) -> None:
    outer, inner = backend.open_cancel_scope(), backend.open_cancel_scope()
    with outer:
        with inner:
            with pytest.raises(RuntimeError):
                outer.__exit__(None, None, None)


async def test_a_scope_cannot_be_left_in_another_task(backend: AsyncBackend) -> None:
    async def leave() -> None:
        with pytest.raises(RuntimeError):
            scope.__exit__(None, None, None)

    with backend.open_cancel_scope() as scope:
        await backend.gather(leave())
