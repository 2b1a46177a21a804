"""All framings, on all paths: by chunks, by generators, and by buffers, whatever the network makes of the stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import BufferedProtocolByGenerators, ProtocolByGenerators, ProtocolType, cut, drain

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import FramingLostError
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.framing import (
    CobsFrames,
    CountedBodyFrames,
    CutFrames,
    FixedSizeFrames,
    FramedPacketSerializer,
    FrameFormat,
    LengthPrefixedFrames,
    NetstringFrames,
    OctetCountedFrames,
    SeparatedFrames,
    SlipFrames,
    VarintFrames,
    parse_decimal,
)

LIMIT = 12


class Bytes(FramedPacketSerializer[bytes, bytes]):
    """Payloads are packets. Those that begin with ``!`` are invalid, those with ``?`` are met with a bug."""

    def __init__(self, frames: FrameFormat) -> None:
        self._frames = frames

    def frame_format(self) -> FrameFormat:
        return self._frames

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        assert type(data) is bytes
        if data.startswith(b"!"):
            raise DeserializeError("invalid")
        if data.startswith(b"?"):
            raise ZeroDivisionError
        return data


def count(header: bytes) -> int | None:
    return None if header.startswith(b"-") else parse_decimal(header)


def first_byte_is_size(data: bytes | bytearray, start: int) -> int:
    if data[start] == ord("x"):
        raise DeserializeError("no size")
    return start + data[start] % 16 + 1


def through_dot(data: bytes | bytearray, start: int) -> int:
    return data.find(b".", start) + 1 or len(data) + 1


def skipping_bad_lines(data: bytes | bytearray, start: int) -> int:
    end = data.find(b"\n", start) + 1
    if end and data[start : start + 1] == b"b":
        raise IncrementalDeserializeError("bad", data[end:])
    return end or len(data) + 1


FORMATS: dict[str, FrameFormat] = {
    "1-byte length": LengthPrefixedFrames(1, limit=LIMIT),
    "2-byte length": LengthPrefixedFrames(2, limit=LIMIT),
    "3-byte length, little": LengthPrefixedFrames(3, "little", limit=LIMIT),
    "8-byte length": LengthPrefixedFrames(8, limit=LIMIT),
    "length with offset": LengthPrefixedFrames(1, offset=2, keep_header=True, limit=LIMIT + 3),
    "length with lost offset": LengthPrefixedFrames(2, offset=1, limit=LIMIT),
    "length of header too": LengthPrefixedFrames(1, adjustment=-1, limit=LIMIT),
    "length without type": LengthPrefixedFrames(1, adjustment=1, limit=LIMIT),
    "varint": VarintFrames(limit=LIMIT),
    "netstring": NetstringFrames(limit=LIMIT),
    "octets": OctetCountedFrames(limit=LIMIT),
    "slip": SlipFrames(limit=LIMIT),
    "cobs": CobsFrames(limit=LIMIT),
    "counted body": CountedBodyFrames(count, header_end=b"\r\n", body_end=b"\r\n", header_limit=8, limit=LIMIT),
    "counted body, no end": CountedBodyFrames(count, header_limit=8, limit=LIMIT),
    "cut by size": CutFrames(first_byte_is_size, limit=LIMIT),
    "cut by search": CutFrames(through_dot, limit=LIMIT),
    "cut with errors": CutFrames(skipping_bad_lines, limit=LIMIT),
    "separated": SeparatedFrames(b"\n", 50),  # test_refusals.py has the limit
    "fixed size": FixedSizeFrames(3),
}
PATHS: list[ProtocolType] = [
    StreamProtocol,
    BufferedStreamProtocol,
    ProtocolByGenerators,
    BufferedProtocolByGenerators,
]
CUTS = st.lists(st.integers(1, 9), max_size=6)
BATCHES = st.sampled_from([0, 1, 2, 100])
BYTES = st.binary(max_size=40) | st.lists(
    st.sampled_from([b"\0", b"\1", b"\2", b"1", b"3", b":", b",", b" ", b"\n", b"\r\n", b"-", b"!", b"?", b".", b"x"])
    | st.sampled_from([b"abc", b"\xc0", b"\xdb", b"\xdc", b"\x80", b"\xff", b"b"]),
    max_size=40,
).map(b"".join)
each_format = pytest.mark.parametrize("name", FORMATS)
deterministic = settings(derandomize=True, deadline=None, max_examples=200, database=None)


def outcomes(protocol_type: ProtocolType, frames: FrameFormat, chunks: Iterable[bytes], batch: int = 0) -> list[Any]:
    """Return the packets and the classes of the errors."""
    decoder = decoder_factory(protocol_type(Bytes(frames)), 1024)()
    result: list[Any] = []
    for chunk in chunks:
        decoder.feed(chunk)
        result += [item[0] if isinstance(item, tuple) else item for item in drain(decoder, batch)]
        if result and result[-1] is FramingLostError:
            break
    return result


def is_expressible(name: str, payload: bytes) -> bool:
    match name:
        case "length with offset":
            return len(payload) >= 3
        case "length without type" | "octets" | "slip":
            return len(payload) >= 1
        case "counted body" | "counted body, no end" | "cut by size" | "cut by search" | "cut with errors":
            return False  # the packets say themselves how long they are
        case "separated":
            return b"\n" not in payload
        case "fixed size":
            return len(payload) == 3
    return True


@each_format
@deterministic
@given(st.data(), CUTS, BATCHES)
def test_packets_arrive_as_sent(name: str, data: st.DataObject, cuts: list[int], batch: int) -> None:
    payloads = st.binary(max_size=8).filter(
        lambda payload: is_expressible(name, payload) and payload[:1] not in (b"!", b"?")
    )
    if not any(is_expressible(name, bytes(size)) for size in (1, 3)):
        payloads = st.nothing()
    packets = data.draw(st.lists(payloads, max_size=6) if not payloads.is_empty else st.just([]))
    frames = FORMATS[name]
    stream = b"".join(map(frames.wrap, packets))
    expected = list(packets)
    if name == "length with offset":  # the field is filled in
        expected = [packet[:2] + bytes([len(packet) - 3]) + packet[3:] for packet in packets]
        expected = [item for item in expected if item[:1] not in (b"!", b"?")]
    for protocol_type in PATHS:
        assert outcomes(protocol_type, frames, cut(stream, cuts), batch) == expected


@each_format
@deterministic
@given(BYTES, CUTS, BATCHES)
def test_any_bytes_give_the_same_on_all_paths(name: str, stream: bytes, cuts: list[int], batch: int) -> None:
    frames = FORMATS[name]
    expected = outcomes(StreamProtocol, frames, [stream] if stream else [])
    for protocol_type in PATHS:
        assert outcomes(protocol_type, frames, cut(stream, cuts), batch) == expected
