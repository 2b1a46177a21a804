"""Coroutines that callbacks step on behalf of a task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import types
import weakref
from asyncio.tasks import _enter_task, _leave_task
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NamedTuple

import pytest
from tests.support.manual_loop import ManualLoop

from easynetwork.lowlevel.api_async.backend._asyncio.tasks.shields import ignore_cancellation
from easynetwork.lowlevel.api_async.backend._asyncio.tasks.steppable import PARKED, Steppable
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


class Get(NamedTuple):
    timeout: float | None


class Leave(NamedTuple):
    coroutine: Coroutine[Any, Any, Any]


class Inbox(Steppable):
    """A coroutine that waits for values. A callback delivers them, and steps the coroutine if it waits."""

    __slots__ = ("coroutine", "deadline", "kept", "looks")

    def __init__(self, loop: ManualLoop, make: Callable[[Inbox], Coroutine[Any, Any, Any]]) -> None:
        super().__init__(loop)
        self.coroutine = make(self)
        self.kept: deque[Any] = deque()
        self.deadline: float | None = None
        self.looks = 0

    @types.coroutine
    def get(self, timeout: float | None = None) -> Generator[Any, Any, Any]:
        """Wait for a value; raise `TimeoutError` after *timeout* seconds."""
        value = yield Get(timeout)
        if value is None:
            raise TimeoutError
        return value

    @types.coroutine
    def leave(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Have the carrier await *coroutine*."""
        return (yield Leave(coroutine))

    async def carry_on(self) -> Any:
        return await self.carry()

    def _start(self) -> Any:
        return self._settle(self.coroutine.send(None))

    def _look(self) -> Any:
        self.looks += 1
        if not self.kept:
            return PARKED
        return self._settle(self.coroutine.send(self.kept.popleft()))

    def _resume(self, answer: Any) -> Any:
        return self._settle(self.coroutine.send(answer))

    def _throw(self, exc: BaseException) -> Any:
        return self._settle(self.coroutine.throw(exc))

    def _settle(self, yielded: Any) -> Any:
        while isinstance(yielded, Get):
            self.deadline = None
            if yielded.timeout is not None:
                self.deadline = self._begin_timeout(yielded.timeout)
            if not self.kept:
                return PARKED
            yielded = self.coroutine.send(self.kept.popleft())
        return yielded.coroutine if isinstance(yielded, Leave) else yielded

    def deliver(self, value: Any) -> None:
        """Step the coroutine with *value* in this callback, if it waits."""
        if not self.is_parked():
            self.kept.append(value)
            return
        _enter_task(self._loop, self._task)
        state: Any = PARKED
        try:
            state = self._context.run(self._resume, value)
        except BaseException as exc:
            self._failure, state = exc, None
        finally:
            _leave_task(self._loop, self._task)
        if state is not PARKED:
            self._suspended = state
            self.wake_now()

    def _get_deadline(self) -> float | None:
        return self.deadline

    def _time_out(self) -> None:
        self.deliver(None)


def carried(
    loop: ManualLoop, make: Callable[[Inbox], Coroutine[Any, Any, Any]]
) -> tuple[Inbox, asyncio.Task[Any], Callable[[Any], None]]:
    """Return a coroutine, its carrier, and what delivers a value in a callback of the loop."""
    inbox = Inbox(loop, make)
    carrier = loop.start(inbox.carry_on())
    return inbox, carrier, lambda value: loop.call(inbox.deliver, value)


