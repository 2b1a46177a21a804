"""The inline driver, without a socket: each promise in the callback or the turn of the loop in which it is kept."""

from __future__ import annotations

import asyncio
import contextvars
import itertools

import pytest
from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import (
    Connection,
    Requests,
    echo,
    ended_in_words,
    in_a_turn,
    lines,
    numbers,
    suspending,
)
from tests.support.manual_loop import ManualLoop

from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, NEVER_YIELDED, RETURNED, Ending
from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
from easynetwork.lowlevel.api_async.backend._asyncio.stream.watermarks import HIGH_WATER
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


# ---------------------------------------------------------------------------------------------- bytes while it waits


def test_request_is_answered_in_the_callback_that_delivers_it(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo)
    for number in range(3):
        connection.transport.receive(b"%d\n" % number)
        assert connection.transport.written == [b"%d\n" % i for i in range(number + 1)]
        assert loop.ready == []


def test_driver_waits_from_the_turn_in_which_its_carrier_starts(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo, starts=False)
    carrier = loop.create_task(connection.run())
    loop.turn()
    assert connection.driver.is_waiting()
    assert not carrier.done()


def test_request_in_pieces_is_answered_with_its_last_piece(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo)
    for piece in [b"a", b"b", b"c\nd"]:
        assert connection.transport.written == []
        connection.transport.receive(piece)
    assert connection.transport.written == [b"abc\n"]


def test_answers_of_one_chunk_leave_in_one_write(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo)
    connection.transport.receive(b"a\nb\nc\n")
    assert connection.transport.written == [b"a\nb\nc\n"]
    assert connection.stream.capacity == 0


def test_handler_has_no_room_for_answers_while_the_peer_does_not_read(loop: ManualLoop, kind: str) -> None:
    async def handler(connection: Connection) -> Requests:
        while True:
            yield None
            connection.handled.append(connection.stream.capacity)

    connection = Connection(loop, kind, handler)
    connection.transport.receive(b"a\n")
    connection.transport.pause()
    connection.transport.receive(b"b\n")
    connection.transport.resume()
    connection.transport.receive(b"c\n")
    assert connection.handled == [HIGH_WATER, 0, HIGH_WATER]


def test_handler_runs_in_the_task_and_in_the_context_of_the_carrier(loop: ManualLoop, kind: str) -> None:
    async def handler(connection: Connection) -> Requests:
        while True:
            connection.handled.append((asyncio.current_task(), VARIABLE.get()))
            VARIABLE.set(str(len(connection.handled)))
            if (yield None) == "suspend":
                await asyncio.sleep(0)

    connection = Connection(loop, kind, handler)
    connection.transport.receive(b"a\nsuspend\n")
    loop.settle()
    connection.transport.receive(b"b\n" + lines(2 * STEPS_PER_TURN))
    loop.settle()
    count = 4 + 2 * STEPS_PER_TURN
    values = ["unset", *(str(i) for i in range(1, count))]
    assert connection.handled == [(connection.carrier, value) for value in values]


def test_run_may_be_repeated_and_goes_on_where_it_has_ended(loop: ManualLoop, kind: str) -> None:
    async def two(connection: Connection) -> Requests:
        for _ in range(2):
            connection.handled.append((yield None))

    connection = Connection(loop, kind, two)
    connection.transport.receive(b"a\nb\nc\nd\ne")
    assert connection.carrier.result() is RETURNED
    connection.transport.receive(b"\n")
    connection.start()
    assert connection.carrier.result() is RETURNED
    connection.start()
    assert not connection.carrier.done()
    connection.transport.receive(b"f\n")
    assert connection.carrier.result() is RETURNED
    assert connection.handled == [*"abcdef"]


def test_nothing_of_a_run_that_ended_in_a_callback_is_left_for_the_next_one(loop: ManualLoop, kind: str) -> None:
    async def one(connection: Connection) -> Requests:
        connection.handled.append((yield None))

    connection = Connection(loop, kind, one)
    connection.transport.receive(b"a\n")
    assert connection.carrier.result() is RETURNED
    connection.start()
    loop.call(connection.driver.wake)
    loop.settle()
    assert not connection.carrier.done()
    connection.transport.receive(b"b\n")
    assert connection.carrier.result() is RETURNED
    assert connection.handled == ["a", "b"]


