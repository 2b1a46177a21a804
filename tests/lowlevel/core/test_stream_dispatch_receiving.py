"""A handler that receives without a ``yield``, and exchanges the decoder: the dispatcher, driven by hand."""

from __future__ import annotations

import errno
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lowlevel.core.by_hand import ByHand, Clock, stream_dispatcher, suspend
from tests.support.framing_cases import Block, LengthPrefix, Line, cut

from easynetwork.exceptions import IncompletePacketError, StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator, single_generator
from easynetwork.lowlevel._core.requirements import BYTES, MORE, TURN, TURN_TIME, Wait
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import FramingLostError
from easynetwork.lowlevel._core.stream_dispatch import (
    DISCONNECTED,
    NEVER_YIELDED,
    RETURNED,
    StreamDispatcher,
    is_waiting,
)
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import RawSerializer

LINES = StreamProtocol(Line(b"\n"))
BLOCKS = StreamProtocol(Block(3))

reproducible = settings(derandomize=True, deadline=None, max_examples=200, database=None)


class Scripted:
    """Runs a dispatcher whose only generator is ``handle(dispatcher, log)``."""

    def __init__(
        self,
        handle: Callable[[StreamDispatcher[Any], list[Any]], HandlerGenerator[Any]],
        protocol: AnyStreamProtocolType[Any, Any] = LINES,
    ) -> None:
        self.log: list[Any] = []
        self.dispatcher = stream_dispatcher(protocol)
        self.run = ByHand(self.dispatcher.run(single_generator(handle(self.dispatcher, self.log))))


def receive(dispatcher: StreamDispatcher[Any], timeout: float = math.inf) -> Awaitable[Any]:
    return dispatcher.receive(timeout)


def set_protocol(dispatcher: StreamDispatcher[Any], protocol: AnyStreamProtocolType[Any, Any]) -> None:
    dispatcher.set_decoder(decoder_factory(protocol, 1024)())


# ----------------------------------------------------------------------------------------------------------- receiving


