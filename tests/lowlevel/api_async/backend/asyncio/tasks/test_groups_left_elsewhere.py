"""Groups of the asyncio backend that one task enters and another one leaves, as test fixtures and exit stacks do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import pytest
from tests.support.asyncio_tasks import current_task

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope, TaskGroup

MODES = ["plain", "debug", *(["eager"] if sys.version_info >= (3, 12) else [])]


@pytest.fixture(params=MODES, autouse=True)
async def mode(request: pytest.FixtureRequest) -> str:
    loop = asyncio.get_running_loop()
    mode: str = request.param
    if mode == "debug":
        loop.set_debug(True)
    elif sys.version_info >= (3, 12) and mode == "eager":
        if not isinstance(loop, asyncio.BaseEventLoop):
            pytest.skip("eager tasks need a loop of asyncio")
        loop.set_task_factory(asyncio.eager_task_factory)
    return mode


class Entrant:
    """A task that enters a group, and what it does after that."""

    def __init__(self, group: TaskGroup, inner: contextlib.AbstractContextManager[Any] | None = None) -> None:
        self.goes_on = asyncio.Event()
        self.cancellations = 0
        self._entered = asyncio.Event()
        self._group = group
        self._inner = inner or contextlib.nullcontext()
        self.task = asyncio.create_task(self._run())

    async def entered(self) -> None:
        await self._entered.wait()

    async def _run(self) -> int:
        await self._group.__aenter__()
        with self._inner:
            self._entered.set()
            while not self.goes_on.is_set():
                try:
                    await self.goes_on.wait()
                except asyncio.CancelledError:
                    self.cancellations += 1
        await asyncio.sleep(0.002)  # no stray cancellation
        return current_task().cancelling()

    async def end(self) -> int:
        """Let the task go on to its end. Return its counter of requests."""
        self.goes_on.set()
        return await self.task


async def entered_by_a_task_that_has_ended(group: TaskGroup) -> None:
    await asyncio.create_task(group.__aenter__())


async def entered_by_a_task_that_runs(group: TaskGroup) -> None:
    entrant = Entrant(group)
    await entrant.entered()
    asyncio.get_running_loop().call_later(0.02, entrant.goes_on.set)


@pytest.fixture(params=[entered_by_a_task_that_has_ended, entered_by_a_task_that_runs])
async def group(request: pytest.FixtureRequest, backend: AsyncBackend, mode: str) -> TaskGroup:
    """A group that another task has entered."""
    group = backend.create_task_group()
    await request.param(group)
    return group


async def leave(group: TaskGroup, exc: BaseException | None = None) -> None:
    """What ``async with`` does at its end."""
    if exc is None:
        await group.__aexit__(None, None, None)
        return
    await group.__aexit__(type(exc), exc, exc.__traceback__)
    raise exc


class Child:
    """A task of a group that runs until it is cancelled, and takes its time to end."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ended = False
        self._error = error

    async def run(self) -> NoReturn:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.002)
            self.ended = True
            if self._error is not None:
                raise self._error
        raise AssertionError("unreachable")


async def fail(exc: Exception) -> NoReturn:
    await asyncio.sleep(0)
    raise exc


# --- what the task that leaves sees


async def test_it_waits_for_all_tasks(group: TaskGroup) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        await asyncio.sleep(0.001)
        if n:
            group.start_soon(work, n - 1)
        done.append(n)

    group.start_soon(work, 2)
    await leave(group)
    assert done == [2, 1, 0]
    with pytest.raises(RuntimeError, match="not open"):
        group.start_soon(work, 0)


async def test_a_group_without_tasks_is_left_at_once(group: TaskGroup) -> None:
    await leave(group)


