"""What a decoder gives back: the bytes that are not part of a delivered packet, however far it has decoded ahead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import (
    Block,
    BufferedProtocolByGenerators,
    Framed,
    LengthPrefix,
    Line,
    ProtocolByGenerators,
    cut,
)

from easynetwork.exceptions import StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import RawSerializer
from easynetwork.serializers.framing import (
    CobsFrames,
    CutFrames,
    LengthPrefixedFrames,
    NetstringFrames,
    OctetCountedFrames,
    SlipFrames,
    VarintFrames,
)

SIZE = 3  # of each packet, so that fixed-size frames can carry it too

PROTOCOLS: dict[str, AnyStreamProtocolType[Any, Any]] = {
    "lines": StreamProtocol(Line(b"\r\n")),
    "blocks": StreamProtocol(Block(SIZE)),
    "length prefix": StreamProtocol(Framed(LengthPrefixedFrames(2))),
    "varint": StreamProtocol(Framed(VarintFrames())),
    "netstring": StreamProtocol(Framed(NetstringFrames())),
    "octets": StreamProtocol(Framed(OctetCountedFrames())),
    "slip": StreamProtocol(Framed(SlipFrames())),
    "cobs": StreamProtocol(Framed(CobsFrames())),
    "cut": StreamProtocol(Framed(CutFrames(lambda data, start: start + SIZE))),
    "buffered lines": BufferedStreamProtocol(Line(b"\r\n")),
    "exactly": StreamProtocol(RawSerializer(exactly=SIZE)),
}
BY_GENERATORS: dict[str, AnyStreamProtocolType[Any, Any]] = {
    "generator": StreamProtocol(LengthPrefix()),
    "buffer": BufferedStreamProtocol(LengthPrefix()),
    "overridden": ProtocolByGenerators(Line(b"\r\n")),
    "overridden, buffer": BufferedProtocolByGenerators(Line(b"\r\n")),
}

each_protocol = pytest.mark.parametrize(
    "protocol", (PROTOCOLS | BY_GENERATORS).values(), ids=(PROTOCOLS | BY_GENERATORS).keys()
)
each_decoding_ahead = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())

packets = st.lists(st.text("ab", min_size=SIZE, max_size=SIZE).map(str.encode), max_size=8)


def undelivered_bytes(decoder: StreamDecoder[bytes], count: int = 0) -> bytes:
    """Take them, without the bytes that may precede any SLIP frame: a decoder need not keep those."""
    return decoder.take_undelivered(count).lstrip(SlipFrames.between)


def new_decoder(protocol: AnyStreamProtocolType[Any, Any]) -> StreamDecoder[bytes]:
    return decoder_factory(protocol, 1024)()


def frames_of(protocol: AnyStreamProtocolType[Any, Any], contents: list[bytes]) -> list[bytes]:
    return list(map(packet_encoder(protocol), contents))


@each_protocol
@given(packets, st.data())
@settings(derandomize=True, deadline=None, max_examples=150, database=None)
def test_the_bytes_after_the_delivered_packets(
    protocol: AnyStreamProtocolType[Any, Any], contents: list[bytes], data: st.DataObject
) -> None:
    """The decoder is fed with some chunks. It decodes, and not all that it decoded is delivered."""
    frames = frames_of(protocol, contents)
    chunks = list(cut(b"".join(frames), data.draw(st.lists(st.integers(1, 9), max_size=3))))
    decoder = new_decoder(protocol)
    delivered = undelivered = 0
    is_fed_one_by_one = data.draw(st.booleans())
    for number, chunk in enumerate(chunks, 1):
        if is_fed_one_by_one:
            single = decoder.take_single(chunk)
            if single is not NEED_DATA:
                delivered += 1
        else:
            decoder.feed(chunk)
        if number < len(chunks) and data.draw(st.booleans()):
            while decoded := decoder.next_packets(data.draw(st.integers(1, 4))):
                delivered += len(decoded)
    if decoded := decoder.next_packets(data.draw(st.integers(1, 4))):
        undelivered = data.draw(st.integers(0, len(decoded) - 1))
        delivered += len(decoded) - undelivered
    if decoder.pending and protocol in BY_GENERATORS.values():
        with pytest.raises(UnsupportedOperation, match="incomplete packet"):
            decoder.take_undelivered(undelivered)
        return
    assert undelivered_bytes(decoder, undelivered) == b"".join(frames[delivered:]).lstrip(SlipFrames.between)
    assert not decoder.holds_input
    assert decoder.next_packets(1) == []


@each_decoding_ahead
@pytest.mark.parametrize("end", range(SIZE + 2))
def test_the_start_of_a_packet(protocol: AnyStreamProtocolType[Any, Any], end: int) -> None:
    [frame] = frames_of(protocol, [b"abc"])
    decoder = new_decoder(protocol)
    for byte in frame[: min(end, len(frame) - 1)]:
        decoder.feed(bytes([byte]))
        assert decoder.next_packet() is NEED_DATA
    assert undelivered_bytes(decoder) == frame[: min(end, len(frame) - 1)].lstrip(SlipFrames.between)
    assert not decoder.pending


@each_protocol
def test_a_decoder_goes_on_afterwards(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    first, second = frames_of(protocol, [b"abc", b"bca"])
    decoder = new_decoder(protocol)
    decoder.feed(first + second)
    assert decoder.next_packet() == b"abc"
    assert decoder.take_undelivered() == second
    decoder.feed(first)
    assert decoder.next_packet() == b"abc"
    assert decoder.next_packet() is NEED_DATA


@each_protocol
def test_the_bytes_after_a_refused_packet(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    if isinstance(getattr(protocol, "_serializer", None), RawSerializer):
        pytest.skip("all bytes are valid")
    frames = frames_of(protocol, [b"!no", b"abc", b"bca"])
    decoder = new_decoder(protocol)
    decoder.feed(b"".join(frames))
    with pytest.raises(StreamProtocolParseError):
        decoder.next_packets(5)
    assert decoder.take_undelivered() == b"".join(frames[1:])


def test_bytes_in_the_lent_buffer_are_given_back() -> None:
    decoder = new_decoder(BY_GENERATORS["buffer"])
    assert decoder.buffered is not None
    decoder.buffered.get_buffer()[:4] = b"\3abc"
    decoder.buffered.buffer_updated(4)
    assert decoder.take_undelivered() == b"\3abc"


def test_nothing_is_taken_back_after_a_lost_framing() -> None:
    def refuse(data: bytes, start: int) -> int:
        raise ZeroDivisionError

    decoder = new_decoder(StreamProtocol(Framed(CutFrames(refuse))))
    decoder.feed(b"abc")
    with pytest.raises(RuntimeError):
        decoder.next_packets(1)
    with pytest.raises(FramingLostError):
        decoder.take_undelivered()


def test_raw_bytes_are_delivered_as_they_come() -> None:
    decoder = new_decoder(StreamProtocol(RawSerializer()))
    assert decoder.take_single(b"abc") == b"abc"
    decoder.feed(b"de")
    decoder.feed(b"f")
    assert decoder.next_packets(64) == [b"def"]
    assert decoder.pending == 0
    assert decoder.take_undelivered() == b""