def test_error_of_the_connection_is_raised_in_a_second_run(loop: ManualLoop, kind: str) -> None:
    async def one(connection: Connection) -> Requests:
        connection.handled.append((yield None))

    connection = Connection(loop, kind, one)
    connection.transport.receive(b"a\n")
    connection.start()
    connection.transport.lose(ConnectionResetError())
    loop.settle()
    assert isinstance(connection.carrier.exception(), ConnectionResetError)


def test_handler_that_never_yields_takes_nothing(loop: ManualLoop, kind: str) -> None:
    async def never(connection: Connection) -> Requests:
        for _ in []:
            yield None

    connection = Connection(loop, kind, never)
    assert connection.carrier.result() is NEVER_YIELDED
    connection.transport.receive(b"a\n")
    assert connection.stream.received.nbytes == 2


def test_error_of_a_handler_ends_the_carrier_and_its_answers_before_are_sent(loop: ManualLoop, kind: str) -> None:
    async def fail(connection: Connection) -> Requests:
        connection.answer((yield None))
        connection.answer((yield None))
        raise LookupError

    connection = Connection(loop, kind, fail)
    connection.transport.receive(b"a\nb\nc\n")
    assert isinstance(connection.carrier.exception(), LookupError)
    assert connection.transport.written == [b"a\nb\n"]


# ------------------------------------------------------------------------------------------------- bytes at other times


def test_bytes_before_the_carrier_starts_are_handled_when_it_does(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo, starts=False)
    connection.transport.receive(b"a\nb\n")
    connection.transport.receive(b"c\nd")
    assert connection.handled == []
    connection.start()
    assert connection.handled == ["a", "b", "c"]
    connection.transport.receive(b"\n")
    assert connection.handled == ["a", "b", "c", "d"]


def test_bytes_while_the_handler_is_suspended_are_kept_in_order(loop: ManualLoop, kind: str) -> None:
    gate = loop.create_future()
    connection = Connection(loop, kind, suspending(gate))
    connection.transport.receive(b"wait\na\n")
    connection.transport.receive(b"b\n")
    connection.transport.receive(b"c")
    assert connection.handled == ["wait"]
    gate.set_result(None)
    loop.settle()
    connection.transport.receive(b"\n")
    assert connection.handled == ["wait", "a", "b", "c"]
    assert b"".join(connection.transport.written) == b"wait\na\nb\nc\n"


