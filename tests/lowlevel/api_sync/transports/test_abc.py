"""What the blocking ABCs do for transports that others write."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_sync.transports.abc import (
    BaseTransport,
    DatagramTransport,
    StreamTransport,
)


class Stream(StreamTransport):
    """Receives what it was given; notes what it sends, *step* bytes at a time."""

    def __init__(self, received: bytes = b"", step: int = 1000) -> None:
        self.received = received
        self.step = step
        self.nbytes: int | None = None
        self.sent: list[bytes] = []
        self.timeouts: list[float] = []
        self.delay = 0.0
        self.closed = False

    def recv_into(self, buffer: Any, timeout: float) -> int:
        self.timeouts.append(timeout)
        if self.nbytes is not None:
            return self.nbytes
        data = self.received[: len(buffer)]
        buffer[: len(data)] = data
        self.received = self.received[len(data) :]
        return len(data)

    def send(self, data: Any, timeout: float) -> int:
        time.sleep(self.delay)
        self.timeouts.append(timeout)
        if self.nbytes is not None:
            return self.nbytes
        self.sent.append(bytes(data[: self.step]))
        return len(self.sent[-1])

    def send_eof(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed


class Datagrams(DatagramTransport):
    def recv(self, timeout: float) -> bytes:
        return b""

    def send(self, data: Any, timeout: float) -> None:
        pass

    def close(self) -> None:
        pass

    def is_closed(self) -> bool:
        return False


def test_context_manager_closes() -> None:
    transport = Stream()
    with transport as entered:
        assert entered is transport
        assert not transport.is_closed()
    assert transport.is_closed()


def test_recv_returns_what_recv_into_has_written() -> None:
    transport = Stream(b"abcdef")
    assert [transport.recv(4, 3.0), transport.recv(4, 2.0), transport.recv(4, 1.0)] == [b"abcd", b"ef", b""]
    assert transport.timeouts == [3.0, 2.0, 1.0]


def test_recv_of_nothing_does_not_read() -> None:
    transport = Stream(b"abc")
    assert transport.recv(0, math.inf) == b""
    assert transport.timeouts == []


def test_recv_refuses_a_negative_size() -> None:
    with pytest.raises(ValueError):
        Stream(b"abc").recv(-1, math.inf)


def test_recv_refuses_a_negative_answer_of_recv_into() -> None:
    transport = Stream()
    transport.nbytes = -1
    with pytest.raises(RuntimeError):
        transport.recv(10, math.inf)


@pytest.mark.parametrize("data", [b"abcdefg", bytearray(b"abcdefg"), memoryview(b"abcdefg")], ids=type)
def test_send_all_repeats_send_with_what_remains(data: Any) -> None:
    transport = Stream(step=3)
    transport.send_all(data, math.inf)
    assert transport.sent == [b"abc", b"def", b"g"]
    assert transport.timeouts == [math.inf] * 3


def test_send_all_counts_bytes_whatever_the_size_of_the_items() -> None:
    transport = Stream(step=3)
    transport.send_all(memoryview(b"abcdefgh").cast("I"), math.inf)
    assert transport.sent == [b"abc", b"def", b"gh"]


def test_send_all_gives_each_send_the_time_that_is_left() -> None:
    transport = Stream(step=1)
    transport.delay = 0.01
    transport.send_all(b"abcd", 0.025)
    assert transport.timeouts[0] == 0.025
    assert transport.timeouts == sorted(transport.timeouts, reverse=True)
    assert len(set(transport.timeouts[:3])) == 3
    assert transport.timeouts[-1] == 0


def test_send_all_of_nothing_sends_once() -> None:
    transport = Stream()
    transport.send_all(b"", 1.0)
    assert transport.sent == [b""]


def test_send_all_refuses_a_negative_answer_of_send() -> None:
    transport = Stream()
    transport.nbytes = -1
    with pytest.raises(RuntimeError):
        transport.send_all(b"abc", math.inf)


def test_send_all_from_iterable_sends_all_pieces_as_one() -> None:
    transport = Stream()
    pieces: list[Any] = [b"ab", bytearray(b"cd"), memoryview(b"ef")]
    transport.send_all_from_iterable(iter(pieces), 1.0)
    assert transport.sent == [b"abcdef"]


def test_send_all_from_iterable_sends_nothing_if_the_iterable_fails() -> None:
    def pieces() -> Any:
        yield b"abc"
        raise LookupError

    transport = Stream()
    with pytest.raises(LookupError):
        transport.send_all_from_iterable(pieces(), 1.0)
    assert transport.sent == []


@pytest.mark.parametrize(
    ("transport", "method", "args"),
    [
        (Stream(), "recv_with_ancillary", (10, 10, 1.0)),
        (Stream(), "recv_with_ancillary_into", (bytearray(10), 10, 1.0)),
        (Stream(), "send_all_with_ancillary", ([b"abc"], [], 1.0)),
        (Datagrams(), "recv_with_ancillary", (10, 1.0)),
        (Datagrams(), "send_with_ancillary", (b"abc", [], 1.0)),
    ],
)
def test_ancillary_data_is_not_supported_by_default(transport: BaseTransport, method: str, args: Any) -> None:
    with pytest.raises(UnsupportedOperation):
        getattr(transport, method)(*args)


def test_there_are_no_attributes_by_default() -> None:
    assert Stream().extra_attributes == {}
