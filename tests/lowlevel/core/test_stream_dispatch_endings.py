"""How a dispatcher driven by hand meets the end of its stream, errors of the connection, and cancellations."""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.lowlevel.core.by_hand import ByHand, Looping, OnePerRequest, stream_dispatcher, suspend
from tests.support.framing_cases import LengthPrefix

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator, single_generator
from easynetwork.lowlevel._core.requirements import BYTES, MORE, Wait
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, StreamDispatcher
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.protocol import StreamProtocol


class Cancelled(BaseException):
    """What an event loop throws."""


# ------------------------------------------------------------------------------------------------------ ends of streams


@pytest.mark.parametrize("chunks", [[], [b"a\n"], [b"a\nb"], [b"b"], [b"a\n", b"b", b"c"], [b"!\n"]])
@pytest.mark.parametrize("yielded", [None, 3])
@pytest.mark.parametrize("handler_type", [Looping, OnePerRequest])
def test_the_end_of_the_stream_closes_the_generator(
    handler_type: type[Looping], yielded: Any, chunks: list[bytes]
) -> None:
    dispatcher, handler = stream_dispatcher(), handler_type(yielded)
    run = ByHand(dispatcher.run(handler))
    for chunk in chunks:
        run.answer(chunk)
    assert not dispatcher.has_ended
    run.answer(b"")
    assert run.ending is DISCONNECTED
    assert dispatcher.has_ended
    assert handler.log.count("closed") == 1
    assert handler.log[-1] == "closed"


def test_a_generator_may_await_while_it_is_closed() -> None:
    log: list[Any] = []

    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        finally:
            log.append(await suspend("closing"))

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    assert run.answer(b"") == "closing"
    run.answer("closed")
    assert run.ending is DISCONNECTED
    assert log == ["closed"]


def test_a_generator_that_returns_when_it_is_closed_is_fine() -> None:
    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        except GeneratorExit:
            return

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    run.answer(b"")
    assert run.ending is DISCONNECTED


def test_a_generator_that_ignores_its_closing_fails() -> None:
    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        except GeneratorExit:
            yield None

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        run.answer(b"")


def test_errors_of_a_closing_generator_propagate() -> None:
    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        except GeneratorExit as exc:
            raise BaseExceptionGroup("of a task group", [exc, ZeroDivisionError()]) from None

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    with pytest.raises(ExceptionGroup) as caught:
        run.answer(b"")
    [error] = caught.value.exceptions
    assert isinstance(error, ZeroDivisionError)


def test_a_group_of_nothing_but_the_closing_is_fine() -> None:
    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        except GeneratorExit as exc:
            raise BaseExceptionGroup("of a task group", [exc]) from None

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    run.answer(b"")
    assert run.ending is DISCONNECTED


def test_a_stream_whose_framing_is_lost_ends() -> None:
    dispatcher, handler = stream_dispatcher(StreamProtocol(LengthPrefix())), Looping()
    run = ByHand(dispatcher.run(handler))
    run.answer(b"\x01a\x01?\x01b")
    assert run.ending is DISCONNECTED
    assert handler.log == [b"a", RuntimeError, "closed"]
    assert dispatcher.has_lost_framing
    assert dispatcher.is_interrupting()
    assert dispatcher.describe_cut() == ""


def test_lost_framing_ends_the_next_generator_too() -> None:
    handler = OnePerRequest()
    run = ByHand(stream_dispatcher(StreamProtocol(LengthPrefix())).run(handler))
    run.answer(b"\x01?\x01b")
    assert run.ending is DISCONNECTED
    assert handler.log == [RuntimeError, "closed"]


# ------------------------------------------------------------------------------------------------ errors of connections


@pytest.mark.parametrize("yielded", [None, 3])
def test_a_disconnection_is_an_end(yielded: Any) -> None:
    dispatcher, handler = stream_dispatcher(), Looping(yielded)
    run = ByHand(dispatcher.run(handler))
    run.answer(b"a\nb")
    run.throw(ConnectionResetError())
    assert run.ending is DISCONNECTED
    assert dispatcher.has_ended
    assert handler.log == [b"a", "closed"]