@pytest.mark.parametrize("before", [True, False])
async def test_the_failure_of_a_task_cancels_the_others_and_is_raised(group: TaskGroup, before: bool) -> None:
    error, child = OSError(), Child()
    group.start_soon(child.run)
    group.start_soon(fail, error)
    if before:
        for _ in range(5):
            await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup) as info:
        await leave(group)
    assert info.value.exceptions == (error,)
    assert child.ended
    assert current_task().cancelling() == 0


async def test_an_exception_of_the_body_cancels_the_tasks_and_goes_on_as_it_is(group: TaskGroup) -> None:
    error, child = OSError(), Child()
    group.start_soon(child.run)
    assert await group.__aexit__(OSError, error, None) is None  # type: ignore[func-returns-value]
    assert child.ended


async def test_an_exception_of_the_body_and_those_of_tasks_are_raised_together(group: TaskGroup) -> None:
    error, child = OSError(), Child(ValueError())
    await group.start(child.run)
    with pytest.raises(ExceptionGroup) as info:
        await leave(group, error)
    assert {type(exc) for exc in info.value.exceptions} == {OSError, ValueError}
    assert error in info.value.exceptions


async def test_a_cancellation_of_the_body_goes_on_as_it_is(group: TaskGroup) -> None:
    child = Child()
    await group.start(child.run)

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as exc:
            await leave(group, exc)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel("stop it")
    with pytest.raises(asyncio.CancelledError, match="stop it"):
        await task
    assert child.ended
    assert task.cancelling() == 1


async def test_cancelling_it_while_it_waits_cancels_the_tasks_and_waits_for_them(group: TaskGroup) -> None:
    child = Child()
    await group.start(child.run)
    task = asyncio.create_task(leave(group))
    await asyncio.sleep(0.001)
    task.cancel("stop it")
    with pytest.raises(asyncio.CancelledError, match="stop it"):
        await task
    assert child.ended
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_a_scope_around_it_is_left_as_usual(backend: AsyncBackend, group: TaskGroup) -> None:
    child = Child()
    await group.start(child.run)
    with backend.move_on_after(0.001) as scope:
        await leave(group)
    assert scope.cancelled_caught()
    assert child.ended
    assert current_task().cancelling() == 0
    await asyncio.sleep(0.001)


async def test_it_may_be_shielded(backend: AsyncBackend, group: TaskGroup) -> None:
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0.005)
        done.append(1)

    group.start_soon(work)
    with backend.move_on_after(0) as scope:
        await backend.ignore_cancellation(leave(group))
    assert done == [1]
    assert not scope.cancelled_caught()


# --- what becomes of the task that has entered


@contextlib.contextmanager
def two_scopes(backend: AsyncBackend) -> Any:
    with backend.open_cancel_scope(), backend.open_cancel_scope():
        yield


INNER: dict[str, Callable[[AsyncBackend], contextlib.AbstractContextManager[Any]]] = {
    "nothing": lambda backend: contextlib.nullcontext(),
    "a scope": lambda backend: backend.open_cancel_scope(),
    "two scopes": two_scopes,
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("error", [None, OSError()])
async def test_leaving_does_not_cancel_it_wherever_it_is(
    backend: AsyncBackend, inner: str, error: OSError | None
) -> None:
    group, child = backend.create_task_group(), Child()
    entrant = Entrant(group, INNER[inner](backend))
    await entrant.entered()
    if error is not None:
        group.start_soon(child.run)
    with contextlib.nullcontext() if error is None else pytest.raises(OSError):
        await leave(group, error)
    assert await entrant.end() == 0
    assert entrant.cancellations == 0


@pytest.mark.parametrize("inner", INNER)
async def test_a_failure_while_another_task_leaves_does_not_cancel_it(backend: AsyncBackend, inner: str) -> None:
    group = backend.create_task_group()
    entrant = Entrant(group, INNER[inner](backend))
    await entrant.entered()
    group.start_soon(fail, OSError())
    with pytest.raises(ExceptionGroup):
        await leave(group)
    assert await entrant.end() == 0
    assert entrant.cancellations == 0


async def test_a_failure_cancels_it_until_another_task_leaves(backend: AsyncBackend) -> None:
    """It is in the block of the group as long as that is open."""
    group = backend.create_task_group()
    entrant = Entrant(group)
    await entrant.entered()
    group.start_soon(fail, OSError())
    while not entrant.cancellations:
        await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup):
        await leave(group)
    await asyncio.sleep(0)
    cancellations = entrant.cancellations
    for _ in range(5):
        await asyncio.sleep(0)
    assert await entrant.end() == 0
    assert entrant.cancellations == cancellations


