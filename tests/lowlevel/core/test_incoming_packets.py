"""The receiving state of one stream, without reads."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from tests.support.framing_cases import LengthPrefix, Line

from easynetwork.exceptions import IncompletePacketError
from easynetwork.lowlevel._core.incoming_packets import IncomingPackets, encoding_crash
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol


class Incoming(IncomingPackets[Any]):
    """Bytes with ancillary data, or without."""

    @property
    def is_buffered(self) -> bool:
        return self._buffered is not None

    def receive(self, data: bytes, ancillary_data: Any, callback: Callable[[Any], object]) -> Any:
        if self._buffered is None:
            return self._complete_with_ancillary(data, ancillary_data, callback)
        self._buffered.get_buffer()[: len(data)] = data
        return self._complete_with_ancillary(len(data), ancillary_data, callback)


def lines() -> Incoming:
    return Incoming(decoder_factory(StreamProtocol(Line(b"\n")), 1024)(), 1024)


def in_a_buffer() -> Incoming:
    return Incoming(decoder_factory(BufferedStreamProtocol(LengthPrefix()), 1024, by_chunks=False)(), 1024)


@pytest.fixture(params=[lines, in_a_buffer])
def incoming(request: pytest.FixtureRequest) -> Incoming:
    result: Incoming = request.param()
    return result


def encode(incoming: Incoming, packet: bytes) -> bytes:
    return bytes([len(packet)]) + packet if incoming.is_buffered else packet + b"\n"


def test_ancillary_data_comes_before_its_packet(incoming: Incoming) -> None:
    received: list[Any] = []
    received.append(incoming.receive(encode(incoming, b"ab"), "messages", received.append))
    assert received == ["messages", b"ab"]
    assert not incoming.is_interrupting()


def test_bytes_that_complete_no_packet_are_kept(incoming: Incoming) -> None:
    received: list[Any] = []
    data = encode(incoming, b"ab")
    with pytest.raises(EOFError, match="do not complete a packet"):
        incoming.receive(data[:2], 1, received.append)
    assert incoming.is_interrupting()
    assert incoming.receive(data[2:], 2, received.append) == b"ab"
    assert received == [1, 2]


def test_the_end_of_the_stream_has_no_ancillary_data(incoming: Incoming) -> None:
    received: list[Any] = []
    with pytest.raises(ConnectionAbortedError, match="the peer closed the connection") as caught:
        incoming.receive(b"", "messages", received.append)
    assert caught.value.errno == errno.ECONNABORTED
    assert not isinstance(caught.value, IncompletePacketError)
    assert received == []
    assert not incoming.is_interrupting()


def test_the_end_within_a_packet_says_so(incoming: Incoming) -> None:
    with pytest.raises(EOFError):
        incoming.receive(encode(incoming, b"abc")[:2], None, print)
    with pytest.raises(IncompletePacketError):
        incoming.receive(b"", None, print)


def test_a_callback_that_fails_costs_the_bytes(incoming: Incoming) -> None:
    def fail(data: object) -> NoReturn:
        raise ZeroDivisionError

    with pytest.raises(RuntimeError, match="The callback for ancillary data failed") as caught:
        incoming.receive(encode(incoming, b"lost"), None, fail)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert incoming.receive(encode(incoming, b"ab"), None, repr) == b"ab"


def test_cleared_bytes_are_gone(incoming: Incoming) -> None:
    with pytest.raises(EOFError):
        incoming.receive(encode(incoming, b"abc")[:2], None, repr)
    incoming.clear()
    assert not incoming.is_interrupting()


def test_a_packet_that_cannot_be_serialized_is_named_by_its_type() -> None:
    error = encoding_crash(3, ZeroDivisionError("bug"))
    assert str(error) == "The protocol object cannot serialize a packet of type int: ZeroDivisionError: bug"
