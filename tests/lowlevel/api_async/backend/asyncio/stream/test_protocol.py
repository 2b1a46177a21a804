"""What the loop tells about a stream, and what is written to it, without a socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.lowlevel.api_async.backend.asyncio.stream.fake_transport import END, FakeTransport
from tests.support.manual_loop import ManualLoop

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._sockets.lingering import LINGER_BYTES, LINGER_TIMEOUT
from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream, AttachedDriver
from easynetwork.lowlevel.api_async.backend._asyncio.stream.watermarks import HIGH_WATER, LOW_WATER


class Fake:
    """One stream, on a transport without a socket."""

    def __init__(self, loop: ManualLoop) -> None:
        self.loop = loop
        self.stream = AsyncioStream(loop)
        self.transport = FakeTransport(loop, self.stream)

    def write_nowait(self, data: bytes) -> bool:
        return self.loop.call(self.stream.write_nowait, data)

    def write(self, data: bytes) -> asyncio.Task[None]:
        return self.loop.start(self.stream.write(data))

    @property
    def written(self) -> list[bytes]:
        return self.transport.written


@pytest.fixture
def fake(loop: ManualLoop) -> Fake:
    return Fake(loop)


ENDINGS: dict[str, tuple[Callable[[Fake], None], int | None]] = {
    "close": (lambda fake: fake.loop.call(fake.stream.close), errno.EBADF),
    "abort": (lambda fake: fake.loop.call(fake.stream.abort), errno.EBADF),
    "loss": (lambda fake: fake.transport.lose(), errno.ECONNABORTED),
    "reset": (lambda fake: fake.transport.lose(ConnectionResetError(errno.ECONNRESET, "reset")), errno.ECONNRESET),
    "no route": (lambda fake: fake.transport.lose(OSError(errno.EHOSTUNREACH, "")), errno.ECONNABORTED),
}
"""How a connection ends, and the errno of what is raised from then on."""

LARGE = b"x" * HIGH_WATER
"""Fills a batch, which then leaves at once."""

every_ending = pytest.mark.parametrize("ending", [*ENDINGS])


def errno_of(task: asyncio.Task[Any]) -> int | None:
    exception = task.exception()
    assert isinstance(exception, OSError)
    return exception.errno


# ------------------------------------------------------------------------------------------------ the write batch


def test_first_write_leaves_alone_and_the_next_ones_leave_together(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b", b"c"])
    assert fake.written == [b"a"]
    loop.turn()
    assert fake.written == [b"a", b"bc"]


@pytest.mark.parametrize("is_awaited", [False, True])
def test_write_after_an_answer_leaves_alone_again(loop: ManualLoop, fake: Fake, is_awaited: bool) -> None:
    for data in [b"a", b"b"]:
        assert fake.write_nowait(data)
        assert fake.written[-1] == data
        if is_awaited:
            _ = loop.start(receive(fake, "receive_into", []))
        fake.transport.receive(b"answer")
        loop.settle()


def test_write_after_a_batch_leaves_alone_again(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b"])
    loop.turn()
    assert fake.write_nowait(b"c")
    assert fake.written == [b"a", b"b", b"c"]


def test_second_write_without_an_answer_waits_for_the_end_of_the_turn(loop: ManualLoop, fake: Fake) -> None:
    assert fake.write_nowait(b"a")
    loop.turn()
    assert fake.write_nowait(b"b")
    assert fake.written == [b"a"]
    loop.turn()
    assert fake.written == [b"a", b"b"]


def test_nothing_is_written_for_an_empty_packet(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(b"") for _ in range(3))
    loop.turn()
    assert fake.written == []


def test_packet_above_the_high_water_mark_has_to_wait(loop: ManualLoop, fake: Fake) -> None:
    assert not fake.write_nowait(b"x" * (HIGH_WATER + 1))
    assert fake.write_nowait(b"x" * HIGH_WATER)
    assert [len(data) for data in fake.written] == [HIGH_WATER]


def test_full_batch_leaves_at_once(loop: ManualLoop, fake: Fake) -> None:
    half = b"x" * (HIGH_WATER // 2)
    assert all(fake.write_nowait(data) for data in [b"a", half])
    assert fake.written == [b"a"]
    assert fake.write_nowait(half)
    assert fake.written == [b"a", half + half]
    assert fake.write_nowait(b"b")
    loop.turn()
    assert fake.written == [b"a", half + half, b"b"]
    assert fake.stream.capacity == 0


def test_packets_after_a_full_batch_leave_together(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b", LARGE, b"c", b"d"])
    loop.turn()
    assert fake.written == [b"a", b"b" + LARGE, b"cd"]


def test_writes_of_several_tasks_in_one_turn_leave_in_one_write(loop: ManualLoop, fake: Fake) -> None:
    tasks = [loop.create_task(fake.stream.write(data)) for data in [b"a", b"b", b"c"]]
    loop.settle()
    assert all(task.done() for task in tasks)
    assert fake.written == [b"abc"]


def test_batch_is_not_written_to_a_transport_that_is_closing(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b"])
    fake.transport.ended_by = "failure"  # which the loop is about to tell
    loop.turn()
    assert fake.written == [b"a"]
    assert not fake.write_nowait(b"c")
    task = fake.write(b"d")
    assert not task.done()
    fake.transport.lose(BrokenPipeError(errno.EPIPE, ""))
    loop.settle()
    assert errno_of(task) == errno.EPIPE


# ----------------------------------------------------------------------------------------------------- flow control


def test_pause_sets_the_limits_and_refuses_what_cannot_wait(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    assert fake.transport.limits == (HIGH_WATER, LOW_WATER)
    assert not fake.write_nowait(b"a")
    fake.transport.resume()
    assert fake.write_nowait(b"b")
    assert fake.written == [b"b"]


def test_batch_takes_no_more_once_its_write_has_paused_writing(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.capacity = LOW_WATER
    assert all(fake.write_nowait(data) for data in [b"a", LARGE])
    assert fake.stream.capacity == 0
    assert not fake.write_nowait(b"b")


def test_writer_that_only_waits_opens_no_batch(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.capacity = LOW_WATER
    task = fake.write(LARGE)
    loop.turn()
    fake.transport.resume()
    assert fake.write_nowait(b"b")
    assert fake.written == [LARGE, b"b"]
    loop.settle()
    assert task.done()


@pytest.mark.parametrize("ending", ["close", "write_eof"])
def test_nothing_can_be_sent_though_writing_resumes_after_the_end(loop: ManualLoop, fake: Fake, ending: str) -> None:
    fake.transport.pause()
    loop.call(getattr(fake.stream, ending))
    fake.transport.resume()
    assert not fake.write_nowait(b"a")
    fake.transport.lose()


def test_writers_go_on_in_order_when_writing_resumes(loop: ManualLoop, fake: Fake) -> None:
    ended: list[int] = []
    fake.transport.pause()
    tasks = [fake.write(b"%d" % i) for i in range(3)]
    for i, task in enumerate(tasks):
        task.add_done_callback(lambda _, i=i: ended.append(i))  # type: ignore[misc]
    assert fake.written == []
    fake.transport.resume()
    assert fake.write_nowait(b"after them")
    loop.settle()
    assert ended == [0, 1, 2]
    assert fake.written == [b"012after them"]


def test_writers_left_over_when_writing_pauses_again_keep_waiting(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    tasks = [fake.write(LARGE), fake.write(b"a"), fake.write(b"b")]
    fake.transport.capacity = HIGH_WATER - 1
    fake.transport.resume()
    loop.settle()
    assert [task.done() for task in tasks] == [False, False, False]
    assert fake.written == [LARGE]
    fake.transport.resume()
    loop.settle()
    assert [task.done() for task in tasks] == [True, True, True]
    assert fake.written == [LARGE, b"ab"]


def test_write_waits_until_the_peer_has_read_enough(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.capacity = LOW_WATER
    task = fake.write(LARGE)
    assert fake.written == [LARGE]
    assert not task.done()
    fake.transport.resume()
    loop.settle()
    assert task.done()


def test_nothing_is_sent_for_a_writer_cancelled_before_its_turn(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    tasks = [fake.write(b"%d" % i) for i in range(3)]
    tasks[1].cancel()
    loop.settle()
    fake.transport.resume()
    loop.settle()
    assert [task.cancelled() for task in tasks] == [False, True, False]
    assert fake.written == [b"02"]


def test_bytes_of_a_cancelled_writer_are_not_kept(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    task = fake.write(b"a")
    assert fake.stream._writers
    task.cancel()
    loop.settle()
    assert task.cancelled()
    assert not fake.stream._writers


def test_nothing_is_sent_for_a_writer_cancelled_in_the_turn_of_the_resumption(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    tasks = [fake.write(b"%d" % i) for i in range(3)]
    tasks[1].cancel()
    fake.transport.resume()
    loop.settle()
    assert [task.cancelled() for task in tasks] == [False, True, False]
    assert fake.written == [b"02"]


def test_all_is_sent_for_a_writer_cancelled_after_its_turn(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    task = fake.write(b"a")
    fake.transport.resume()
    task.cancel()
    loop.settle()
    assert task.cancelled()
    assert fake.written == [b"a"]


@every_ending
@pytest.mark.parametrize("waits_for", ["its turn", "the peer"])
def test_waiting_writer_is_told_of_the_end(loop: ManualLoop, fake: Fake, ending: str, waits_for: str) -> None:
    if waits_for == "its turn":
        fake.transport.pause()
    else:
        fake.transport.capacity = 0
    tasks = [fake.write(LARGE), fake.write(b"b")]
    end, code = ENDINGS[ending]
    end(fake)
    loop.settle()
    assert [errno_of(task) for task in tasks] == [code, code]
    assert fake.written == ([] if waits_for == "its turn" else [LARGE])


@every_ending
def test_nothing_can_be_sent_after_the_end(loop: ManualLoop, fake: Fake, ending: str) -> None:
    end, code = ENDINGS[ending]
    end(fake)
    assert not fake.write_nowait(b"a")
    assert errno_of(fake.write(b"a")) == code
    fake.loop.call(fake.stream.resume_writing)
    assert not fake.write_nowait(b"a")
    with pytest.raises(OSError) as raised:
        fake.stream.check_sendable()
    assert raised.value.errno == code
    assert fake.written == []


# -------------------------------------------------------------------------------------------------- the end of writing


def test_end_of_writing_sends_the_batch_first(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b"])
    for _ in range(2):
        loop.call(fake.stream.write_eof)
    assert fake.written == [b"a", b"b", END]
    assert not fake.write_nowait(b"c")
    loop.turn()
    fake.transport.resume()
    assert not fake.write_nowait(b"c")
    assert errno_of(fake.write(b"c")) == errno.EPIPE


def test_end_of_writing_refuses_writers_that_wait_for_their_turn(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    task = fake.write(b"a")
    loop.call(fake.stream.write_eof)
    loop.settle()
    assert errno_of(task) == errno.EPIPE
    assert fake.written == [END]


def test_writer_whose_turn_came_before_the_end_of_writing_succeeds(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.pause()
    task = fake.write(b"a")
    fake.transport.resume()
    loop.call(fake.stream.write_eof)
    loop.settle()
    assert task.exception() is None
    assert fake.written == [b"a", END]


def test_writer_whose_bytes_were_taken_before_the_end_of_writing_succeeds(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.capacity = 0
    task = fake.write(LARGE)
    assert not task.done()
    loop.call(fake.stream.write_eof)
    loop.settle()
    assert task.result() is None
    assert fake.written == [LARGE, END]


@every_ending
def test_end_of_writing_after_the_end_does_nothing(loop: ManualLoop, fake: Fake, ending: str) -> None:
    ENDINGS[ending][0](fake)
    loop.call(fake.stream.write_eof)
    assert fake.written == []
    assert not fake.stream.eof_sent


# ------------------------------------------------------------------------------------------------------------- reading


def test_received_bytes_are_kept_until_they_are_taken(loop: ManualLoop, fake: Fake) -> None:
    for data in [b"ab", b"cd"]:
        fake.transport.receive(data)
    assert loop.start(fake.stream.wait_readable()).result()
    assert fake.stream.take_received(1) == b"a"
    assert fake.stream.take_received() == b"bcd"
    assert fake.stream.take_received() == b""


def test_reading_pauses_above_the_high_water_mark_and_resumes_at_the_low_one(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.receive(b"x" * HIGH_WATER)
    assert fake.transport.reads
    fake.transport.receive(b"x")
    assert not fake.transport.reads
    loop.call(fake.stream.take_received, HIGH_WATER - LOW_WATER)
    assert not fake.transport.reads
    loop.call(fake.stream.take_received, 1)
    assert fake.transport.reads


def test_reading_is_paused_and_resumed_once(loop: ManualLoop, fake: Fake) -> None:
    for _ in range(2):
        loop.call(fake.stream.pause_reading)
        assert not fake.transport.reads
    for _ in range(2):
        loop.call(fake.stream.resume_reading)
        assert fake.transport.reads


def test_reading_of_a_closing_transport_is_left_alone(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.ended_by = "failure"
    loop.call(fake.stream.pause_reading)
    assert not fake.stream.reading_paused
    assert fake.transport.reads


def test_reading_of_a_closing_transport_is_not_resumed(loop: ManualLoop, fake: Fake) -> None:
    loop.call(fake.stream.pause_reading)
    fake.transport.ended_by = "failure"
    loop.call(fake.stream.resume_reading)
    assert not fake.transport.reads


async def receive(fake: Fake, how: str, queue: list[bytes]) -> bool:
    if how == "wait_readable":
        return await fake.stream.wait_readable()
    return await fake.stream.receive_into(queue, 1)


every_reader = pytest.mark.parametrize("how", ["wait_readable", "receive_into"])


@every_reader
def test_reader_is_woken_by_bytes(loop: ManualLoop, fake: Fake, how: str) -> None:
    queue: list[bytes] = []
    task = loop.start(receive(fake, how, queue))
    fake.transport.receive(b"a")
    loop.settle()
    assert task.result()
    assert queue == ([b"a"] if how == "receive_into" else [])
    assert fake.stream.take_received() == (b"" if queue else b"a")


def test_chunk_is_in_the_queue_when_its_callback_returns(loop: ManualLoop, fake: Fake) -> None:
    queue: list[bytes] = []
    task = loop.start(receive(fake, "receive_into", queue))
    fake.transport.receive(b"a")
    assert queue == [b"a"]
    fake.transport.receive(b"b")
    assert queue == [b"a"]
    loop.settle()
    assert task.result()
    assert loop.start(receive(fake, "receive_into", queue)).result()
    assert queue == [b"a", b"b"]


def test_cancelled_reader_loses_no_bytes(loop: ManualLoop, fake: Fake) -> None:
    queue: list[bytes] = []
    first = loop.start(receive(fake, "receive_into", queue))
    first.cancel()
    fake.transport.receive(b"a")
    loop.settle()
    second = loop.start(receive(fake, "receive_into", queue))
    if not second.done():
        second.cancel()
        loop.settle()
    fake.transport.receive(b"b")
    third = loop.start(receive(fake, "receive_into", queue))
    assert third.result()
    assert first.cancelled()
    assert queue == [b"a", b"b"]


def test_bytes_after_a_cancelled_reader_has_ended_are_kept(loop: ManualLoop, fake: Fake) -> None:
    queue: list[bytes] = []
    task = loop.start(receive(fake, "receive_into", queue))
    task.cancel()
    loop.settle()
    fake.transport.receive(b"a")
    assert queue == []
    assert fake.stream.take_received() == b"a"


@every_reader
def test_second_reader_is_refused(loop: ManualLoop, fake: Fake, how: str) -> None:
    first = loop.start(receive(fake, how, []))
    for second in ["wait_readable", "receive_into"]:
        assert isinstance(loop.start(receive(fake, second, [])).exception(), BusyResourceError)
    assert not first.done()


@every_reader
def test_reader_that_follows_a_cancelled_one_is_woken(loop: ManualLoop, fake: Fake, how: str) -> None:
    first = loop.start(receive(fake, how, []))
    first.cancel()
    second = loop.start(receive(fake, how, []))
    loop.settle()
    assert first.cancelled()
    assert not second.done()
    fake.transport.receive(b"a")
    loop.settle()
    assert second.result()


def test_second_reader_is_refused_until_the_first_has_looked(loop: ManualLoop, fake: Fake) -> None:
    first = loop.start(fake.stream.wait_readable())
    fake.transport.receive(b"a")
    fake.stream.take_received()
    second = loop.start(fake.stream.wait_readable())
    assert isinstance(second.exception(), BusyResourceError)
    loop.settle()
    assert not first.done()
    fake.transport.receive(b"b")
    loop.settle()
    assert first.result()


@every_reader
@pytest.mark.parametrize("is_waiting", [False, True])
@pytest.mark.parametrize("ending", ["end", *ENDINGS])
def test_reader_is_told_of_the_end(loop: ManualLoop, fake: Fake, how: str, is_waiting: bool, ending: str) -> None:
    task = loop.start(receive(fake, how, [])) if is_waiting else None
    end, code = ENDINGS.get(ending, (lambda fake: fake.transport.end(), None))
    end(fake)
    loop.settle()
    task = task or loop.start(receive(fake, how, []))
    if ending in ("end", "loss"):
        assert task.result() is False
    else:
        assert errno_of(task) == code


@every_reader
@pytest.mark.parametrize("ending", ["end", "loss", "reset"])
def test_bytes_before_the_end_are_received_before_it(loop: ManualLoop, fake: Fake, how: str, ending: str) -> None:
    fake.transport.receive(b"a")
    ENDINGS.get(ending, (lambda fake: fake.transport.end(), None))[0](fake)
    assert loop.start(receive(fake, how, [])).result()


@every_reader
@pytest.mark.parametrize("ending", ["close", "abort"])
def test_bytes_before_a_close_are_not_received_after_it(loop: ManualLoop, fake: Fake, how: str, ending: str) -> None:
    fake.transport.receive(b"a")
    ENDINGS[ending][0](fake)
    assert errno_of(loop.start(receive(fake, how, []))) == errno.EBADF
    fake.transport.lose()


# -------------------------------------------------------------------------------------------------- an attached driver


class Driver(AttachedDriver):
    """Counts how often it is woken."""

    def __init__(self) -> None:
        self.wakings = 0

    def wake(self) -> None:
        self.wakings += 1

    def is_waiting(self) -> bool:
        return True

    def take_early(self) -> bytes:
        return b""


def test_driver_becomes_the_protocol_and_is_woken_for_all_that_comes_another_way(loop: ManualLoop, fake: Fake) -> None:
    driver = Driver()
    fake.stream.attach(driver)
    assert fake.transport.protocol is driver
    loop.call(fake.stream.data_received, b"a")
    assert driver.wakings == 1
    assert fake.stream.take_received() == b"a"
    assert loop.call(fake.stream.eof_received)
    assert driver.wakings == 2
    loop.call(fake.stream.connection_lost, None)
    assert driver.wakings == 3
    assert fake.stream.driver is None


def test_lost_connection_takes_no_driver(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.lose()
    fake.stream.attach(Driver())
    assert fake.transport.protocol is fake.stream
    assert fake.stream.driver is None


# ------------------------------------------------------------------------------------------------------------- closing


def test_close_sends_the_batch_first(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b"])
    for _ in range(2):
        loop.call(fake.stream.close)
    assert fake.written == [b"a", b"b"]
    assert fake.transport.ended_by == "close"
    loop.settle()
    assert fake.stream.lost


def test_abort_drops_the_batch(loop: ManualLoop, fake: Fake) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b"])
    loop.call(fake.stream.abort)
    loop.settle()
    assert fake.written == [b"a"]
    assert fake.transport.ended_by == "abort"
    assert fake.stream.error is None


@every_ending
def test_batch_is_over_at_the_end(loop: ManualLoop, fake: Fake, ending: str) -> None:
    assert all(fake.write_nowait(data) for data in [b"a", b"b"])
    ENDINGS[ending][0](fake)
    assert (fake.stream.parts, fake.stream.capacity) == ([], 0)
    loop.settle()
    assert fake.written == ([b"a", b"b"] if ending == "close" else [b"a"])


@every_ending
def test_end_in_the_turn_in_which_a_writer_is_cancelled(loop: ManualLoop, fake: Fake, ending: str) -> None:
    fake.transport.pause()
    tasks = [fake.write(b"%d" % i) for i in range(2)]
    tasks[0].cancel()
    ENDINGS[ending][0](fake)
    loop.settle()
    assert tasks[0].cancelled()
    assert errno_of(tasks[1]) == ENDINGS[ending][1]


def test_abort_ends_a_close_that_takes_long(loop: ManualLoop, fake: Fake) -> None:
    fake.stream.expects_input = True
    loop.call(fake.stream.close)
    loop.call(fake.stream.abort)
    loop.settle()
    assert fake.transport.ended_by == "abort"
    assert fake.stream.lost


def test_abort_leaves_a_transport_alone_that_is_lost(loop: ManualLoop, fake: Fake) -> None:
    fake.transport.lose()
    loop.call(fake.stream.abort)
    assert fake.transport.ended_by == "loss"


def test_transport_of_a_connection_closed_before_is_aborted(loop: ManualLoop) -> None:
    made: list[AsyncioStream] = []
    stream = AsyncioStream(loop, made.append)
    stream.closing = True
    transport = FakeTransport(loop, stream)
    assert transport.ended_by == "abort"
    assert not stream.writable
    assert made == [stream]


def test_connection_is_told_once(loop: ManualLoop) -> None:
    made: list[AsyncioStream] = []
    stream = AsyncioStream(loop, made.append)
    for _ in range(2):
        FakeTransport(loop, stream)
    assert made == [stream]


def test_every_task_that_waits_for_the_loss_is_woken(loop: ManualLoop, fake: Fake) -> None:
    tasks = [loop.start(fake.stream.wait_lost()) for _ in range(3)]
    tasks[1].cancel()
    fake.transport.lose(ConnectionResetError())
    loop.settle()
    assert [task.cancelled() for task in tasks] == [False, True, False]
    assert all(task.done() for task in tasks)
    assert loop.start(fake.stream.wait_lost()).done()


# ----------------------------------------------------------------------------------------------------------- lingering


def test_close_with_unread_input_ends_writing_and_waits_for_the_peer(loop: ManualLoop, fake: Fake) -> None:
    assert fake.write_nowait(b"a")
    fake.transport.receive(b"x" * (HIGH_WATER + 1))
    assert not fake.transport.reads
    loop.call(fake.stream.close)
    loop.settle()
    assert fake.written == [b"a", END]
    assert fake.transport.reads
    assert fake.transport.ended_by is None
    assert fake.stream.received.nbytes == 0
    fake.transport.receive(b"more")
    fake.transport.end()
    assert fake.transport.ended_by == "close"
    loop.settle()
    assert fake.stream.lost


def test_close_that_expects_input_waits_for_the_peer(loop: ManualLoop, fake: Fake) -> None:
    fake.stream.expects_input = True
    loop.call(fake.stream.close)
    assert fake.written == [END]
    loop.advance(LINGER_TIMEOUT)
    assert fake.transport.ended_by == "close"


def test_second_close_does_not_end_the_wait_for_the_peer(loop: ManualLoop, fake: Fake) -> None:
    fake.stream.expects_input = True
    for _ in range(2):
        loop.call(fake.stream.close)
    assert fake.written == [END]
    assert fake.transport.ended_by is None
    fake.transport.lose()


def test_lingering_close_does_not_end_writing_twice(loop: ManualLoop, fake: Fake) -> None:
    loop.call(fake.stream.write_eof)
    fake.stream.expects_input = True
    loop.call(fake.stream.close)
    assert fake.written == [END]
    assert fake.transport.ended_by is None
    fake.transport.lose()


def test_lingering_ends_after_many_bytes(loop: ManualLoop, fake: Fake) -> None:
    fake.stream.expects_input = True
    loop.call(fake.stream.close)
    chunk = bytes(128 * 1024)
    for _ in range(LINGER_BYTES // len(chunk)):
        fake.transport.receive(chunk)
    assert fake.transport.ended_by is None
    fake.transport.receive(b"x")
    assert fake.transport.ended_by == "close"


@pytest.mark.parametrize("has_input", [False, True])
def test_close_looks_for_input_in_the_socket(loop: ManualLoop, fake: Fake, has_input: bool) -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        if has_input:
            peer.sendall(b"a")
        fake.transport.socket = ours
        loop.call(fake.stream.close)
        assert fake.transport.ended_by == (None if has_input else "close")
        fake.transport.lose()


@pytest.mark.parametrize("why", ["the stream has ended", "TLS", "the transport is closing"])
def test_close_does_not_linger_where_it_would_be_in_vain(loop: ManualLoop, fake: Fake, why: str) -> None:
    fake.transport.receive(b"a")
    if why == "the stream has ended":
        fake.transport.end()
    elif why == "TLS":
        fake.transport.writes_eof = False
    else:
        fake.transport.ended_by = "failure"
    loop.call(fake.stream.close)
    assert fake.written == []
    assert fake.transport.ended_by == "close"
