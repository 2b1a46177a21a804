"""A frame over its limit costs that frame: one error, and the rest of it is dropped, however the network splits it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import (
    BufferedProtocolByGenerators,
    CountingBytes,
    LengthPrefix,
    Line,
    ProtocolByGenerators,
    ProtocolType,
    cut,
    decode,
    drain,
)

from easynetwork.exceptions import IncrementalDeserializeError, LimitOverrunError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.cbor import CBORSerializer
from easynetwork.serializers.composite import StapledPacketSerializer
from easynetwork.serializers.json import JSONSerializer
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.serializers.msgpack import MessagePackSerializer
from easynetwork.serializers.tools import GeneratorStreamReader
from easynetwork.serializers.wrapper import Base64EncoderSerializer, BZ2CompressorSerializer, ZlibCompressorSerializer

# Few letters: separators, halves of separators and invalid packets come up all the time.
STREAMS = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"!", b"?", b"aba"]), max_size=60).map(b"".join)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)
SEPARATORS = st.sampled_from([b"\n", b"\r\n", b"aba", b"aa", b"\r\r\n"])
deterministic = settings(derandomize=True, deadline=None, max_examples=300, database=None)


class Overriding(Line):
    """Lines whose generators are overridden, and call those of the base class."""

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        return (yield from super().incremental_deserialize())

    def buffered_incremental_deserialize(self, buffer: Any) -> Generator[int | None, int, tuple[bytes, Any]]:
        return (yield from super().buffered_incremental_deserialize(buffer))


class ByReader(AbstractIncrementalPacketSerializer[bytes, bytes]):
    """Lines as a user would write them, with the tools of the library."""

    def __init__(self, separator: bytes, limit: int) -> None:
        self.separator = separator
        self.limit = limit

    def incremental_serialize(self, packet: bytes) -> Generator[bytes]:
        yield packet + self.separator

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        reader = GeneratorStreamReader()
        line = yield from reader.read_until(self.separator, self.limit, keep_end=False)
        return line, reader.read_all()


def kinds(events: list[Any]) -> list[Any]:
    """Replace errors by their class: what remains depends on what has arrived."""
    return [event[0] if isinstance(event, tuple) else event for event in events]


def expected_of_lines(stream: bytes, separator: bytes, limit: int) -> list[Any]:
    """Return what `Line` is to give, said as simply as possible."""
    *lines, rest = stream.split(separator)
    failures: dict[bytes, Any] = {b"!": IncrementalDeserializeError, b"?": RuntimeError}
    events = [LimitOverrunError if len(line) > limit else failures.get(line[:1], line) for line in lines]
    return [*events, LimitOverrunError] if len(rest) + 1 - len(separator) > limit else events


# --- separated frames


@deterministic
@given(
    stream=STREAMS,
    cuts=CUTS,
    separator=SEPARATORS,
    limit=st.integers(1, 9),
    batch=st.sampled_from([0, 1, 2, 100]),
    max_recv_size=st.integers(1, 50),
)
def test_packets_and_errors_of_lines_do_not_depend_on_the_split(
    stream: bytes, cuts: list[int], separator: bytes, limit: int, batch: int, max_recv_size: int
) -> None:
    expected = expected_of_lines(stream, separator, limit)
    line, overriding = Line(separator, limit=limit), Overriding(separator, limit=limit)
    for protocol in (
        StreamProtocol(line),
        BufferedStreamProtocol(line),
        ProtocolByGenerators(line),
        StreamProtocol(overriding),
    ):
        for chunks in (cut(stream, cuts), cut(stream, [1]), [stream] if stream else []):
            assert kinds(decode(protocol, chunks, batch=batch, max_recv_size=max_recv_size)) == expected


@deterministic
@given(stream=STREAMS, cuts=CUTS, separator=SEPARATORS, limit=st.integers(1, 9))
def test_packets_and_errors_of_buffered_generators_do_not_depend_on_the_split(
    stream: bytes, cuts: list[int], separator: bytes, limit: int
) -> None:
    """Their limit is that of the buffer: the frame has to fit with its separator."""
    for protocol in (
        BufferedProtocolByGenerators(Line(separator, limit=limit)),
        BufferedStreamProtocol(Overriding(separator, limit=limit)),
    ):
        at_once = kinds(decode(protocol, [stream] if stream else []))
        assert kinds(decode(protocol, cut(stream, cuts))) == at_once
        assert kinds(decode(protocol, cut(stream, [1]))) == at_once
        *lines, _ = stream.split(separator)
        refused = sum(len(line) + len(separator) > max(limit, len(separator)) for line in lines)
        assert at_once.count(LimitOverrunError) in (refused, refused + 1)


@deterministic
@given(stream=STREAMS, cuts=CUTS, separator=SEPARATORS, limit=st.integers(1, 9))
def test_a_reader_of_a_user_drops_the_rest_of_a_refused_frame(
    stream: bytes, cuts: list[int], separator: bytes, limit: int
) -> None:
    *lines, rest = stream.split(separator)
    expected = [LimitOverrunError if len(line) > limit else line for line in lines]
    if len(rest) + 1 - len(separator) > limit:
        expected.append(LimitOverrunError)
    protocol = StreamProtocol(ByReader(separator, limit))
    assert kinds(decode(protocol, cut(stream, cuts))) == expected
    assert kinds(decode(protocol, cut(stream, [1]))) == expected


def test_the_rest_of_a_refused_frame_is_not_a_packet(protocol_type: ProtocolType) -> None:
    protocol = protocol_type(JSONSerializer(limit=2000))
    stream = [b'"' + b"A" * 2100, b'{"cmd":"evil"}\n', b'{"cmd":"good"}\n']
    assert kinds(decode(protocol, stream)) == [LimitOverrunError, {"cmd": "good"}]


@pytest.mark.parametrize(
    "serializer",
    [
        StringLineSerializer("CRLF", limit=100),
        StringLineSerializer("CRLF", limit=100, keep_end=True),
        Base64EncoderSerializer(StringLineSerializer(), separator=b"\r\n", limit=100),
        StapledPacketSerializer(StringLineSerializer(), StringLineSerializer("CRLF", limit=100)),
    ],
    ids=["line", "line with its end", "base64", "stapled"],
)
def test_one_error_is_given_per_refused_frame_however_long(protocol_type: ProtocolType, serializer: Any) -> None:
    chunks = [*([b"A" * 70] * 50), b"A\r", b"A\r", b"\n"]
    events = kinds(decode(protocol_type(serializer), [*chunks, *chunks]))
    assert events == [LimitOverrunError, LimitOverrunError]


def test_a_separator_that_arrives_byte_by_byte_ends_a_refused_frame(protocol_type: ProtocolType) -> None:
    decoder = decoder_factory(protocol_type(Line(b"\r\r\n", limit=8)), 1024)()
    events: list[Any] = []
    for byte in b"xxxxxxxxxxxx\r\r\r\nok\r\r\n":
        decoder.feed(bytes([byte]))
        events += drain(decoder)
    assert kinds(events) == [LimitOverrunError, b"ok"]


def test_what_follows_the_refused_frame_in_its_last_chunk_is_decoded(protocol_type: ProtocolType) -> None:
    chunks = [b"one\n" + b"x" * 20, b"x\ntwo\n" + b"y" * 20 + b"\nthr", b"ee\nfo"]
    for batch in (0, 1, 100):
        events = kinds(decode(protocol_type(Line(b"\n", limit=8)), chunks, batch=batch))
        assert events == [b"one", LimitOverrunError, b"two", LimitOverrunError, b"three"]


def test_nothing_of_a_refused_frame_is_pending(protocol_type: ProtocolType) -> None:
    decoder = decoder_factory(protocol_type(Line(b"\r\n", limit=8)), 1024)()
    for chunk in (b"x" * 20, b"x" * 5, b"x\r"):
        decoder.feed(chunk)
        for _ in drain(decoder):
            pass
        assert decoder.pending == 0
    decoder.feed(b"\nab")
    assert decoder.next_packet() is NEED_DATA
    assert decoder.pending == 2


def test_clearing_forgets_a_refused_frame(protocol_type: ProtocolType) -> None:
    decoder = decoder_factory(protocol_type(Line(b"\n", limit=8)), 1024)()
    decoder.feed(b"x" * 20)
    assert kinds(list(drain(decoder))) == [LimitOverrunError]
    decoder.clear()
    decoder.feed(b"good\n")
    assert decoder.next_packet() == b"good"


def test_the_rest_that_drips_in_is_searched_in_linear_time() -> None:
    decoder: Any = decoder_factory(StreamProtocol(Line(b"\r\n", limit=10)), 1024)()
    decoder.feed(b"x" * 20)
    assert kinds(list(drain(decoder))) == [LimitOverrunError]
    decoder._tail = CountingBytes(decoder._tail)
    CountingBytes.searched = 0
    for _ in range(5000):
        decoder.feed(b"x")
        assert decoder.next_packet() is NEED_DATA
    assert CountingBytes.searched <= 3 * 5000
    decoder.feed(b"\r\nok\r\n")
    assert decoder.next_packet() == b"ok"


def test_dropping_takes_no_memory(protocol_type: ProtocolType) -> None:
    decoder = decoder_factory(protocol_type(Line(b"\n", limit=1000)), 16_384)()
    chunk = b"x" * 10_000
    for _ in range(2):
        decoder.feed(chunk)
        for _ in drain(decoder):
            pass
    tracemalloc.start()
    try:
        for _ in range(500):
            decoder.feed(chunk)
            assert decoder.next_packet() is NEED_DATA
        assert tracemalloc.get_traced_memory()[0] < 25_000
    finally:
        tracemalloc.stop()


# --- other framings


@deterministic
@given(
    stream=st.lists(
        st.sampled_from([b'{"a":1}', b"[1,2]", b'"x\\"y"', b"123\n", b'["' + b"z" * 20 + b'\\"]"]', b"9" * 15 + b"\n"]),
        max_size=8,
    ).map(b"".join),
    cuts=CUTS,
)
def test_raw_json_skips_to_the_end_of_a_refused_document(stream: bytes, cuts: list[int]) -> None:
    serializer = JSONSerializer(use_lines=False, limit=10)
    whole = kinds(decode(StreamProtocol(serializer), [stream] if stream else []))
    assert RuntimeError not in whole
    assert FramingLostError not in whole
    for protocol in (StreamProtocol(serializer), BufferedStreamProtocol(serializer)):
        assert kinds(decode(protocol, cut(stream, cuts))) == whole
        assert kinds(decode(protocol, cut(stream, [1]))) == whole


@pytest.mark.parametrize("document", [b'["' + b"x" * 30 + b'"]', b'"' + b'\\"' * 20 + b'"', b"1" * 20 + b"\n"])
@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
def test_what_follows_a_refused_json_document_is_received(protocol_type: ProtocolType, document: bytes) -> None:
    protocol = protocol_type(JSONSerializer(use_lines=False, limit=10))
    for cuts in ([], [1], [7], [len(document)]):
        events = kinds(decode(protocol, cut(document + b'{"a":1}', cuts)))
        assert events == [LimitOverrunError, {"a": 1}]


@pytest.mark.parametrize(
    ("serializer", "large"),
    [
        (CBORSerializer(limit=10), b"\x58\x20" + b"x" * 32),
        (MessagePackSerializer(limit=10), b"\xc4\x20" + b"x" * 32),
        (ZlibCompressorSerializer(StringLineSerializer(), decompressed_limit=10), None),
        (BZ2CompressorSerializer(StringLineSerializer(), decompressed_limit=10), None),
    ],
    ids=["cbor", "msgpack", "zlib", "bz2"],
)
@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
def test_a_framing_that_does_not_know_the_end_of_a_refused_packet_ends_the_stream(
    protocol_type: ProtocolType, serializer: Any, large: bytes | None
) -> None:
    protocol = protocol_type(serializer)
    if large is None:
        large = serializer.serialize("x" * 40)
    small = serializer.serialize("ok")
    assert decode(protocol, [small]) == ["ok"]
    for cuts in ([], [1], [7], [len(large)]):
        assert kinds(decode(protocol, cut(large + small, cuts))) == [LimitOverrunError, FramingLostError]


class Limited(LengthPrefix):
    """Refuses large packets, in one of two ways."""

    def __init__(self, waits: bool) -> None:
        self.waits = waits

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        data = yield
        size = data[0]
        while self.waits and len(data) <= size + 1:
            data += yield
        if size > 3:
            raise LimitOverrunError(f"{size} bytes", data, size + 1 if self.waits else len(data))
        while len(data) <= size:
            data += yield
        return data[1 : size + 1], data[size + 1 :]


def test_a_serializer_that_says_where_it_goes_on_is_believed() -> None:
    events = kinds(decode(StreamProtocol(Limited(True)), cut(b"\x05abcde\x02ok\x02ok\x00\x00", [3])))
    assert events == [LimitOverrunError, b"ok", b"ok", b""]


def test_a_serializer_that_gives_up_all_it_holds_ends_the_stream() -> None:
    decoder: StreamDecoder[Any] = decoder_factory(StreamProtocol(Limited(False)), 1024)()
    decoder.feed(b"\x05ab")
    with pytest.raises(StreamProtocolParseError) as refused:
        decoder.next_packet()
    decoder.feed(b"cde\x02ok")
    for _ in range(2):
        with pytest.raises(FramingLostError, match="cannot continue") as info:
            decoder.next_packet()
        assert info.value.__cause__ is refused.value