@pytest.mark.parametrize("yielded", [None, 3])
def test_another_error_of_the_connection_raises_at_the_yield(yielded: Any) -> None:
    dispatcher, handler = stream_dispatcher(), Looping(yielded)
    run = ByHand(dispatcher.run(handler))
    run.answer(b"a\nb")
    assert run.throw(OSError()) is BYTES or isinstance(run.required, Wait)
    run.answer(b"c\n")
    assert handler.log == [b"a", OSError, b"bc"]
    assert not dispatcher.has_ended


def test_without_a_filter_a_disconnection_raises_at_the_yield() -> None:
    handler = Looping()
    run = ByHand(stream_dispatcher(is_disconnection=None).run(handler))
    assert run.throw(ConnectionResetError()) is BYTES
    assert handler.log == [ConnectionResetError]


@pytest.mark.parametrize("handler_type", [Looping, OnePerRequest])
def test_an_error_that_comes_again_ends_the_connection(handler_type: type[Looping]) -> None:
    dispatcher, handler, error = stream_dispatcher(), handler_type(), OSError()
    run = ByHand(dispatcher.run(handler))
    assert run.throw(error) is BYTES
    assert run.throw(OSError()) is BYTES
    run.throw(error)
    assert run.ending is DISCONNECTED
    assert handler.log == [OSError, OSError, "closed"]


def test_an_error_of_the_connection_carries_its_origin() -> None:
    dispatcher, other = stream_dispatcher(), stream_dispatcher()
    error = OSError()
    assert dispatcher.origin is None
    ByHand(dispatcher.run(Looping())).throw(error)
    other.claim(OSError())
    assert dispatcher.origin is not None
    assert dispatcher.origin.is_of(error)
    assert dispatcher.is_disconnection(error)
    assert other.origin is not None
    assert not other.origin.is_of(error)
    assert not other.is_disconnection(error)


def test_all_errors_of_a_connection_have_one_origin() -> None:
    dispatcher = stream_dispatcher()
    errors = [OSError(), OSError()]
    for error in errors:
        dispatcher.claim(error)
    assert all(map(dispatcher.is_disconnection, errors))


def test_a_dispatcher_without_options_filters_nothing_and_gives_no_ancillary_data() -> None:
    handler = Looping(None, RecvParams(recv_with_ancillary=RecvAncillaryDataParams(print)))
    dispatcher: StreamDispatcher[Any] = StreamDispatcher(stream_dispatcher()._decoder, 1024)
    run = ByHand(dispatcher.run(handler))
    run.throw(ConnectionResetError())
    assert handler.log == [ConnectionResetError, UnsupportedOperation]


def test_a_filter_judges_only_exceptions() -> None:
    dispatcher = stream_dispatcher(is_disconnection=lambda exc: True)
    assert dispatcher.is_disconnection(ZeroDivisionError())
    assert not dispatcher.is_disconnection(KeyboardInterrupt())


@pytest.mark.parametrize("error", [OSError(), Cancelled()], ids=repr)
def test_a_handler_that_does_not_catch_an_error_ends_the_run_with_it(error: BaseException) -> None:
    log: list[Any] = []

    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        finally:
            log.append("closed")

    run = ByHand(stream_dispatcher().run(single_generator(handle())))
    with pytest.raises(type(error)) as caught:
        run.throw(error)
    assert caught.value is error
    assert log == ["closed"]


def test_a_handler_may_end_with_an_error() -> None:
    handler = OnePerRequest()
    run = ByHand(stream_dispatcher().run(handler))
    run.throw(OSError())
    run.answer(b"a\n")
    assert handler.log == [OSError, b"a"]
    assert handler.made == 3


# -------------------------------------------------------------------------------------------------------- cancellations


@pytest.mark.parametrize("yielded", [None, 3])
def test_a_cancelled_wait_loses_no_bytes(yielded: Any) -> None:
    handler = Looping(yielded)
    run = ByHand(stream_dispatcher().run(handler))
    run.answer(b"a\nb")
    assert run.throw(Cancelled()) is BYTES or isinstance(run.required, Wait)
    run.answer(b"c\n")
    assert handler.log == [b"a", Cancelled, b"bc"]


