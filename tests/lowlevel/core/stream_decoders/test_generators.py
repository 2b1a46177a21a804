"""How a decoder drives the generators of protocol objects, and what it makes of their mistakes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import (
    BufferedProtocolByGenerators,
    LengthPrefix,
    ProtocolByGenerators,
    ProtocolType,
    cut,
    decode,
    drain,
)

from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.generators import BufferedDecoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer


class Chunks(StreamProtocol[Any, Any]):
    """A protocol object that is nothing but its generator function."""

    def __init__(self, build: Callable[[], Generator[None, bytes, tuple[Any, bytes]]]) -> None:
        super().__init__(LengthPrefix())
        self.build = build

    def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        return self.build()


class Buffers(BufferedStreamProtocol[Any, Any, Any]):
    """The same for the buffered way."""

    def __init__(
        self,
        build: Callable[[Any], Generator[int | None, int, tuple[Any, Any]]],
        create_buffer: Callable[[int], Any] = bytearray,
    ) -> None:
        super().__init__(LengthPrefix())
        self.build = build
        self.create = create_buffer

    def create_buffer(self, sizehint: int) -> Any:
        return self.create(sizehint)

    def build_packet_from_buffer(self, buffer: Any) -> Generator[int | None, int, tuple[Any, Any]]:
        return self.build(buffer)


class Same(AbstractPacketConverter[Any, Any]):
    """Converts a packet to itself."""

    def create_from_dto_packet(self, packet: Any) -> Any:
        return packet

    def convert_to_dto_packet(self, obj: Any) -> Any:
        return obj


def chunks_decoder(
    build: Callable[[], Generator[None, bytes, tuple[Any, bytes]]], size: int = 100
) -> StreamDecoder[Any]:
    return decoder_factory(Chunks(build), size)()


def buffer_decoder(
    build: Callable[[Any], Generator[int | None, int, tuple[Any, Any]]],
    create_buffer: Callable[[int], Any] = bytearray,
    size: int = 8,
) -> BufferedDecoder[Any]:
    decoder = decoder_factory(Buffers(build, create_buffer), size)()
    assert isinstance(decoder, BufferedDecoder)
    return decoder


def receive(decoder: BufferedDecoder[Any], data: bytes) -> None:
    """What a transport does with ``recv_into``."""
    buffer = decoder.get_buffer()
    buffer[: len(data)] = data
    decoder.buffer_updated(len(data))


# --- by chunks


def test_a_generator_never_gets_nothing_nor_more_than_asked_for_at_a_time() -> None:
    got: list[bytes] = []

    def build() -> Generator[None, bytes, tuple[Any, bytes]]:
        data = b""
        while len(data) < 12:
            got.append((yield))
            data += got[-1]
        return data, b""

    decoder = chunks_decoder(build, 5)
    assert decoder.next_packet() is NEED_DATA
    assert got == []
    decoder.feed(b"a" * 11)
    assert decoder.next_packet() is NEED_DATA
    assert decoder.next_packet() is NEED_DATA
    decoder.feed(b"a")
    assert decoder.next_packet() == b"a" * 12
    assert b"" not in got
    assert max(map(len, got)) <= 5


def test_no_generator_is_started_before_there_are_bytes() -> None:
    started = 0

    def build() -> Generator[None, bytes, tuple[Any, bytes]]:
        nonlocal started
        started += 1
        return (yield), b""

    decoder = chunks_decoder(build)
    assert decoder.next_packet() is NEED_DATA
    assert started == 0
    decoder.feed(b"a")
    assert decoder.next_packet() == b"a"
    assert decoder.next_packet() is NEED_DATA
    assert started == 1


def test_a_remainder_is_parsed_without_new_bytes() -> None:
    def build() -> Generator[None, bytes, tuple[Any, bytes]]:
        data = yield
        return data[:1], data[1:]

    decoder = chunks_decoder(build)
    decoder.feed(b"abc")
    assert [decoder.next_packet() for _ in range(4)] == [b"a", b"b", b"c", NEED_DATA]


@pytest.mark.parametrize("crash", [True, False])
def test_a_generator_that_fails_before_it_has_asked_for_bytes_keeps_them(crash: bool) -> None:
    broken = True

    def build() -> Generator[None, bytes, tuple[Any, bytes]]:
        if broken:
            if crash:
                raise ZeroDivisionError
            return b"without bytes", b""
        return (yield), b""

    decoder = chunks_decoder(build)
    decoder.feed(b"kept")
    for _ in range(2):
        with pytest.raises(RuntimeError) as info:
            decoder.next_packet()
        assert isinstance(info.value.__cause__, ZeroDivisionError if crash else StopIteration)
    broken = False
    assert decoder.next_packet() == b"kept"


def test_an_error_that_does_not_say_where_to_go_on_is_a_crash() -> None:
    class Vague(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            yield
            raise DeserializeError("somewhere")

        def buffered_incremental_deserialize(self, buffer: bytearray) -> Generator[int, int, tuple[bytes, memoryview]]:
            yield 0
            raise DeserializeError("somewhere")

    for protocol in (StreamProtocol(Vague()), BufferedStreamProtocol(Vague())):
        decoder = decoder_factory(protocol, 100)()
        decoder.feed(b"abc")
        with pytest.raises(RuntimeError):
            decoder.next_packet()
        with pytest.raises(FramingLostError):
            decoder.next_packet()


def test_the_remainder_after_a_parse_error_may_be_any_bytes_like_object() -> None:
    def build() -> Generator[None, bytes, tuple[Any, bytes]]:
        data = yield
        if data.startswith(b"!"):
            remaining = memoryview(bytearray(data))[1:]
            raise StreamProtocolParseError(remaining, IncrementalDeserializeError("bad", remaining))
        return data, b""

    decoder = chunks_decoder(build)
    decoder.feed(b"!rest")
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packet()
    assert bytes(info.value.remaining_data) == b"rest"
    assert decoder.next_packet() == b"rest"


def test_clearing_closes_the_suspended_generator() -> None:
    closed = []

    def build(_: object = None) -> Generator[None, Any, tuple[Any, bytes]]:
        try:
            yield
            yield
        finally:
            closed.append(True)
        return b"", b""

    for decoder in (chunks_decoder(build), buffer_decoder(build)):
        closed.clear()
        decoder.feed(b"a")
        assert decoder.next_packet() is NEED_DATA
        decoder.clear()
        assert closed == [True]


@pytest.mark.parametrize("protocol_type", [StreamProtocol, ProtocolByGenerators])
def test_a_remainder_of_any_kind_is_bytes_for_the_next_generator(protocol_type: ProtocolType) -> None:
    got: list[Any] = []

    class Odd(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, Any]]:
            got.append((yield))
            kind = memoryview if len(got) % 2 else bytearray
            return got[-1][:1], kind(got[-1])[1:]

    decoder = decoder_factory(protocol_type(Odd()), 100)()
    decoder.feed(b"abc")
    assert list(drain(decoder)) == [b"a", b"b", b"c"]
    assert got == [b"abc", b"bc", b"c"]
    assert {type(data) for data in got} == {bytes}


@pytest.mark.parametrize("size", [3, 5000])
def test_a_remainder_need_not_be_what_was_received(size: int) -> None:
    class Upper(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            data = yield
            while len(data) < size:
                data += yield
            return data[:size], data[size:].upper()

    decoder = decoder_factory(StreamProtocol(Upper()), 100_000)()
    decoder.feed(b"x" * 2 * size + b"yz")
    first, second = drain(decoder)
    assert first == b"x" * size
    assert second.lower() == first
    decoder.feed(b"." * size)
    (third,) = drain(decoder)
    assert third.lower() == b"yz" + b"." * (size - 2)


def test_what_a_generator_yields_is_ignored() -> None:
    class Talkative(LengthPrefix):
        def incremental_deserialize(self) -> Generator[Any, bytes, tuple[bytes, bytes]]:
            data = yield (b"packet", b"remaining")
            data += yield [b"packet"]
            return data, b""

    decoder = decoder_factory(StreamProtocol(Talkative()), 100)()
    for chunk in (b"a", b"b", b"c"):
        decoder.feed(chunk)
        assert list(drain(decoder)) == ([b"ab"] if chunk == b"b" else [])
    assert decoder.pending == 1


@pytest.mark.parametrize("protocol_type", [StreamProtocol, ProtocolByGenerators])
def test_a_generator_of_a_serializer_that_fails_before_it_has_asked_for_bytes_keeps_them(
    protocol_type: ProtocolType,
) -> None:
    class Broken(LengthPrefix):
        error: Exception | None = None

        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            if self.error is not None:
                raise self.error
            return b"without bytes", b""
            yield

    serializer = Broken()
    decoder = decoder_factory(protocol_type(serializer), 100)()
    decoder.feed(b"\x04kept")
    for error, cause in [
        (None, StopIteration),
        (ZeroDivisionError(), ZeroDivisionError),
        (IncrementalDeserializeError("bad", b"elsewhere"), StreamProtocolParseError),
        (DeserializeError("bad"), RuntimeError),
    ]:
        serializer.error = error
        with pytest.raises(RuntimeError) as info:
            decoder.next_packet()
        assert isinstance(info.value.__cause__, cause)
    Broken.incremental_deserialize = LengthPrefix.incremental_deserialize  # type: ignore[method-assign]
    decoder = decoder_factory(protocol_type(serializer), 100)()
    decoder.feed(b"\x04kept")
    assert decoder.next_packet() == b"kept"


@pytest.mark.parametrize("protocol_type", [StreamProtocol, ProtocolByGenerators])
def test_the_next_generator_is_not_started_before_the_next_packet_is_asked_for(protocol_type: ProtocolType) -> None:
    """Its first instructions may depend on what the handler did with the last packet."""
    started = 0

    class Counting(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            nonlocal started
            started += 1
            return (yield from super().incremental_deserialize())

    decoder = decoder_factory(protocol_type(Counting()), 100)()
    decoder.feed(b"\x01a\x01b\x01c")
    for i, packet in enumerate([b"a", b"b", b"c"], 1):
        assert decoder.next_packets(100) == [packet]
        assert started == i
    assert decoder.next_packets(100) == []
    assert started == 3


def test_a_decoder_says_when_it_has_used_all_bytes() -> None:
    decoder = decoder_factory(StreamProtocol(LengthPrefix()), 100)()
    decoder.feed(b"\x01a\x01b")
    decoder.feed(b"\x01c")
    drained = []
    for packet in (b"a", b"b", b"c"):
        assert decoder.next_packets(100) == [packet]
        drained.append(decoder.drained)
    assert drained == [False, False, True]


@pytest.mark.parametrize("max_recv_size", [3, 100])
def test_a_chunk_that_is_one_packet_is_returned_at_once(max_recv_size: int) -> None:
    decoder = decoder_factory(StreamProtocol(LengthPrefix()), max_recv_size)()
    assert decoder.take_single(b"\x02ab") == b"ab"
    assert not decoder.holds_input
    assert decoder.take_single(b"\x02c") is NEED_DATA
    assert decoder.next_packets(100) == []
    assert decoder.pending == 2
    assert decoder.take_single(b"d") == b"cd"
    with pytest.raises(StreamProtocolParseError):
        decoder.take_single(b"\x02!a")
    assert decoder.take_single(b"\x01e") == b"e"
    with pytest.raises(RuntimeError):
        decoder.take_single(b"\x02?a")
    with pytest.raises(FramingLostError):
        decoder.take_single(b"\x01e")


@pytest.mark.parametrize("max_recv_size", [3, 100])
def test_a_chunk_of_several_packets_is_not_returned_at_once(max_recv_size: int) -> None:
    decoder = decoder_factory(StreamProtocol(LengthPrefix()), max_recv_size)()
    assert decoder.take_single(b"\x01a\x01b\x01") is NEED_DATA
    assert decoder.holds_input
    decoder.feed(b"c")
    assert decoder.take_single(b"\x01d") is NEED_DATA
    assert list(drain(decoder, 100)) == [b"a", b"b", b"c", b"d"]
    assert decoder.take_single(b"\x01a\x01b") is NEED_DATA
    decoder.clear()
    assert not decoder.holds_input
    assert decoder.take_single(b"\x01e") == b"e"


def test_a_generator_that_ignores_its_end_is_reported() -> None:
    class Stubborn(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            try:
                yield
                yield
            except GeneratorExit:
                yield
            return b"", b""

    decoder = decoder_factory(StreamProtocol(Stubborn()), 100)()
    decoder.feed(b"a")
    assert decoder.next_packet() is NEED_DATA
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        decoder.clear()
    assert not decoder.holds_input
    assert decoder.next_packet() is NEED_DATA


@pytest.mark.parametrize("converter", [None, Same()])
def test_a_packet_is_freed_before_the_next_one(converter: Any) -> None:
    class Packet:
        pass

    class Packets(LengthPrefix):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
            data = yield
            return Packet(), data[1:]

    decoder = decoder_factory(StreamProtocol(Packets(), converter), 100)()
    decoder.feed(b"ab")
    for _ in range(2):
        packet = weakref.ref(decoder.next_packet())
        assert packet() is None


@pytest.mark.parametrize("chunk", [b"\x01a", b"\x01a\x05b", b"\x01a\x02!."])
def test_a_decoder_is_freed_without_the_garbage_collector(chunk: bytes) -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(LengthPrefix())
    freed = weakref.ref(protocol)  # the generators of the decoder refer to it
    decoder = decoder_factory(protocol, 100)()
    decoder.feed(chunk)
    collect = gc.isenabled()
    gc.disable()
    try:
        assert len(list(drain(decoder))) == chunk.count(b"!") + 1
        del protocol, decoder
        assert freed() is None
    finally:
        if collect:
            gc.enable()


# --- linear time


class Measured(BufferedIncrementalPacketSerializer[int, int, bytearray]):
    """Two bytes with the size of what follows. Counts the bytes that its generators get; a packet is its size."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def incremental_serialize(self, packet: int) -> Generator[bytes]:
        yield packet.to_bytes(3) + b"x" * packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[int, bytes]]:
        data = yield
        self.got.append(len(data))
        while len(data) < 3 or len(data) < 3 + int.from_bytes(data[:3]):
            more = yield
            self.got.append(len(more))
            data += more
        size = int.from_bytes(data[:3])
        return size, data[3 + size :]

    def create_deserializer_buffer(self, sizehint: int) -> bytearray:
        return bytearray(200_000)

    def buffered_incremental_deserialize(self, buffer: bytearray) -> Generator[int, int, tuple[int, memoryview]]:
        received = 0
        while received < 3 or received < 3 + int.from_bytes(buffer[:3]):
            self.got.append((yield received))
            received += self.got[-1]
        size = int.from_bytes(buffer[:3])
        return size, memoryview(buffer)[3 + size : received]


