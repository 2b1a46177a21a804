"""Whatever generator a user has replaced, and wherever, is the one that runs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.support.framing_cases import Block, Framed, LengthPrefix, Line, decode

from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import IncrementalDeserializeError, PacketConversionError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
from easynetwork.serializers.framing import CutFrames, FrameFormat, LengthPrefixedFrames, NetstringFrames
from easynetwork.serializers.line import StringLineSerializer


class ShoutingReader(BufferedIncrementalPacketSerializer[Any, Any, Any]):
    """A mixin that changes what is received."""

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        packet, remaining = yield from super().incremental_deserialize()  # type: ignore[safe-super]  # a mixin
        return packet.upper(), remaining

    def buffered_incremental_deserialize(self, buffer: Any) -> Generator[int | None, int, tuple[Any, Any]]:
        packet, remaining = yield from super().buffered_incremental_deserialize(buffer)  # type: ignore[safe-super]  # a mixin
        return packet.upper(), remaining


class ShoutingWriter(BufferedIncrementalPacketSerializer[Any, Any, Any]):
    """A mixin that changes what is sent."""

    def incremental_serialize(self, packet: Any) -> Generator[bytes]:
        for chunk in super().incremental_serialize(packet):  # type: ignore[safe-super]  # a mixin
            yield chunk.upper()


class ShoutingLine(ShoutingReader, ShoutingWriter, Line):
    pass


class ShoutingBlock(ShoutingReader, ShoutingWriter, Block):
    pass


class ShoutingFramed(ShoutingReader, ShoutingWriter, Framed):
    pass


class ShoutingString(ShoutingReader, ShoutingWriter, StringLineSerializer):
    pass


class ShoutingPrefix(ShoutingReader, ShoutingWriter, LengthPrefix):  # type: ignore[misc]  # the mixin knows no buffer type
    pass


CASES: list[tuple[Any, Any]] = [
    (ShoutingLine(b"\n"), b"abc"),
    (ShoutingBlock(3), b"abc"),
    (ShoutingFramed(LengthPrefixedFrames(1)), b"abc"),
    (ShoutingString(), "abc"),
    (ShoutingPrefix(), b"abc"),
]


@pytest.mark.parametrize(("serializer", "packet"), CASES)
@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
def test_a_mixin_before_our_classes_is_honoured(
    serializer: Any, packet: Any, protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]]
) -> None:
    protocol = protocol_type(serializer)
    base: Any = type(serializer).__mro__[3]
    quiet = b"".join(base.incremental_serialize(serializer, packet))
    assert packet_encoder(protocol)(packet) == quiet.upper()
    assert decode(protocol, [quiet, quiet]) == [packet.upper()] * 2


@pytest.mark.parametrize("base", [Line(b"\n"), Block(3), Framed(NetstringFrames()), StringLineSerializer()])
@pytest.mark.parametrize("method", ["incremental_deserialize", "buffered_incremental_deserialize"])
def test_a_subclass_that_replaces_one_generator_is_honoured_on_that_way_only(base: Any, method: str) -> None:
    class Replaced(type(base)):  # type: ignore[misc]  # the base is a parameter
        calls = 0

    def replaced(self: Any, *args: Any) -> Any:
        Replaced.calls += 1
        return (yield from getattr(type(base), method)(self, *args))

    setattr(Replaced, method, replaced)
    if isinstance(base, Block):
        serializer, data = Replaced(3), b"abc"
    elif isinstance(base, Framed):
        serializer, data = Replaced(NetstringFrames()), b"2:ab,"
    else:
        serializer, data = Replaced(b"\n") if isinstance(base, Line) else Replaced(), b"ab\n"
    by_chunks: StreamProtocol[Any, Any] = StreamProtocol(serializer)
    by_buffer: BufferedStreamProtocol[Any, Any, Any] = BufferedStreamProtocol(serializer)
    decode(by_chunks if method.startswith("inc") else by_buffer, [data])
    assert Replaced.calls == 1
    decode(by_buffer if method.startswith("inc") else by_chunks, [data])
    assert Replaced.calls == 1


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
def test_a_generator_set_on_the_object_is_honoured(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]],
) -> None:
    serializer: Any = Line(b"\n")
    original, original_buffered = serializer.incremental_deserialize, serializer.buffered_incremental_deserialize

    def shout() -> Any:
        packet, remaining = yield from original()
        return packet.upper(), remaining

    def shout_buffered(buffer: Any) -> Any:
        packet, remaining = yield from original_buffered(buffer)
        return packet.upper(), remaining

    def serialize(packet: bytes) -> Any:
        yield packet.upper()

    serializer.incremental_deserialize = shout
    serializer.buffered_incremental_deserialize = shout_buffered
    serializer.incremental_serialize = serialize
    protocol = protocol_type(serializer)
    assert decode(protocol, [b"abc\n"]) == [b"ABC"]
    assert packet_encoder(protocol)(b"abc") == b"ABC"


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("method", ["frame_format", "encode_frame"])
def test_framing_set_on_the_object_is_honoured(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], method: str
) -> None:
    serializer: Any = Line(b"\n")
    if method == "frame_format":
        serializer.frame_format = lambda: Line(b";").frame_format()
        assert decode(protocol_type(serializer), [b"a\n;b;"]) == [b"a\n", b"b"]
    else:
        serializer.encode_frame = lambda packet: packet + b"!"
        assert packet_encoder(protocol_type(serializer))(b"a") == b"a!"


def test_serialize_and_deserialize_set_on_the_object_are_honoured() -> None:
    serializer: Any = Line(b"\n")
    serializer.serialize = lambda packet: packet * 2
    serializer.deserialize = lambda data: data * 3
    protocol: StreamProtocol[Any, Any] = StreamProtocol(serializer)
    assert packet_encoder(protocol)(b"a") == b"aa\n"
    assert decode(protocol, [b"a\n"]) == [b"aaa"]


def test_the_generators_of_a_subclassed_protocol_are_honoured() -> None:
    class Shouting(StreamProtocol[Any, Any]):
        def generate_chunks(self, packet: Any) -> Generator[bytes]:
            for chunk in super().generate_chunks(packet):
                yield chunk.upper()

        def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[Any, bytes]]:
            packet, remaining = yield from super().build_packet_from_chunks()
            return packet.upper(), remaining

    class ShoutingBuffered(BufferedStreamProtocol[Any, Any, Any]):
        def generate_chunks(self, packet: Any) -> Generator[bytes]:
            for chunk in super().generate_chunks(packet):
                yield chunk.upper()

        def build_packet_from_buffer(self, buffer: Any) -> Generator[int | None, int, tuple[Any, Any]]:
            packet, remaining = yield from super().build_packet_from_buffer(buffer)
            return packet.upper(), remaining

    for protocol in (Shouting(Line(b"\n")), ShoutingBuffered(Line(b"\n"))):
        assert packet_encoder(protocol)(b"abc") == b"ABC\n"
        assert decode(protocol, [b"abc\n"]) == [b"ABC"]


def test_the_buffer_of_a_subclassed_protocol_is_honoured() -> None:
    class Small(BufferedStreamProtocol[Any, Any, Any]):
        made: list[int]

        def create_buffer(self, sizehint: int) -> Any:
            self.made.append(sizehint)
            return super().create_buffer(sizehint)

        def build_packet_from_buffer(self, buffer: Any) -> Generator[int | None, int, tuple[Any, Any]]:
            return (yield from super().build_packet_from_buffer(buffer))

    protocol = Small(Line(b"\n"))
    protocol.made = []
    assert decode(protocol, [b"a\n", b"b\n", b"c\n"], max_recv_size=77) == [b"a", b"b", b"c"]
    assert protocol.made == [77]


def test_a_serializer_that_makes_nothing_sends_nothing() -> None:
    class Silent(LengthPrefix):
        def incremental_serialize(self, packet: bytes) -> Generator[bytes]:
            yield from ()

    assert packet_encoder(StreamProtocol(Silent()))(b"abc") == b""
    assert packet_encoder(StreamProtocol(Line(b"\n")))(b"") == b""


def test_what_a_serializer_raises_goes_through_the_encoder() -> None:
    encode = packet_encoder(StreamProtocol(Line(b"\n")))
    with pytest.raises(ValueError, match="separator"):
        encode(b"a\nb")


# --- converters


class IntConverter(AbstractPacketConverter[int, bytes]):
    def create_from_dto_packet(self, packet: bytes) -> int:
        if packet == b"bug":
            raise ZeroDivisionError
        try:
            return int(packet)
        except ValueError as exc:
            raise PacketConversionError("no number", {"packet": packet}) from exc

    def convert_to_dto_packet(self, obj: int) -> bytes:
        if obj < 0:
            raise PacketConversionError("negative")
        return b"%d" % obj


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("serializer", [Line(b"\n"), LengthPrefix()])
def test_a_converter_stands_on_both_ways(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], serializer: Any
) -> None:
    protocol = protocol_type(serializer, IntConverter())
    encode = packet_encoder(protocol)
    assert decode(protocol, [encode(1) + encode(23), encode(4)], batch=10) == [1, 23, 4]
    with pytest.raises(PacketConversionError):
        encode(-1)


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("serializer", [Line(b"\n"), LengthPrefix()])
def test_a_packet_that_cannot_be_converted_is_a_parse_error_and_is_consumed(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], serializer: Any
) -> None:
    plain = packet_encoder(protocol_type(serializer))
    decoder = decoder_factory(protocol_type(serializer, IntConverter()), 1024)()
    decoder.feed(plain(b"bad") + plain(b"7"))
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packet()
    assert isinstance(info.value.error, PacketConversionError)
    assert info.value.error.error_info == {"packet": b"bad"}
    assert info.value.__cause__ is info.value.error
    assert bytes(info.value.remaining_data) == plain(b"7")
    assert decoder.next_packet() == 7


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("serializer", [Line(b"\n"), LengthPrefix()])
def test_another_error_of_a_converter_is_a_crash(
    protocol_type: Callable[..., AnyStreamProtocolType[Any, Any]], serializer: Any
) -> None:
    plain = packet_encoder(protocol_type(serializer))
    decoder = decoder_factory(protocol_type(serializer, IntConverter()), 1024)()
    decoder.feed(plain(b"bug") + plain(b"7"))
    with pytest.raises(RuntimeError) as info:
        decoder.next_packet()
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    assert decoder.next_packet() == 7


def test_an_incremental_error_raised_by_deserialize_itself_is_honoured_as_an_invalid_frame() -> None:
    class Odd(Line):
        def deserialize(self, data: bytes) -> bytes:
            raise IncrementalDeserializeError("odd", b"ignored", {"why": "odd"})

    decoder = decoder_factory(StreamProtocol(Odd(b"\n")), 1024)()
    decoder.feed(b"a\nb\n")
    with pytest.raises(StreamProtocolParseError) as info:
        decoder.next_packet()
    assert bytes(info.value.remaining_data) == b"b\n"


@pytest.mark.parametrize(
    "frames", [LengthPrefixedFrames(1), CutFrames(lambda data, start: start + 4)], ids=["length", "cut"]
)
def test_a_subclass_that_encodes_frames_itself_is_honoured(frames: FrameFormat) -> None:
    class OwnFrames(Framed):
        def encode_frame(self, packet: bytes) -> bytes:
            return b"<" + super().encode_frame(packet) + b">"

    protocol: StreamProtocol[bytes, bytes] = StreamProtocol(OwnFrames(frames))
    sent = b"<" + frames.wrap(b"abc") + b">"
    assert packet_encoder(protocol)(b"abc") == sent
    assert list(protocol.generate_chunks(b"abc")) == [sent]


def test_a_converter_behind_frames() -> None:
    class Numbers(AbstractPacketConverter[int, bytes]):
        def create_from_dto_packet(self, packet: bytes) -> int:
            if not packet.isdigit():
                raise PacketConversionError("not a number")
            return int(packet)

        def convert_to_dto_packet(self, obj: int) -> bytes:
            return b"%d" % obj

    protocol: StreamProtocol[int, int] = StreamProtocol(Framed(LengthPrefixedFrames(1)), Numbers())
    assert packet_encoder(protocol)(123) == b"\x03123"
    stream = b"\x01a\x0212\x01b\x011"
    for chunks in ([stream], [stream[:3], stream[3:]]):
        results = [item[0] if isinstance(item, tuple) else item for item in decode(protocol, chunks)]
        assert results == [PacketConversionError, 12, PacketConversionError, 1]