def test_a_cancellation_that_comes_again_ends_nothing() -> None:
    handler, cancellation = Looping(), Cancelled()
    run = ByHand(stream_dispatcher().run(handler))
    assert run.throw(cancellation) is BYTES
    assert run.throw(cancellation) is BYTES
    assert handler.log == [Cancelled, Cancelled]


def test_a_cancellation_starts_a_new_wait() -> None:
    run = ByHand(stream_dispatcher().run(Looping(3)))
    assert run.answer(b"a") is MORE
    assert isinstance(run.throw(Cancelled()), Wait)


def test_a_generator_exit_of_user_code_is_an_error_like_others() -> None:
    def leave(data: object) -> None:
        raise GeneratorExit

    async def handle() -> HandlerGenerator[Any]:
        try:
            yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(leave))
        except GeneratorExit:
            log.append((yield None))

    log: list[Any] = []
    run = ByHand(stream_dispatcher(ancillary_bufsize=10).run(single_generator(handle())))
    assert run.answer((b"a\n", None)) is BYTES
    run.answer(b"b\n")
    assert log == [b"b"]


# ------------------------------------------------------------------------------------------------------- cut streams


@pytest.mark.parametrize(
    ("received", "end", "description"),
    [
        (b"a\n", None, ""),
        (b"a\nb", None, "the stream ended in the middle of a packet (1 byte)"),
        (b"a\nbc", None, "the stream ended in the middle of a packet (2 bytes)"),
        (b"a\nbc", ConnectionResetError, ""),
        (b"a\n", ConnectionResetError, ""),
        (b"a\n", ssl.SSLEOFError, "the TLS stream was cut without a closing alert"),
        (b"a\nb", ssl.SSLEOFError, "the TLS stream was cut in the middle of a packet (1 byte)"),
        (b"a\nbc", ssl.SSLZeroReturnError, ""),
    ],
)
def test_a_cut_stream_is_described(received: bytes, end: type[Exception] | None, description: str) -> None:
    dispatcher = stream_dispatcher()
    run = ByHand(dispatcher.run(Looping()))
    run.answer(received)
    assert dispatcher.describe_cut() == ""
    if end is None:
        run.answer(b"")
    else:
        run.throw(end())
    assert dispatcher.describe_cut() == description


def test_nothing_was_cut_when_this_side_has_closed() -> None:
    dispatcher = stream_dispatcher()
    run = ByHand(dispatcher.run(Looping()))
    run.answer(b"a")
    dispatcher.stop()
    run.throw(ssl.SSLEOFError())
    assert dispatcher.describe_cut() == ""


# --------------------------------------------------------------------------------------------------- reference cycles


class Watched(StreamDispatcher[Any]):
    __slots__ = ("__weakref__",)


@pytest.fixture
def without_gc() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def _raising() -> HandlerGenerator[Any]:
    yield None
    raise ZeroDivisionError


async def _catching() -> HandlerGenerator[Any]:
    while True:
        try:
            yield 3
        except Exception:
            pass


async def _passing() -> HandlerGenerator[Any]:
    while True:
        yield 3


@pytest.mark.parametrize("handle", [_raising, _catching, _passing])
@pytest.mark.parametrize(
    "act",
    [
        lambda run: run.answer(b"!\n"),
        lambda run: run.answer(b"a\n"),
        lambda run: run.answer(None),
        lambda run: run.throw(OSError()),
        lambda run: run.throw(ConnectionResetError()),
        lambda run: run.throw(Cancelled()),
        lambda run: run.close(),
    ],
    ids=["invalid", "valid", "time-out", "error", "disconnection", "cancellation", "closed"],
)
def test_an_error_leaves_no_reference_cycle(
    without_gc: None, handle: Callable[[], HandlerGenerator[Any]], act: Callable[[ByHand], object]
) -> None:
    def connect() -> weakref.ref[Any]:
        template = stream_dispatcher()
        dispatcher = Watched(template._decoder, 1024, None, template._is_disconnection)
        run = ByHand(dispatcher.run(single_generator(handle())))
        try:
            act(run)
        except BaseException:
            pass
        return weakref.ref(dispatcher)

    assert connect()() is None
