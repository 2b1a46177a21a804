"""The dispatcher of a stream, driven by hand: requests, waits, turns, and how it stops."""

from __future__ import annotations

import gc
import math
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import pairwise
from typing import Any, cast

import pytest
from tests.lowlevel.core.by_hand import ByHand, Clock, Looping, OnePerRequest, stream_dispatcher, suspend
from tests.support.framing_cases import LengthPrefix, Line

from easynetwork.exceptions import StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel._core.handler_generators import (
    HandlerGenerator,
    single_generator,
    unregistered_generators,
)
from easynetwork.lowlevel._core.requirements import BYTES, MORE, STEPS_PER_TURN, TURN, TURN_TIME, Wait
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, NEVER_YIELDED, RETURNED
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol

each_kind_of_handler = pytest.mark.parametrize("handler_type", [Looping, OnePerRequest])


# ------------------------------------------------------------------------------------------------------------ requests


@each_kind_of_handler
def test_requests_arrive_in_order(handler_type: type[Looping]) -> None:
    handler = handler_type()
    run = ByHand(stream_dispatcher().run(handler))
    assert run.required is BYTES
    assert run.answer(b"a\nb\nc") is BYTES
    assert handler.log == [b"a", b"b"]
    assert run.answer(b"\n") is BYTES
    assert run.answer(b"d\n") is BYTES
    assert handler.log == [b"a", b"b", b"c", b"d"]


def test_each_request_gets_a_generator_of_its_own() -> None:
    handler = OnePerRequest()
    run = ByHand(stream_dispatcher().run(handler))
    run.answer(b"a\nb\nc\n")
    assert handler.made == 4
    run.answer(b"d\n")
    assert handler.made == 5


def test_an_awaiting_handler_speaks_with_the_driver() -> None:
    log: list[Any] = []

    async def handle() -> HandlerGenerator[Any]:
        log.append(await suspend("before"))
        while True:
            request = yield None
            log.append(await suspend(request))
            try:
                await suspend("failing")
            except OSError:
                log.append("failed")

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    assert run.required == "before"
    assert run.answer("started") is BYTES
    for request in (b"a", b"b"):
        assert run.answer(request + b"\n") == request
        assert run.answer("resumed") == "failing"
        assert run.throw(OSError()) is BYTES
    assert log == ["started", "resumed", "failed", "resumed", "failed"]


def test_a_handler_takes_its_time_between_two_requests_of_one_chunk() -> None:
    async def handle() -> HandlerGenerator[Any]:
        while True:
            await suspend((yield None))

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    assert run.answer(b"a\nb\nc\n") == b"a"
    assert run.answer(None) == b"b"
    assert run.answer(None) == b"c"
    assert run.answer(None) is BYTES


def test_an_invalid_request_raises_at_its_own_yield() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher().run(handler))
    run.answer(b"a\n!\nb\n?\n")
    run.answer(b"!\n")
    assert handler.log == [b"a", StreamProtocolParseError, b"b", RuntimeError, StreamProtocolParseError]
    assert run.required is BYTES


def test_a_buffered_protocol_takes_numbers_of_bytes() -> None:
    handler = Looping()
    dispatcher = stream_dispatcher(BufferedStreamProtocol(LengthPrefix()), by_chunks=False)
    run = ByHand(dispatcher.run(handler))
    for chunk in (b"\x01a\x02", b"b", b"c"):
        assert dispatcher.buffered is not None
        dispatcher.buffered.get_buffer()[: len(chunk)] = chunk
        assert run.answer(len(chunk)) is BYTES
    assert handler.log == [b"a", b"bc"]
    run.answer(0)
    assert run.ending is DISCONNECTED


def test_a_buffered_protocol_takes_chunks_too() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher(BufferedStreamProtocol(LengthPrefix()), by_chunks=False).run(handler))
    for chunk in (b"\x01a\x02", b"b", b"c"):
        assert run.answer(chunk) is BYTES
    assert handler.log == [b"a", b"bc"]