async def test_it_may_have_left_scopes_that_it_opened_after_the_group(backend: AsyncBackend) -> None:
    group = backend.create_task_group()
    entrant = Entrant(group, backend.open_cancel_scope())
    assert await entrant.end() == 0
    group.start_soon(asyncio.sleep, 0.001)
    await leave(group)


async def test_it_may_leave_a_scope_that_it_opened_before_the_group(backend: AsyncBackend) -> None:
    group = backend.create_task_group()

    async def enter() -> None:
        with backend.timeout(5):
            await group.__aenter__()
        await asyncio.sleep(0)

    await asyncio.create_task(enter())
    group.start_soon(asyncio.sleep, 0.001)
    await leave(group)


async def test_its_scopes_work_after_the_group_was_left(backend: AsyncBackend) -> None:
    group, entered, left = backend.create_task_group(), asyncio.Event(), asyncio.Event()

    async def run() -> list[bool]:
        with backend.open_cancel_scope() as outer:
            await group.__aenter__()
            with backend.open_cancel_scope() as inner:
                entered.set()
                await left.wait()
                inner.cancel()
                await backend.sleep_forever()
            outer.cancel()
            await backend.sleep_forever()
        return [inner.cancelled_caught(), outer.cancelled_caught()]

    task = asyncio.create_task(run())
    await entered.wait()
    await leave(group)
    left.set()
    assert await task == [True, True]
    assert task.cancelling() == 0


async def test_a_cancellation_of_it_is_not_lost_if_the_group_is_left_at_the_same_time(backend: AsyncBackend) -> None:
    """Requests of the group, which end with it, are not mistaken for those of others, nor others for them."""
    group, entered, cancelled = backend.create_task_group(), asyncio.Event(), asyncio.Event()
    scopes: list[CancelScope] = []

    async def run() -> None:
        await group.__aenter__()
        entered.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        with backend.open_cancel_scope() as scope:
            scopes.append(scope)
            await backend.ignore_cancellation(cancelled.wait())
            await backend.sleep_forever()

    task = asyncio.create_task(run())
    await entered.wait()
    group.start_soon(fail, OSError())
    while not scopes:
        await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup):
        await leave(group)
    task.cancel("stop it")
    scopes[0].cancel()
    cancelled.set()
    with pytest.raises(asyncio.CancelledError, match="stop it"):
        await task
    assert not scopes[0].cancelled_caught()


@pytest.mark.parametrize("shielded", ["entering", "leaving"])
async def test_it_may_be_in_a_shield(backend: AsyncBackend, shielded: str) -> None:
    group, entered, goes_on = backend.create_task_group(), asyncio.Event(), asyncio.Event()

    async def enter_and_wait() -> None:
        await group.__aenter__()
        entered.set()
        await goes_on.wait()

    async def run() -> bool:
        with backend.open_cancel_scope() as scope:
            if shielded == "entering":
                await backend.ignore_cancellation(enter_and_wait())
            else:
                await group.__aenter__()
                entered.set()
                await backend.ignore_cancellation(goes_on.wait())
            scope.cancel()
            await backend.sleep_forever()
        return scope.cancelled_caught()

    task = asyncio.create_task(run())
    await entered.wait()
    await leave(group)
    goes_on.set()
    assert await task
    assert task.cancelling() == 0


