"""A crash of the protocol object costs one packet where the frame was cut before, and else ends the stream."""

from __future__ import annotations

import errno
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import (
    Block,
    BufferedProtocolByGenerators,
    Framed,
    LengthPrefix,
    Line,
    ProtocolByGenerators,
    ProtocolType,
    cut,
    decode,
)

from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.generators import BufferedDecoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, StringLineSerializer, StructSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.composite import StapledPacketSerializer
from easynetwork.serializers.framing import LengthPrefixedFrames
from easynetwork.serializers.json import JSONDecoderConfig
from easynetwork.serializers.wrapper import ZlibCompressorSerializer

CRASH = (RuntimeError, ZeroDivisionError)
LOST = (FramingLostError, RuntimeError)


class PanicError(BaseException):
    """What a native extension raises."""


def new_decoder(protocol: AnyStreamProtocolType[Any, Any]) -> StreamDecoder[Any]:
    return decoder_factory(protocol, 1024)()


class Unlucky(AbstractPacketConverter[Any, Any]):
    """Adds 1, and fails for 13."""

    error: BaseException = ZeroDivisionError()

    def create_from_dto_packet(self, packet: Any) -> int:
        number = int(packet[0] if isinstance(packet, tuple) else packet)
        if number == 13:
            raise self.error
        return number + 1

    def convert_to_dto_packet(self, obj: Any) -> Any:
        raise NotImplementedError


# --- the frame was cut before


@pytest.mark.parametrize("batch", [0, 1, 100])
def test_a_crash_of_a_converter_costs_one_line(protocol_type: ProtocolType, batch: int) -> None:
    protocol = protocol_type(StringLineSerializer(), Unlucky())
    assert decode(protocol, [b"7\n13\n8\n10", b"1\n9\n"], batch=batch) == [8, CRASH, 9, 102, 10]


@pytest.mark.parametrize("batch", [0, 1, 100])
def test_a_crash_of_a_converter_costs_one_block(protocol_type: ProtocolType, batch: int) -> None:
    serializer = StructSerializer("H")
    stream = b"".join(serializer.serialize((number,)) for number in (7, 13, 8, 101, 9))
    for chunks in ([stream], [stream[:7], stream[7:]], list(cut(stream, [1]))):
        assert decode(protocol_type(serializer, Unlucky()), chunks, batch=batch) == [8, CRASH, 9, 102, 10]


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("batch", [0, 1, 100])
def test_a_converter_that_raises_stop_iteration_loses_no_other_packet(protocol_type: ProtocolType, batch: int) -> None:
    converter = Unlucky()
    converter.error = StopIteration()
    serializer = StructSerializer("H")
    blocks = b"".join(serializer.serialize((number,)) for number in (7, 8, 13, 101, 9))
    for protocol, stream in (
        (protocol_type(StringLineSerializer(), converter), b"7\n8\n13\n101\n9\n"),
        (protocol_type(serializer, converter), blocks),
    ):
        first, second, crash, *others = decode(protocol, [stream], batch=batch)
        assert [first, second, *others] == [8, 9, 102, 10]
        assert issubclass(crash[0], RuntimeError)


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(
    packets=st.lists(st.sampled_from([b"one", b"two", b"?..", b"333"]), max_size=12),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    batch=st.sampled_from([0, 1, 3, 100]),
)
def test_crashes_of_lines_and_blocks_do_not_depend_on_the_split(
    packets: list[bytes], cuts: list[int], batch: int
) -> None:
    expected = [CRASH if packet.startswith(b"?") else packet for packet in packets]
    for serializer in (Line(b"\n"), Block(3)):
        stream = b"".join(packet + (b"\n" if isinstance(serializer, Line) else b"") for packet in packets)
        for kind in (StreamProtocol, BufferedStreamProtocol, ProtocolByGenerators, BufferedProtocolByGenerators):
            assert decode(kind(serializer), cut(stream, cuts), batch=batch) == expected


def test_a_batch_ends_before_a_crash_which_is_reported_next() -> None:
    for serializer, stream in ((Line(b"\n"), b"one\n?\ntwo\n"), (Block(3), b"one?..two")):
        decoder = new_decoder(StreamProtocol(serializer))
        decoder.feed(stream)
        assert decoder.next_packets(10) == [b"one"]
        with pytest.raises(RuntimeError) as info:
            decoder.next_packets(10)
        assert isinstance(info.value.__cause__, ZeroDivisionError)
        assert decoder.next_packets(10) == [b"two"]
        assert decoder.next_packets(10) == []


def test_a_crash_of_a_lone_packet_costs_that_packet() -> None:
    decoder = new_decoder(StreamProtocol(Line(b"\n")))
    with pytest.raises(RuntimeError):
        decoder.take_single(b"?\n")
    assert decoder.take_single(b"ok\n") == b"ok"