def test_a_protocol_of_chunks_lends_no_buffer() -> None:
    dispatcher = stream_dispatcher(ancillary_bufsize=77)
    assert (dispatcher.buffered, dispatcher.max_recv_size, dispatcher.ancillary_bufsize) == (None, 1024, 77)


# ---------------------------------------------------------------------------------------------------------- generators


def test_a_run_ends_with_its_last_generator() -> None:
    handler = OnePerRequest()
    left = [handler(), handler()]
    run = ByHand(stream_dispatcher().run(lambda: left.pop() if left else None))
    assert run.answer(b"a\n") is BYTES
    run.answer(b"b\n")
    assert run.ending is RETURNED
    assert handler.log == [b"a", b"b"]


def test_the_next_run_gets_the_requests_that_are_left() -> None:
    dispatcher, greeting, handler = stream_dispatcher(), OnePerRequest(), Looping()
    run = ByHand(dispatcher.run(single_generator(greeting())))
    run.answer(b"hello\na\nb\nc")
    assert run.ending is RETURNED
    assert dispatcher.is_interrupting()
    run = ByHand(dispatcher.run(handler))
    assert run.required is BYTES
    run.answer(b"\n")
    assert (greeting.log, handler.log) == ([b"hello"], [b"a", b"b", b"c"])


def test_a_run_after_another_asks_for_what_its_own_generator_yields() -> None:
    dispatcher = stream_dispatcher()
    ByHand(dispatcher.run(single_generator(OnePerRequest(5)()))).answer(b"hello\n")
    run = ByHand(dispatcher.run(Looping(7)))
    assert run.required.timeout == 7


def test_a_generator_that_never_yields_ends_the_run() -> None:
    async def handle() -> HandlerGenerator[Any]:
        for _ in ():
            yield None

    dispatcher = stream_dispatcher()
    run = ByHand(dispatcher.run(handle))
    assert run.ending is NEVER_YIELDED
    assert not dispatcher.has_ended


def test_a_generator_that_never_yields_costs_no_request() -> None:
    async def handle() -> HandlerGenerator[Any]:
        for _ in ():
            yield None

    dispatcher, first, handler = stream_dispatcher(), OnePerRequest(), Looping()
    generators = [handle(), first()]
    run = ByHand(dispatcher.run(generators.pop))
    run.answer(b"a\nb\n")
    assert run.ending is NEVER_YIELDED
    run = ByHand(dispatcher.run(handler))
    assert (first.log, handler.log) == ([b"a"], [b"b"])


async def _coroutine() -> None:
    raise NotImplementedError


@pytest.mark.parametrize("make", [object, _coroutine])
def test_a_handler_that_makes_no_generator_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="must be an asynchronous generator function"):
        ByHand(stream_dispatcher().run(make))


async def test_the_hook_of_the_event_loop_does_not_keep_what_is_no_generator() -> None:
    hook, not_a_generator = unregistered_generators(), cast("Any", object())
    with pytest.raises(TypeError, match="must be an asynchronous generator function"):
        ByHand(stream_dispatcher().run(lambda: not_a_generator))
    assert unregistered_generators() is hook
    assert hook.starting is None


@pytest.fixture
def registered() -> Iterator[list[Any]]:
    """The generators that reach the hooks of an event loop."""
    registered: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(registered.append, registered.append)
    try:
        yield registered
    finally:
        sys.set_asyncgen_hooks(*hooks)


def test_generators_of_handlers_do_not_register_at_the_event_loop(registered: list[Any]) -> None:
    run = ByHand(stream_dispatcher().run(OnePerRequest()))
    run.answer(b"a\nb\n")
    run.answer(b"")
    assert run.ending is DISCONNECTED
    assert registered == []


def test_other_generators_register_at_the_event_loop(registered: list[Any]) -> None:
    others: list[Any] = []

    async def count() -> AsyncGenerator[int, None]:
        yield 1

    async def handle() -> HandlerGenerator[Any]:
        yield None
        others.append(count())
        async for _ in others[-1]:
            pass

    run = ByHand(stream_dispatcher().run(handle))
    run.answer(b"a\nb\n")
    run.answer(b"c\n")
    assert len(others) == 3
    assert registered == others


