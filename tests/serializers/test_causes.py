"""What an error of a serializer comes from, as in EasyNetwork 1.2."""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecodeError
from typing import Any

import pytest

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, MessagePackSerializer, StringLineSerializer
from easynetwork.serializers.wrapper import Base64EncoderSerializer


def by_chunks(serializer: Any, data: bytes) -> BaseException:
    generator = serializer.incremental_deserialize()
    next(generator)
    with pytest.raises(IncrementalDeserializeError) as info:
        generator.send(data)
    return info.value


def by_buffer(serializer: Any, data: bytes) -> BaseException:
    buffer = serializer.create_deserializer_buffer(1024)
    generator = serializer.buffered_incremental_deserialize(buffer)
    next(generator)
    with memoryview(buffer) as view:
        view[: len(data)] = data
    with pytest.raises(IncrementalDeserializeError) as info:
        generator.send(len(data))
    return info.value


def by_decoder(serializer: Any, data: bytes) -> BaseException:
    decoder: Any = decoder_factory(StreamProtocol(serializer), 1024)()
    decoder.feed(data)
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packet()
    return info.value.error


def by_buffered_decoder(serializer: Any, data: bytes) -> BaseException:
    decoder: Any = decoder_factory(BufferedStreamProtocol(serializer), 1024)()
    decoder.feed(data)
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packets(10)
    return info.value.error


EVERY_WAY = pytest.mark.parametrize("error_of", [by_chunks, by_buffer, by_decoder, by_buffered_decoder])


@EVERY_WAY
@pytest.mark.parametrize(
    ("serializer", "data", "cause"),
    [
        (StringLineSerializer(), b"\xff\n", UnicodeDecodeError),
        (StringLineSerializer(keep_end=True), b"\xff\n", UnicodeDecodeError),
        (JSONSerializer(), b"{]\n", JSONDecodeError),
        (JSONSerializer(), b'"\xff"\n', UnicodeDecodeError),
        (JSONSerializer(use_lines=False), b"{]}", JSONDecodeError),
        (Base64EncoderSerializer(JSONSerializer()), b"YQ==\r\n", DeserializeError),
        (Base64EncoderSerializer(JSONSerializer()), b"a\r\n", DeserializeError),
    ],
)
def test_error_of_text_in_a_stream_comes_straight_from_what_was_wrong(
    error_of: Callable[..., BaseException], serializer: Any, data: bytes, cause: type[BaseException]
) -> None:
    assert type(error_of(serializer, data).__cause__) is cause


@EVERY_WAY
@pytest.mark.parametrize("keep_end", [False, True])
def test_error_of_a_line_says_which_line(error_of: Callable[..., Any], keep_end: bool) -> None:
    serializer = StringLineSerializer("CRLF", keep_end=keep_end, debug=True)
    assert error_of(serializer, b"a\xff\r\n").error_info == {"data": b"a\xff\r\n" if keep_end else b"a\xff"}
    assert error_of(StringLineSerializer("CRLF", keep_end=keep_end), b"a\xff\r\n").error_info is None


@pytest.mark.parametrize(
    ("serializer", "data", "cause"),
    [
        (JSONSerializer(), b"[1] 2", "JSONDecodeError"),
        (MessagePackSerializer(), b"\x01\x02", "ExtraData"),
        (MessagePackSerializer(), b"\x92\x01", "ValueError"),
        (MessagePackSerializer(), b"", "ValueError"),
        (MessagePackSerializer(), b"\xc1", "FormatError"),
    ],
)
def test_error_of_a_whole_packet_has_the_cause_that_its_library_gives(serializer: Any, data: bytes, cause: str) -> None:
    with pytest.raises(DeserializeError) as info:
        serializer.deserialize(data)
    assert type(info.value.__cause__).__name__ == cause
    assert str(info.value)


@pytest.mark.parametrize(
    ("received", "remaining"), [(b"X" * 1023, b""), (b"X" * 1023 + b"\r", b"\r"), (b"X" * 1022 + b"\r", None)]
)
def test_a_line_is_refused_once_its_end_cannot_fit_in_the_buffer(received: bytes, remaining: bytes | None) -> None:
    serializer = StringLineSerializer("CRLF", limit=1024)
    buffer = serializer.create_deserializer_buffer(1)
    generator = serializer.buffered_incremental_deserialize(buffer)
    next(generator)
    with memoryview(buffer) as view:
        view[: len(received)] = received
    if remaining is None:  # the end may follow
        assert generator.send(len(received)) == len(received)
    else:
        with pytest.raises(IncrementalDeserializeError) as info:
            generator.send(len(received))
        assert bytes(info.value.remaining_data) == remaining