def fail_for_13(number: str) -> int:
    if number == "13":
        raise ZeroDivisionError
    return int(number)


@pytest.mark.parametrize(
    "serializer",
    [
        LengthPrefix(),
        StapledPacketSerializer(LengthPrefix(), LengthPrefix()),
        StapledPacketSerializer(StringLineSerializer(), LengthPrefix()),
    ],
    ids=["length prefix", "stapled", "stapled with lines"],
)
def test_a_crash_of_a_converter_costs_one_packet_of_any_framing(protocol_type: ProtocolType, serializer: Any) -> None:
    protocol = protocol_type(serializer, Unlucky())
    stream = b"".join(bytes([len(number)]) + number for number in (b"7", b"13", b"8", b"101", b"9"))
    for chunks in ([stream], [stream[:9], stream[9:]], list(cut(stream, [1]))):
        assert decode(protocol, chunks) == [8, CRASH, 9, 102, 10]


def test_a_hook_that_fails_costs_one_json_document(protocol_type: ProtocolType) -> None:
    config = JSONDecoderConfig(parse_int=fail_for_13)
    stream = b"[7][13][8][101][9]"
    for serializer, separator in (
        (JSONSerializer(None, config, use_lines=False), b""),
        (JSONSerializer(None, config), b"\n"),
    ):
        lines = stream.replace(b"]", b"]" + separator)
        for chunks in ([lines], list(cut(lines, [4])), list(cut(lines, [1]))):
            first, (error, _), *others = decode(protocol_type(serializer), chunks)
            assert error is IncrementalDeserializeError
            assert [first, *others] == [[7], [8], [101], [9]]


def test_a_crash_of_what_was_compressed_costs_one_packet(protocol_type: ProtocolType) -> None:
    serializer = ZlibCompressorSerializer(Line(b"\n"))
    stream = b"".join(serializer.serialize(packet) for packet in (b"7", b"?", b"8"))
    for chunks in ([stream], list(cut(stream, [5])), list(cut(stream, [1]))):
        assert decode(protocol_type(serializer), chunks) == [b"7", CRASH, b"8"]


@pytest.mark.parametrize("error", [PanicError(), GeneratorExit()])
@pytest.mark.parametrize("serializer", [StringLineSerializer(), StructSerializer("H")], ids=["line", "block"])
def test_what_is_not_an_exception_goes_through_and_costs_one_packet(
    protocol_type: ProtocolType, serializer: Any, error: BaseException
) -> None:
    converter = Unlucky()
    converter.error = error
    stream = b"7\n13\n8\n" if isinstance(serializer, StringLineSerializer) else b"\0\x07\0\x0d\0\x08"
    for batch in (1, 10):
        decoder = new_decoder(protocol_type(serializer, converter))
        decoder.feed(stream)
        assert decoder.next_packets(batch) == [8]
        with pytest.raises(type(error)) as info:
            decoder.next_packets(batch)
        assert info.value is error
        assert decoder.next_packets(batch) == [9]


THREE_FRAMES = pytest.mark.parametrize(
    ("base", "framing", "frames"),
    [
        (Line, b"\n", (b"one\n", b"two\n", b"six\n")),
        (Block, 3, (b"one", b"two", b"six")),
        (Framed, LengthPrefixedFrames(1), (b"\3one", b"\3two", b"\3six")),
    ],
    ids=["lines", "blocks", "frames"],
)


def raising_at_two(base: Any, framing: Any, error: BaseException) -> StreamDecoder[Any]:
    """Return a decoder that raises *error* for the packet ``b"two"``, the first time."""
    errors = [error]

    class Failing(base):  # type: ignore[misc]
        def deserialize(self, data: bytes) -> bytes:
            if data == b"two" and errors:
                raise errors.pop()
            return data

    return new_decoder(StreamProtocol(Failing(framing)))


@THREE_FRAMES
def test_an_interruption_within_a_batch_loses_no_packet(base: Any, framing: Any, frames: tuple[bytes, ...]) -> None:
    decoder = raising_at_two(base, framing, KeyboardInterrupt())
    decoder.feed(b"".join(frames))
    with pytest.raises(KeyboardInterrupt):
        decoder.next_packets(10)
    assert decoder.next_packets(10) == [b"one", b"two", b"six"]


@THREE_FRAMES
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=repr)
@pytest.mark.parametrize("join", [True, False], ids=["in one chunk", "in chunks"])
def test_an_interruption_loses_no_packet(
    base: Any, framing: Any, frames: tuple[bytes, ...], error: BaseException, join: bool
) -> None:
    decoder = raising_at_two(base, framing, error)
    received = []
    for chunk in [b"".join(frames)] if join else frames:
        decoder.feed(chunk)
        while True:
            try:
                if (packet := decoder.next_packet()) is NEED_DATA:
                    break
            except (KeyboardInterrupt, SystemExit) as exc:
                packet = exc
            received.append(packet)
    assert received == [b"one", error, b"two", b"six"]