def test_reading_pauses_while_much_is_kept_for_a_suspended_handler(loop: ManualLoop, kind: str) -> None:
    gate = loop.create_future()
    connection = Connection(loop, kind, suspending(gate))
    connection.transport.receive(b"wait\n")
    line = b"x" * (HIGH_WATER // 64 - 1) + b"\n"
    for _ in range(64):
        connection.transport.receive(line)
    assert connection.transport.reads
    connection.transport.receive(b"y\n")
    assert not connection.transport.reads
    gate.set_result(None)
    loop.settle()
    assert connection.transport.reads
    assert len(connection.handled) == 66


def test_nothing_is_stepped_within_another_task(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo)

    async def deliver() -> None:
        for data in [b"a\n", b"b\n"]:
            connection.transport.deliver(data)
        assert connection.handled == []
        assert not connection.driver.is_waiting()

    loop.create_task(deliver()).add_done_callback(lambda task: task.result())
    loop.settle()
    assert connection.handled == ["a", "b"]
    connection.transport.receive(b"c\n")
    assert connection.handled == ["a", "b", "c"]


# ---------------------------------------------------------------------------------------------------------- turns


def test_flood_gives_other_callbacks_their_turn(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo, max_recv_size=10_000)
    connection.transport.receive(lines(1000))
    seen = [0, len(connection.handled)]
    while len(connection.handled) < 1000:
        loop.turn()
        seen.append(len(connection.handled))
        assert len(seen) < 50
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert steps[0] <= 2 * STEPS_PER_TURN
    assert max(steps[1:]) <= STEPS_PER_TURN
    assert connection.handled == numbers(1000)
    assert b"".join(connection.transport.written) == lines(1000)
    assert len(connection.transport.written) <= len(steps)


def test_small_flood_is_handled_in_its_callback(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo, max_recv_size=10_000)
    connection.transport.receive(lines(STEPS_PER_TURN + 10))
    assert connection.handled == numbers(STEPS_PER_TURN + 10)
    assert loop.ready == []


def test_flood_in_the_carrier_gives_other_callbacks_their_turn(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo, starts=False)
    connection.transport.receive(lines(1000))
    carrier = loop.create_task(connection.run())
    seen = [0]
    while len(connection.handled) < 1000:
        loop.turn()
        seen.append(len(connection.handled))
        assert len(seen) < 50
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 2 * STEPS_PER_TURN
    assert connection.handled == numbers(1000)
    assert not carrier.done()


def test_bytes_during_a_turn_are_kept_in_order(loop: ManualLoop, kind: str) -> None:
    connection = in_a_turn(loop, kind, echo)
    handled = len(connection.handled)
    connection.transport.receive(lines(2, 300))
    assert len(connection.handled) == handled
    loop.turn()
    connection.transport.receive(lines(1, 302))
    loop.settle()
    assert connection.handled == numbers(303)
    connection.transport.receive(lines(1, 303))
    assert connection.handled == numbers(304)


def test_wake_up_during_a_turn_changes_nothing(loop: ManualLoop, kind: str) -> None:
    connection = in_a_turn(loop, kind, echo)
    loop.call(connection.driver.wake)
    loop.settle()
    assert connection.handled == numbers(300)
    connection.transport.receive(lines(1, 300))
    assert connection.handled == numbers(301)


def test_handler_may_let_the_loop_turn_right_after_a_turn(loop: ManualLoop, kind: str) -> None:
    suspends = False

    async def handler(connection: Connection) -> Requests:
        while True:
            connection.handled.append((yield None))
            if suspends:
                await asyncio.sleep(0)

    connection = in_a_turn(loop, kind, handler)
    suspends = True
    loop.settle()
    assert connection.handled == numbers(300)


def test_handler_that_cancels_itself_before_a_turn_goes_on_after_it(loop: ManualLoop, kind: str) -> None:
    async def handler(connection: Connection) -> Requests:
        while True:
            try:
                request = yield None
            except asyncio.CancelledError:
                continue
            connection.handled.append(request)
            if request == "0":
                connection.carrier.cancel()

    connection = in_a_turn(loop, kind, handler)
    loop.settle()
    connection.transport.receive(lines(1, 300))
    connection.transport.end()
    assert connection.handled == numbers(301)
    assert connection.carrier.result() is DISCONNECTED


def test_cancellation_in_a_turn_ends_the_carrier(loop: ManualLoop, kind: str) -> None:
    connection = in_a_turn(loop, kind, echo)
    connection.carrier.cancel()
    loop.settle()
    assert connection.carrier.cancelled()
    assert len(connection.handled) < 300


# ------------------------------------------------------------------------------------------------------------- ending


def test_end_of_the_stream_closes_a_waiting_handler_in_its_callback(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, ended_in_words)
    connection.transport.receive(b"a\npart")
    connection.transport.end()
    assert connection.handled == ["a", "closed"]
    assert connection.carrier.result() is DISCONNECTED
    assert connection.dispatcher.has_ended


@pytest.mark.parametrize("state", ["not started", "suspended", "in a turn"])
@pytest.mark.parametrize("how", ["end", "loss", "loss with an error"])
def test_end_comes_after_all_requests_before_it(loop: ManualLoop, kind: str, state: str, how: str) -> None:
    gate = loop.create_future()

    async def handler(connection: Connection) -> Requests:
        try:
            while True:
                request = yield None
                connection.handled.append(request)
                if state == "suspended" and request == "0":
                    await gate
        except ConnectionError as exc:
            connection.handled.append(type(exc).__name__)
            raise
        finally:
            connection.handled.append("closed")

    if state == "in a turn":
        connection = in_a_turn(loop, kind, handler)
    else:
        connection = Connection(loop, kind, handler, starts=state == "suspended")
        connection.transport.receive(lines(10))
        connection.transport.receive(lines(290, 10))
    if how == "end":
        connection.transport.end()
    else:
        connection.transport.lose(ConnectionResetError() if how == "loss with an error" else None)
    assert "closed" not in connection.handled
    gate.set_result(None)
    if state == "not started":
        connection.start()
    loop.settle()
    if how == "loss with an error":
        assert isinstance(connection.carrier.exception(), ConnectionResetError)
        assert connection.handled == [*numbers(300), "ConnectionResetError", "closed"]
    else:
        assert connection.carrier.result() is DISCONNECTED
        assert connection.handled == [*numbers(300), "closed"]


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_loss_that_counts_as_the_end_is_not_raised(loop: ManualLoop, kind: str, error: Exception | None) -> None:
    connection = Connection(loop, kind, ended_in_words, is_disconnection=is_stream_end)
    connection.transport.receive(b"a\n")
    connection.transport.lose(error)
    loop.settle()
    assert connection.carrier.result() is DISCONNECTED
    assert connection.handled == ["a", "closed"]


def test_error_of_the_connection_is_raised_once_and_then_ends_it(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, ended_in_words)
    connection.transport.lose(ConnectionResetError())
    loop.settle()
    assert connection.handled == ["ConnectionResetError", "closed"]
    assert connection.carrier.result() is DISCONNECTED


def test_handler_that_suspends_when_it_is_closed_is_closed_by_the_carrier(loop: ManualLoop, kind: str) -> None:
    gate = loop.create_future()

    async def handler(connection: Connection) -> Requests:
        try:
            yield None
        finally:
            await gate
            connection.handled.append("closed")

    connection = Connection(loop, kind, handler)
    connection.transport.end()
    assert not connection.carrier.done()
    gate.set_result(None)
    loop.settle()
    assert connection.carrier.result() is DISCONNECTED
    assert connection.handled == ["closed"]


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_close_drops_what_was_received_and_raises_nothing(loop: ManualLoop, kind: str, error: Exception | None) -> None:
    gate = loop.create_future()

    async def handler(connection: Connection) -> Requests:
        try:
            while True:
                connection.handled.append((yield None))
                await gate
        finally:
            connection.handled.append("closed")

    connection = Connection(loop, kind, handler)
    connection.transport.receive(b"a\n")
    connection.transport.receive(b"b\n")
    loop.call(connection.stream.abort)
    connection.transport.lose(error)
    gate.set_result(None)
    loop.settle()
    assert connection.handled == ["a", "closed"]
    assert connection.carrier.result() is DISCONNECTED


def test_end_while_a_woken_carrier_has_not_run_is_not_lost(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, ended_in_words)
    loop.call(connection.driver.wake)
    connection.transport.end()
    assert connection.handled == []
    loop.settle()
    assert connection.handled == ["closed"]


def test_lost_connection_lets_go_of_its_driver(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo)
    assert connection.stream.driver is connection.driver
    connection.transport.lose()
    assert connection.stream.driver is None


def test_driver_passes_flow_control_on(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo)
    assert connection.transport.protocol is connection.driver
    connection.transport.pause()
    assert not connection.stream.writable
    connection.transport.resume()
    assert connection.stream.writable


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("is_suspended_before", [False, True])
def test_what_ends_a_process_ends_the_loop(
    loop: ManualLoop, kind: str, error: BaseException, is_suspended_before: bool
) -> None:
    async def handler(connection: Connection) -> Requests:
        connection.answer((yield None))
        if is_suspended_before:
            await asyncio.sleep(0)
        raise error

    connection = Connection(loop, kind, handler)
    connection.transport.receive(b"a\n")
    with pytest.raises(type(error)):
        loop.turn(2)
    assert connection.carrier.exception() is error
    assert connection.transport.written == [b"a\n"]


# -------------------------------------------------------------------------------------------------------- cancellation


def test_cancellation_while_waiting_is_raised_at_the_yield(loop: ManualLoop, kind: str) -> None:
    async def handler(connection: Connection) -> Requests:
        try:
            yield None
        except asyncio.CancelledError as exc:
            connection.handled += exc.args
            connection.handled.append((yield None))
            raise

    connection = Connection(loop, kind, handler)
    connection.carrier.cancel("why")
    connection.transport.receive(b"a\n")
    loop.settle()
    assert connection.handled == ["why", "a"]
    assert connection.carrier.cancelled()


def test_cancellation_while_suspended_is_raised_where_the_handler_waits(loop: ManualLoop, kind: str) -> None:
    gate = loop.create_future()
    connection = Connection(loop, kind, suspending(gate))
    connection.transport.receive(b"wait\na\n")
    connection.carrier.cancel()
    loop.settle()
    assert gate.cancelled()
    assert connection.carrier.cancelled()
    assert connection.handled == ["wait"]


# --------------------------------------------------------------------------------------------------- reading no more


class NotAhead(AsyncioStream):
    """A stream whose bytes a busy handler may want in another way."""

    __slots__ = ()

    reads_ahead = False


def test_reading_stops_while_the_handler_is_busy_if_nothing_is_read_ahead(loop: ManualLoop, kind: str) -> None:
    gate = loop.create_future()
    connection = Connection(loop, kind, suspending(gate), stream_type=NotAhead)
    connection.transport.receive(b"a\n")
    assert connection.transport.reads
    connection.transport.receive(b"wait\n")
    assert not connection.transport.reads
    gate.set_result(None)
    loop.settle()
    assert connection.transport.reads


def test_reading_stops_until_a_woken_carrier_has_run_if_nothing_is_read_ahead(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, echo, stream_type=NotAhead)
    loop.call(connection.driver.wake)
    assert not connection.transport.reads
    loop.settle()
    assert connection.transport.reads


@pytest.mark.parametrize("timeout", [None, 1.0])
@pytest.mark.parametrize("is_in_time", [False, True])
def test_ancillary_data_is_received_by_the_carrier(
    loop: ManualLoop, kind: str, timeout: float | None, is_in_time: bool
) -> None:
    class AncillaryTransport:
        """As much of a transport as the driver uses."""

        backend = staticmethod(lambda: new_builtin_backend("asyncio"))
        is_closing = staticmethod(lambda: False)

        async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, str]:
            await asyncio.sleep(0.5 if is_in_time else 50)
            return b"a\n", "ancillary data"

        async def recv_with_ancillary_into(self, buffer: memoryview, ancillary_bufsize: int) -> tuple[int, str]:
            data, ancillary = await self.recv_with_ancillary(len(buffer), ancillary_bufsize)
            buffer[: len(data)] = data
            return len(data), ancillary

    async def handler(connection: Connection) -> Requests:
        connection.handled.append((yield None))
        try:
            params = RecvAncillaryDataParams(connection.handled.append)
            connection.handled.append((yield RecvParams(timeout=timeout, recv_with_ancillary=params)))
        except TimeoutError:
            connection.handled.append("too late")
        connection.handled.append((yield None))

    connection = Connection(loop, kind, handler, async_transport=AncillaryTransport())
    connection.transport.receive(b"first\n")
    loop.settle()
    assert not connection.driver.is_waiting()
    loop.advance(1)
    got = ["first", "ancillary data", "a"] if is_in_time else ["first", "too late"]
    if timeout is None and not is_in_time:
        got = ["first"]
    assert connection.handled == got


def test_a_chunk_before_the_start_is_for_the_next_run_if_the_first_one_takes_nothing(
    loop: ManualLoop, kind: str
) -> None:
    connection = Connection(loop, kind, echo, starts=False)
    connection.transport.receive(b"a\n")

    async def run_twice() -> Ending:
        assert await connection.driver.run(lambda: None) is RETURNED
        return await connection.run()

    connection.carrier = loop.start(run_twice())
    loop.settle()
    assert connection.handled == ["a"]
