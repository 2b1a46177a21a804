"""What the backend on trio does otherwise than the one on asyncio, or on its own terms."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import signal
import threading

import pytest
import sniffio
import trio

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.futures import unwrap_future


@pytest.fixture
def backend() -> AsyncBackend:
    return new_builtin_backend("trio")


def test_cancelled_is_that_of_trio(backend: AsyncBackend) -> None:
    assert backend.get_cancelled_exc_class() is trio.Cancelled


def test_options_of_bootstrap_are_those_of_trio(backend: AsyncBackend) -> None:
    class Clock(trio.abc.Clock):
        def start_clock(self) -> None:
            pass

        def current_time(self) -> float:
            return 1234.5

        def deadline_to_sleep_time(self, deadline: float) -> float:
            return 0

    async def run() -> float:
        return backend.current_time()

    assert backend.bootstrap(run, runner_options={"clock": Clock()}) == 1234.5


@pytest.mark.parametrize("exc_type", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_a_task_is_raised_in_a_group(backend: AsyncBackend, exc_type: type[BaseException]) -> None:
    async def interrupt() -> None:
        raise exc_type

    async def run() -> None:
        with pytest.raises(BaseExceptionGroup) as info:
            async with backend.create_task_group() as group:
                group.start_soon(interrupt)
        assert [type(exc) for exc in info.value.exceptions] == [exc_type]

    backend.bootstrap(run)


def test_an_interrupt_leaves_bootstrap_by_itself(backend: AsyncBackend) -> None:
    """It comes to the main task, at a checkpoint, wherever the process is when it comes."""
    seen: list[str] = []

    async def busy() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        seen.append("not torn")
        try:
            await trio.sleep_forever()
        finally:
            seen.append("cancelled")

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(busy)

    with pytest.raises(KeyboardInterrupt):
        backend.bootstrap(run)
    assert seen == ["not torn", "cancelled"]


def test_an_interrupt_with_other_errors_stays_in_their_group(backend: AsyncBackend) -> None:
    async def fail(error: BaseException) -> None:
        raise error

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, KeyboardInterrupt())
            nursery.start_soon(fail, LookupError())

    with pytest.raises(BaseExceptionGroup) as info:
        backend.bootstrap(run)
    assert {type(exc) for exc in info.value.exceptions} == {KeyboardInterrupt, LookupError}


def test_nurseries_and_scopes_of_trio_work_within_those_of_the_backend_and_around_them(backend: AsyncBackend) -> None:
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            with backend.open_cancel_scope() as scope:
                async with backend.create_task_group() as group, trio.open_nursery() as inner:
                    inner.start_soon(backend.sleep_forever)
                    group.start_soon(trio.sleep_forever)
                    nursery.start_soon(trio.sleep, 0)
                    scope.cancel()
            assert scope.cancelled_caught()
        with trio.move_on_after(0) as outer:
            with backend.timeout(3600):
                await trio.sleep_forever()
        assert outer.cancelled_caught

    backend.bootstrap(run)


def test_a_call_that_fails_although_cancelled_is_logged(
    backend: AsyncBackend, caplog: pytest.LogCaptureFixture
) -> None:
    running = threading.Event()

    async def fail() -> None:
        running.set()
        try:
            await backend.sleep_forever()
        finally:
            raise ZeroDivisionError

    async def run() -> None:
        async with backend.create_threads_portal() as portal:

            def work() -> bool:
                future = portal.run_coroutine_soon(fail)
                running.wait(5)
                assert future.cancel()
                return future in concurrent.futures.wait([future], timeout=5).done

            assert await backend.run_in_thread(work)

    with caplog.at_level(logging.ERROR, "easynetwork"):
        backend.bootstrap(run)
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_in_calls_of_a_portal_the_context_variable_of_sniffio_is_not_set(backend: AsyncBackend) -> None:
    """Trio makes itself known by the thread-local name."""

    def look() -> tuple[str | None, str]:
        return sniffio.current_async_library_cvar.get(), sniffio.current_async_library()

    async def look_async() -> tuple[str | None, str]:
        await trio.lowlevel.checkpoint()
        return look()

    async def run() -> None:
        async with backend.create_threads_portal() as portal:

            def work() -> list[tuple[str | None, str]]:
                sniffio.current_async_library_cvar.set("of the thread")
                return [portal.run_sync(look), portal.run_coroutine(look_async)]

            assert await backend.run_in_thread(work) == [(None, "trio")] * 2

    backend.bootstrap(run)


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_the_cancellation_of_the_waiting_task_wins_over_that_of_its_future(backend: AsyncBackend, moment: str) -> None:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def cancel() -> None:
        future.cancel()
        scope.cancel()

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            with scope:
                if moment == "before":
                    await cancel()
                else:
                    nursery.start_soon(cancel)
                await unwrap_future(future, backend)
        assert scope.cancelled_caught

    scope = trio.CancelScope()
    backend.bootstrap(run)