@THREE_FRAMES
@pytest.mark.parametrize("join", [True, False], ids=["in one chunk", "in chunks"])
def test_the_error_of_a_packet_has_the_bytes_after_it(
    base: Any, framing: Any, frames: tuple[bytes, ...], join: bool
) -> None:
    decoder = raising_at_two(base, framing, DeserializeError("two"))
    for chunk in [b"".join(frames)] if join else frames[:2]:
        assert decoder.next_packet() is NEED_DATA
        decoder.feed(chunk)
        if chunk != frames[1]:
            assert decoder.next_packet() == b"one"
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packet()
    assert bytes(info.value.remaining_data) == (frames[2] if join else b"")
    if not join:
        decoder.feed(frames[2])
    assert decoder.next_packet() == b"six"


def test_blocks_may_be_larger_than_any_chunk() -> None:
    decoder = new_decoder(StreamProtocol(Block(1 << 70)))
    decoder.feed(b"a")
    assert decoder.next_packet() is NEED_DATA
    assert decoder.pending == 1


# --- only the generator knew where the packet ends


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
def test_a_crash_of_a_generator_ends_the_stream(protocol_type: ProtocolType) -> None:
    stream = b"\x02ok\x01?\x02ok\x02ok"
    for chunks in ([stream], list(cut(stream, [4])), list(cut(stream, [1]))):
        assert decode(protocol_type(LengthPrefix()), chunks) == [b"ok", CRASH, (FramingLostError, ZeroDivisionError)]


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
def test_every_further_call_says_that_the_stream_cannot_continue(protocol_type: ProtocolType) -> None:
    decoder = new_decoder(protocol_type(LengthPrefix()))
    decoder.feed(b"\x01?\x02ok")
    with pytest.raises(RuntimeError) as crash:
        decoder.next_packet()
    for feed in (b"", b"\x02ok", b""):
        if feed:
            decoder.feed(feed)
        with pytest.raises(ConnectionAbortedError, match="cannot continue") as info:
            decoder.next_packet()
        assert info.value.errno == errno.ECONNABORTED
        assert info.value.__cause__ is crash.value.__cause__
        with pytest.raises(FramingLostError):
            decoder.next_packets(10)
    assert decoder.pending == 0
    decoder.clear()
    assert decoder.next_packet() is NEED_DATA


def test_a_crash_of_an_overriding_generator_ends_the_stream() -> None:
    class Overriding(Line):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            packet, remaining = yield from super().incremental_deserialize()
            return packet[: 1 // (packet != b"13")], remaining

    events = decode(StreamProtocol(Overriding(b"\n")), [b"7\n13\n8\n"])
    assert events == [b"7", CRASH, (FramingLostError, ZeroDivisionError)]


def test_a_crash_of_another_stream_says_nothing_about_this_one() -> None:
    """A packet that is parsed by a serializer of its own: where that one would go on is beside the point."""

    class Raw(AbstractIncrementalPacketSerializer[Any, Any]):
        inner = Line(b"\n")

        def incremental_serialize(self, packet: Any) -> Generator[bytes]:
            yield packet

        def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
            data = yield
            return AbstractIncrementalPacketSerializer.deserialize(self.inner, data), b""

    assert decode(StreamProtocol(Raw()), [b"?\n14\n"]) == [CRASH, (FramingLostError, ZeroDivisionError)]


def test_an_error_that_does_not_say_where_to_go_on_ends_the_stream() -> None:
    class Vague(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            yield
            raise DeserializeError("somewhere")

    events = decode(StreamProtocol(Vague()), [b"abc", b"abc"])
    assert events == [(RuntimeError, RuntimeError), LOST]


def test_a_buffer_that_has_no_room_left_within_a_packet_ends_the_stream() -> None:
    class Full(LengthPrefix):
        def buffered_incremental_deserialize(self, buffer: bytearray) -> Generator[int, int, tuple[bytes, memoryview]]:
            yield 0
            yield len(buffer)
            raise AssertionError

    events = decode(BufferedStreamProtocol(Full()), [b"abc", b"abc"])
    assert events == [(RuntimeError, RuntimeError), LOST]


def test_a_crash_does_not_use_a_buffer_again_of_which_bytes_remain() -> None:
    protocol: BufferedStreamProtocol[Any, Any, Any] = BufferedProtocolByGenerators(Line(b"\n"), None)
    decoder = decoder_factory(protocol, 1024)()
    assert isinstance(decoder, BufferedDecoder)
    buffer = decoder.get_buffer()
    buffer[:9] = b"?\none\ntwo"
    decoder.buffer_updated(9)
    with pytest.raises(RuntimeError):
        decoder.next_packet()
    assert decoder.next_packet() == b"one"
    assert decoder.next_packet() is NEED_DATA
    decoder.feed(b"\n")
    assert decoder.next_packet() == b"two"