def test_an_event_loop_that_runs_again_registers_at_most_one_generator(registered: list[Any]) -> None:
    run = ByHand(stream_dispatcher().run(OnePerRequest()))
    run.answer(b"a\n")
    sys.set_asyncgen_hooks(registered.append, registered.append)  # a loop sets its hooks when it begins to run
    run.answer(b"b\n")
    run.answer(b"c\nd\n")
    run.answer(b"e\n")
    assert len(registered) == 1


def test_dispatchers_share_the_hook_of_a_loop(registered: list[Any]) -> None:
    stream_dispatcher().run(OnePerRequest()).send(None)
    hooks = sys.get_asyncgen_hooks()
    stream_dispatcher().run(OnePerRequest()).send(None)
    assert sys.get_asyncgen_hooks() == hooks
    assert hooks.finalizer == registered.append


def test_a_closed_run_closes_its_generator_without_the_event_loop(registered: list[Any]) -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher().run(handler))
    run.close()
    assert handler.log == ["closed"]
    assert registered == []


def test_an_error_of_a_generator_ends_the_run() -> None:
    async def handle() -> HandlerGenerator[Any]:
        yield None
        raise ZeroDivisionError

    dispatcher = stream_dispatcher()
    run = ByHand(dispatcher.run(single_generator(handle())))
    with pytest.raises(ZeroDivisionError):
        run.answer(b"a\nb\n")
    assert not dispatcher.has_ended


# --------------------------------------------------------------------------------------------------------------- waits


@pytest.mark.parametrize("yielded", [3, 3.5, RecvParams(timeout=3)])
def test_a_handler_with_a_timeout_waits_that_long(yielded: Any) -> None:
    run = ByHand(stream_dispatcher().run(Looping(yielded)))
    assert isinstance(run.required, Wait)
    assert run.required.timeout == getattr(yielded, "timeout", yielded)
    assert run.required.ancillary is None


@pytest.mark.parametrize("yielded", [None, math.inf, RecvParams(), RecvParams(timeout=math.inf)])
def test_a_handler_without_a_timeout_requires_just_bytes(yielded: Any) -> None:
    run = ByHand(stream_dispatcher().run(Looping(yielded)))
    assert run.required is BYTES
    assert run.answer(b"incomplete") is BYTES


def test_an_incomplete_request_leaves_the_rest_of_the_same_time() -> None:
    handler = Looping(3)
    run = ByHand(stream_dispatcher().run(handler))
    assert run.answer(b"a") is MORE
    assert run.answer(b"b") is MORE
    assert isinstance(run.answer(b"\nc"), Wait)
    assert run.answer(b"d") is MORE
    assert handler.log == [b"ab"]


def test_each_time_out_raises_at_its_own_yield() -> None:
    handler = Looping(3)
    run = ByHand(stream_dispatcher().run(handler))
    assert isinstance(run.answer(None), Wait)
    assert isinstance(run.answer(None), Wait)
    assert handler.log == [TimeoutError, TimeoutError]
    run.answer(b"a")
    run.answer(None)
    run.answer(b"b\n")
    assert handler.log == [TimeoutError] * 3 + [b"ab"]


def test_a_time_out_is_explained() -> None:
    run = ByHand(stream_dispatcher().run(single_generator(_yielding(1))))
    with pytest.raises(TimeoutError, match=r"^No request was received in time$"):
        run.answer(None)


def test_each_yield_has_its_own_timeout() -> None:
    run = ByHand(stream_dispatcher().run(Looping(3, None, 4)))
    assert run.required.timeout == 3
    assert run.answer(b"a\n") is BYTES
    assert run.answer(b"a\n").timeout == 4
    assert run.answer(b"a\nb\n") is BYTES
    assert run.answer(b"a\nb\n").timeout == 3
    assert run.answer(b"a\nb\n").timeout == 4