@pytest.mark.parametrize(
    "sizes",
    [
        [30] * 2000,
        [3000] * 40,
        [50_000, *([30] * 500), 100_000, *([30] * 500)],
        [*([30] * 9), 4094, 4095, 4096, 10_000],
    ],
    ids=["small", "medium", "large and small", "mixed"],
)
@pytest.mark.parametrize("kind", [StreamProtocol, ProtocolByGenerators, BufferedStreamProtocol])
def test_the_packets_of_a_large_chunk_take_linear_time(kind: ProtocolType, sizes: list[int]) -> None:
    serializer = Measured()
    stream = b"".join(piece for size in sizes for piece in serializer.incremental_serialize(size))
    for chunks in ([stream], cut(stream, [65_536]), cut(stream, [100, 40_000])):
        serializer.got.clear()
        assert decode(kind(serializer), chunks, max_recv_size=262_144) == sizes
        # For each packet, at most as many bytes again, and a first piece. So many are copied, too.
        assert sum(serializer.got) <= 3 * len(stream) + 4096 * len(sizes)
    serializer.got.clear()
    assert decode(kind(serializer), [stream], max_recv_size=262_144) == sizes
    assert len(serializer.got) <= sum(max(size // 4096, 1).bit_length() + 2 for size in sizes)


# --- by buffer


@pytest.mark.parametrize("buffer", [bytearray(), memoryview(b"read-only"), b"read-only", memoryview(bytearray())])
def test_an_empty_or_read_only_buffer_is_refused(buffer: Any) -> None:
    def build(_: Any) -> Generator[int | None, int, tuple[Any, Any]]:
        yield None
        raise AssertionError

    decoder = buffer_decoder(build, lambda _: buffer)
    with pytest.raises(ValueError, match="buffer"):
        decoder.get_buffer()
    decoder.feed(b"abc")
    with pytest.raises(ValueError, match="buffer"):
        decoder.next_packet()


@pytest.mark.parametrize(
    ("position", "where"), [(None, 0), (0, 0), (3, 3), (-2, 6), (-8, 0), (-100, 0)], ids=lambda value: str(value)
)
def test_bytes_are_written_where_the_generator_says(position: int | None, where: int) -> None:
    def build(buffer: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        buffer[:] = b"........"
        nbytes = yield position
        return (nbytes, bytes(buffer)), b""

    expected = (2, b"." * where + b"ab" + b"." * (6 - where))
    decoder = buffer_decoder(build)
    assert len(decoder.get_buffer()) == 8 - where
    receive(decoder, b"ab")
    assert decoder.next_packet() == expected
    decoder.feed(b"ab")
    assert decoder.next_packet() == expected


def test_positions_count_bytes_whatever_the_items_of_the_buffer() -> None:
    def build(buffer: memoryview) -> Generator[int | None, int, tuple[Any, Any]]:
        first = yield 2
        second = yield -6
        return (first, second, bytes(buffer)), b""

    decoder = buffer_decoder(build, lambda _: memoryview(bytearray(16)).cast("I"))
    assert decoder.get_buffer().nbytes == 14
    receive(decoder, b"abc")
    assert decoder.next_packet() is NEED_DATA
    assert len(decoder.get_buffer()) == 6
    receive(decoder, b"yz")
    assert decoder.next_packet() == (3, 2, b"\0\0abc\0\0\0\0\0yz\0\0\0\0")


@pytest.mark.parametrize("position", [8, 9, 1000])
def test_a_position_at_the_end_of_the_buffer_is_a_crash_and_not_the_end_of_the_stream(position: int) -> None:
    def build(_: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        yield position
        raise AssertionError

    decoder = buffer_decoder(build)
    with pytest.raises(RuntimeError):
        decoder.get_buffer()
    decoder.feed(b"a")
    with pytest.raises(RuntimeError):
        decoder.next_packet()


def test_a_later_position_at_the_end_of_the_buffer_is_a_crash_too() -> None:
    def build(_: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        yield 0
        yield 8
        raise AssertionError

    decoder = buffer_decoder(build)
    decoder.feed(b"a")
    with pytest.raises(RuntimeError):
        decoder.next_packet()
    with pytest.raises(FramingLostError):
        decoder.next_packet()


def test_a_generator_that_finishes_before_it_has_asked_for_bytes_is_a_crash() -> None:
    def build(_: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        return b"", b""
        yield

    decoder = buffer_decoder(build)
    with pytest.raises(RuntimeError):
        decoder.get_buffer()
    decoder.feed(b"a")
    with pytest.raises(RuntimeError):
        decoder.next_packet()


def test_the_buffer_is_used_again_for_the_next_packet() -> None:
    buffers: list[bytearray] = []

    def build(buffer: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        buffers.append(buffer)
        nbytes = yield None
        return bytes(buffer[:nbytes]), b""

    decoder = buffer_decoder(build)
    for packet in (b"one", b"two", b"three"):
        receive(decoder, packet)
        assert decoder.next_packet() == packet
    assert len({id(buffer) for buffer in buffers}) == 1


@pytest.mark.parametrize("start", [None, 0, 1, -3])
def test_a_remainder_is_already_there_for_the_next_generator_at_its_own_start(start: int | None) -> None:
    """Also if it is a view of the very buffer that is used again."""
    told: list[int] = []

    def build(buffer: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        nbytes = yield start
        told.append(nbytes)
        offset = start if start is not None and start >= 0 else (8 + start if start else 0)
        received = memoryview(buffer)[offset : offset + nbytes]
        return bytes(received[:1]), received[1:]

    decoder = buffer_decoder(build)
    receive(decoder, b"abc")
    assert [decoder.next_packet() for _ in range(4)] == [b"a", b"b", b"c", NEED_DATA]
    assert told == [3, 2, 1]


def test_a_remainder_is_told_of_together_with_new_bytes_or_before_them() -> None:
    def build(buffer: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        received = 0
        while received < 3:
            received += yield received
        view = memoryview(buffer)
        return bytes(view[:3]), view[3:received]

    decoder = buffer_decoder(build)
    receive(decoder, b"abcde")
    assert decoder.next_packet() == b"abc"
    assert decoder.next_packet() is NEED_DATA
    receive(decoder, b"fgh")
    assert decoder.next_packet() == b"def"
    assert decoder.next_packet() is NEED_DATA
    receive(decoder, b"i")
    assert decoder.next_packet() == b"ghi"


def test_a_parse_error_leaves_its_remainder_for_the_next_packet() -> None:
    def build(buffer: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        nbytes = yield None
        remaining = memoryview(buffer)[1:nbytes]
        if buffer.startswith(b"!"):
            raise StreamProtocolParseError(remaining, IncrementalDeserializeError("bad", remaining))
        return bytes(buffer[:1]), remaining

    decoder = buffer_decoder(build)
    receive(decoder, b"a!b")
    assert decoder.next_packet() == b"a"
    with pytest.raises(StreamProtocolParseError):
        decoder.next_packet()
    assert decoder.next_packet() == b"b"


def test_a_remainder_larger_than_the_room_at_the_next_start_is_written_in_pieces() -> None:
    told: list[int] = []

    def build(buffer: bytearray) -> Generator[int | None, int, tuple[Any, Any]]:
        if not told:
            told.append((yield 0))
            return b"first", bytes(buffer)
        data = b""
        while len(data) < 8:
            nbytes = yield 5
            told.append(nbytes)
            data += bytes(buffer[5 : 5 + nbytes])
        return data, b""

    decoder = buffer_decoder(build)
    receive(decoder, b"abcdefgh")
    assert decoder.next_packet() == b"first"
    assert decoder.next_packet() == b"abcdefgh"
    assert told == [8, 3, 3, 2]


def test_what_was_received_in_between_comes_after_what_was_fed() -> None:
    decoder: Any = decoder_factory(BufferedProtocolByGenerators(LengthPrefix()), 100)()
    decoder.feed(b"\x03ab")
    assert decoder.next_packet() is NEED_DATA
    receive(decoder, b"c\x01")
    assert decoder.next_packet() == b"abc"
    decoder.feed(b"d\x02e")
    assert decoder.next_packet() == b"d"
    assert decoder.next_packet() is NEED_DATA
    receive(decoder, b"f")
    assert decoder.next_packet() == b"ef"


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(
    packets=st.lists(st.binary(max_size=30).filter(lambda data: data[:1] not in (b"!", b"?")), max_size=10),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    direct=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_fed_and_directly_received_bytes_give_the_same_packets(
    packets: list[bytes], cuts: list[int], direct: list[bool]
) -> None:
    decoder: Any = decoder_factory(BufferedProtocolByGenerators(LengthPrefix()), 100)()
    stream = b"".join(bytes([len(packet)]) + packet for packet in packets)
    result: list[Any] = []
    for i, chunk in enumerate(cut(stream, cuts)):
        if direct[i % len(direct)]:
            receive(decoder, chunk)
        else:
            decoder.feed(chunk)
        result += drain(decoder)
    assert result == packets
