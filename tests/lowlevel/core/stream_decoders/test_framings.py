"""All framings, on all paths: by chunks, by generators, and by buffers, whatever the network makes of the stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import (
    BufferedProtocolByGenerators,
    Framed,
    ProtocolByGenerators,
    ProtocolType,
    cut,
    decode,
    drain,
)

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.framing import (
    CobsFrames,
    CountedBodyFrames,
    CutFrames,
    FixedSizeFrames,
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


def count(header: bytes) -> int | None:
    return None if header.startswith(b"-") else parse_decimal(header)


def first_byte_is_size(data: bytes, start: int) -> int:
    if data[start] == ord("x"):
        raise DeserializeError("no size")
    return start + data[start] % 16 + 1


def through_dot(data: bytes, start: int) -> int:
    return data.find(b".", start) + 1


def through_dot_unless_bad(data: bytes, start: int) -> int:
    end = data.find(b".", start) + 1
    if end and data.startswith(b"b", start):
        raise IncrementalDeserializeError("bad", data[end:])
    return end


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
    "cut by search with errors": CutFrames(through_dot_unless_bad, limit=LIMIT),
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
GARBAGE = st.binary(max_size=4) | st.sampled_from(
    [
        b"\0",
        b"\1",
        b"\xff\xff",
        b"1",
        b"13:",
        b":",
        b",",
        b" ",
        b"\n",
        b"\r\n",
        b"-",
        b"!",
        b".",
        b"\xc0",
        b"\xdb",
        b"b",
    ]
)
each_format = pytest.mark.parametrize("name", FORMATS)
deterministic = settings(derandomize=True, deadline=None, max_examples=200, database=None)


def outcomes(protocol_type: ProtocolType, frames: FrameFormat, chunks: Iterable[bytes], batch: int = 0) -> list[Any]:
    """Return the packets and the classes of the errors."""
    results = decode(protocol_type(Framed(frames)), chunks, batch=batch)
    return [item[0] if isinstance(item, tuple) else item for item in results]


def payloads(name: str) -> st.SearchStrategy[bytes]:
    """Return what the serializer may return."""
    short = st.binary(max_size=8) | st.sampled_from([b"!", b"?", b"\0" * 8, b"\xc0\xdb", b"x" * LIMIT])
    match name:
        case "length with offset":
            return st.binary(min_size=3, max_size=8)
        case "length without type" | "octets" | "slip":
            return short.filter(bool)
        case "counted body" | "counted body, no end":
            end = b"\r\n" if name == "counted body" else b"\n"
            header_alone = st.sampled_from([b"-", b"-1"]).map(lambda header: header + end)
            return header_alone | short.map(lambda body: b"%d%b%b" % (len(body), end, body))
        case "cut by size":
            return short.map(lambda content: bytes([len(content[:11])]) + content[:11])
        case "cut by search" | "cut by search with errors":
            return short.filter(lambda content: b"." not in content).map(lambda content: content[:8] + b".")
        case "separated":
            return short.filter(lambda payload: b"\n" not in payload)
        case "fixed size":
            return st.binary(min_size=3, max_size=3)
        case "cobs":
            return short.filter(lambda payload: len(payload) < LIMIT)
    return short


def outcome_of(name: str, payload: bytes) -> Any:
    """Return what the receiver gets."""
    if name == "length with offset":  # the field is filled in
        payload = payload[:2] + bytes([len(payload) - 3]) + payload[3:]
    if name == "cut by search with errors" and payload.startswith(b"b"):
        return IncrementalDeserializeError
    return {b"!": IncrementalDeserializeError, b"?": RuntimeError}.get(payload[:1], payload)


@each_format
@deterministic
@given(st.data(), CUTS, BATCHES)
def test_packets_arrive_as_sent(name: str, data: st.DataObject, cuts: list[int], batch: int) -> None:
    packets = data.draw(st.lists(payloads(name), max_size=6))
    frames = FORMATS[name]
    stream = b"".join(map(frames.wrap, packets))
    expected = [outcome_of(name, packet) for packet in packets]
    for protocol_type in PATHS:
        assert outcomes(protocol_type, frames, cut(stream, cuts), batch) == expected


@each_format
@deterministic
@given(st.data(), CUTS, BATCHES)
def test_any_bytes_give_the_same_on_all_paths(name: str, data: st.DataObject, cuts: list[int], batch: int) -> None:
    frames = FORMATS[name]
    good, bad = payloads(name).map(frames.wrap), GARBAGE
    truncated = st.tuples(good, st.integers(1, 4)).map(lambda pair: pair[0][: -pair[1]])
    stream = b"".join(data.draw(st.lists(good | good | truncated | bad, max_size=8)))
    expected = outcomes(StreamProtocol, frames, [stream] if stream else [])
    for protocol_type in PATHS:
        assert outcomes(protocol_type, frames, cut(stream, cuts), batch) == expected
    by_chunks, by_generators = (
        decode(protocol_type(Framed(frames)), cut(stream, cuts), batch=batch)
        for protocol_type in (StreamProtocol, ProtocolByGenerators)
    )
    assert by_chunks == by_generators  # also the remaining data of errors


@each_format
@deterministic
@given(st.data(), CUTS)
def test_the_end_of_a_stream_is_the_same_on_all_paths(name: str, data: st.DataObject, cuts: list[int]) -> None:
    frames = FORMATS[name]
    stream = b"".join(data.draw(st.lists(payloads(name).map(frames.wrap), min_size=1, max_size=3)))
    chunks = list(cut(stream[: -data.draw(st.integers(1, 4))], cuts))
    states = set()
    for protocol_type in PATHS:
        decoder = decoder_factory(protocol_type(Framed(frames)), 1024)()
        for chunk in chunks:
            decoder.feed(chunk)
            list(drain(decoder))
        states.add((decoder.pending, decoder.holds_input))
    assert len(states) == 1, states