def test_a_timeout_may_change_after_a_chunk_with_many_requests() -> None:
    handler = Looping(None, None, None, 3)
    run = ByHand(stream_dispatcher().run(handler))
    assert run.answer(b"a\nb\n") is BYTES
    assert run.answer(b"c\n").timeout == 3
    assert handler.log == [b"a", b"b", b"c"]


async def _yielding(yielded: Any) -> HandlerGenerator[Any]:
    yield yielded


@pytest.mark.parametrize(
    ("yielded", "error"),
    [
        ("soon", TypeError),
        (-1, ValueError),
        (math.nan, ValueError),
        (RecvParams(timeout="soon"), TypeError),  # type: ignore[arg-type]
        (RecvParams(timeout=-1), ValueError),
        (RecvParams(recv_with_ancillary=print), TypeError),  # type: ignore[arg-type]
        (RecvParams(recv_with_ancillary=RecvAncillaryDataParams(None)), TypeError),  # type: ignore[arg-type]
    ],
)
def test_nonsense_raises_where_it_is_yielded(yielded: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ByHand(stream_dispatcher().run(single_generator(_yielding(yielded))))


def test_nonsense_costs_no_request() -> None:
    handler = Looping("nonsense", None)
    run = ByHand(stream_dispatcher().run(handler))
    assert run.required is BYTES
    run.answer(b"a\nb\n")
    assert handler.log == [TypeError, b"a", TypeError, b"b", TypeError]


def test_nonsense_is_refused_in_the_midst_of_a_chunk() -> None:
    handler = Looping(None, None, "nonsense")
    run = ByHand(stream_dispatcher().run(handler))
    run.answer(b"a\nb\nc\nd\n")
    assert handler.log == [b"a", b"b", TypeError, b"c", b"d", TypeError]


def test_the_yield_after_nonsense_waits_as_it_says() -> None:
    handler = Looping(3, "nonsense")
    run = ByHand(stream_dispatcher().run(handler))
    assert run.answer(b"a\n").timeout == 3
    assert handler.log == [b"a", TypeError]


def test_the_same_nonsense_is_refused_each_time() -> None:
    handler = Looping("nonsense", "nonsense", None)
    run = ByHand(stream_dispatcher().run(handler))
    assert run.required is BYTES
    assert handler.log == [TypeError, TypeError]


# ------------------------------------------------------------------------------------------------------ ancillary data


def _with_ancillary(received: Callable[[Any], object], timeout: float | None = None) -> RecvParams:
    return RecvParams(timeout=timeout, recv_with_ancillary=RecvAncillaryDataParams(received))


def test_ancillary_data_comes_before_the_request() -> None:
    handler = Looping()
    handler._yields = (_with_ancillary(lambda data: handler.log.append(data)),)
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(handler))
    assert run.required.timeout is None
    assert run.required.ancillary is not None
    run.answer((b"a\nb\n", "messages"))
    assert handler.log == ["messages", b"a", b"b"]
    assert run.required.ancillary is not None


def test_a_buffered_protocol_takes_ancillary_data() -> None:
    handler = Looping()
    handler._yields = (_with_ancillary(lambda data: handler.log.append(data)),)
    protocol = BufferedStreamProtocol(LengthPrefix())
    dispatcher = stream_dispatcher(protocol, ancillary_bufsize=10, by_chunks=False)
    run = ByHand(dispatcher.run(handler))
    assert dispatcher.buffered is not None
    dispatcher.buffered.get_buffer()[:2] = b"\x01a"
    run.answer((2, "messages"))
    assert handler.log == ["messages", b"a"]
    run.answer((0, None))
    assert run.ending is DISCONNECTED


def test_a_request_that_was_there_before_comes_without_ancillary_data() -> None:
    handler = Looping()
    handler._yields = (None, _with_ancillary(handler.log.append))
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(handler))
    run.answer(b"a\nb\n")
    assert handler.log == [b"a", b"b"]


