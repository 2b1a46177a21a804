from __future__ import annotations

from typing import Any

import pytest
from tests.support.framing_cases import Framed, cut, decode

from easynetwork.exceptions import IncrementalDeserializeError, LimitOverrunError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import CobsFrames, SlipFrames


def received(frames: Any, stream: bytes, size: int = 1) -> list[Any]:
    results = decode(StreamProtocol(Framed(frames)), cut(stream, [size]))
    return [result[0] if isinstance(result, tuple) else result for result in results]


def run(first: int, last: int) -> bytes:
    return bytes(range(first, last + 1))


# --- SLIP


@pytest.mark.parametrize(
    ("packet", "encoded"),
    [  # RFC 1055: END is 300 (octal), ESC 333; they are sent as ESC 334 and ESC 335
        (b"abc", b"abc"),
        (b"\300", b"\333\334"),
        (b"\333", b"\333\335"),
        (b"\333\334", b"\333\335\334"),
        (b"\333\335", b"\333\335\335"),
        (b"a\300\333\300\333b", b"a\333\334\333\335\333\334\333\335b"),
    ],
)
def test_slip(packet: bytes, encoded: bytes) -> None:
    frames = SlipFrames()
    assert frames.wrap(packet) == b"\300" + encoded + b"\300"
    for stream in (frames.wrap(packet) * 2, encoded + b"\300" + encoded + b"\300"):
        assert received(frames, stream) == received(frames, stream, 100) == [packet, packet]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("bad", [b"\333", b"\333a", b"\333\333\334", b"ab\333"])
def test_a_wrong_escape_costs_one_frame(bad: bytes, size: int) -> None:
    assert received(SlipFrames(), b"a\300" + bad + b"\300b\300", size) == [b"a", IncrementalDeserializeError, b"b"]


def test_slip_has_no_empty_frames() -> None:
    with pytest.raises(ValueError, match="no empty frames"):
        SlipFrames().wrap(b"")
    assert received(SlipFrames(), b"\300\300\300a\300\300\300b\300") == [b"a", b"b"]


# --- COBS


@pytest.mark.parametrize(
    ("packet", "encoded"),
    [  # the first is in the paper by Cheshire and Baker
        (b"\x45\0\0\x2c\x4c\x79\0\0\x40\x06\x4f\x37", b"\x02\x45\x01\x04\x2c\x4c\x79\x01\x05\x40\x06\x4f\x37"),
        (b"Hello\0", b"\x06Hello\x01"),
        (b"", b"\x01"),
        (b"\0", b"\x01\x01"),
        (b"\0\0", b"\x01\x01\x01"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01"),
        (run(1, 253), b"\xfe" + run(1, 253)),
        (run(1, 254), b"\xff" + run(1, 254)),
        (run(0, 254), b"\x01\xff" + run(1, 254)),
        (run(1, 255), b"\xff" + run(1, 254) + b"\x02\xff"),
        (run(2, 255) + b"\0", b"\xff" + run(2, 255) + b"\x01\x01"),
        (run(3, 255) + b"\0\x01", b"\xfe" + run(3, 255) + b"\x02\x01"),
        (run(1, 254) * 2, (b"\xff" + run(1, 254)) * 2),
        (b"x" * 253 + b"\0", b"\xfe" + b"x" * 253 + b"\x01"),
    ],
)
def test_cobs(packet: bytes, encoded: bytes) -> None:
    frames = CobsFrames()
    assert frames.wrap(packet) == encoded + b"\0"
    assert received(frames, frames.wrap(packet) * 2) == received(frames, frames.wrap(packet) * 2, 300) == [packet] * 2


def test_a_full_block_at_the_end_may_be_followed_by_an_empty_one() -> None:  # some encoders add it
    assert received(CobsFrames(), b"\xff" + run(1, 254) + b"\x01\0") == [run(1, 254)]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("bad", [b"\x02", b"\x05abc", b"\x02a\xff"])
def test_a_block_that_is_too_long_costs_one_frame(bad: bytes, size: int) -> None:
    stream = b"\x02a\0" + bad + b"\0" + b"\x02b\0"
    assert received(CobsFrames(), stream, size) == [b"a", IncrementalDeserializeError, b"b"]


# --- both


@pytest.mark.parametrize("frames", [SlipFrames(limit=10), CobsFrames(limit=11)], ids=repr)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_frame_of_the_limit_passes_and_a_larger_one_does_not(frames: Any, size: int) -> None:
    stream = b"".join(map(frames.wrap, [b"x" * 10, b"y" * 11, b"z" * 100, b"z"]))
    assert received(frames, stream, size) == [b"x" * 10, LimitOverrunError, LimitOverrunError, b"z"]


@pytest.mark.parametrize("cls", [SlipFrames, CobsFrames])
def test_the_error_comes_before_the_end_of_the_frame(cls: Any) -> None:
    assert received(cls(limit=10), b"x" * 11) == [LimitOverrunError]


@pytest.mark.parametrize("cls", [SlipFrames, CobsFrames])
def test_end_bytes_without_frames_are_not_kept(cls: Any) -> None:
    decoder = decoder_factory(StreamProtocol(Framed(cls())), 1024)()
    for size in (1, 1, 1000):
        decoder.feed(cls().between * size)
        assert decoder.next_packets(10) == []
        assert decoder.pending == 0
        assert not decoder.holds_input


@pytest.mark.parametrize("cls", [SlipFrames, CobsFrames])
def test_a_limit_of_zero_is_refused(cls: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        cls(limit=0)
