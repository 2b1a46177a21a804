from __future__ import annotations

from typing import Any

import pytest
from tests.support.framing_cases import Framed, cut, decode

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.lowlevel._core.stream_decoders.interface import FramingLostError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import NetstringFrames, OctetCountedFrames, parse_decimal

LOST = [IncrementalDeserializeError, FramingLostError]


def received(frames: Any, stream: bytes, size: int = 1) -> list[Any]:
    results = decode(StreamProtocol(Framed(frames)), cut(stream, [size]))
    return [result[0] if isinstance(result, tuple) else result for result in results]


def test_the_examples_of_the_netstring_specification() -> None:
    hello = bytes.fromhex("31 32 3a 68 65 6c 6c 6f 20 77 6f 72 6c 64 21 2c")
    assert hello == b"12:hello world!,"
    assert NetstringFrames().wrap(b"hello world!") == hello
    assert NetstringFrames().wrap(b"") == b"0:,"
    assert received(NetstringFrames(), hello + b"0:," + hello) == [b"hello world!", b"", b"hello world!"]


def test_the_samples_of_rfc_5424_and_6587() -> None:
    message = (
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root' failed for lonvick on /dev/pts/8"
    )
    frame = b"%d %b" % (len(message), message)
    assert OctetCountedFrames().wrap(message) == frame
    assert received(OctetCountedFrames(), frame + b"3 a\nb" + frame, 7) == [message, b"a\nb", message]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize(
    "stream",
    [
        b"03:abc,",
        b"00:,",
        b"-1:,",
        b"+3:abc,",
        b" 3:abc,",
        b"3 :abc,",
        b"3abc,",
        b":,",
        b"1_0:",
        b"9" * 20,
        b"\xd9\xa3:abc,",
    ],
)
def test_numbers_that_no_netstring_begins_with(stream: bytes, size: int) -> None:
    assert received(NetstringFrames(), b"1:a," + stream, size) == [b"a", *LOST]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("stream", [b"0 ", b"01 a", b" 1 a", b"-1 a", b"x", b"<34>1 old"])
def test_numbers_that_no_counted_frame_begins_with(stream: bytes, size: int) -> None:
    assert received(OctetCountedFrames(), b"1 a" + stream, size) == [b"a", *LOST]


@pytest.mark.parametrize("size", [1, 100])
def test_a_missing_comma_ends_the_stream(size: int) -> None:
    assert received(NetstringFrames(), b"1:a," + b"3:abcd,1:a,", size) == [b"a", *LOST]


@pytest.mark.parametrize("frames", [NetstringFrames(limit=10), OctetCountedFrames(limit=10)], ids=repr)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_frame_of_the_limit_passes_and_a_larger_one_does_not(frames: Any, size: int) -> None:
    stream = b"".join(map(frames.wrap, [b"x" * 10, b"y" * 11, b"z"]))
    assert received(frames, stream, size) == [b"x" * 10, LimitOverrunError, b"z"]


def test_a_number_of_19_digits_announces_a_frame_over_the_limit() -> None:
    assert received(NetstringFrames(), b"9" * 19 + b":" + b"x" * 1000) == [LimitOverrunError]


def test_counted_frames_are_not_empty() -> None:
    with pytest.raises(ValueError, match="empty frame"):
        OctetCountedFrames().wrap(b"")


@pytest.mark.parametrize("cls", [NetstringFrames, OctetCountedFrames])
def test_a_limit_of_zero_is_refused(cls: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        cls(limit=0)


def test_parse_decimal() -> None:
    assert parse_decimal(b"0") == 0
    assert parse_decimal(bytearray(b"007")) == 7
    assert parse_decimal(b"9" * 19) == 10**19 - 1
    for digits in (b"", b"-1", b"+1", b" 1", b"1 ", b"1_0", b"0x1", b"1.0", b"9" * 20, "٣".encode()):
        with pytest.raises(DeserializeError, match="Expected a decimal number"):
            parse_decimal(digits)
