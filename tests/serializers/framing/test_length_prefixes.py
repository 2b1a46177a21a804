from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from tests.support.framing_cases import Framed, cut, decode
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded

from easynetwork.exceptions import IncrementalDeserializeError, LimitOverrunError
from easynetwork.lowlevel._core.stream_decoders.interface import FramingLostError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import LengthPrefixedFrames, VarintFrames


def received(frames: Any, stream: bytes, size: int = 1) -> list[Any]:
    results = decode(StreamProtocol(Framed(frames)), cut(stream, [size]))
    return [result[0] if isinstance(result, tuple) else result for result in results]


# --- known protocols


def test_modbus_tcp() -> None:
    # "MODBUS Messaging on TCP/IP Implementation Guide" V1.0b, the header; and its example, read one register
    request = bytes.fromhex("1501 0000 0006 FF 03 0004 0001")
    answer = bytes.fromhex("1501 0000 0005 FF 03 02 0005")
    frames = LengthPrefixedFrames(2, offset=4, keep_header=True)
    assert received(frames, request + answer) == [request, answer]
    assert frames.wrap(request[:4] + b"\0\0" + request[6:]) == request


def test_dns_over_tcp() -> None:
    query = bytes.fromhex("abcd 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001")
    frames = LengthPrefixedFrames(2, limit=65535)
    assert frames.wrap(query) == b"\x00\x1d" + query
    assert received(frames, b"\x00\x1d" + query) == [query]


def test_kafka() -> None:
    # ApiVersions, version 0: key 18, correlation 1, no client
    request = bytes.fromhex("0012 0000 00000001 FFFF")
    frames = LengthPrefixedFrames(4)
    assert frames.wrap(request) == bytes.fromhex("0000000a") + request
    assert received(frames, bytes.fromhex("0000000a") + request) == [request]


def test_a_size_that_counts_the_header_too() -> None:
    # a query of PostgreSQL: the type, then a length that counts itself
    query = bytes.fromhex("51 0000000D") + b"SELECT 1\0"
    frames = LengthPrefixedFrames(4, offset=1, adjustment=-4, keep_header=True)
    assert received(frames, query * 2) == [query, query]
    assert frames.wrap(b"Q\0\0\0\0SELECT 1\0") == query