async def yield_and_receive(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
    while True:
        log.append((yield None))
        log.append(await receive(dispatcher))


@pytest.mark.parametrize(
    "chunks",
    [
        [b"a\nb\nc\nd\ne\n"],
        [b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"],
        [b"a\nb", b"\nc\nd\n", b"e\n"],
        [b"a\nb\n", b"c\nd\ne\n"],
        [b"a\nb\nc\n", b"d\ne\n"],
    ],
)
def test_both_ways_receive_in_turn(chunks: list[bytes]) -> None:
    it = Scripted(yield_and_receive)
    for chunk in chunks:
        assert it.run.required is BYTES
        it.run.answer(chunk)
    assert it.log == [b"a", b"b", b"c", b"d", b"e"]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=20),
    st.lists(st.integers(1, 9), max_size=4),
    st.sampled_from([LINES, BLOCKS, StreamProtocol(LengthPrefix()), BufferedStreamProtocol(LengthPrefix())]),
)
@reproducible
def test_no_request_is_lost_or_received_twice(
    steps: list[tuple[bool, int]], cuts: list[int], protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    """The handler chooses a way to receive for each request, and may await something after it."""

    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        for by_yield, awaits in steps:
            log.append((yield None) if by_yield else await receive(dispatcher))
            for _ in range(awaits):
                await suspend("elsewhere")

    contents = [b"%03d" % number for number in range(len(steps))]
    stream = b"".join(b"".join(protocol.generate_chunks(content)) for content in contents)
    it = Scripted(handle, protocol)
    for chunk in cut(stream, cuts):
        if it.run.ending is None:
            it.run.answer(chunk)
        while it.run.required == "elsewhere" or it.run.required is TURN:
            it.run.answer(None)
    assert it.run.ending is RETURNED
    assert it.log == contents


def test_a_flood_of_requests_lets_others_have_their_turn(clock: Clock) -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        while True:
            log.append(await receive(dispatcher))
            clock.now += TURN_TIME / 5

    it = Scripted(handle)
    it.run.answer(b"x\n" * 101)
    turns = 0
    while it.run.required is TURN:
        assert len(it.log) <= 6 * (turns + 1)
        turns += 1
        it.run.answer(None)
    assert len(it.log) == 100
    assert turns > 10


def test_the_time_to_receive_does_not_start_again_with_more_bytes() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        try:
            await receive(dispatcher, 5)
        except TimeoutError:
            log.append("late")
        log.append(await receive(dispatcher))

    it = Scripted(handle)
    wait = it.run.answer(b"first\n")
    assert isinstance(wait, Wait)
    assert wait.timeout == 5
    assert it.run.answer(b"sec") is MORE
    assert it.run.answer(None) is BYTES
    assert it.log == ["late"]
    it.run.answer(b"ond\n")
    assert it.log == ["late", b"second"]


def test_the_end_of_the_stream_is_an_error_of_the_connection() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        try:
            await receive(dispatcher)
        except ConnectionAbortedError as exc:
            log.append(exc)
            raise

    for rest, kind in ((b"", ConnectionAbortedError), (b"half", IncompletePacketError)):
        it = Scripted(handle)
        it.run.answer(b"first\n" + rest)
        with pytest.raises(ConnectionAbortedError) as info:
            it.run.answer(b"")
        assert type(info.value) is kind
        assert it.dispatcher.origin is not None
        assert it.dispatcher.origin.is_of(info.value)
        assert it.dispatcher.has_ended
        assert bool(it.dispatcher.describe_cut()) == bool(rest)


def test_a_handler_that_survives_the_end_is_closed_at_its_yield() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        with pytest.raises(ConnectionAbortedError):
            await receive(dispatcher)
        try:
            yield None
        finally:
            log.append("closed")

    it = Scripted(handle)
    it.run.answer(b"first\n")
    it.run.answer(b"")  # a driver need not report the end a second time
    assert it.run.ending is DISCONNECTED
    assert it.log == ["closed"]


def test_an_error_of_the_connection_is_its_end() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        await receive(dispatcher)

    it = Scripted(handle)
    it.run.answer(b"first\n")
    reset = ConnectionResetError(errno.ECONNRESET, "reset by peer")
    with pytest.raises(ConnectionAbortedError, match="the connection was lost: reset by peer") as info:
        it.run.throw(reset)
    assert info.value.__cause__ is reset


def test_an_invalid_packet_is_one_error() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        with pytest.raises(StreamProtocolParseError) as info:
            await receive(dispatcher)
        assert dispatcher.origin is not None
        assert dispatcher.origin.is_of(info.value)
        log.append(await receive(dispatcher))

    it = Scripted(handle)
    it.run.answer(b"first\n!bad\ngood\n")
    assert it.log == [b"good"]


def test_a_lost_framing_ends_the_stream() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        for kind in (RuntimeError, FramingLostError, FramingLostError):
            with pytest.raises(kind):
                await receive(dispatcher)
        yield None

    it = Scripted(handle, StreamProtocol(LengthPrefix()))
    it.run.answer(b"\1a\2?b\1c")
    assert it.run.ending is DISCONNECTED
    assert it.dispatcher.has_lost_framing


def test_a_cancellation_loses_nothing() -> None:
    class Cancelled(BaseException):
        pass

    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        yield None
        with pytest.raises(Cancelled):
            await receive(dispatcher)
        log.append(await receive(dispatcher))

    it = Scripted(handle)
    it.run.answer(b"first\nsec")
    it.run.throw(Cancelled())
    it.run.answer(b"ond\n")
    assert it.log == [b"second"]
    assert not it.dispatcher.is_receiving


def test_a_generator_that_receives_need_not_yield() -> None:
    dispatcher = stream_dispatcher(LINES)
    log: list[Any] = []

    async def handle() -> HandlerGenerator[Any]:
        if len(log) < 3:
            log.append(await receive(dispatcher))
            return
        if dispatcher is None:
            yield

    run = ByHand(dispatcher.run(handle))
    run.answer(b"a\nb\nc\n")
    assert log == [b"a", b"b", b"c"]
    assert run.ending is NEVER_YIELDED  # the fourth did not receive


# ------------------------------------------------------------------------------------------------ whom to let receive


def test_who_waits_for_a_request() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        log.append(is_waiting(requests))
        yield None
        log.append(is_waiting(requests))
        await suspend("elsewhere")
        log.append(await receive(dispatcher))

    dispatcher, log, requests = stream_dispatcher(LINES), list[Any](), None
    assert not is_waiting(requests)
    requests = dispatcher.run(single_generator(handle(dispatcher, log)))
    assert not is_waiting(requests)
    run = ByHand(requests)
    assert is_waiting(requests)
    assert run.answer(b"a\n") == "elsewhere"
    assert not is_waiting(requests)
    assert not dispatcher.is_receiving
    run.answer(None)
    assert not is_waiting(requests)
    assert dispatcher.is_receiving
    run.answer(b"b\n")
    assert run.ending is RETURNED
    assert not is_waiting(requests)
    assert not dispatcher.is_receiving
    assert log == [False, False, b"b"]


# ----------------------------------------------------------------------------------------------- exchanging the decoder


@given(st.data())
@reproducible
def test_each_byte_goes_to_the_protocol_that_is_set_when_it_is_needed(data: st.DataObject) -> None:
    """The handler knows a list of packets, each of another protocol. The network splits the stream anywhere."""
    kinds: dict[str, AnyStreamProtocolType[Any, Any]] = {
        "lines": LINES,
        "blocks": BLOCKS,
        "prefix": StreamProtocol(LengthPrefix()),
        "buffered": BufferedStreamProtocol(LengthPrefix()),
        "exactly": StreamProtocol(RawSerializer(exactly=3)),
    }
    names = data.draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=12))
    stream = b"".join(b"".join(kinds[name].generate_chunks(b"%03d" % i)) for i, name in enumerate(names))

    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        for turn, name in enumerate(names):
            if turn == 0 or names[turn - 1] != name:
                set_protocol(dispatcher, kinds[name])
            by_yield = turn == 0 or data.draw(st.booleans())
            log.append((yield None) if by_yield else await receive(dispatcher))

    it = Scripted(handle, kinds[names[0]])
    for chunk in cut(stream, data.draw(st.lists(st.integers(1, 20), max_size=4))):
        it.run.answer(chunk)
        while it.run.required is TURN:
            it.run.answer(None)
    assert it.log == [b"%03d" % i for i in range(len(names))]
    assert it.run.ending is RETURNED


