"""What a task waits for in the place of a future."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend._asyncio.tasks.shields import ignore_cancellation
from easynetwork.lowlevel.api_async.backend._asyncio.tasks.waiter import Waiter


class Wait:
    """One wait."""

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter

    def __await__(self) -> Generator[Any, None, None]:
        yield self.waiter.renew()
        self.waiter.result()


def new_waiter() -> Waiter:
    return Waiter(asyncio.get_running_loop())


async def started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def note(events: list[str], waiter: Waiter, count: int = 1) -> None:
    for i in range(count):
        await Wait(waiter)
        events.append(f"woken {i}")


async def in_a_callback(*functions: Any) -> None:
    """Call *functions* in one callback of the loop."""
    done = asyncio.get_running_loop().create_future()

    def call() -> None:
        for function in functions:
            function()
        done.set_result(None)

    asyncio.get_running_loop().call_soon(call)
    await done


async def test_wake_resumes_the_task_in_the_next_turn() -> None:
    events: list[str] = []
    waiter = new_waiter()
    task = await started(note(events, waiter))
    await in_a_callback(waiter.wake, lambda: events.append("called"))
    await task
    assert events == ["called", "woken 0"]


async def test_wake_now_resumes_the_task_at_once_any_number_of_times() -> None:
    events: list[str] = []
    waiter = new_waiter()
    task = await started(note(events, waiter, 2))
    await in_a_callback(waiter.wake_now, lambda: events.append("called"), waiter.wake_now)
    await task
    assert events == ["woken 0", "called", "woken 1"]


async def test_wake_now_within_another_task_waits_for_the_next_turn() -> None:
    events: list[str] = []
    waiter = new_waiter()
    task = await started(note(events, waiter))
    waiter.wake_now()
    events.append("called")
    await task
    assert events == ["called", "woken 0"]


async def test_nobody_is_woken_twice_for_one_wait_or_without_one() -> None:
    events: list[str] = []
    waiter = new_waiter()
    waiter.wake()
    waiter.wake_now()
    task = await started(note(events, waiter, 2))
    await in_a_callback(waiter.wake, waiter.wake, waiter.wake_now)
    await asyncio.sleep(0)
    assert events == ["woken 0"]
    waiter.wake()
    await task


async def test_task_goes_on_in_its_own_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []
    waiter = new_waiter()

    async def run() -> None:
        variable.set("inside")
        for _ in range(2):
            await Wait(waiter)
            seen.append(variable.get())

    task = await started(run())
    await in_a_callback(waiter.wake_now, lambda: seen.append(variable.get()), waiter.wake)
    await task
    assert seen == ["inside", "outside", "inside"]


@pytest.mark.parametrize("arguments", [(), ("why",)])
async def test_cancellation_is_raised_with_its_message(arguments: tuple[str, ...]) -> None:
    waiter = new_waiter()

    async def run() -> tuple[Any, ...]:
        try:
            await Wait(waiter)
        except asyncio.CancelledError as exc:
            return exc.args
        return ("not cancelled",)

    task = await started(run())
    assert waiter.done() is False
    assert task.cancel(*arguments)
    assert waiter.done()
    assert not waiter.cancel()
    assert await task == arguments


async def test_cancellation_after_the_waking_reaches_the_task_as_well() -> None:
    waiter = new_waiter()
    task = await started(note([], waiter))
    waiter.wake()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_shielded_task_is_not_woken_by_a_cancellation() -> None:
    events: list[str] = []
    waiter = new_waiter()

    async def run() -> None:
        await ignore_cancellation(note(events, waiter, 2))
        events.append("end of the shield")
        await asyncio.sleep(0)

    task = await started(run())
    task.cancel()
    await asyncio.sleep(0.001)
    assert events == []
    assert not waiter.done()
    await in_a_callback(waiter.wake_now)
    await asyncio.sleep(0.001)
    waiter.wake()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["woken 0", "woken 1", "end of the shield"]


async def test_callback_that_was_removed_is_not_called() -> None:
    waiter = new_waiter().renew()
    called: list[Waiter] = []
    waiter.add_done_callback(called.append)
    assert waiter.remove_done_callback(called.append) == 1
    assert waiter.remove_done_callback(called.append) == 0
    assert not waiter.done()
    waiter.wake()
    await asyncio.sleep(0)
    assert waiter.done()
    assert called == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_process_ends_the_loop_from_a_task_that_is_woken_now(
    error: BaseException, event_loop_policy: asyncio.AbstractEventLoopPolicy
) -> None:
    async def fail(waiter: Waiter) -> None:
        await Wait(waiter)
        raise error

    async def main() -> None:
        waiter = new_waiter()
        task = await started(fail(waiter))
        try:
            await in_a_callback(waiter.wake_now)
            await asyncio.sleep(10)
        finally:
            task.exception()  # no other task asks for it

    loop = event_loop_policy.new_event_loop()
    try:
        with pytest.raises(type(error)):
            loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(task)
    finally:
        loop.close()
