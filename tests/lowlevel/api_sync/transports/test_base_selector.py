"""Trying and waiting, with descriptors of real sockets."""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.blocking import InThread, Waits

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_sync.transports.base_selector import (
    SelectorBaseTransport,
    SelectorDatagramTransport,
    SelectorStreamTransport,
    WouldBlockOnRead,
    WouldBlockOnWrite,
)

FOREVER = math.inf


class Base(SelectorBaseTransport):
    def close(self) -> None:
        pass

    def is_closed(self) -> bool:
        return False


class Script:
    """A callback that raises or returns what it was given, one after the other."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)

    def __call__(self) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Stream(Base, SelectorStreamTransport):
    """Every method that does not block is scripted."""

    def __init__(self, *outcomes: Any, waits: Waits | None = None) -> None:
        super().__init__(FOREVER, waits)
        self.next = Script(*outcomes)
        self.calls: list[Any] = []

    def recv_noblock_into(self, buffer: Any) -> int:
        data = self.next()
        buffer[: len(data)] = data
        return len(data)

    def recv_noblock_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        self.calls.append((bufsize, ancillary_bufsize))
        result: tuple[bytes, Any] = self.next()
        return result

    def recv_noblock_with_ancillary_into(self, buffer: Any, ancillary_bufsize: int) -> tuple[int, Any]:
        self.calls.append((len(buffer), ancillary_bufsize))
        result: tuple[int, Any] = self.next()
        return result

    def send_noblock(self, data: Any) -> int:
        self.calls.append(bytes(data))
        result: int = self.next()
        return result

    def send_all_noblock_with_ancillary(self, iterable_of_data: Any, ancillary_data: Any) -> None:
        self.calls.append((list(iterable_of_data), list(ancillary_data)))
        self.next()

    def send_eof(self) -> None:
        raise NotImplementedError


class Datagrams(Base, SelectorDatagramTransport):
    def __init__(self, *outcomes: Any) -> None:
        super().__init__(FOREVER)
        self.next = Script(*outcomes)
        self.calls: list[Any] = []

    def recv_noblock(self) -> bytes:
        result: bytes = self.next()
        return result

    def recv_noblock_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        self.calls.append(ancillary_bufsize)
        result: tuple[bytes, Any] = self.next()
        return result

    def send_noblock(self, data: Any) -> None:
        self.calls.append(data)
        self.next()

    def send_noblock_with_ancillary(self, data: Any, ancillary_data: Any) -> None:
        self.calls.append((data, list(ancillary_data)))
        self.next()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@pytest.fixture
def readable(pair: tuple[socket.socket, socket.socket]) -> int:
    pair[1].send(b"x")
    return pair[0].fileno()


@pytest.fixture
def unreadable(pair: tuple[socket.socket, socket.socket]) -> int:
    return pair[0].fileno()


@pytest.fixture(params=["default", "selector"])
def factory(request: pytest.FixtureRequest) -> Waits | None:
    return Waits() if request.param == "selector" else None


def read_blocked(fileno: int) -> Callable[[], Any]:
    def callback() -> Any:
        raise WouldBlockOnRead(fileno)

    return callback


@pytest.mark.parametrize("retry_interval", [0, -1, -0.5, math.nan, -math.inf])
def test_retry_interval_must_be_above_zero(retry_interval: float) -> None:
    with pytest.raises(ValueError):
        Base(retry_interval)


def test_exceptions_tell_the_descriptor() -> None:
    assert WouldBlockOnRead(5).fileno == 5
    assert WouldBlockOnWrite(6).fileno == 6


def test_retry_returns_at_once_what_needs_no_wait() -> None:
    waits = Waits()
    assert Base(1.0, waits)._retry(lambda: "done", 12.5) == ("done", 12.5)
    assert waits.timeouts == []


def test_retry_tries_once_even_without_time() -> None:
    assert Base(1.0)._retry(lambda: "done", 0) == ("done", 0)


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf])
def test_retry_refuses_a_time_out_that_is_none(timeout: float) -> None:
    with pytest.raises(ValueError):
        Base(1.0)._retry(lambda: pytest.fail("was called"), timeout)


def test_retry_without_time_does_not_wait(readable: int) -> None:
    waits = Waits()
    with pytest.raises(TimeoutError) as caught:
        Base(1.0, waits)._retry(read_blocked(readable), 0)
    assert caught.value.errno == errno.ETIMEDOUT
    assert waits.timeouts == []


@pytest.mark.parametrize("timeout", [FOREVER, 1000.0])
@pytest.mark.parametrize("exception", [WouldBlockOnRead, WouldBlockOnWrite])
def test_retry_waits_for_the_descriptor(
    readable: int, factory: Waits | None, exception: type[WouldBlockOnRead | WouldBlockOnWrite], timeout: float
) -> None:
    callback = Script(exception(readable), exception(readable), "done")
    result, remaining = Base(FOREVER, factory)._retry(callback, timeout)
    assert result == "done"
    assert 0 < remaining <= timeout


def test_retry_gives_up_when_the_time_is_over(unreadable: int, factory: Waits | None) -> None:
    with pytest.raises(TimeoutError) as caught:
        Base(FOREVER, factory)._retry(read_blocked(unreadable), 0.01)
    assert caught.value.errno == errno.ETIMEDOUT


def test_retry_tries_again_after_each_interval(unreadable: int, factory: Waits | None) -> None:
    callback = Script(*[WouldBlockOnRead(unreadable)] * 3, "done")
    result, remaining = Base(0.001, factory)._retry(callback, 1000.0)
    assert result == "done"
    assert remaining < 1000.0
    if factory is not None:
        assert factory.timeouts == [0.001] * 3


def test_retry_gives_up_although_the_interval_is_short(unreadable: int, factory: Waits | None) -> None:
    with pytest.raises(TimeoutError):
        Base(0.001, factory)._retry(read_blocked(unreadable), 0.01)


def test_a_wait_may_be_longer_than_poll_allows(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    left.setblocking(False)

    def receive() -> bytes:
        try:
            return left.recv(10)
        except BlockingIOError:
            started.append(1)
            raise WouldBlockOnRead(left.fileno()) from None

    started: list[int] = []
    call = InThread(Base(1e12)._retry, receive, 1e13)
    while not started:
        assert call.is_running()
    right.send(b"abc")
    assert call.result()[0] == b"abc"


def test_retry_without_descriptor_is_an_error() -> None:
    with pytest.raises(OSError) as caught:
        Base(1.0)._retry(read_blocked(-1), FOREVER)
    assert caught.value.errno == errno.EBADF


def test_retry_lets_other_exceptions_through() -> None:
    with pytest.raises(LookupError):
        Base(1.0)._retry(Script(LookupError()), FOREVER)


def test_each_wait_has_a_selector_of_its_own(readable: int) -> None:
    made = []

    class Counting(Waits):
        def __call__(self) -> Any:
            made.append(super().__call__())
            return made[-1]

    Base(FOREVER, Counting())._retry(Script(WouldBlockOnRead(readable), WouldBlockOnRead(readable), 1), FOREVER)
    assert len(made) == 2
    assert made[0] is not made[1]
    for selector in made:
        with pytest.raises((KeyError, RuntimeError, TypeError)):
            selector.get_map()[readable]


# --- what is made of it


def test_stream_recv_waits(readable: int) -> None:
    assert Stream(WouldBlockOnRead(readable), b"abc").recv(100, FOREVER) == b"abc"


def test_stream_recv_noblock_reads_by_recv_noblock_into() -> None:
    transport = Stream(b"abc", b"")
    assert transport.recv_noblock(100) == b"abc"
    assert transport.recv_noblock(100) == b""


def test_stream_recv_noblock_of_nothing_does_not_read() -> None:
    assert Stream().recv_noblock(0) == b""


def test_stream_recv_refuses_a_negative_size() -> None:
    with pytest.raises(ValueError):
        Stream().recv_noblock(-1)
    with pytest.raises(ValueError):
        Stream().recv(-1, FOREVER)


def test_stream_recv_into_waits(readable: int) -> None:
    buffer = bytearray(10)
    assert Stream(WouldBlockOnRead(readable), b"abc").recv_into(buffer, FOREVER) == 3
    assert buffer == b"abc\0\0\0\0\0\0\0"


def test_stream_recv_with_ancillary_waits(readable: int) -> None:
    transport = Stream(WouldBlockOnRead(readable), (b"abc", [(1, 2, b"x")]))
    assert transport.recv_with_ancillary(10, 20, FOREVER) == (b"abc", [(1, 2, b"x")])
    assert transport.calls == [(10, 20)] * 2


def test_stream_recv_with_ancillary_into_waits(readable: int) -> None:
    transport = Stream(WouldBlockOnRead(readable), (3, [(1, 2, b"x")]))
    assert transport.recv_with_ancillary_into(bytearray(10), 20, FOREVER) == (3, [(1, 2, b"x")])
    assert transport.calls == [(10, 20)] * 2


def test_stream_send_waits(readable: int) -> None:
    transport = Stream(WouldBlockOnWrite(readable), 2)
    assert transport.send(b"abc", FOREVER) == 2
    assert transport.calls == [b"abc"] * 2


def test_stream_send_all_with_ancillary_can_try_again_with_iterators(readable: int) -> None:
    transport = Stream(WouldBlockOnWrite(readable), None)
    transport.send_all_with_ancillary(iter([b"abc", b"def"]), iter([(1, 2, b"x")]), FOREVER)
    assert transport.calls == [([b"abc", b"def"], [(1, 2, b"x")])] * 2


def test_datagram_recv_waits(readable: int) -> None:
    assert Datagrams(WouldBlockOnRead(readable), b"abc").recv(FOREVER) == b"abc"


def test_datagram_recv_with_ancillary_waits(readable: int) -> None:
    transport = Datagrams(WouldBlockOnRead(readable), (b"abc", []))
    assert transport.recv_with_ancillary(20, FOREVER) == (b"abc", [])
    assert transport.calls == [20, 20]


def test_datagram_send_waits(readable: int) -> None:
    transport = Datagrams(WouldBlockOnWrite(readable), None)
    transport.send(b"abc", FOREVER)
    assert transport.calls == [b"abc"] * 2


def test_datagram_send_with_ancillary_can_try_again_with_iterators(readable: int) -> None:
    transport = Datagrams(WouldBlockOnWrite(readable), None)
    transport.send_with_ancillary(b"abc", iter([(1, 2, b"x")]), FOREVER)
    assert transport.calls == [(b"abc", [(1, 2, b"x")])] * 2


class BareStream(Base, SelectorStreamTransport):
    def recv_noblock_into(self, buffer: Any) -> int:
        raise NotImplementedError

    def send_noblock(self, data: Any) -> int:
        raise NotImplementedError

    def send_eof(self) -> None:
        raise NotImplementedError


class BareDatagrams(Base, SelectorDatagramTransport):
    def recv_noblock(self) -> bytes:
        raise NotImplementedError

    def send_noblock(self, data: Any) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("transport", "method", "args"),
    [
        (BareStream(1.0), "recv_noblock_with_ancillary", (10, 10)),
        (BareStream(1.0), "recv_noblock_with_ancillary_into", (bytearray(10), 10)),
        (BareStream(1.0), "send_all_noblock_with_ancillary", ([b"abc"], [])),
        (BareStream(1.0), "recv_with_ancillary", (10, 10, 1.0)),
        (BareStream(1.0), "recv_with_ancillary_into", (bytearray(10), 10, 1.0)),
        (BareStream(1.0), "send_all_with_ancillary", ([b"abc"], [], 1.0)),
        (BareDatagrams(1.0), "recv_noblock_with_ancillary", (10,)),
        (BareDatagrams(1.0), "send_noblock_with_ancillary", (b"abc", [])),
        (BareDatagrams(1.0), "recv_with_ancillary", (10, 1.0)),
        (BareDatagrams(1.0), "send_with_ancillary", (b"abc", [], 1.0)),
    ],
)
def test_ancillary_data_is_not_supported_by_default(transport: Base, method: str, args: Any) -> None:
    with pytest.raises(UnsupportedOperation):
        getattr(transport, method)(*args)