def test_one_read_has_to_complete_the_request_that_comes_with_ancillary_data() -> None:
    handler = Looping()
    handler._yields = (_with_ancillary(handler.log.append),)
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(handler))
    assert isinstance(run.answer((b"a", 1)), Wait)
    assert handler.log == [1, EOFError]
    assert isinstance(run.answer((b"b\n", 2)), Wait)
    assert handler.log == [1, EOFError, 2, b"ab"]


def test_one_read_for_ancillary_data_that_is_incomplete_is_explained() -> None:
    generator = _yielding(_with_ancillary(print))
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(single_generator(generator)))
    with pytest.raises(EOFError, match=r"^The bytes received with the ancillary data are not a complete request$"):
        run.answer((b"a", None))


def test_a_wait_for_ancillary_data_has_a_timeout() -> None:
    handler = Looping()
    handler._yields = (_with_ancillary(handler.log.append, 3),)
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(handler))
    assert run.required.timeout == 3
    assert run.answer(None).timeout == 3
    assert handler.log == [TimeoutError]


def test_a_callback_for_ancillary_data_that_fails_raises_at_the_yield() -> None:
    def fail(data: object) -> None:
        raise ZeroDivisionError

    handler = Looping()
    handler._yields = (_with_ancillary(fail), None)
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(handler))
    assert run.answer((b"a\n", None)) is BYTES
    assert handler.log == [RuntimeError]  # and the bytes are lost
    run.answer(b"b\n")
    assert handler.log == [RuntimeError, b"b"]


@pytest.mark.parametrize("end", [(b"", None), (b"", "messages"), b""])
def test_a_wait_for_ancillary_data_meets_the_end_of_the_stream(end: Any) -> None:
    handler = Looping()
    handler._yields = (_with_ancillary(handler.log.append),)
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(handler))
    run.answer(end)
    assert run.ending is DISCONNECTED
    assert handler.log == ["closed"]


def test_ancillary_data_needs_room() -> None:
    generator = _yielding(_with_ancillary(print))
    with pytest.raises(UnsupportedOperation, match="without 'ancillary_bufsize'"):
        ByHand(stream_dispatcher().run(single_generator(generator)))


# --------------------------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("yields", [(None,), (3, None), (None, None, None, 3)])
@each_kind_of_handler
def test_everything_else_has_its_turn_after_many_requests(handler_type: type[Looping], yields: Any) -> None:
    handler = handler_type(*yields)
    run = ByHand(stream_dispatcher().run(handler))
    counts = []
    run.answer(b"a\n" * (3 * STEPS_PER_TURN))
    while run.required is TURN:
        counts.append(len(handler.log))
        run.answer(None)
    steps = [later - count for count, later in pairwise([0, *counts])]
    assert len(steps) >= 2
    assert max(steps) <= STEPS_PER_TURN
    assert steps[-1] == STEPS_PER_TURN
    assert handler.log == [b"a"] * (3 * STEPS_PER_TURN)


def test_requests_that_take_long_end_the_turn(clock: Clock) -> None:
    """The batches become smaller, and grow again when the requests are fast."""

    async def handle() -> HandlerGenerator[Any]:
        while True:
            yield None
            handled.append(clock.now)
            clock.now += seconds

    handled: list[float] = []
    seconds = TURN_TIME / 1000
    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    run.answer(b"a\n" * 1000)
    while run.required is TURN:
        run.answer(None)
    seconds = TURN_TIME * 2
    batches = []
    run.answer(b"a\n" * 200)
    while run.required is TURN:
        batches.append(len(handled))
        run.answer(None)
    sizes = [later - count for count, later in pairwise(batches)]
    assert max(sizes[-20:]) <= 2
    assert len(handled) == 1200


def test_every_received_chunk_is_a_step() -> None:
    run = ByHand(stream_dispatcher().run(Looping()))
    for _ in range(STEPS_PER_TURN - 1):
        assert run.answer(b"a\n") is BYTES
    assert run.answer(b"a\n") is TURN
    assert run.answer(None) is BYTES
    for _ in range(STEPS_PER_TURN - 1):
        assert run.answer(b"a\n") is BYTES
    assert run.answer(b"a\n") is TURN


