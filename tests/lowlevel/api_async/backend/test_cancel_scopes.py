"""Cancel scopes: time-outs, shields and cancellation, on every backend."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope

EVERY_BACKEND = True


async def no_stray_cancellation(backend: AsyncBackend) -> None:
    for _ in range(5):
        await backend.coro_yield()
    await backend.sleep(0.001)


# --- being cancelled


async def test_a_cancelled_scope_ends_and_swallows_its_own_cancellation(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()
    assert not scope.cancel_called()
    with scope:
        scope.cancel()
        scope.cancel()
        assert scope.cancel_called()
        await backend.sleep_forever()
    assert scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_a_scope_can_be_cancelled_by_another_task(backend: AsyncBackend) -> None:
    async def cancel() -> None:
        scope.cancel()

    async with backend.create_task_group() as group:
        with backend.open_cancel_scope() as scope:
            group.start_soon(cancel)
            await backend.sleep_forever()
    assert scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_a_scope_cancelled_before_it_is_entered_starts_its_body_and_ends_at_the_first_checkpoint(
    backend: AsyncBackend,
) -> None:
    scope = backend.open_cancel_scope()
    scope.cancel()
    started = False
    with scope:
        started = True
        await backend.coro_yield()
        pytest.fail("unreachable")
    assert started
    assert scope.cancelled_caught()


async def test_cancelling_a_scope_that_was_left_has_no_effect(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        await backend.coro_yield()
    scope.cancel()
    await no_stray_cancellation(backend)
    assert scope.cancel_called()
    assert not scope.cancelled_caught()


@pytest.mark.parametrize("checkpoints_before", [0, 1, 3])
async def test_a_body_that_ends_normally_is_not_cancelled_afterwards(
    backend: AsyncBackend, checkpoints_before: int
) -> None:
    with backend.open_cancel_scope() as scope:
        for _ in range(checkpoints_before):
            await backend.coro_yield()
        scope.cancel()
    assert scope.cancel_called()
    assert not scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_an_awaitable_that_does_not_suspend_is_not_cancelled(backend: AsyncBackend) -> None:
    async def immediate() -> int:
        return 42

    with backend.move_on_after(0) as scope:
        assert await immediate() == 42
    assert not scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_cancellation_is_level_triggered(backend: AsyncBackend) -> None:
    swallowed = 0
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        for _ in range(10):
            try:
                await backend.sleep_forever()
            except backend.get_cancelled_exc_class():
                swallowed += 1
    assert swallowed == 10
    assert not scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_an_exception_raised_instead_of_the_cancellation_propagates(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()
    with pytest.raises(ZeroDivisionError), scope:
        scope.cancel()
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            raise ZeroDivisionError
    assert not scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_a_condition_variable_in_a_cancelled_scope_is_left_with_its_lock_released(backend: AsyncBackend) -> None:
    condition = backend.create_condition_var()
    with backend.move_on_after(0.001) as scope:
        async with condition:
            await condition.wait()
    assert scope.cancelled_caught()
    assert not condition.locked()
    await no_stray_cancellation(backend)


# --- cancellation from elsewhere


async def test_an_outer_scope_catches_what_an_inner_one_must_not(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as outer:
        with backend.open_cancel_scope() as inner:
            outer.cancel()
            await backend.sleep_forever()
        pytest.fail("unreachable")
    assert outer.cancelled_caught()
    assert not inner.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_an_inner_scope_ends_alone(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as outer:
        with backend.open_cancel_scope() as inner:
            inner.cancel()
            await backend.sleep_forever()
        assert inner.cancelled_caught()
        await no_stray_cancellation(backend)
    assert not outer.cancelled_caught()


async def test_the_outer_scope_catches_if_it_was_cancelled_first(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as outer:
        with backend.open_cancel_scope() as inner:
            outer.cancel()
            inner.cancel()
            await backend.sleep_forever()
        pytest.fail("unreachable")
    assert outer.cancelled_caught()
    assert not inner.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_both_scopes_end_if_the_inner_one_was_cancelled_first(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as outer:
        with backend.open_cancel_scope() as inner:
            inner.cancel()
            outer.cancel()
            await backend.sleep_forever()
        await backend.sleep_forever()
    assert outer.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_an_outer_scope_is_level_triggered_through_inner_scopes(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as outer:
        outer.cancel()
        for _ in range(3):
            with contextlib.suppress(backend.get_cancelled_exc_class()), backend.open_cancel_scope():
                await backend.sleep_forever()
        await backend.sleep_forever()
    assert outer.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_the_tasks_of_a_group_in_a_cancelled_scope_are_cancelled(backend: AsyncBackend) -> None:
    ended = 0

    async def child() -> None:
        nonlocal ended
        try:
            await backend.sleep_forever()
        finally:
            ended += 1

    with backend.open_cancel_scope() as scope:
        async with backend.create_task_group() as group:
            group.start_soon(child)
            group.start_soon(child)
            await backend.coro_yield()
            scope.cancel()
    assert scope.cancelled_caught()
    assert ended == 2
    await no_stray_cancellation(backend)


async def test_a_task_group_within_a_cancelled_scope_ends_even_if_a_child_swallows_cancellation_for_a_while(
    backend: AsyncBackend,
) -> None:
    async def child() -> None:
        for _ in range(3):
            with contextlib.suppress(backend.get_cancelled_exc_class()):
                await backend.sleep(0.001)

    with backend.move_on_after(0) as scope:
        async with backend.create_task_group() as group:
            group.start_soon(child)
            await backend.sleep_forever()
    assert scope.cancelled_caught()
    await no_stray_cancellation(backend)


# --- deadlines


@pytest.mark.parametrize("delay", [0, -1, -math.inf, 0.001])
async def test_a_deadline_that_has_passed_cancels_at_the_first_checkpoint(backend: AsyncBackend, delay: float) -> None:
    started = False
    with backend.move_on_after(delay) as scope:
        started = True
        await backend.sleep_forever()
    assert started
    assert scope.cancel_called()
    assert scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_without_a_deadline_nothing_happens(backend: AsyncBackend) -> None:
    with backend.move_on_after(math.inf) as scope, backend.open_cancel_scope() as other:
        assert scope.when() == other.when() == math.inf
        await backend.sleep(0.005)
    assert not scope.cancel_called()


async def test_the_deadline_can_be_read_set_and_removed(backend: AsyncBackend) -> None:
    now = backend.current_time()
    with backend.move_on_at(now + 3600) as scope:
        assert scope.when() == scope.deadline == now + 3600
        scope.deadline = now + 7200
        assert scope.when() == now + 7200
        del scope.deadline
        assert scope.when() == math.inf
        scope.reschedule(backend.current_time() + 0.001)
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_a_deadline_can_be_moved_away_in_time(backend: AsyncBackend) -> None:
    with backend.move_on_after(0.005) as scope:
        scope.reschedule(math.inf)
        await backend.sleep(0.02)
    assert not scope.cancel_called()


async def test_a_deadline_set_before_entering_counts(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()
    scope.deadline = backend.current_time()
    assert not scope.cancelled_caught()
    with scope:
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_rescheduling_cannot_undo_a_cancellation(backend: AsyncBackend) -> None:
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        scope.reschedule(math.inf)
        await backend.sleep_forever()
    assert scope.cancelled_caught()


async def test_a_deadline_does_not_fire_after_its_scope_was_left(backend: AsyncBackend) -> None:
    with backend.move_on_after(0.002) as scope:
        pass
    await backend.sleep(0.01)
    assert not scope.cancel_called()
    await no_stray_cancellation(backend)


async def test_nan_is_refused_at_once(backend: AsyncBackend) -> None:
    factories: list[Callable[[], object]] = [
        lambda: backend.open_cancel_scope(deadline=math.nan),
        lambda: backend.move_on_after(math.nan),
        lambda: backend.move_on_at(math.nan),
        lambda: backend.timeout(math.nan),
        lambda: backend.timeout_at(math.nan),
    ]
    for factory in factories:
        with pytest.raises(ValueError):
            factory()
    scope = backend.open_cancel_scope()
    with pytest.raises(ValueError):
        scope.reschedule(math.nan)
    with pytest.raises(ValueError):
        scope.deadline = math.nan
    assert scope.when() == math.inf


# --- time-outs


@pytest.mark.parametrize("at", [True, False])
async def test_a_timeout_raises_an_error_caused_by_the_cancellation(backend: AsyncBackend, at: bool) -> None:
    with pytest.raises(TimeoutError) as info:
        with backend.timeout_at(backend.current_time()) if at else backend.timeout(0.001) as scope:
            assert isinstance(scope, CancelScope)
            await backend.sleep_forever()
    assert isinstance(info.value.__cause__, backend.get_cancelled_exc_class())
    assert scope.cancelled_caught()
    await no_stray_cancellation(backend)


async def test_a_timeout_that_is_not_reached_does_nothing(backend: AsyncBackend) -> None:
    with backend.timeout(3600) as scope:
        await backend.coro_yield()
    assert not scope.cancel_called()


async def test_a_timeout_does_not_convert_other_exceptions(backend: AsyncBackend) -> None:
    with pytest.raises(ZeroDivisionError), backend.timeout(0) as scope:
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            raise ZeroDivisionError
    assert not scope.cancelled_caught()


async def test_a_timeout_whose_body_has_ended_raises_nothing(backend: AsyncBackend) -> None:
    with backend.timeout(3600) as scope:
        scope.cancel()
    await no_stray_cancellation(backend)


async def test_cancelling_the_scope_of_a_timeout_is_a_timeout(backend: AsyncBackend) -> None:
    with pytest.raises(TimeoutError), backend.timeout(3600) as scope:
        scope.cancel()
        await backend.sleep_forever()


async def test_the_outer_of_two_timeouts_does_not_show_as_the_inner_one(backend: AsyncBackend) -> None:
    inner_failed = False
    with pytest.raises(TimeoutError), backend.timeout(0.001) as outer:
        try:
            with backend.timeout(3600) as inner:
                await backend.sleep_forever()
        except TimeoutError:
            inner_failed = True
    assert outer.cancelled_caught()
    assert not inner.cancelled_caught()
    assert not inner_failed


# --- misuse


async def test_a_scope_cannot_be_entered_twice(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()
    with scope:
        with pytest.raises(RuntimeError):
            scope.__enter__()
    with pytest.raises(RuntimeError):
        scope.__enter__()


async def test_a_scope_cannot_be_left_before_it_is_entered_nor_twice(backend: AsyncBackend) -> None:
    scope = backend.open_cancel_scope()
    with pytest.raises(RuntimeError):
        scope.__exit__(None, None, None)
    with scope:
        pass
    with pytest.raises(RuntimeError):
        scope.__exit__(None, None, None)


def test_a_scope_cannot_be_entered_without_a_task(backend: AsyncBackend) -> None:
    with pytest.raises(RuntimeError):
        backend.open_cancel_scope().__enter__()


async def test_scopes_of_different_tasks_do_not_know_each_other(backend: AsyncBackend) -> None:
    async def run(delay: float, work: float) -> bool:
        with backend.move_on_after(delay) as scope:
            await backend.sleep(work)
        return scope.cancelled_caught()

    assert await backend.gather(run(0.001, 3600), run(3600, 0.02), run(0, 3600)) == [True, False, True]


async def test_a_thousand_random_nestings_leave_no_trace(backend: AsyncBackend, rng: Any) -> None:
    """Scopes that are cancelled in any order catch what is theirs, and nothing is left."""

    async def nest(scopes: list[CancelScope], depth: int) -> None:
        if depth == len(scopes):
            for _ in range(rng.randrange(3)):
                await backend.coro_yield()
            for scope in rng.sample(scopes, rng.randrange(len(scopes) + 1)):
                scope.cancel()
                if rng.random() < 0.3:
                    with contextlib.suppress(backend.get_cancelled_exc_class()):
                        await backend.coro_yield()
            if any(scope.cancel_called() for scope in scopes):
                await backend.sleep_forever()
            return
        with scopes[depth]:
            await nest(scopes, depth + 1)
        if any(scope.cancel_called() for scope in scopes[:depth]):
            with pytest.raises(backend.get_cancelled_exc_class()):
                await backend.sleep_forever()
            await backend.sleep_forever()

    for _ in range(250):
        scopes = [backend.open_cancel_scope() for _ in range(rng.randrange(1, 5))]
        await nest(scopes, 0)
        outermost = next((scope for scope in scopes if scope.cancel_called()), None)
        if outermost is not None:
            assert outermost.cancelled_caught()
    await no_stray_cancellation(backend)