def cancel_this_task(*args: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel(*args)


# ------------------------------------------------------------------------------------------------------------ stepping


def test_callback_steps_the_coroutine_at_once(loop: ManualLoop) -> None:
    got: list[str] = []

    async def run(inbox: Inbox) -> None:
        while True:
            got.append(await inbox.get())

    _, _, deliver = carried(loop, run)
    deliver("a")
    deliver("b")
    assert got == ["a", "b"]
    assert loop.ready == []


def test_callback_and_carrier_are_the_same_task_in_the_same_context(loop: ManualLoop) -> None:
    seen: list[object] = []

    def note(value: str) -> None:
        seen.append((asyncio.current_task(), VARIABLE.get()))
        VARIABLE.set(value)

    async def run(inbox: Inbox) -> None:
        note("by the carrier")
        await inbox.get()
        note("by a callback")
        await asyncio.sleep(0)
        note("by the carrier again")
        await inbox.get()
        note("at the end")

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    loop.settle()
    deliver("b")
    assert carrier.done()
    values = ["unset", "by the carrier", "by a callback", "by the carrier again"]
    assert seen == [(carrier, value) for value in values]
    assert VARIABLE.get() == "unset"


def test_carrier_goes_on_with_a_coroutine_that_suspends_in_a_callback(loop: ManualLoop) -> None:
    future = loop.create_future()
    got: list[object] = []

    async def run(inbox: Inbox) -> None:
        got.append(await inbox.get())
        got.append(await future)
        got.append(await inbox.get())

    inbox, carrier, deliver = carried(loop, run)
    deliver("a")
    assert not inbox.is_parked()
    deliver("kept")
    loop.settle()
    assert got == ["a"]
    future.set_result("b")
    loop.settle()
    assert got == ["a", "b", "kept"]
    assert carrier.result() is None


def test_what_a_callback_has_left_is_done_once(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> str:
        await inbox.get()
        await asyncio.sleep(0)
        value: str = await inbox.get()
        return value

    inbox, carrier, deliver = carried(loop, run)
    deliver("a")
    loop.settle()
    inbox.kept.append("b")
    loop.call(inbox.wake)
    loop.settle()
    assert inbox.looks == 1
    assert carrier.result() == "b"


def test_awaited_coroutine_that_a_callback_leaves_answers_the_step(loop: ManualLoop) -> None:
    future = loop.create_future()

    async def ask() -> str:
        return f"answer {await future}"

    async def run(inbox: Inbox) -> object:
        await inbox.get()
        return await inbox.leave(ask())

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    loop.settle()
    future.set_result(1)
    loop.settle()
    assert carrier.result() == "answer 1"


def test_error_of_what_the_carrier_awaits_is_raised_in_the_coroutine(loop: ManualLoop) -> None:
    future = loop.create_future()

    async def run(inbox: Inbox) -> str:
        await inbox.get()
        try:
            await future
        except LookupError:
            return "caught"
        return "not raised"

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    future.set_exception(LookupError())
    loop.settle()
    assert carrier.result() == "caught"


def test_woken_carrier_that_finds_nothing_parks_again(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> object:
        return await inbox.get()

    inbox, carrier, deliver = carried(loop, run)
    loop.call(inbox.wake)
    loop.settle()
    assert inbox.looks == 1
    assert inbox.is_parked()
    deliver("a")
    assert carrier.result() == "a"


def test_coroutine_is_parked_only_while_it_waits_for_a_callback(loop: ManualLoop) -> None:
    parked: list[bool] = []

    async def run(inbox: Inbox) -> None:
        parked.append(inbox.is_parked())
        await inbox.get()
        await asyncio.sleep(0)
        parked.append(inbox.is_parked())

    inbox, carrier, deliver = carried(loop, run)
    assert inbox.is_parked()
    deliver("a")
    loop.settle()
    assert carrier.done()
    assert not inbox.is_parked()
    assert parked == [False, False]


# -------------------------------------------------------------------------------------------------------------- ending


def test_return_and_failure_end_the_carrier_from_a_callback_as_from_itself(loop: ManualLoop) -> None:
    error = LookupError()

    async def run(inbox: Inbox, where: str, fails: bool) -> str:
        if where != "carrier":
            await inbox.get()
        if where == "carrier after a callback":
            await asyncio.sleep(0)
        if fails:
            raise error
        return "result"

    for where in ["carrier", "callback", "carrier after a callback"]:
        for fails in [False, True]:
            _, carrier, deliver = carried(loop, lambda inbox: run(inbox, where, fails))  # noqa: B023
            deliver("a")
            loop.settle()
            if fails:
                assert carrier.exception() is error
            else:
                assert carrier.result() == "result"


def test_carrier_that_a_callback_ends_is_done_when_the_callback_returns(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> None:
        await inbox.get()

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    assert carrier.done()


def test_failure_of_one_run_is_not_that_of_the_next(loop: ManualLoop) -> None:
    async def fail(inbox: Inbox) -> None:
        await inbox.get()
        raise LookupError

    async def run(inbox: Inbox) -> object:
        return await inbox.get()

    async def carry_both(inbox: Inbox) -> object:
        with pytest.raises(LookupError):
            await inbox.carry()
        inbox.coroutine = run(inbox)
        return await inbox.carry()

    inbox = Inbox(loop, fail)
    carrier = loop.start(carry_both(inbox))
    loop.call(inbox.deliver, "a")
    loop.call(inbox.wake)
    loop.settle()
    loop.call(inbox.deliver, "b")
    assert carrier.result() == "b"


def test_failure_is_freed_without_the_garbage_collector(loop: ManualLoop) -> None:
    class Failure(Exception):
        pass

    async def run(inbox: Inbox) -> None:
        await inbox.get()
        failure = Failure()
        failures.add(failure)
        try:
            raise failure
        finally:
            del failure

    async def catch(inbox: Inbox) -> None:
        try:
            await inbox.carry()
        except Failure:
            pass

    failures: weakref.WeakSet[Failure] = weakref.WeakSet()
    inbox = Inbox(loop, run)
    carrier = loop.start(catch(inbox))
    gc.disable()
    try:
        loop.call(inbox.deliver, "a")
        assert carrier.done()
        assert len(failures) == 0
    finally:
        gc.enable()


def test_closed_carrier_leaves_the_coroutine_to_be_closed_in_its_own_frame(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> None:
        await loop.create_future()

    inbox = Inbox(loop, run)
    carrier = inbox.carry_on()

    async def close() -> None:
        carrier.send(None)
        carrier.close()

    loop.start(close()).result()
    assert inspect.getcoroutinestate(inbox.coroutine) == inspect.CORO_SUSPENDED
    inbox.coroutine.close()


def test_closed_carrier_is_not_parked_any_more(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> None:
        await inbox.get()

    inbox = Inbox(loop, run)
    carrier = inbox.carry_on()

    async def close() -> None:
        carrier.send(None)
        assert inbox.is_parked()
        carrier.close()

    loop.start(close()).result()
    assert not inbox.is_parked()
    inbox.coroutine.close()


# -------------------------------------------------------------------------------------------------------- cancellation


def test_cancellation_while_parked_is_raised_in_the_coroutine(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> tuple[object, ...]:
        try:
            await inbox.get()
        except asyncio.CancelledError as exc:
            return (*exc.args, await inbox.get())
        return ()

    _, carrier, deliver = carried(loop, run)
    carrier.cancel("why")
    loop.settle()
    deliver("a")
    assert carrier.result() == ("why", "a")


def test_cancellation_that_is_not_caught_ends_the_carrier(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> None:
        await inbox.get()

    _, carrier, _ = carried(loop, run)
    carrier.cancel()
    loop.settle()
    assert carrier.cancelled()


def test_value_that_meets_a_cancellation_is_kept_for_the_next_wait(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> object:
        try:
            return await inbox.get()
        except asyncio.CancelledError:
            return "after it", await inbox.get()

    _, carrier, deliver = carried(loop, run)
    carrier.cancel()
    deliver("a")
    loop.settle()
    assert carrier.result() == ("after it", "a")


def test_cancellation_between_hand_off_and_wake_up_cancels_what_the_step_waits_for(loop: ManualLoop) -> None:
    future = loop.create_future()

    async def run(inbox: Inbox) -> tuple[object, ...]:
        await inbox.get()
        cancel_this_task("why")
        try:
            await future
        except asyncio.CancelledError as exc:
            return exc.args
        return ()

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    assert not future.cancelled()
    loop.turn()
    assert future.cancelled()
    loop.settle()
    assert carrier.result() == ("why",)


def test_cancelled_step_waits_until_what_it_awaits_has_ended(loop: ManualLoop) -> None:
    async def resist() -> str:
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(5)
        return "cleaned up"

    async def run(inbox: Inbox) -> str:
        await inbox.get()
        cancel_this_task()
        return await resisting

    resisting = loop.start(resist())
    _, carrier, deliver = carried(loop, run)
    deliver("a")
    loop.settle()
    assert not carrier.done()
    loop.advance(5)
    assert carrier.result() == "cleaned up"


def test_shielded_coroutine_is_cancelled_only_by_a_scope_inside_the_shield(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> object:
        with new_builtin_backend("asyncio").move_on_after(1):
            await inbox.get()
        return "moved on", await inbox.get()

    async def shield(inbox: Inbox) -> object:
        result = await ignore_cancellation(inbox.carry_on())
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return result, "cancelled after it"
        return result

    inbox = Inbox(loop, run)
    carrier = loop.start(shield(inbox))
    carrier.cancel()
    loop.settle()
    assert inbox.is_parked()
    loop.advance(1)
    loop.call(inbox.deliver, "a")
    loop.settle()
    assert carrier.result() == (("moved on", "a"), "cancelled after it")


@pytest.mark.parametrize("awaits", ["a future that is done", "a turn of the loop"])
def test_cancellation_that_no_future_takes_is_raised_in_the_coroutine(loop: ManualLoop, awaits: str) -> None:
    future = loop.create_future()

    async def run(inbox: Inbox) -> tuple[object, ...]:
        await inbox.get()
        cancel_this_task("why")
        try:
            await (future if awaits == "a future that is done" else asyncio.sleep(0))
        except asyncio.CancelledError as exc:
            return (*exc.args, await inbox.get())
        return ()

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    future.set_result(None)
    loop.settle()
    deliver("b")
    assert carrier.result() == ("why", "b")


def test_coroutine_left_to_a_cancelled_carrier_is_closed_without_a_warning(loop: ManualLoop) -> None:
    left = asyncio.sleep(1)

    async def run(inbox: Inbox) -> str:
        await inbox.get()
        cancel_this_task()
        try:
            await inbox.leave(left)
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    loop.settle()
    assert carrier.result() == "cancelled"
    assert inspect.getcoroutinestate(left) == inspect.CORO_CLOSED


def test_coroutine_that_cancels_itself_in_a_callback_is_cancelled_at_its_next_wait(loop: ManualLoop) -> None:
    async def run(inbox: Inbox) -> object:
        await inbox.get()
        cancel_this_task()
        try:
            await inbox.get()
        except asyncio.CancelledError:
            return "cancelled", await inbox.get()
        return "not cancelled"

    _, carrier, deliver = carried(loop, run)
    deliver("a")
    deliver("b")
    loop.settle()
    assert carrier.result() == ("cancelled", "b")


@pytest.mark.parametrize("fails", [False, True])
def test_end_of_the_coroutine_comes_before_a_cancellation_which_stays_in_force(loop: ManualLoop, fails: bool) -> None:
    seen: list[object] = []

    async def run(inbox: Inbox) -> str:
        await inbox.get()
        cancel_this_task("why")
        if fails:
            raise LookupError("failure")
        return "result"

    async def main(inbox: Inbox) -> None:
        try:
            seen.append(await inbox.carry())
        except LookupError as exc:
            seen.append(str(exc))
        task = asyncio.current_task()
        assert task is not None
        seen.append(task.cancelling())
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as exc:
            seen.extend(exc.args)

    inbox = Inbox(loop, run)
    carrier = loop.start(main(inbox))
    loop.call(inbox.deliver, "a")
    loop.settle()
    assert carrier.done()
    assert seen == ["failure" if fails else "result", 1, "why"]


# ----------------------------------------------------------------------------------------------------------- time-outs


async def note_timeouts(inbox: Inbox, timeouts: list[float | None], got: list[object]) -> None:
    for timeout in timeouts:
        try:
            got.append(await inbox.get(timeout))
        except TimeoutError:
            got.append("too late")


def waiting(loop: ManualLoop, *timeouts: float | None) -> tuple[list[object], Callable[[Any], None]]:
    got: list[object] = []
    _, _, deliver = carried(loop, lambda inbox: note_timeouts(inbox, list(timeouts), got))
    return got, deliver


def test_timeout_is_raised_when_it_is_over_and_not_before(loop: ManualLoop) -> None:
    got, _ = waiting(loop, 1, None)
    loop.advance(0.9)
    assert got == []
    loop.advance(0.1)
    assert got == ["too late"]


def test_timer_is_armed_again_only_when_it_is_due(loop: ManualLoop) -> None:
    got, deliver = waiting(loop, 8, 8, 8)
    for value in ["a", "b"]:
        loop.advance(2)
        deliver(value)
    assert loop.timers == [4]
    loop.advance(4)
    assert loop.timers == [4]
    loop.advance(4)
    assert got == ["a", "b", "too late"]


def test_waits_that_begin_at_the_same_time_share_a_timer(loop: ManualLoop) -> None:
    got, deliver = waiting(loop, 8, 8, 8)
    deliver("a")
    deliver("b")
    assert len(loop._scheduled) == 1
    loop.advance(8)
    assert got == ["a", "b", "too late"]


def test_earlier_deadline_replaces_the_timer(loop: ManualLoop) -> None:
    got, deliver = waiting(loop, 8, 2)
    deliver("a")
    assert loop.timers == [2]
    loop.advance(2)
    assert got == ["a", "too late"]


def test_value_in_time_leaves_no_timeout_for_a_wait_without_one(loop: ManualLoop) -> None:
    got, deliver = waiting(loop, 1, None)
    deliver("a")
    loop.advance(2)
    assert got == ["a"]
    assert loop.timers == []


@pytest.mark.parametrize(("before", "turns"), [(None, 1), (5.0, 1), (0.0, 1), (0.0, 2)])
def test_timeout_of_zero_waits_for_another_turn_of_the_loop(loop: ManualLoop, before: float | None, turns: int) -> None:
    got: list[object] = []
    inbox = Inbox(loop, lambda inbox: note_timeouts(inbox, [before, 0, None], got))
    carrier = loop.create_task(inbox.carry_on())
    loop.turn(turns)
    loop.call(inbox.deliver, "a")
    assert loop.timers == []
    loop.turn()
    assert got == ["a"]
    loop.turn()
    assert got == ["a", "too late"]
    assert not carrier.done()


def test_timeout_of_zero_takes_what_comes_in_its_turn(loop: ManualLoop) -> None:
    got, deliver = waiting(loop, None, 0, None)
    deliver("a")
    loop.turn()
    deliver("b")
    loop.settle()
    assert got == ["a", "b"]


def test_late_timer_does_not_take_a_value_away(loop: ManualLoop) -> None:
    got, deliver = waiting(loop, 1, 1)
    loop.now += 10
    deliver("a")
    loop.turn()
    assert got == ["a"]
    assert loop.timers == [1]


def test_timer_that_is_due_while_the_coroutine_is_suspended_does_nothing(loop: ManualLoop) -> None:
    future = loop.create_future()
    got: list[object] = []

    async def run(inbox: Inbox) -> None:
        got.append(await inbox.get(1))
        await future
        await note_timeouts(inbox, [1], got)

    _, _, deliver = carried(loop, run)
    deliver("a")
    loop.advance(5)
    assert loop.timers == []
    future.set_result(None)
    loop.settle()
    assert got == ["a"]
    assert loop.timers == [1]
    loop.advance(1)
    assert got == ["a", "too late"]


@pytest.mark.parametrize("ending", ["return", "failure", "cancellation"])
@pytest.mark.parametrize("timeout", [0.0, 5.0])
def test_no_timer_is_left_behind(loop: ManualLoop, ending: str, timeout: float) -> None:
    async def run(inbox: Inbox) -> None:
        await inbox.get(timeout)
        if ending == "failure":
            raise LookupError

    inbox = Inbox(loop, run)
    carrier = loop.create_task(inbox.carry_on())
    loop.turn()
    if ending == "cancellation":
        carrier.cancel()
        loop.turn()
    else:
        loop.call(inbox.deliver, "a")
    assert carrier.done()
    assert carrier.cancelled() or carrier.exception() is None or ending == "failure"
    assert loop.timers == []
    assert loop.ready == []
    assert inbox._timer is None
