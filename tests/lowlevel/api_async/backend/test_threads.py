"""Threads that an event loop runs, and threads that call into it, on every backend."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sniffio

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, ThreadsPortal

EVERY_BACKEND = True

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Fatal(BaseException):
    pass


# --- run_in_thread


async def test_a_function_runs_in_another_thread(backend: AsyncBackend) -> None:
    def work(*args: int) -> tuple[int, threading.Thread]:
        return sum(args), threading.current_thread()

    result, thread = await backend.run_in_thread(work, 1, 2)
    assert result == 3
    assert thread is not threading.current_thread()


@pytest.mark.parametrize("abandon", [True, False])
@pytest.mark.parametrize("error", [ZeroDivisionError(), Fatal(), ExceptionGroup("", [OSError()])])
async def test_its_exception_is_raised_as_it_is(backend: AsyncBackend, abandon: bool, error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as info:
        await backend.run_in_thread(fail, abandon_on_cancel=abandon)
    assert info.value is error


async def test_stop_iteration_does_not_hang(backend: AsyncBackend) -> None:
    with pytest.raises(RuntimeError):
        await backend.run_in_thread(next, iter([]))


async def test_it_has_a_copy_of_the_context_without_an_asynchronous_library(backend: AsyncBackend) -> None:
    def work() -> str:
        with pytest.raises(sniffio.AsyncLibraryNotFoundError):
            sniffio.current_async_library()
        value = variable.get()
        variable.set("changed")
        return value

    variable.set("set")
    token = sniffio.current_async_library_cvar.set(sniffio.current_async_library())
    try:
        assert await backend.run_in_thread(work) == "set"
    finally:
        sniffio.current_async_library_cvar.reset(token)
    assert variable.get() == "set"


async def test_by_default_the_thread_is_waited_for(backend: AsyncBackend) -> None:
    release = threading.Event()

    async def release_later() -> None:
        await backend.sleep(0.01)
        release.set()

    async with backend.create_task_group() as group:
        group.start_soon(release_later)
        with backend.open_cancel_scope() as scope:
            scope.cancel()
            assert await backend.run_in_thread(release.wait, 5)
            await backend.coro_yield()
    assert scope.cancelled_caught()


async def test_an_abandoned_thread_is_left_alone(backend: AsyncBackend) -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(5)
        ended.set()
        raise ZeroDivisionError

    with backend.move_on_after(0.005) as scope:
        await backend.run_in_thread(work, abandon_on_cancel=True)
    assert scope.cancelled_caught()
    assert not ended.is_set()
    release.set()
    assert await backend.run_in_thread(ended.wait, 5)


# --- the portal


async def test_functions_are_called_in_the_thread_of_the_loop(backend: AsyncBackend) -> None:
    def where(*args: int, **kwargs: int) -> Any:
        return threading.current_thread(), sniffio.current_async_library(), args, kwargs

    expected = (threading.current_thread(), sniffio.current_async_library(), (1,), {"a": 2})
    async with backend.create_threads_portal() as portal:
        assert await backend.run_in_thread(lambda: portal.run_sync(where, 1, a=2)) == expected
        assert await backend.run_in_thread(lambda: portal.run_sync_soon(where, 1, a=2).result()) == expected


async def test_coroutines_are_awaited_in_a_task_of_their_own(backend: AsyncBackend) -> None:
    async def where(*args: int, **kwargs: int) -> Any:
        await backend.coro_yield()
        assert backend.get_current_task() != me
        return threading.current_thread(), sniffio.current_async_library(), args, kwargs

    me = backend.get_current_task()
    expected = (threading.current_thread(), sniffio.current_async_library(), (1,), {"a": 2})
    async with backend.create_threads_portal() as portal:
        assert await backend.run_in_thread(lambda: portal.run_coroutine(where, 1, a=2)) == expected
        assert await backend.run_in_thread(lambda: portal.run_coroutine_soon(where, 1, a=2).result()) == expected


async def test_the_context_of_the_calling_thread_is_copied(backend: AsyncBackend) -> None:
    def look() -> tuple[str, str]:
        return variable.get(), sniffio.current_async_library()

    async def look_async() -> tuple[str, str]:
        return look()

    async with backend.create_threads_portal() as portal:

        def work() -> Any:
            variable.set("of the thread")
            return portal.run_sync(look), portal.run_coroutine(look_async)

        assert await backend.run_in_thread(work) == (("of the thread", sniffio.current_async_library()),) * 2
    assert variable.get() == "unset"


@pytest.mark.parametrize("error", [ZeroDivisionError(), Fatal(), KeyboardInterrupt(), SystemExit()])
async def test_exceptions_reach_the_caller_and_nobody_else(backend: AsyncBackend, error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def fail_async() -> None:
        await backend.coro_yield()
        raise error

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            calls: list[Callable[[], object]] = [
                lambda: portal.run_sync(fail),
                lambda: portal.run_coroutine(fail_async),
            ]
            for call in calls:
                with pytest.raises(type(error)) as info:
                    call()
                assert info.value is error
            return True

        assert await backend.run_in_thread(work)
        await backend.coro_yield()


async def test_a_function_that_returns_a_coroutine_is_an_error(backend: AsyncBackend) -> None:
    async def coroutine() -> None:
        pytest.fail("unreachable")

    async with backend.create_threads_portal() as portal:

        def work() -> TypeError:
            with pytest.raises(TypeError) as info:
                _ = portal.run_sync(coroutine)
            return info.value

        assert any("run_coroutine" in note for note in (await backend.run_in_thread(work)).__notes__)


async def test_a_portal_works_only_while_it_is_open(backend: AsyncBackend) -> None:
    portal = backend.create_threads_portal()

    def work() -> bool:
        for method in (portal.run_sync, portal.run_sync_soon, portal.run_coroutine, portal.run_coroutine_soon):
            with pytest.raises(RuntimeError):
                method(backend.coro_yield)
        return True

    assert await backend.run_in_thread(work)
    async with portal:
        with pytest.raises(RuntimeError):
            await portal.__aenter__()
    with pytest.raises(RuntimeError):
        await portal.__aenter__()
    assert await backend.run_in_thread(work)


async def test_a_portal_refuses_the_thread_of_its_own_loop(backend: AsyncBackend) -> None:
    async with backend.create_threads_portal() as portal:
        for method in (portal.run_sync, portal.run_sync_soon, portal.run_coroutine, portal.run_coroutine_soon):
            with pytest.raises(RuntimeError):
                method(backend.coro_yield)


async def test_a_thread_with_another_event_loop_may_call(backend: AsyncBackend) -> None:
    me = threading.current_thread()
    async with backend.create_threads_portal() as portal:

        async def other() -> bool:
            assert threading.current_thread() is not me
            return portal.run_sync(threading.current_thread) is me

        assert await backend.run_in_thread(lambda: asyncio.run(other()))


def blocked_loop(portal: ThreadsPortal) -> tuple[threading.Event, threading.Event]:
    """Make the loop wait, once it gets there, for the second event; the first says that it does."""
    blocked, release = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        release.wait(5)

    portal.run_sync_soon(block)
    return blocked, release


async def test_cancelling_the_future_before_the_call_prevents_it(backend: AsyncBackend) -> None:
    called = threading.Event()
    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            blocked, release = blocked_loop(portal)
            blocked.wait(5)
            future = portal.run_sync_soon(called.set)
            assert future.cancel()
            release.set()
            done, _ = concurrent.futures.wait([future], timeout=5)
            return future in done and future.cancelled()

        assert await backend.run_in_thread(work)
    assert not called.is_set()


async def test_a_coroutine_whose_future_is_cancelled_before_it_begins_runs_to_its_first_wait(
    backend: AsyncBackend,
) -> None:
    log: list[str] = []

    async def run() -> None:
        log.append("began")
        try:
            await backend.sleep_forever()
        except backend.get_cancelled_exc_class():
            log.append("cancelled")
            raise

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            blocked, release = blocked_loop(portal)
            blocked.wait(5)
            future = portal.run_coroutine_soon(run)
            assert future.cancel()
            release.set()
            done, _ = concurrent.futures.wait([future], timeout=5)
            return future in done and future.cancelled()

        assert await backend.run_in_thread(work)
    assert log == ["began", "cancelled"]


async def test_a_coroutine_that_suspends_nowhere_is_run_although_its_future_is_cancelled(backend: AsyncBackend) -> None:
    log: list[str] = []

    async def run() -> str:
        log.append("ran")
        return "dropped"

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            blocked, release = blocked_loop(portal)
            blocked.wait(5)
            future = portal.run_coroutine_soon(run)
            assert future.cancel()
            release.set()
            done, _ = concurrent.futures.wait([future], timeout=5)
            return future in done and future.cancelled()

        assert await backend.run_in_thread(work)
    assert log == ["ran"]


@pytest.mark.parametrize("begun", [True, False])
async def test_cancelling_the_future_cancels_the_task(backend: AsyncBackend, begun: bool) -> None:
    running, ended = threading.Event(), threading.Event()

    async def run() -> None:
        running.set()
        try:
            await backend.sleep_forever()
        finally:
            ended.set()

    async with backend.create_threads_portal() as portal:

        def work() -> bool:
            future = portal.run_coroutine_soon(run)
            if begun:
                running.wait(5)
            assert future.cancel()
            done, _ = concurrent.futures.wait([future], timeout=5)
            with pytest.raises(concurrent.futures.CancelledError):
                future.result(5)
            return future in done

        assert await backend.run_in_thread(work)
    assert running.is_set()
    assert ended.is_set()


async def test_a_call_that_joins_a_cancelled_task_is_cancelled_and_disturbs_nobody(backend: AsyncBackend) -> None:
    async with backend.create_task_group() as group, backend.create_threads_portal() as portal:
        task = await group.start(backend.sleep_forever)
        task.cancel()

        def work() -> bool:
            with pytest.raises(concurrent.futures.CancelledError):
                portal.run_coroutine(task.join)
            portal.run_coroutine(backend.coro_yield)
            return True

        assert await backend.run_in_thread(work)


async def test_leaving_waits_for_what_was_scheduled(backend: AsyncBackend) -> None:
    futures: list[concurrent.futures.Future[Any]] = []
    async with backend.create_threads_portal() as portal:

        def work() -> None:
            futures.extend(portal.run_sync_soon(int) for _ in range(10))
            futures.extend(portal.run_coroutine_soon(backend.sleep, 0.005) for _ in range(10))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(futures) == 20
    assert all(future.done() for future in futures)


async def test_leaving_by_cancellation_cancels_the_tasks(backend: AsyncBackend) -> None:
    futures: list[concurrent.futures.Future[Any]] = []
    with backend.open_cancel_scope() as scope:
        async with backend.create_threads_portal() as portal:

            def work() -> None:
                futures.extend(portal.run_coroutine_soon(backend.sleep_forever) for _ in range(3))

            await backend.run_in_thread(work)
            scope.cancel()
            await backend.sleep_forever()
    assert scope.cancelled_caught()
    assert [future.cancelled() for future in futures] == [True] * 3


async def test_being_cancelled_while_leaving_cancels_the_tasks(backend: AsyncBackend) -> None:
    futures: list[concurrent.futures.Future[Any]] = []
    with backend.open_cancel_scope() as scope:
        async with backend.create_threads_portal() as portal:

            def work() -> None:
                futures.append(portal.run_coroutine_soon(backend.sleep_forever))

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            scope.cancel()
    assert scope.cancelled_caught()
    assert futures[0] in concurrent.futures.wait(futures, timeout=5).done
    assert futures[0].cancelled()


async def test_an_exception_of_the_block_is_raised_as_it_is(backend: AsyncBackend) -> None:
    error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError) as info:
        async with backend.create_threads_portal() as portal:
            await backend.run_in_thread(lambda: portal.run_coroutine_soon(backend.sleep_forever))
            raise error
    assert info.value is error


async def test_no_call_is_lost_while_the_portal_closes(backend: AsyncBackend) -> None:
    """Each future is settled, or the call is refused."""
    for _ in range(20):
        await call_while_closing(backend)


async def call_while_closing(backend: AsyncBackend) -> None:
    futures: list[concurrent.futures.Future[Any]] = []

    def work() -> None:
        try:
            while True:
                futures.append(portal.run_sync_soon(int))
                futures.append(portal.run_coroutine_soon(backend.coro_yield))
        except RuntimeError:
            pass

    async with backend.create_threads_portal() as portal:
        thread = threading.Thread(target=work)
        thread.start()
        await backend.sleep(0.001)
    await backend.run_in_thread(thread.join)
    assert all(future.done() for future in futures)
