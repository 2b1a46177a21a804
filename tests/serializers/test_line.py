from __future__ import annotations

from typing import Any

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers import StringLineSerializer

NEWLINES: Any = [("LF", b"\n"), ("CR", b"\r"), ("CRLF", b"\r\n")]


def test_properties_are_what_was_given() -> None:
    serializer = StringLineSerializer(
        "CRLF", encoding="utf-8", unicode_errors="replace", limit=123, keep_end=True, debug=True
    )
    assert serializer.separator == b"\r\n"
    assert serializer.encoding == "utf-8"
    assert serializer.unicode_errors == "replace"
    assert serializer.buffer_limit == 123
    assert serializer.keep_end is True
    assert serializer.debug is True


def test_defaults_are_ascii_lines() -> None:
    serializer = StringLineSerializer()
    assert serializer.separator == b"\n"
    assert serializer.encoding == "ascii"
    assert serializer.unicode_errors == "strict"
    assert serializer.buffer_limit == 65536
    assert serializer.keep_end is False
    assert serializer.debug is False


@pytest.mark.parametrize("arguments", [{"newline": "\n"}, {"newline": "lf"}, {"limit": 0}, {"limit": -1}])
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        StringLineSerializer(**arguments)


@pytest.mark.parametrize(("newline", "separator"), NEWLINES)
def test_one_shot_adds_no_newline_and_removes_all_of_them(newline: Any, separator: bytes) -> None:
    serializer = StringLineSerializer(newline)
    end = separator.decode()
    assert serializer.serialize("abc") == b"abc"
    assert serializer.serialize("abc" + end) == b"abc" + separator
    assert serializer.serialize("") == b""
    assert serializer.deserialize(b"abc") == "abc"
    assert serializer.deserialize(b"abc" + separator * 3) == "abc"
    assert serializer.deserialize(b"a" + separator + b"c") == "a" + end + "c"
    assert StringLineSerializer(newline, keep_end=True).deserialize(b"abc" + separator * 3) == "abc" + end * 3


@pytest.mark.parametrize(("newline", "separator"), NEWLINES)
def test_stream_gets_one_newline_per_packet(newline: Any, separator: bytes) -> None:
    serializer = StringLineSerializer(newline)
    end = separator.decode()
    assert list(serializer.incremental_serialize("abc")) == [b"abc" + separator]
    assert list(serializer.incremental_serialize("abc" + end)) == [b"abc" + separator]
    assert list(serializer.incremental_serialize("a" + end + "c")) == [b"a" + separator + b"c" + separator]
    assert list(serializer.incremental_serialize(end)) == [separator]
    assert list(serializer.incremental_serialize("")) == []


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize(("newline", "separator"), NEWLINES)
@pytest.mark.parametrize("keep_end", [False, True])
def test_stream_gives_one_packet_per_line(receive_all: Any, newline: Any, separator: bytes, keep_end: bool) -> None:
    serializer = StringLineSerializer(newline, keep_end=keep_end)
    data = b"one" + separator + separator + b"two" + separator + b"incomplete"
    end = separator.decode() if keep_end else ""
    for size in (1, 2, 3, 100):
        assert receive_all(serializer, pieces(data, size)) == ["one" + end, end, "two" + end]


def test_what_is_no_text_is_not_sent() -> None:
    for packet in (b"abc", 1, None):
        with pytest.raises(TypeError):
            StringLineSerializer().serialize(packet)  # type: ignore[arg-type] # what is tested
        with pytest.raises(TypeError):
            list(StringLineSerializer().incremental_serialize(packet))  # type: ignore[arg-type] # what is tested


def test_text_that_cannot_be_encoded_is_not_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        StringLineSerializer().serialize("é")
    assert StringLineSerializer(encoding="utf-8").serialize("é") == b"\xc3\xa9"
    assert StringLineSerializer(unicode_errors="replace").serialize("é") == b"?"


@pytest.mark.parametrize(("debug", "info"), [(False, None), (True, {"data": b"\xe9"})])
def test_undecodable_bytes_are_invalid(debug: bool, info: Any) -> None:
    serializer = StringLineSerializer(debug=debug)
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(b"\xe9\n\n")
    assert caught.value.error_info == info
    for receive_all in (receive, receive_buffered):
        refused, packet = receive_all(serializer, [b"\xe9\nok\n"])
        assert packet == "ok"
        assert type(refused.error) is IncrementalDeserializeError
        assert bytes(refused.remaining_data) == b"ok\n"
        assert refused.error.error_info == info


def test_unknown_encoding_is_noticed_when_used() -> None:
    serializer = StringLineSerializer(encoding="no-such-encoding")
    with pytest.raises(LookupError):
        serializer.serialize("abc")
    with pytest.raises(LookupError):
        serializer.deserialize(b"abc")


@pytest.mark.parametrize(
    ("data", "results"),
    [
        (b"12345678\n", ["12345678"]),
        (b"123456789\nok\n", [b"ok\n", "ok"]),
        (b"123456789", [b""]),
    ],
)
def test_longest_line_is_as_long_as_the_limit(data: bytes, results: list[Any]) -> None:
    received = [
        bytes(result.remaining_data) if isinstance(getattr(result, "error", None), LimitOverrunError) else result
        for result in receive(StringLineSerializer(limit=8), [data])
    ]
    assert received == results


def test_buffer_is_as_large_as_the_limit() -> None:
    assert StringLineSerializer(limit=123).create_deserializer_buffer(1) == bytearray(123)


def test_many_newlines_at_the_end_are_removed_in_linear_time() -> None:
    data = b"abc" + b"\r\n" * 500_000
    assert StringLineSerializer("CRLF").deserialize(data) == "abc"


@pytest.mark.parametrize(("newline", "separator"), NEWLINES)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-be", "utf-8"])
def test_the_newline_is_never_encoded(newline: Any, separator: bytes, encoding: str) -> None:
    serializer = StringLineSerializer(newline, encoding=encoding)
    frames = [serializer.encode_frame(packet) for packet in ("a", "é")]
    assert frames == ["a".encode(encoding) + separator, "é".encode(encoding) + separator]
    assert receive(serializer, [b"".join(frames)]) == ["a", "é"]