def test_bytes_before_the_field_are_dropped_unless_kept() -> None:
    frames = LengthPrefixedFrames(1, offset=2)
    assert frames.wrap(b"abc") == b"\0\0\x03abc"
    assert received(frames, b"xy\x03abc") == [b"abc"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("byteorder", ["big", "little"])
def test_all_sizes_and_byte_orders(size: int, byteorder: Any) -> None:
    frames = LengthPrefixedFrames(size, byteorder)
    assert frames.wrap(b"abc") == (3).to_bytes(size, byteorder) + b"abc"
    assert received(frames, frames.wrap(b"abc") + frames.wrap(b"")) == [b"abc", b""]


def test_varints_of_protobuf() -> None:
    frames = VarintFrames()
    assert frames.wrap(b"") == b"\0"
    assert frames.wrap(b"x" * 127)[:2] == b"\x7fx"
    assert frames.wrap(b"x" * 128)[:3] == b"\x80\x01x"
    assert frames.wrap(b"x" * 150)[:3] == b"\x96\x01x"  # "Encoding" on protobuf.dev: 150 is 9601
    assert frames.wrap(b"x" * 300)[:3] == b"\xac\x02x"
    assert received(frames, frames.wrap(b"x" * 300) + frames.wrap(b"\x08\x96\x01")) == [b"x" * 300, b"\x08\x96\x01"]


# --- limits


@pytest.mark.parametrize("frames", [LengthPrefixedFrames(2, limit=300), VarintFrames(limit=300)], ids=repr)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_frame_of_the_limit_passes_and_a_larger_one_does_not(frames: Any, size: int) -> None:
    stream = b"".join(map(frames.wrap, [b"x" * 300, b"y" * 301, b"z"]))
    assert received(frames, stream, size) == [b"x" * 300, LimitOverrunError, b"z"]


def test_the_limit_counts_the_header_that_is_kept() -> None:
    frames = LengthPrefixedFrames(1, offset=1, keep_header=True, limit=5)
    stream = b"a\x03xyz" + b"b\x04xyz-" + b"c\0"
    assert received(frames, stream) == [b"a\x03xyz", LimitOverrunError, b"c\0"]


def test_the_error_comes_before_the_frame_does() -> None:
    assert received(LengthPrefixedFrames(4, limit=10), b"\0\0\0\x0b") == [LimitOverrunError]


def test_a_length_may_announce_more_than_all_memory() -> None:
    for header in (b"\xff" * 8, (2**63).to_bytes(8, "big")):
        assert received(LengthPrefixedFrames(8), header + b"x" * 1000) == [LimitOverrunError]
    assert received(VarintFrames(), b"\xff" * 9 + b"\x01" + b"x" * 1000) == [LimitOverrunError]


@pytest.mark.parametrize("size", [1, 100])
def test_a_length_within_the_header_ends_the_stream(size: int) -> None:
    frames = LengthPrefixedFrames(2, adjustment=-2)
    assert received(frames, b"\0\x03a" + b"\0\x01" + b"\0\x03b", size) == [
        b"a",
        IncrementalDeserializeError,
        FramingLostError,
    ]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("number", [b"\x80" * 10, b"\xff" * 9 + b"\x02"], ids=["too long", "65 bits"])
def test_a_varint_of_more_than_64_bits_ends_the_stream(number: bytes, size: int) -> None:
    expected = [b"a", IncrementalDeserializeError, FramingLostError]
    assert received(VarintFrames(), b"\x01a" + number + b"\x01b", size) == expected


def test_what_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="256 bytes do not fit"):
        LengthPrefixedFrames(1).wrap(b"x" * 256)
    assert LengthPrefixedFrames(1).wrap(b"x" * 255)
    with pytest.raises(ValueError, match="do not fit"):
        LengthPrefixedFrames(3).wrap(b"x" * 2**24)
    with pytest.raises(ValueError, match="do not fit"):
        LengthPrefixedFrames(1, adjustment=1).wrap(b"")  # the field would be negative
    with pytest.raises(ValueError, match="a header of 3 bytes, got 2 bytes"):
        LengthPrefixedFrames(1, offset=2, keep_header=True).wrap(b"ab")


# --- the objects


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 5}, "'size' must be 1, 2, 3, 4 or 8, got 5"),
        ({"size": "4"}, "got '4'"),
        ({"size": 4, "byteorder": "native"}, "'byteorder' must be 'big' or 'little'"),
        ({"size": 4, "offset": -1}, "'offset' must not be negative"),
        ({"size": 4, "limit": 0}, "limit"),
        ({"size": 4, "offset": 4, "keep_header": True, "limit": 7}, "at least the size of the header, 8, got 7"),
    ],
)
def test_arguments_that_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LengthPrefixedFrames(**arguments)


def test_varints_refuse_a_limit_of_zero() -> None:
    with pytest.raises(ValueError, match="limit"):
        VarintFrames(limit=0)


@pytest.mark.parametrize(
    "frames",
    [
        LengthPrefixedFrames(3, "little", 2, -5, True, 1000),
        VarintFrames(limit=7),
    ],
)
def test_formats_are_values(frames: Any) -> None:
    for copied in (copy.copy(frames), copy.deepcopy(frames), pickle.loads(pickle.dumps(frames))):
        assert copied == frames
        assert hash(copied) == hash(frames)
        assert copied.wrap(b"xxxxx") == frames.wrap(b"xxxxx")
    assert dataclasses.replace(frames, limit=5000) != frames
    assert "limit=" in repr(frames)
    assert "_unpack" not in repr(frames)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frames.limit = 1


@pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])
@pytest.mark.parametrize("piece", [1, 100, 1_000_000])
def test_sizes_take_as_many_bytes_as_they_need(receive_all: Any, piece: int) -> None:
    sizes = [0, 1, 127, 128, 16_383, 16_384, 70_000]
    serializer: Any = Framed(VarintFrames(limit=70_000))
    packets = [bytes([size % 251]) * size for size in sizes]
    frames = [VarintFrames().wrap(packet) for packet in packets]
    assert [len(frame) - size for frame, size in zip(frames, sizes, strict=True)] == [1, 1, 1, 2, 2, 3, 3]
    assert receive_all(serializer, pieces(b"".join(frames) + b"\x83\x00abc", piece)) == [*packets, b"abc"]