async def test_a_group_that_was_left_keeps_no_task(backend: AsyncBackend) -> None:
    group = backend.create_task_group()
    entrant = Entrant(group)
    await entrant.entered()
    await leave(group)
    reference = weakref.ref(entrant.task)
    await entrant.end()
    del entrant, group
    await asyncio.sleep(0)
    gc.collect()
    assert reference() is None


# --- other orders, other blocks


async def test_groups_may_be_left_in_any_order(backend: AsyncBackend) -> None:
    first, second = backend.create_task_group(), backend.create_task_group()
    await first.__aenter__()
    await second.__aenter__()
    first.start_soon(asyncio.sleep, 0.001)
    second.start_soon(asyncio.sleep, 0.001)
    await leave(first)
    second.start_soon(fail, OSError())
    with pytest.raises(ExceptionGroup):
        await leave(second)
    assert current_task().cancelling() == 0


async def test_an_exit_stack_may_be_closed_by_another_task(backend: AsyncBackend) -> None:
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0.001)
        done.append(1)

    async def open_all() -> contextlib.AsyncExitStack:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                group = await stack.enter_async_context(backend.create_task_group())
                group.start_soon(work)
            return stack.pop_all()

    stack = await asyncio.create_task(open_all())
    await asyncio.create_task(stack.aclose())
    assert done == [1, 1, 1]


async def test_the_halves_of_an_asynchronous_generator_may_run_in_two_tasks(backend: AsyncBackend) -> None:
    child = Child()

    async def fixture() -> Any:
        async with backend.create_task_group() as group:
            await group.start(child.run)
            yield group
            raise OSError

    def step(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.create_task(coroutine)

    generator = fixture()
    await step(generator.__anext__())
    with pytest.raises(OSError):
        await step(generator.__anext__())
    assert child.ended


async def test_a_group_cannot_be_left_before_it_is_entered_nor_entered_twice(backend: AsyncBackend) -> None:
    group = backend.create_task_group()
    with pytest.raises(RuntimeError):
        await leave(group)
    async with group:
        with pytest.raises(RuntimeError):
            await group.__aenter__()
    with pytest.raises(RuntimeError):
        await group.__aenter__()


async def test_only_one_task_can_leave(backend: AsyncBackend) -> None:
    group = backend.create_task_group()
    await group.__aenter__()
    group.start_soon(asyncio.sleep, 0.005)
    first = asyncio.create_task(leave(group))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="not open"):
        await leave(group)
    await first


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("error", [None, OSError()])
async def test_a_portal_may_be_left_by_another_task(backend: AsyncBackend, runs: bool, error: OSError | None) -> None:
    portal = backend.create_threads_portal()
    entered, end = asyncio.Event(), asyncio.Event()

    async def enter() -> None:
        await portal.__aenter__()
        entered.set()
        if runs:
            await end.wait()

    entrant = asyncio.create_task(enter())
    await entered.wait()
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0.005 if error is None else 3600)
        done.append(1)

    await backend.run_in_thread(lambda: portal.run_coroutine_soon(work))
    await portal.__aexit__(None if error is None else OSError, error, None)
    assert done == ([1] if error is None else [])
    end.set()
    await entrant
    assert entrant.cancelling() == 0


# --- scopes stay strict


async def test_a_scope_left_by_another_task_or_out_of_order_is_an_error(backend: AsyncBackend) -> None:
    async def leave_scope() -> None:
        with pytest.raises(RuntimeError, match="task that entered it"):
            outer.__exit__(None, None, None)

    async with backend.create_task_group():
        with backend.open_cancel_scope() as outer:
            async with backend.create_task_group():
                with backend.open_cancel_scope():
                    with pytest.raises(RuntimeError, match="must be left first"):
                        outer.__exit__(None, None, None)
                await asyncio.create_task(leave_scope())
    with pytest.raises(RuntimeError, match="not active"):
        outer.__exit__(None, None, None)