def test_incomplete_requests_are_steps() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher().run(handler))
    for _ in range(2):
        for _ in range(STEPS_PER_TURN - 1):
            assert run.answer(b"a") is BYTES
        assert run.answer(b"a") is TURN
        assert run.answer(None) is BYTES
    run.answer(b"\n")
    assert handler.log == [b"a" * (2 * STEPS_PER_TURN)]


@pytest.mark.parametrize("yielded", ["nonsense", -1])
def test_a_handler_that_goes_on_with_nonsense_does_not_stop_everything_else(yielded: Any) -> None:
    handler = Looping(yielded)
    run = ByHand(stream_dispatcher().run(handler))
    for turns in (1, 2):
        assert run.required is TURN
        assert len(handler.log) == turns * STEPS_PER_TURN
        run.answer(None)


def test_errors_are_steps() -> None:
    handler = Looping(3)
    run = ByHand(stream_dispatcher().run(handler))
    for _ in range(STEPS_PER_TURN - 1):
        assert isinstance(run.answer(None), Wait)
    assert run.answer(None) is TURN
    assert isinstance(run.answer(None), Wait)
    for _ in range(STEPS_PER_TURN - 1):
        assert isinstance(run.throw(OSError()), Wait)
    assert run.throw(OSError()) is TURN


def test_invalid_requests_are_steps() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher().run(handler))
    run.answer(b"!\n" * 1000)
    assert run.required is TURN
    assert len(handler.log) <= STEPS_PER_TURN


def test_a_protocol_that_gives_one_request_at_a_time_has_turns_too() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher(StreamProtocol(LengthPrefix())).run(handler))
    assert run.answer(b"\x01a" * STEPS_PER_TURN) is TURN
    assert handler.log == [b"a"] * (STEPS_PER_TURN - 1)  # the chunk was a step too
    assert run.answer(None) is BYTES
    assert len(handler.log) == STEPS_PER_TURN


def test_an_error_thrown_in_a_turn_raises_at_the_yield() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher().run(handler))
    assert run.answer(b"a\n" * (STEPS_PER_TURN + 1)) is TURN
    assert run.throw(KeyboardInterrupt()) is BYTES
    assert handler.log == [b"a"] * STEPS_PER_TURN + [KeyboardInterrupt, b"a"]


# ------------------------------------------------------------------------------------------------- stopping and closing


def test_a_handler_that_stops_gets_no_other_request() -> None:
    dispatcher, handler = stream_dispatcher(), OnePerRequest()

    async def handle() -> HandlerGenerator[Any]:
        handler.log.append((yield None))
        dispatcher.stop()

    run = ByHand(dispatcher.run(handle))
    run.answer(b"a\nb\nc")
    assert run.ending is RETURNED
    assert handler.log == [b"a"]
    assert not dispatcher.has_ended
    assert not dispatcher.is_interrupting()
    assert ByHand(dispatcher.run(handler)).ending is RETURNED
    assert handler.made == 0


@pytest.mark.parametrize("yielded", [None, 3])
def test_a_handler_that_stops_and_yields_again_waits_for_the_end(yielded: Any) -> None:
    dispatcher, log = stream_dispatcher(), []

    async def handle() -> HandlerGenerator[Any]:
        log.append((yield None))
        dispatcher.stop()
        log.append((yield yielded))

    run = ByHand(dispatcher.run(handle))
    run.answer(b"a\nb\nc")
    assert run.required is BYTES if yielded is None else isinstance(run.required, Wait)
    assert not dispatcher.is_interrupting()
    run.answer(b"")
    assert run.ending is DISCONNECTED
    assert log == [b"a"]


@pytest.mark.parametrize("error", [OSError(), ConnectionResetError(), ZeroDivisionError()], ids=repr)
def test_any_error_ends_a_stopped_connection_quietly(error: Exception) -> None:
    dispatcher, handler = stream_dispatcher(), Looping()
    run = ByHand(dispatcher.run(handler))
    dispatcher.stop()
    run.throw(error)
    assert run.ending is DISCONNECTED
    assert handler.log == ["closed"]
    assert dispatcher.origin is None


