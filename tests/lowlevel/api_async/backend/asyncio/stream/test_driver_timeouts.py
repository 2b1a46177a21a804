"""The time-outs of the inline driver, on a clock that the test sets."""

from __future__ import annotations

import asyncio

from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import Connection, Requests, in_a_turn, numbers
from tests.support.manual_loop import ManualLoop

from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._core.stream_dispatch import RETURNED


async def impatient(connection: Connection) -> Requests:
    """Wait a second for each request. Suspend for the request ``sleep``, for five seconds."""
    while True:
        try:
            request = yield 1.0
        except TimeoutError:
            connection.handled.append("too late")
        else:
            connection.handled.append(request)
            if request == "sleep":
                await asyncio.sleep(5)


def test_timeout_is_raised_at_its_deadline_any_number_of_times(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)
    loop.advance(0.9)
    assert connection.handled == []
    loop.advance(0.1)
    assert connection.handled == ["too late"]
    loop.advance(0.5)
    connection.transport.receive(b"a\n")
    loop.advance(0.9)
    assert connection.handled == ["too late", "a"]
    loop.advance(0.1)
    assert connection.handled == ["too late", "a", "too late"]


def test_bytes_that_drip_in_do_not_move_the_deadline(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)
    for _ in range(3):
        loop.advance(0.25)
        connection.transport.receive(b"x")
    loop.advance(0.25)
    assert connection.handled == ["too late"]
    connection.transport.receive(b"y\n")
    assert connection.handled == ["too late", "xxxy"]


def test_bytes_that_drip_in_through_the_carrier_keep_the_timer(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)

    async def deliver() -> None:
        connection.transport.deliver(b"x")

    loop.create_task(deliver()).add_done_callback(lambda task: task.result())
    loop.turn(2)
    assert connection.driver.is_waiting()
    assert loop.ready == []
    assert loop.timers == [1]


def test_drip_of_many_pieces_gives_turns_and_keeps_the_deadline(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)
    for _ in range(5 * STEPS_PER_TURN):
        connection.transport.receive(b"x")
    loop.settle()
    loop.advance(0.9)
    assert connection.handled == []
    loop.advance(0.1)
    assert connection.handled == ["too late"]


def test_deadline_that_passes_while_the_handler_is_suspended_is_forgotten(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)
    loop.advance(0.5)
    connection.transport.receive(b"sleep\n")
    loop.advance(3)
    connection.transport.receive(b"a\n")
    loop.advance(2)
    assert connection.handled == ["sleep", "a"]
    loop.advance(1)
    assert connection.handled == ["sleep", "a", "too late"]


def test_request_that_arrives_with_a_late_timer_is_not_late(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)
    loop.now += 10
    connection.transport.receive(b"a\n")
    loop.settle()
    assert connection.handled == ["a"]


def test_deadline_that_passes_before_a_woken_carrier_runs_is_not_lost(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)

    async def deliver() -> None:
        connection.transport.deliver(b"part")

    task = loop.create_task(deliver())
    loop.now += 10  # the timer runs after the task, and before the carrier
    loop.turn()
    assert task.done()
    assert loop.timers == []
    loop.settle()
    assert connection.handled == ["too late"]


def test_timer_that_is_early_before_a_woken_carrier_runs_is_armed_again(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, impatient)
    loop.advance(0.5)
    connection.transport.receive(b"a\n")

    async def deliver() -> None:
        connection.transport.deliver(b"part")

    task = loop.create_task(deliver())
    loop.advance(0.5)
    assert task.done()
    assert connection.handled == ["a"]
    assert loop.timers == [0.5]
    loop.advance(0.5)
    assert connection.handled == ["a", "too late"]


def test_timeout_does_not_end_a_turn(loop: ManualLoop, kind: str) -> None:
    connection = in_a_turn(loop, kind, impatient)
    loop.now += 10
    loop.settle()
    assert connection.handled == numbers(300)
    loop.advance(1)
    assert connection.handled == [*numbers(300), "too late"]


def test_timeout_of_zero_takes_what_is_there_and_waits_for_nothing(loop: ManualLoop, kind: str) -> None:
    async def handler(connection: Connection) -> Requests:
        connection.handled.append((yield None))
        while True:
            try:
                connection.handled.append((yield 0))
            except TimeoutError:
                break
        connection.handled.append("too late")
        connection.handled.append((yield None))

    connection = Connection(loop, kind, handler)
    connection.transport.receive(b"a\nb\n")
    connection.transport.receive(b"c\n")
    assert connection.handled == ["a", "b", "c"]
    loop.settle()
    assert connection.handled == ["a", "b", "c", "too late"]
    loop.advance(10)
    connection.transport.receive(b"d\n")
    assert connection.carrier.result() is RETURNED


def test_wait_without_a_timeout_inherits_no_deadline(loop: ManualLoop, kind: str) -> None:
    async def handler(connection: Connection) -> Requests:
        connection.handled.append((yield 1.0))
        while True:
            connection.handled.append((yield None))

    connection = Connection(loop, kind, handler)
    connection.transport.receive(b"a\nb")
    loop.advance(5)
    assert loop.timers == []
    connection.transport.receive(b"\n")
    assert connection.handled == ["a", "b"]
