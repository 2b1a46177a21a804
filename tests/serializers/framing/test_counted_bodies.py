from __future__ import annotations

from typing import Any

import pytest
from tests.support.framing_cases import Framed, cut, decode

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.lowlevel._core.stream_decoders.interface import FramingLostError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import CountedBodyFrames, parse_decimal

each_size = pytest.mark.parametrize("size", [1, 7, 1000])


def received(frames: Any, stream: bytes, size: int = 1) -> list[Any]:
    results = decode(StreamProtocol(Framed(frames)), cut(stream, [size]))
    return [result[0] if isinstance(result, tuple) else result for result in results]


def check(frames: CountedBodyFrames, sent: list[bytes], expected: list[bytes]) -> None:
    for size in (1, 5, 1000):
        assert received(frames, b"".join(sent), size) == expected
    assert [frames.wrap(payload) for payload in expected] == sent


def test_memcached() -> None:
    def count(header: bytes) -> int | None:
        command, *arguments = header.split()
        return parse_decimal(arguments[3]) if command == b"set" else None

    frames = CountedBodyFrames(count, header_end=b"\r\n", body_end=b"\r\n")
    sent = [b"set key 0 60 5\r\na\r\nbc\r\n", b"get key\r\n", b"set none 0 0 0\r\n\r\n"]
    check(frames, sent, [b"set key 0 60 5\r\na\r\nbc", b"get key\r\n", b"set none 0 0 0\r\n"])


def test_stomp() -> None:
    def count(header: bytes) -> int:
        fields = dict(line.split(b":", 1) for line in header.split(b"\n")[1:])
        return parse_decimal(fields.get(b"content-length", b"0"))

    frames = CountedBodyFrames(count, header_end=b"\n\n", body_end=b"\0")
    sent = [b"SEND\ndestination:/queue/a\ncontent-length:6\n\nhel\0lo\0", b"DISCONNECT\nreceipt:77\n\n\0"]
    check(frames, sent, [frame[:-1] for frame in sent])


def test_messages_like_those_of_http() -> None:
    def count(header: bytes) -> int:
        for line in header.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return parse_decimal(value.strip())
        return 0

    frames = CountedBodyFrames(count, header_end=b"\r\n\r\n")
    sent = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]
    check(frames, sent, sent)


def bulk_size(header: bytes) -> int | None:
    return parse_decimal(header[1:]) if header.startswith(b"$") and header != b"$-1" else None


def test_bulk_strings_of_redis() -> None:
    frames = CountedBodyFrames(bulk_size, header_end=b"\r\n", body_end=b"\r\n")
    sent = [b"$6\r\nfoobar\r\n", b"$0\r\n\r\n", b"$-1\r\n", b"+OK\r\n", b"$2\r\n\r\n\r\n"]
    check(frames, sent, [b"$6\r\nfoobar", b"$0\r\n", b"$-1\r\n", b"+OK\r\n", b"$2\r\n\r\n"])


# --- limits


@each_size
def test_a_body_of_the_limit_passes_and_a_larger_one_does_not(size: int) -> None:
    frames = CountedBodyFrames(parse_decimal, body_end=b";", limit=10)
    stream = b"10\n" + b"x" * 10 + b";" + b"11\n" + b"y" * 11 + b";" + b"1\nz;"
    assert received(frames, stream, size) == [b"10\n" + b"x" * 10, LimitOverrunError, b"1\nz"]


@each_size
def test_a_header_of_the_limit_passes_and_a_larger_one_ends_the_stream(size: int) -> None:
    frames = CountedBodyFrames(parse_decimal, header_end=b"\r\n", header_limit=3)
    assert received(frames, b"002\r\nab" + b"0001\r\na", size) == [b"002\r\nab", LimitOverrunError, FramingLostError]


def test_a_header_without_end_is_refused_when_it_exceeds_its_limit() -> None:
    frames = CountedBodyFrames(parse_decimal, header_end=b"\r\n", header_limit=3)
    assert received(frames, b"000\r") == []
    assert received(frames, b"00000") == [LimitOverrunError, FramingLostError]


def test_a_size_may_be_larger_than_all_memory() -> None:
    frames = CountedBodyFrames(parse_decimal)
    assert received(frames, b"%d\n" % (2**63 - 1) + b"x" * 1000) == [LimitOverrunError]


# --- invalid frames


@each_size
@pytest.mark.parametrize("stream", [b"x\nabc", b"-1\nabc", b"\nabc", b"1\nab;1\na;"])
def test_after_these_frames_the_stream_cannot_continue(stream: bytes, size: int) -> None:
    frames = CountedBodyFrames(parse_decimal, body_end=b";")
    expected = [b"1\na", IncrementalDeserializeError, FramingLostError]
    assert received(frames, b"1\na;" + stream, size) == expected


def test_the_error_of_the_function_is_the_cause() -> None:
    error = DeserializeError("what a header", {"header": 1})

    def count(header: bytes) -> int:
        raise error

    serializer = Framed(CountedBodyFrames(count))
    generator = serializer.incremental_deserialize()
    next(generator)
    with pytest.raises(IncrementalDeserializeError, match="what a header") as info:
        generator.send(b"abc\n")
    assert info.value.__cause__ is error
    assert info.value.error_info == {"header": 1}


@each_size
@pytest.mark.parametrize("result", ["5", 5.0, b"", 1e9])
def test_a_size_that_is_not_an_int_is_a_bug(result: Any, size: int) -> None:
    assert received(CountedBodyFrames(lambda header: result), b"a\nb", size) == [RuntimeError, FramingLostError]


@each_size
def test_a_negative_size_ends_the_stream(size: int) -> None:
    expected = [IncrementalDeserializeError, FramingLostError]
    assert received(CountedBodyFrames(int), b"-1\nb", size) == expected


def test_a_frame_whose_body_has_another_size_is_not_sent() -> None:
    frames = CountedBodyFrames(parse_decimal, body_end=b";")
    for payload in (b"2\na", b"2\nabc", b"2"):
        with pytest.raises(ValueError, match="tells 2"):
            frames.wrap(payload)
    with pytest.raises(DeserializeError):
        frames.wrap(b"two\nab")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"count": None}, TypeError, "'count' must be callable, got None"),
        ({"count": int, "header_end": b""}, ValueError, "'header_end' must not be empty"),
        ({"count": int, "header_limit": 0}, ValueError, "header_limit"),
        ({"count": int, "limit": -1}, ValueError, "limit"),
    ],
)
def test_arguments_that_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CountedBodyFrames(**arguments)
