"""Framing that is said as data gives what the generators give, whatever the chunks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import (
    Block,
    BufferedProtocolByGenerators,
    CountingBytes,
    LengthPrefix,
    Line,
    ProtocolByGenerators,
    cut,
    decode,
    drain,
)

from easynetwork.exceptions import (
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    StreamProtocolParseError,
)
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.fixed_size import FixedSizeDecoder
from easynetwork.lowlevel._core.stream_decoders.generators import BufferedDecoder, GeneratorDecoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from easynetwork.lowlevel._core.stream_decoders.separated import SeparatedDecoder
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.json import JSONSerializer
from easynetwork.serializers.line import StringLineSerializer

# Few letters: separators, halves of separators and invalid packets come up all the time.
STREAMS = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"!", b"aba"]), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)
SEPARATORS = st.sampled_from([b"\n", b"\r\n", b"aba", b"aa", b"\r\r\n"])
BATCHES = st.sampled_from([0, 1, 2, 100])
deterministic = settings(derandomize=True, deadline=None, max_examples=300, database=None)


def new_decoder(protocol: AnyStreamProtocolType[Any, Any], max_recv_size: int = 1024) -> StreamDecoder[Any]:
    return decoder_factory(protocol, max_recv_size)()


def parse_error(decoder: StreamDecoder[Any]) -> StreamProtocolParseError:
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packet()
    return info.value


# --- any bytes, any chunks


@deterministic
@given(stream=STREAMS, cuts=CUTS, separator=SEPARATORS, limit=st.integers(1, 9), batch=BATCHES)
def test_separated_frames_give_the_packets_and_errors_of_the_generators(
    stream: bytes, cuts: list[int], separator: bytes, limit: int, batch: int
) -> None:
    serializer = Line(separator, limit=limit)
    expected = decode(ProtocolByGenerators(serializer), cut(stream, cuts))
    assert decode(StreamProtocol(serializer), cut(stream, cuts), batch=batch) == expected
    assert decode(BufferedStreamProtocol(serializer), cut(stream, cuts), batch=batch) == expected


@deterministic
@given(stream=STREAMS, cuts=CUTS, newline=st.sampled_from(["LF", "CR", "CRLF"]), keep_end=st.booleans(), batch=BATCHES)
def test_lines_give_the_packets_and_errors_of_the_generators(
    stream: bytes, cuts: list[int], newline: Any, keep_end: bool, batch: int
) -> None:
    serializer = StringLineSerializer(newline, keep_end=keep_end, limit=6)
    expected = decode(ProtocolByGenerators(serializer), cut(stream, cuts))
    assert decode(StreamProtocol(serializer), cut(stream, cuts), batch=batch) == expected
    assert decode(BufferedStreamProtocol(serializer), cut(stream, cuts), batch=batch) == expected


@deterministic
@given(stream=STREAMS, cuts=CUTS, size=st.integers(1, 9), batch=BATCHES)
def test_blocks_give_the_packets_and_errors_of_the_generators(
    stream: bytes, cuts: list[int], size: int, batch: int
) -> None:
    serializer = Block(size)
    expected = decode(ProtocolByGenerators(serializer), cut(stream, cuts))
    assert decode(StreamProtocol(serializer), cut(stream, cuts), batch=batch) == expected
    assert decode(BufferedStreamProtocol(serializer), cut(stream, cuts), batch=batch) == expected


def without_remaining_data(events: list[Any]) -> list[Any]:
    return [event[0] if isinstance(event, tuple) else event for event in events]


@deterministic
@given(
    packets=st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"!")), max_size=10),
    cuts=CUTS,
    max_recv_size=st.integers(1, 50),
    batch=BATCHES,
)
def test_the_packets_do_not_depend_on_the_chunks_nor_on_the_way(
    packets: list[bytes], cuts: list[int], max_recv_size: int, batch: int
) -> None:
    for serializer in (Line(b"\n", limit=30), LengthPrefix()):
        encode = packet_encoder(StreamProtocol(serializer))
        if isinstance(serializer, Line):
            sent = [packet for packet in packets if packet]
        else:
            sent = packets
        stream = b"".join(map(encode, sent))
        expected: list[Any] = [
            {b"!": IncrementalDeserializeError, b"?": RuntimeError}.get(packet[:1], packet) for packet in sent
        ]
        if RuntimeError in expected and not isinstance(serializer, Line):
            expected[expected.index(RuntimeError) + 1 :] = [FramingLostError]
        for protocol in (
            StreamProtocol(serializer),
            BufferedStreamProtocol(serializer),
            ProtocolByGenerators(serializer),
            BufferedProtocolByGenerators(serializer),
        ):
            for chunks in (cut(stream, cuts), [stream] if stream else []):
                events = decode(protocol, chunks, batch=batch, max_recv_size=max_recv_size)
                assert without_remaining_data(events) == expected


@deterministic
@given(
    packets=st.lists(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text(max_size=3))), max_size=8),
    cuts=CUTS,
    use_lines=st.booleans(),
    batch=BATCHES,
)
def test_json_documents_survive_any_split(packets: list[Any], cuts: list[int], use_lines: bool, batch: int) -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(JSONSerializer(use_lines=use_lines))
    stream = b"".join(map(packet_encoder(protocol), packets))
    assert decode(protocol, cut(stream, cuts), batch=batch) == packets


@deterministic
@given(stream=STREAMS, cuts=CUTS, batch=BATCHES)
def test_packets_are_the_same_if_they_are_taken_only_at_the_end(stream: bytes, cuts: list[int], batch: int) -> None:
    protocol = StreamProtocol(Line(b"\r\n", limit=1000))
    at_once = decode(protocol, [stream] if stream else [])
    decoder = new_decoder(protocol)
    for chunk in cut(stream, cuts):
        decoder.feed(chunk)
    assert list(drain(decoder, batch)) == at_once


# --- limits


@pytest.fixture(params=[StreamProtocol, BufferedStreamProtocol, ProtocolByGenerators])
def protocol_type(request: pytest.FixtureRequest) -> Callable[..., AnyStreamProtocolType[Any, Any]]:
    kind: Callable[..., AnyStreamProtocolType[Any, Any]] = request.param
    return kind


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"END"])
@pytest.mark.parametrize("size", [7, 8, 9])
def test_a_frame_is_accepted_iff_its_separator_comes_within_the_limit(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], separator: bytes, size: int
) -> None:
    decoder = new_decoder(protocol_type(Line(separator, limit=8)))
    decoder.feed(b"x" * size + separator + b"next" + separator)
    if size <= 8:
        assert decoder.next_packet() == b"x" * size
    else:
        exc = parse_error(decoder)
        assert isinstance(exc.error, LimitOverrunError)
        assert exc.error.consumed == size
        assert bytes(exc.remaining_data) == b"next" + separator
    assert decoder.next_packet() == b"next"
    assert decoder.next_packet() is NEED_DATA


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"END"])
@pytest.mark.parametrize("bytewise", [True, False])
def test_bytes_without_separator_are_refused_as_soon_as_they_cannot_be_within_the_limit(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], separator: bytes, bytewise: bool
) -> None:
    decoder = new_decoder(protocol_type(Line(separator, limit=8)))
    largest = 8 - 1 + len(separator)
    for chunk in cut(b"x" * largest, [1] if bytewise else [largest]):
        decoder.feed(chunk)
        assert decoder.next_packet() is NEED_DATA
    decoder.feed(b"x")
    exc = parse_error(decoder)
    assert isinstance(exc.error, LimitOverrunError)
    assert exc.error.consumed == largest + 1 + 1 - len(separator)
    assert bytes(exc.remaining_data) == b""
    assert decoder.next_packet() is NEED_DATA
    decoder.feed(b"rest of it" + separator + b"next" + separator)
    assert decoder.next_packet() == b"next"


def test_half_a_separator_survives_the_refusal_of_what_came_before(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]],
) -> None:
    decoder = new_decoder(protocol_type(Line(b"\r\n", limit=8)))
    decoder.feed(b"x" * 9 + b"\r")
    assert bytes(parse_error(decoder).remaining_data) == b"\r"
    assert decoder.next_packet() is NEED_DATA
    decoder.feed(b"\nnext\r\n")
    assert decoder.next_packet() == b"next"


def test_a_limit_error_among_good_frames_costs_none_of_them() -> None:
    stream = b"one\n" + b"x" * 20 + b"\ntwo\n"
    for batch in (0, 1, 10):
        events = decode(StreamProtocol(Line(b"\n", limit=8)), [stream], batch=batch)
        assert events == [b"one", (LimitOverrunError, b"two\n"), b"two"]


def test_an_endless_frame_takes_no_more_memory_than_its_limit_and_one_chunk(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]],
) -> None:
    decoder = new_decoder(protocol_type(Line(b"\n", limit=10_000)), 16_384)
    chunk = b"x" * 1000
    tracemalloc.start()
    try:
        for _ in range(2000):
            decoder.feed(chunk)
            for _ in drain(decoder):
                pass
        assert tracemalloc.get_traced_memory()[0] < 30_000
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_decoder_in_use_keeps_nothing_of_the_packets_it_gave(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]],
) -> None:
    for serializer in (Line(b"\n"), Block(500)):
        decoder = new_decoder(protocol_type(serializer), 16_384)
        tracemalloc.start()
        try:
            for _ in range(2000):
                decoder.feed(b"x" * 499 + b"\n")
                assert len(list(drain(decoder))) == 1
            assert tracemalloc.get_traced_memory()[0] < 150_000
        finally:
            tracemalloc.stop()


# --- the cost


def test_a_frame_that_drips_in_is_searched_in_linear_time() -> None:
    decoder: Any = new_decoder(StreamProtocol(Line(b"\r\n", limit=100_000)))
    for _ in range(2):
        decoder.feed(b"x")
        assert decoder.next_packet() is NEED_DATA
    decoder._tail = tail = CountingBytes(decoder._tail)
    CountingBytes.searched = 0
    for _ in range(20_000):
        decoder.feed(b"x")
        assert decoder.next_packet() is NEED_DATA
    assert decoder._tail is tail
    assert tail.searched <= 3 * 20_000
    decoder.feed(b"\r\n")
    assert decoder.next_packet() == b"x" * 20_002


def test_a_block_that_drips_in_is_not_copied_for_each_piece() -> None:
    decoder: Any = new_decoder(StreamProtocol(Block(10_000)))
    decoder.feed(b"x")
    assert decoder.next_packet() is NEED_DATA
    partial = decoder._partial
    for _ in range(9998):
        decoder.feed(b"x")
        assert decoder.next_packet() is NEED_DATA
    assert decoder._partial is partial
    decoder.feed(b"x")
    assert decoder.next_packet() == b"x" * 10_000


def test_invalid_frames_do_not_copy_the_rest_of_their_chunk() -> None:
    decoder = new_decoder(StreamProtocol(Line(b"\n")))
    decoder.feed(b"!\n" * 5000)
    kept = [parse_error(decoder).remaining_data for _ in range(5000)]
    assert [len(bytes(data)) for data in kept] == [10_000 - 2 * i for i in range(1, 5001)]
    assert all(isinstance(data, memoryview) for data in kept)
    assert len({id(data.obj) for data in kept if isinstance(data, memoryview)}) == 1


# --- errors


def test_an_invalid_frame_says_why_and_what_comes_after_it(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]],
) -> None:
    decoder = new_decoder(protocol_type(Line(b"\n")))
    decoder.feed(b"one\n!bad\ntwo\nthr")
    assert decoder.next_packet() == b"one"
    exc = parse_error(decoder)
    assert isinstance(exc.error, IncrementalDeserializeError)
    assert exc.error.error_info == {"data": b"!bad"}
    assert isinstance(exc.error.__cause__, DeserializeError)
    assert exc.__cause__ is exc.error
    assert bytes(exc.remaining_data) == b"two\nthr"
    assert bytes(exc.error.remaining_data) == b"two\nthr"
    assert decoder.next_packet() == b"two"
    decoder.feed(b"ee\n")
    assert decoder.next_packet() == b"three"


def test_a_batch_ends_before_an_invalid_frame_which_is_reported_next() -> None:
    decoder = new_decoder(StreamProtocol(Line(b"\n")))
    decoder.feed(b"one\ntwo\n!bad\nthree\n")
    assert decoder.next_packets(10) == [b"one", b"two"]
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packets(10)
    assert bytes(info.value.remaining_data) == b"three\n"
    assert decoder.next_packets(10) == [b"three"]
    assert decoder.next_packets(10) == []


def test_what_is_no_exception_goes_through_as_it_is(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]],
) -> None:
    class Interrupted(Line):
        def deserialize(self, data: bytes) -> bytes:
            raise KeyboardInterrupt

    decoder = new_decoder(protocol_type(Interrupted(b"\n")))
    decoder.feed(b"one\n")
    with pytest.raises(KeyboardInterrupt):
        decoder.next_packet()


def test_none_is_a_packet_like_any_other() -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(JSONSerializer())
    decoder = new_decoder(protocol)
    decoder.feed(b"null\nnull\n")
    assert decoder.next_packets(1) == [None]
    assert decoder.next_packet() is None
    assert decoder.next_packet() is NEED_DATA


@pytest.mark.parametrize("serializer", [Line(b"\n"), Block(4), LengthPrefix()], ids=["line", "block", "length prefix"])
def test_clear_forgets_everything(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], serializer: Any
) -> None:
    decoder = new_decoder(protocol_type(serializer))
    encode = packet_encoder(StreamProtocol(serializer))
    for fed in (b"", encode(b"abcd"), encode(b"abcd")[:3], encode(b"abcd") * 2 + b"\x03a"):
        if fed:
            decoder.feed(fed)
            decoder.next_packet()
            decoder.feed(b"\x02")
        decoder.clear()
        assert decoder.next_packet() is NEED_DATA
        decoder.feed(encode(b"good"))
        assert decoder.next_packet() == b"good"
        assert decoder.next_packet() is NEED_DATA


# --- arguments


@pytest.mark.parametrize("size", [0, -1, 1.5, "1", None])
def test_a_bad_max_recv_size_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="max_recv_size"):
        decoder_factory(StreamProtocol(Line(b"\n")), size)


@pytest.mark.parametrize("protocol", [None, StreamProtocol, Line(b"\n"), object()])
def test_what_is_no_protocol_object_is_refused(protocol: Any) -> None:
    with pytest.raises(TypeError):
        decoder_factory(protocol, 1024)
    with pytest.raises(TypeError):
        packet_encoder(protocol)


def test_framing_said_as_data_needs_no_generator() -> None:
    """The tests above compare two ways: this one makes sure that they are two."""
    assert isinstance(new_decoder(StreamProtocol(Line(b"\n"))), SeparatedDecoder)
    assert isinstance(new_decoder(BufferedStreamProtocol(Block(3))), FixedSizeDecoder)
    assert isinstance(new_decoder(ProtocolByGenerators(Line(b"\n"))), GeneratorDecoder)
    assert isinstance(new_decoder(BufferedProtocolByGenerators(Block(3))), BufferedDecoder)
