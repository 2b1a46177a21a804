"""Task groups, on every backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, Task, TaskInfo
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend

EVERY_BACKEND = True


async def fail(exc: BaseException) -> NoReturn:
    raise exc


async def value(result: Any, *, turns: int = 1) -> Any:
    backend = ensure_backend(None)
    for _ in range(turns):
        await backend.coro_yield()
    return result


async def cancel(task: Task[Any]) -> None:
    task.cancel()


# --- starting tasks


async def test_the_block_waits_for_all_tasks_also_for_those_started_meanwhile(backend: AsyncBackend) -> None:
    done: list[int] = []

    async def run(n: int) -> None:
        await backend.sleep(0.001)
        if n:
            group.start_soon(run, n - 1)
        done.append(n)

    async with backend.create_task_group() as group:
        group.start_soon(run, 3)
    assert done == [3, 2, 1, 0]


async def test_start_returns_a_task_that_can_be_joined(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group:
        task = await group.start(value, 42, name="the answer")
        assert task.info.name == "the answer"
        assert await task.join() == await task.join() == 42
        assert task.done()
        assert not task.cancelled()
        assert not task.cancel()


async def test_start_returns_once_the_task_has_begun(backend: AsyncBackend) -> None:
    begun = False

    async def run() -> None:
        nonlocal begun
        begun = True
        await backend.sleep_forever()

    async with backend.create_task_group() as group:
        task = await group.start(run)
        assert begun
        assert task.cancel()


@pytest.mark.parametrize("entered", [True, False])
async def test_a_group_that_is_not_open_refuses_tasks_and_calls_nothing_unawaited(
    backend: AsyncBackend, entered: bool
) -> None:
    group = backend.create_task_group()
    if entered:
        async with group:
            pass
    with pytest.raises(RuntimeError):
        group.start_soon(value, 1)
    with pytest.raises(RuntimeError):
        await group.start(value, 1)


# --- failures


async def test_the_failures_of_tasks_are_raised_together_and_cancel_the_rest(backend: AsyncBackend) -> None:
    first, second, third = OSError(1), KeyError(2), ValueError(3)
    cancelled: list[str] = []

    async def last_words(exc: Exception) -> None:
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            cancelled.append("child")
            raise exc

    with pytest.raises(ExceptionGroup) as info:
        async with backend.create_task_group() as group:
            group.start_soon(last_words, second)
            group.start_soon(last_words, ExceptionGroup("nested", [third]))
            group.start_soon(backend.sleep_forever)
            group.start_soon(fail, first)
            try:
                await backend.sleep_forever()
            except backend.get_cancelled_exc_class():
                cancelled.append("body")
                raise
    failures, nested = info.value.split(lambda exc: exc in (first, second))
    assert failures is not None
    assert nested is not None
    assert set(failures.exceptions) == {first, second}
    [inner] = nested.exceptions
    assert isinstance(inner, ExceptionGroup)
    assert inner.exceptions == (third,)
    assert sorted(cancelled) == ["body", "child", "child"]


async def test_an_exception_of_the_body_alone_is_not_wrapped(backend: AsyncBackend) -> None:
    error = ZeroDivisionError()
    cancelled = False

    async def child() -> None:
        nonlocal cancelled
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            cancelled = True
            raise

    with pytest.raises(ZeroDivisionError) as info:
        async with backend.create_task_group() as group:
            await group.start(child)
            raise error
    assert info.value is error
    assert cancelled


async def test_an_exception_group_raised_by_the_body_alone_is_not_wrapped(backend: AsyncBackend) -> None:
    error = ExceptionGroup("from the body", [ZeroDivisionError()])
    with pytest.raises(ExceptionGroup) as info:
        async with backend.create_task_group() as group:
            group.start_soon(backend.sleep_forever)
            raise error
    assert info.value is error


async def test_failures_of_body_and_tasks_are_raised_together(backend: AsyncBackend) -> None:
    async def child() -> None:
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            raise OSError

    with pytest.raises(ExceptionGroup) as info:
        async with backend.create_task_group() as group:
            await group.start(child)
            raise ZeroDivisionError
    assert {type(exc) for exc in info.value.exceptions} == {OSError, ZeroDivisionError}


class Fatal(BaseException):
    pass


async def test_a_base_exception_of_a_task_is_raised_in_a_group(backend: AsyncBackend) -> None:
    with pytest.raises(BaseExceptionGroup) as info:
        async with backend.create_task_group() as group:
            group.start_soon(fail, Fatal())
    assert not isinstance(info.value, ExceptionGroup)
    assert [type(exc) for exc in info.value.exceptions] == [Fatal]


async def test_a_base_exception_of_the_body_is_raised_as_it_is(backend: AsyncBackend) -> None:
    with pytest.raises(Fatal):
        async with backend.create_task_group() as group:
            group.start_soon(backend.sleep_forever)
            raise Fatal


@pytest.mark.parametrize("exc_type", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_of_the_body_leaves_unwrapped(backend: AsyncBackend, exc_type: type[BaseException]) -> None:
    with pytest.raises(exc_type):
        async with backend.create_task_group() as group:
            group.start_soon(backend.sleep_forever)
            raise exc_type


async def test_the_cancellation_of_the_surrounding_scope_is_never_a_group(backend: AsyncBackend) -> None:
    caught: list[BaseException] = []
    with backend.open_cancel_scope() as scope:
        try:
            async with backend.create_task_group() as group:
                group.start_soon(backend.sleep_forever)
                group.start_soon(backend.sleep_forever)
                await backend.coro_yield()
                scope.cancel()
                await backend.sleep_forever()
        except BaseException as exc:
            caught.append(exc)
            raise
    assert [type(exc) for exc in caught] == [backend.get_cancelled_exc_class()]
    assert scope.cancelled_caught()


async def test_a_failure_while_the_block_is_shielded_leaves_no_stray_cancellation(backend: AsyncBackend) -> None:
    with pytest.raises(ExceptionGroup):
        async with backend.create_task_group() as group:
            group.start_soon(fail, OSError())
            await backend.ignore_cancellation(backend.sleep(0.002))
    for _ in range(3):
        await backend.coro_yield()
    await backend.sleep(0.001)


async def test_failures_of_a_cancelled_group_are_raised_without_the_cancellations(backend: AsyncBackend) -> None:
    error = ZeroDivisionError()

    async def last_words() -> None:
        try:
            await backend.sleep_forever()
        finally:
            raise error

    with backend.open_cancel_scope() as scope:
        with pytest.raises(ExceptionGroup) as info:
            async with backend.create_task_group() as group:
                await group.start(last_words)
                await group.start(backend.sleep_forever)
                scope.cancel()
                await backend.sleep_forever()
    assert info.value.exceptions == (error,)


async def test_a_task_that_joins_a_cancelled_one_is_cancelled_and_disturbs_nobody(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group:
        other = await group.start(value, 42)
        victim = await group.start(backend.sleep_forever)
        joining = await group.start(victim.join)
        victim.cancel()
        await joining.wait()
        assert joining.cancelled()
        assert await other.join() == 42


async def test_a_group_can_be_entered_only_once(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group:
        with pytest.raises(RuntimeError):
            await group.__aenter__()


async def test_a_task_cancelled_alone_disturbs_nobody(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group:
        cancelled = await group.start(backend.sleep_forever)
        other = await group.start(value, 42)
        assert cancelled.cancel()
        await cancelled.wait()
    assert cancelled.cancelled()
    assert await other.join() == 42


# --- tasks


async def test_task_infos_are_equal_by_id_only(backend: AsyncBackend) -> None:
    coro = value(1)
    info = TaskInfo(1, "name", coro)
    assert info == TaskInfo(1, "other", None)
    assert hash(info) == hash(TaskInfo(1, "other", None)) == hash(info.id)
    assert info != TaskInfo(2, "name", coro)
    assert "name" in repr(info)
    assert "coro" not in repr(info)
    coro.close()


@pytest.mark.lazy_tasks(
    reason="Python 3.12 names an eager task after it has run: https://github.com/python/cpython/issues/128308"
)
async def test_the_current_task_is_the_one_that_start_has_returned(backend: AsyncBackend) -> None:
    async def run() -> TaskInfo:
        return backend.get_current_task()

    async with backend.create_task_group() as group:
        task = await group.start(run, name="me")
        info = await task.join()
    assert info == task.info
    assert info.name == task.info.name == "me"
    assert info != backend.get_current_task()


def test_there_is_no_current_task_outside_of_a_loop(backend: AsyncBackend) -> None:
    with pytest.raises(RuntimeError):
        backend.get_current_task()


async def test_wait_raises_nothing_about_the_outcome(backend: AsyncBackend) -> None:
    with pytest.raises(ExceptionGroup):
        async with backend.create_task_group() as group:
            task = await group.start(fail, OSError())
            await backend.ignore_cancellation(task.wait())
            assert task.done()
            await task.wait()


@pytest.mark.parametrize("method", ["join", "join_or_cancel"])
async def test_joining_raises_the_exception_of_the_task(backend: AsyncBackend, method: str) -> None:
    error = OSError()
    with pytest.raises(ExceptionGroup):
        async with backend.create_task_group() as group:
            task = await group.start(fail, error)
            with pytest.raises(OSError) as info:
                await backend.ignore_cancellation(getattr(task, method)())
            assert info.value is error


@pytest.mark.parametrize("method", ["join", "join_or_cancel"])
async def test_joining_a_cancelled_task_raises_cancelled(backend: AsyncBackend, method: str) -> None:
    async with backend.create_task_group() as group:
        task = await group.start(backend.sleep_forever)
        group.start_soon(cancel, task)
        for _ in range(2):
            with pytest.raises(backend.get_cancelled_exc_class()):
                await getattr(task, method)()
    assert task.cancelled()


async def test_cancelling_who_joins_leaves_the_task_alone(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group:
        task = await group.start(backend.sleep, 0.01)
        for wait in (task.join, task.wait):
            with backend.move_on_after(0) as scope:
                await wait()
            assert scope.cancelled_caught()
        assert not task.done()
        await task.join()


async def test_cancelling_who_joins_or_cancels_cancels_the_task_and_waits_for_it(backend: AsyncBackend) -> None:
    ended = False

    async def run() -> None:
        nonlocal ended
        try:
            await backend.sleep_forever()
        finally:
            await backend.ignore_cancellation(backend.sleep(0.002))
            ended = True

    async with backend.create_task_group() as group:
        task = await group.start(run)
        with backend.move_on_after(0) as scope:
            await task.join_or_cancel()
        assert ended
        assert scope.cancelled_caught()
    assert task.cancelled()


@pytest.mark.parametrize("error", [None, OSError()])
async def test_a_task_that_finishes_although_cancelled_gives_its_outcome_to_who_joins_or_cancels(
    backend: AsyncBackend, error: OSError | None
) -> None:
    async def stubborn() -> int:
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            if error is not None:
                raise error
        return 42

    caught: list[object] = []

    async def run() -> None:
        async with backend.create_task_group() as group:
            task = await group.start(stubborn)
            with backend.move_on_after(0) as scope:
                try:
                    caught.append(await task.join_or_cancel())
                except OSError as exc:
                    caught.append(exc)
            assert not scope.cancelled_caught()

    if error is None:
        await run()
    else:
        with pytest.raises(ExceptionGroup):
            await run()
    assert caught == [42 if error is None else error]


# --- gather


async def test_gathered_results_come_in_the_order_of_the_arguments(backend: AsyncBackend) -> None:
    assert await backend.gather(value(1, turns=5), value(2), value(3, turns=3)) == [1, 2, 3]


async def test_gathering_nothing_does_not_suspend(backend: AsyncBackend) -> None:
    with pytest.raises(StopIteration) as info:
        backend.gather().send(None)
    assert info.value.value == []


async def test_gathered_awaitables_run_at_the_same_time(backend: AsyncBackend) -> None:
    event = backend.create_event()

    async def set_event() -> None:
        event.set()

    await backend.gather(event.wait(), set_event())


async def test_what_is_gathered_twice_is_awaited_once(backend: AsyncBackend) -> None:
    coro = value([])
    results = await backend.gather(coro, value(1), coro)
    assert results == [[], 1, []]
    assert results[0] is results[2]


async def test_awaitables_need_not_be_hashable_nor_are_equal_ones_the_same(backend: AsyncBackend) -> None:
    class Equal:
        __hash__ = None  # type: ignore[assignment]  # on purpose

        def __init__(self, result: int) -> None:
            self.result = result

        def __eq__(self, other: object) -> bool:
            return True

        def __await__(self) -> Any:
            return value(self.result).__await__()

    awaitables: list[Awaitable[Any]] = [Equal(1), Equal(2)]
    assert await backend.gather(*awaitables) == [1, 2]


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_failure_in_gather_cancels_the_others(backend: AsyncBackend, position: int) -> None:
    """Also those that have not begun: no coroutine stays unawaited."""
    others = [backend.sleep_forever(), backend.sleep_forever()]
    failing: Any = fail(ZeroDivisionError())
    with pytest.raises(ExceptionGroup) as info:
        await backend.gather(*others[:position], failing, *others[position:])
    assert [type(exc) for exc in info.value.exceptions] == [ZeroDivisionError]


async def test_gather_in_a_cancelled_scope_leaves_no_coroutine_unawaited(backend: AsyncBackend) -> None:
    waits: list[Callable[[], Any]] = [backend.sleep_forever] * 3
    with backend.move_on_after(0) as scope:
        await backend.gather(*(wait() for wait in waits))
    assert scope.cancelled_caught()
