"""Locks, events and conditions, on every backend."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, ILock

EVERY_BACKEND = True

LockFactory = Callable[[AsyncBackend], ILock]


@pytest.fixture(
    params=[
        lambda backend: backend.create_lock(),
        lambda backend: backend.create_fair_lock(),
        AsyncBackend.create_fair_lock,
    ],
    ids=["lock", "fair lock", "fair lock of any backend"],
)
def new_lock(request: pytest.FixtureRequest) -> LockFactory:
    factory: LockFactory = request.param
    return factory


async def test_a_lock_is_taken_by_one_at_a_time(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    inside = most = 0

    async def run() -> None:
        nonlocal inside, most
        async with lock:
            assert lock.locked()
            inside += 1
            most = max(most, inside)
            await backend.coro_yield()
            inside -= 1

    assert not lock.locked()
    await backend.gather(*(run() for _ in range(10)))
    assert not lock.locked()
    assert most == 1


async def test_a_lock_that_is_not_taken_cannot_be_released(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    with pytest.raises(RuntimeError):
        lock.release()
    async with lock:
        pass
    with pytest.raises(RuntimeError):
        lock.release()


async def test_a_lock_is_not_reentrant(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    async with lock:
        with contextlib.suppress(RuntimeError), backend.move_on_after(0.001):  # trio's own lock knows its owner
            await lock.acquire()
            pytest.fail("unreachable")
        assert lock.locked()
    assert not lock.locked()


async def test_a_lock_is_released_by_an_exception(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    with contextlib.suppress(ZeroDivisionError):
        async with lock:
            raise ZeroDivisionError
    assert not lock.locked()


async def test_first_come_first_served(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    order: list[int] = []

    async def run(n: int) -> None:
        async with lock:
            order.append(n)

    async with backend.create_task_group() as group:
        async with lock:
            for n in range(10):
                await group.start(run, n)
            await backend.coro_yield()
    assert order == list(range(10))


async def test_nobody_overtakes_who_has_been_given_the_lock(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    order: list[str] = []

    async def run(name: str) -> None:
        async with lock:
            order.append(name)

    async with backend.create_task_group() as group:
        await lock.acquire()
        await group.start(run, "waited")
        await backend.coro_yield()
        lock.release()
        await run("came late")
    assert order == ["waited", "came late"]


@pytest.mark.parametrize("victim", [0, 1, 2])
async def test_a_cancelled_waiter_is_skipped(backend: AsyncBackend, new_lock: LockFactory, victim: int) -> None:
    lock = new_lock(backend)
    order: list[int] = []

    async def run(n: int) -> None:
        async with lock:
            order.append(n)

    async with backend.create_task_group() as group:
        async with lock:
            tasks = [await group.start(run, n) for n in range(3)]
            await backend.coro_yield()
            tasks[victim].cancel()
            await tasks[victim].wait()
    assert order == [n for n in range(3) if n != victim]
    assert not lock.locked()


async def test_a_waiter_cancelled_when_it_is_its_turn_hands_it_on(backend: AsyncBackend, new_lock: LockFactory) -> None:
    lock = new_lock(backend)
    order: list[int] = []

    async def run(n: int) -> None:
        async with lock:
            order.append(n)

    async with backend.create_task_group() as group:
        await lock.acquire()
        tasks = [await group.start(run, n) for n in range(3)]
        await backend.coro_yield()
        lock.release()
        tasks[0].cancel()
    assert order in ([1, 2], [0, 1, 2])
    assert not lock.locked()


async def test_random_cancellations_never_lose_the_lock(
    backend: AsyncBackend, new_lock: LockFactory, rng: random.Random
) -> None:
    lock = new_lock(backend)
    inside = 0

    async def run() -> None:
        nonlocal inside
        async with lock:
            inside += 1
            assert inside == 1
            try:
                for _ in range(rng.randrange(3)):
                    await backend.coro_yield()
            finally:
                inside -= 1

    async with backend.create_task_group() as group:
        tasks = []
        for _ in range(300):
            tasks.append(await group.start(run))
            if rng.random() < 0.4:
                rng.choice(tasks).cancel()
    assert not lock.locked()
    await lock.acquire()
    lock.release()


async def test_an_event_stays_set(backend: AsyncBackend) -> None:
    event = backend.create_event()
    assert not event.is_set()
    async with backend.create_task_group() as group:
        waiting = [await group.start(event.wait) for _ in range(3)]
        await backend.coro_yield()
        assert not any(task.done() for task in waiting)
        event.set()
        event.set()
    assert event.is_set()
    await event.wait()


async def test_a_condition_wakes_as_many_as_told(backend: AsyncBackend) -> None:
    condition = backend.create_condition_var()
    woken = 0

    async def run() -> None:
        nonlocal woken
        async with condition:
            await condition.wait()
            woken += 1

    async with backend.create_task_group() as group:
        for _ in range(6):
            await group.start(run)
        await backend.coro_yield()
        steps: list[tuple[Callable[[], object], int]] = [
            (condition.notify, 1),
            (lambda: condition.notify(2), 3),
            (condition.notify_all, 6),
        ]
        for notify, expected in steps:
            async with condition:
                notify()
            for _ in range(10):
                await backend.coro_yield()
            assert woken == expected


async def test_a_condition_has_the_interface_of_its_lock(backend: AsyncBackend) -> None:
    lock = backend.create_lock()
    condition = backend.create_condition_var(lock)
    await condition.acquire()
    assert lock.locked()
    assert condition.locked()
    condition.release()
    assert not lock.locked()


async def test_a_condition_without_its_lock_is_an_error(backend: AsyncBackend) -> None:
    condition = backend.create_condition_var()
    with pytest.raises(RuntimeError):
        condition.notify()
    with pytest.raises(RuntimeError):
        condition.notify_all()
    with pytest.raises(RuntimeError):
        await condition.wait()


async def test_a_foreign_lock_for_a_condition_is_refused(backend: AsyncBackend) -> None:
    foreign: list[Any] = [object(), AsyncBackend.create_fair_lock(backend)]
    for lock in foreign:
        with pytest.raises(TypeError):
            backend.create_condition_var(lock)
