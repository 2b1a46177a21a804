"""What type checkers infer about serializers, converters and protocols.

mypy and pyright check each ``assert_type``; pytest runs it, and compares the packet that has this type.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, NamedTuple, assert_type

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from tests.typing.thermometer import Reading, Verdict, client_converter, server_converter

from easynetwork.converter import StapledPacketConverter
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import (
    CBORSerializer,
    JSONSerializer,
    MessagePackSerializer,
    MsgspecJSONSerializer,
    MsgspecMessagePackSerializer,
    NamedTupleStructSerializer,
    PickleSerializer,
    ProtobufSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.base_stream import AutoSeparatedPacketSerializer
from easynetwork.serializers.composite import (
    StapledBufferedIncrementalPacketSerializer,
    StapledIncrementalPacketSerializer,
    StapledPacketSerializer,
)
from easynetwork.serializers.framing import (
    CountedBodyFrames,
    CutFrames,
    LengthPrefixedFrames,
    SlipFrames,
    parse_decimal,
)
from easynetwork.serializers.wrapper import (
    Base64EncoderSerializer,
    BZ2CompressorSerializer,
    ChecksumSerializer,
    FramedSerializer,
    LZ4CompressorSerializer,
    ZlibCompressorSerializer,
    ZstdCompressorSerializer,
)


class Point(NamedTuple):
    x: int
    y: int


class HexSerializer(AutoSeparatedPacketSerializer[int, bytes]):
    """Sends numbers, and receives bytes."""

    def serialize(self, packet: int) -> bytes:
        return b"%x" % packet

    def deserialize(self, data: bytes) -> bytes:
        return data


def test_serializers_know_their_packets() -> None:
    assert_type(StringLineSerializer().deserialize(b"hot"), str)
    assert_type(StructSerializer("!i").deserialize(bytes(4)), tuple[Any, ...])
    assert_type(HexSerializer(b";").deserialize(b"1f"), bytes)
    assert_type(list(HexSerializer(b";").incremental_serialize(31)), list[bytes])
    assert_type(HexSerializer(b";").incremental_deserialize(), Generator[None, bytes, tuple[bytes, bytes]])

    points = NamedTupleStructSerializer(Point, {"x": "i", "y": "i"})
    assert_type(points, NamedTupleStructSerializer[Point])
    point = points.deserialize(points.serialize(Point(1, 2)))
    assert_type(point, Point)
    assert point == Point(1, 2)


def test_serializers_of_plain_data_promise_nothing() -> None:
    assert_type(JSONSerializer().deserialize(b"1"), Any)
    assert_type(CBORSerializer().deserialize(b"\x01"), Any)
    assert_type(MessagePackSerializer().deserialize(b"\x01"), Any)
    assert_type(PickleSerializer().deserialize(PickleSerializer().serialize(1)), Any)


class Get(msgspec.Struct, tag="get"):
    key: str


class Put(msgspec.Struct, tag="put"):
    key: str
    value: int


class Value(msgspec.Struct):
    value: int | None


def test_serializers_of_typed_data_have_the_type() -> None:
    assert_type(MsgspecJSONSerializer(Value), MsgspecJSONSerializer[Value, Value])
    assert_type(MsgspecMessagePackSerializer(list[Value]), MsgspecMessagePackSerializer[list[Value], list[Value]])
    assert_type(StreamProtocol(MsgspecJSONSerializer(Value)), StreamProtocol[Value, Value])
    value = MsgspecJSONSerializer(Value).deserialize(b'{"value":1}')
    assert_type(value, Value)
    assert value == Value(1)


def test_serializers_of_typed_data_may_send_another_type() -> None:
    server = MsgspecJSONSerializer[Get | Put, Value](Get | Put)
    assert_type(StreamProtocol(server), StreamProtocol[Value, Get | Put])
    request = server.deserialize(b'{"type":"get","key":"a"}')
    assert_type(request, Get | Put)
    assert request == Get("a")
    assert server.serialize(Value(1)) == b'{"value":1}'

    client: StreamProtocol[Get | Put, Value] = StreamProtocol(MsgspecMessagePackSerializer(Value))
    assert list(client.generate_chunks(Get("a")))
    of_unions: StreamProtocol[Get | Put, Get | Put] = StreamProtocol(MsgspecJSONSerializer(Get | Put))
    assert list(of_unions.generate_chunks(Get("a")))


def test_serializers_of_messages_have_their_types() -> None:
    assert_type(ProtobufSerializer(Timestamp), ProtobufSerializer[Timestamp, Timestamp])
    both = ProtobufSerializer(Timestamp, Duration)
    assert_type(both, ProtobufSerializer[Timestamp, Duration])
    assert_type(StreamProtocol(both), StreamProtocol[Duration, Timestamp])
    message = both.deserialize(b"")
    assert_type(message, Timestamp)
    assert message == Timestamp()


def test_wrappers_have_the_packets_of_what_they_wrap() -> None:
    assert_type(Base64EncoderSerializer(HexSerializer(b";")), Base64EncoderSerializer[int, bytes])
    assert_type(BZ2CompressorSerializer(HexSerializer(b";")), BZ2CompressorSerializer[int, bytes])
    assert_type(ZstdCompressorSerializer(HexSerializer(b";")), ZstdCompressorSerializer[int, bytes])
    assert_type(LZ4CompressorSerializer(HexSerializer(b";")), LZ4CompressorSerializer[int, bytes])
    zlib = ZlibCompressorSerializer(HexSerializer(b";"))
    assert_type(zlib, ZlibCompressorSerializer[int, bytes])
    packet = zlib.deserialize(zlib.serialize(31))
    assert_type(packet, bytes)
    assert packet == b"1f"


def test_frames_and_checksums_have_the_packets_of_what_they_wrap() -> None:
    checked = ChecksumSerializer(HexSerializer(b";"), "crc32c")
    assert_type(checked, ChecksumSerializer[int, bytes])
    framed = FramedSerializer(checked, LengthPrefixedFrames(4, "little"))
    assert_type(framed, FramedSerializer[int, bytes])
    assert_type(StreamProtocol(framed), StreamProtocol[int, bytes])
    buffered = BufferedStreamProtocol(framed)
    assert_type(buffered, BufferedStreamProtocol[int, bytes, bytearray | memoryview])
    packet = framed.deserialize(framed.serialize(31))
    assert_type(packet, bytes)
    assert packet == b"1f"


def cut_by_first_byte(data: bytes, start: int) -> int:
    return start + 1 + data[start]


def test_framings_are_values_with_typed_fields() -> None:
    assert_type(CutFrames(cut_by_first_byte).limit, int)
    assert_type(CountedBodyFrames(parse_decimal).count, Callable[[bytes], int | None])
    assert_type(LengthPrefixedFrames(2).byteorder, Literal["big", "little"])
    assert_type(SlipFrames().wrap(b"a"), bytes)


def test_a_stapled_serializer_can_do_what_both_can() -> None:
    one_shot: AbstractPacketSerializer[Any, Any] = PickleSerializer()
    assert_type(StapledPacketSerializer(HexSerializer(b";"), one_shot), StapledPacketSerializer[int, Any])

    compressed = ZlibCompressorSerializer(HexSerializer(b";"))
    stapled = StapledPacketSerializer(StringLineSerializer(), compressed)
    assert_type(stapled, StapledBufferedIncrementalPacketSerializer[str, bytes, memoryview])
    assert isinstance(stapled, StapledIncrementalPacketSerializer)
    assert_type(stapled.create_deserializer_buffer(1), memoryview)
    packet = stapled.deserialize(compressed.serialize(31))
    assert_type(packet, bytes)
    assert packet == b"1f"


def test_a_stapled_converter_has_both_directions() -> None:
    converter = client_converter()
    assert_type(converter, StapledPacketConverter[Reading, Verdict, str, str])
    assert_type(converter.convert_to_dto_packet(Reading(31)), str)
    verdict = converter.create_from_dto_packet("hot")
    assert_type(verdict, Verdict)
    assert verdict == Verdict("hot")


def test_a_protocol_has_the_packets_of_its_serializer() -> None:
    assert_type(DatagramProtocol(HexSerializer(b";")), DatagramProtocol[int, bytes])
    assert_type(StreamProtocol(HexSerializer(b";")), StreamProtocol[int, bytes])
    assert_type(BufferedStreamProtocol(HexSerializer(b";")), BufferedStreamProtocol[int, bytes, bytearray | memoryview])


def test_a_protocol_has_the_packets_of_its_converter() -> None:
    lines = StringLineSerializer()
    assert_type(StreamProtocol(lines, client_converter()), StreamProtocol[Reading, Verdict])
    assert_type(
        BufferedStreamProtocol(lines, client_converter()),
        BufferedStreamProtocol[Reading, Verdict, bytearray | memoryview],
    )
    client = DatagramProtocol(lines, client_converter())
    assert_type(client, DatagramProtocol[Reading, Verdict])
    server = DatagramProtocol(lines, server_converter())
    assert_type(server, DatagramProtocol[Verdict, Reading])
    reading = server.build_packet_from_datagram(client.make_datagram(Reading(31)))
    assert_type(reading, Reading)
    assert reading == Reading(31)