def test_a_decoder_may_be_exchanged_before_anything_is_decoded() -> None:
    dispatcher, log = stream_dispatcher(LINES), list[Any]()
    set_protocol(dispatcher, BLOCKS)
    run = ByHand(dispatcher.run(single_generator(yield_and_receive(dispatcher, log))))
    run.answer(b"a\nbc\nd")
    assert log == [b"a\nb", b"c\nd"]


def test_a_packet_of_which_a_generator_has_taken_the_start_keeps_its_decoder() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        with pytest.raises(TimeoutError):
            yield 1
        with pytest.raises(UnsupportedOperation, match="has already taken 2 bytes of an incomplete packet"):
            set_protocol(dispatcher, LINES)
        log.append((yield None))

    it = Scripted(handle, StreamProtocol(LengthPrefix()))
    it.run.answer(b"\3a")
    it.run.answer(None)
    it.run.answer(b"bc")
    assert it.log == [b"abc"]


def test_a_waiting_dispatcher_holds_neither_the_chunk_nor_the_old_decoder() -> None:
    async def handle(dispatcher: StreamDispatcher[Any], log: list[Any]) -> HandlerGenerator[Any]:
        while True:
            log.append(len((yield None)))

    it = Scripted(handle)
    it.run.answer(b"abc\n" * 50)
    assert it.log == [3] * 50
    assert it.dispatcher._decoder.batch == b""
    assert not it.dispatcher.is_interrupting()