def test_a_cancellation_reaches_the_handler_of_a_stopped_connection() -> None:
    dispatcher, handler = stream_dispatcher(), Looping()
    run = ByHand(dispatcher.run(handler))
    dispatcher.stop()
    assert run.throw(KeyboardInterrupt()) is BYTES
    assert handler.log == [KeyboardInterrupt]


def test_closing_interrupts_a_peer_whose_bytes_no_generator_has_received() -> None:
    dispatcher = stream_dispatcher()
    run = ByHand(dispatcher.run(Looping()))
    assert not dispatcher.is_interrupting()
    run.answer(b"a")
    assert dispatcher.is_interrupting()
    run.answer(b"\n")
    assert not dispatcher.is_interrupting()
    run.answer(b"b")
    run.answer(b"")
    assert not dispatcher.is_interrupting()  # the peer has ended the stream before


def test_closing_interrupts_a_peer_while_decoded_requests_are_left() -> None:
    dispatcher = stream_dispatcher()

    async def handle() -> HandlerGenerator[Any]:
        while True:
            await suspend((yield None))

    run = ByHand(dispatcher.run(single_generator(handle())))
    run.answer(b"a\nb\n")
    assert dispatcher.is_interrupting()
    run.answer(None)
    assert not dispatcher.is_interrupting()


def test_closing_a_run_closes_its_generator() -> None:
    dispatcher, handler = stream_dispatcher(), Looping()
    run = ByHand(dispatcher.run(handler))
    run.close()
    gc.collect()
    assert handler.log == ["closed"]
    assert dispatcher.origin is None  # that is no error of the connection


def test_closing_a_run_closes_a_handler_that_awaits() -> None:
    log: list[Any] = []

    async def handle() -> HandlerGenerator[Any]:
        yield None
        try:
            await suspend("marker")
        finally:
            log.append("closed")

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    assert run.answer(b"a\n") == "marker"
    run.close()
    assert log == ["closed"]


# -------------------------------------------------------------------------------------------------------------- memory


class _Request:
    def __init__(self, text: bytes) -> None:
        self.text = text


class _Requests(Line):
    def deserialize(self, data: bytes) -> Any:
        _Requests.last = weakref.ref(request := _Request(super().deserialize(data)))
        return request

    last: Callable[[], object]


@pytest.mark.parametrize("chunk", [b"a\n", b"a\nb\n", b"a\nb\nincomplete", b"a\n!\n"])
@pytest.mark.parametrize("yields", [(None,), (3,), (3, 4)])
@each_kind_of_handler
def test_a_handler_that_waits_keeps_no_request_alive(
    handler_type: type[Looping], yields: tuple[Any, ...], chunk: bytes
) -> None:
    class Forgetful(handler_type):  # type: ignore[misc,valid-type]
        async def _handle(self) -> HandlerGenerator[Any]:
            while True:
                self._turn += 1
                try:
                    yield self._yields[self._turn % len(self._yields) - 1]
                except StreamProtocolParseError:
                    pass
                if self._is_done():
                    return

    run = ByHand(stream_dispatcher(StreamProtocol(_Requests(b"\n"))).run(Forgetful(*yields)))
    run.answer(chunk)
    assert run.required is BYTES or isinstance(run.required, Wait) or run.required is MORE
    assert _Requests.last() is None


@pytest.mark.parametrize("content", [b"a\n", b"a\nb\n", b"a\n!\n", b"!\n"])
@each_kind_of_handler
def test_a_handler_that_waits_keeps_no_chunk_alive(handler_type: type[Looping], content: bytes) -> None:
    run = ByHand(stream_dispatcher().run(handler_type(3)))
    chunk = bytes(bytearray(content))
    before = sys.getrefcount(chunk)
    run.answer(chunk)
    assert sys.getrefcount(chunk) == before
