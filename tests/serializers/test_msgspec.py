from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded, send

from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import (
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    PacketConversionError,
    StreamProtocolParseError,
)
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, MessagePackSerializer
from easynetwork.serializers.framing import (
    CobsFrames,
    FrameFormat,
    LengthPrefixedFrames,
    NetstringFrames,
    SeparatedFrames,
    VarintFrames,
)
from easynetwork.serializers.msgspec import MsgspecJSONSerializer, MsgspecMessagePackSerializer


class Item(msgspec.Struct):
    name: str
    price: float


class Order(msgspec.Struct, tag="order"):
    items: list[Item]


class Cancel(msgspec.Struct, tag="cancel"):
    number: int


class Checked(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")
        if self.number == 0:
            raise KeyError("zero")


@dataclass
class Point:
    x: int
    y: int


class Temperature:
    """A class that msgspec does not know."""

    def __init__(self, degrees: int) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Temperature) and other.degrees == self.degrees


Request: TypeAlias = Order | Cancel
PACKETS: list[Request] = [Order([Item("tea", 2.5), Item("line\nbreak", 1e9)]), Cancel(5), Order([]), Cancel(-1)]

BOTH: Any = {"JSON": MsgspecJSONSerializer, "MessagePack": MsgspecMessagePackSerializer}
both = pytest.mark.parametrize("make", BOTH.values(), ids=BOTH)
every_way = pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])


def encoded(make: Any, packet: object) -> bytes:
    """Return *packet* as a program without types writes it."""
    serializer = JSONSerializer() if make is MsgspecJSONSerializer else MessagePackSerializer()
    return serializer.serialize(packet)


@both
@pytest.mark.parametrize(
    ("type", "packet", "plain"),
    [
        (Request, Cancel(5), {"type": "cancel", "number": 5}),
        (list[Item], [Item("tea", 2.5)], [{"name": "tea", "price": 2.5}]),
        (Point, Point(1, 2), {"x": 1, "y": 2}),
        (dict[str, int | None], {"a": 1, "b": None}, {"a": 1, "b": None}),
        (Any, [1, "a", {}], [1, "a", {}]),
    ],
)
def test_packets_have_the_type(make: Any, type: Any, packet: Any, plain: Any) -> None:
    serializer = make(type)
    assert serializer.deserialize(encoded(make, plain)) == packet
    assert serializer.serialize(packet) == encoded(make, plain)


@both
@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_packets_follow_each_other_in_a_stream(make: Any, receive_all: Any, size: int) -> None:
    serializer = make(Request)
    assert receive_all(serializer, pieces(send(serializer, PACKETS), size)) == PACKETS


def test_json_is_sent_as_lines() -> None:
    serializer = MsgspecJSONSerializer[Request](Request)
    assert [json.loads(line) for line in send(serializer, PACKETS).splitlines()] == [
        {"type": "order", "items": [{"name": "tea", "price": 2.5}, {"name": "line\nbreak", "price": 1e9}]},
        {"type": "cancel", "number": 5},
        {"type": "order", "items": []},
        {"type": "cancel", "number": -1},
    ]
    assert receive(serializer, [b' {"type": "cancel", "number": 5} \r\n']) == [Cancel(5)]


def test_messagepack_is_sent_with_its_length() -> None:
    data = MsgspecMessagePackSerializer[Request](Request).serialize(PACKETS[0])
    assert send(MsgspecMessagePackSerializer[Request](Request), PACKETS[:1]) == len(data).to_bytes(4, "big") + data


@both
@every_way
@pytest.mark.parametrize("frames", [LengthPrefixedFrames(2), NetstringFrames(), VarintFrames(), CobsFrames()])
def test_any_frames_may_be_used(make: Any, receive_all: Any, frames: FrameFormat) -> None:
    serializer = make(Request, frames=frames)
    assert serializer.frame_format() is frames
    sent = send(serializer, PACKETS)
    assert sent == b"".join(frames.wrap(serializer.serialize(packet)) for packet in PACKETS)
    assert receive_all(serializer, pieces(sent, 5)) == PACKETS


@both
def test_datagrams_have_no_frame(make: Any) -> None:
    protocol: DatagramProtocol[Any, Any] = DatagramProtocol(make(Request))
    assert protocol.make_datagram(Cancel(5)) == make(Request).serialize(Cancel(5))
    assert protocol.build_packet_from_datagram(protocol.make_datagram(Cancel(5))) == Cancel(5)


@pytest.mark.parametrize("raw", [b"1\n2", b"[1,\n2]", b"\n", b'{"a":\r\n1}'])
def test_line_never_contains_a_newline(raw: bytes) -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(MsgspecJSONSerializer(Any))
    with_hook: StreamProtocol[Any, Any] = StreamProtocol(
        MsgspecJSONSerializer(Any, enc_hook=lambda _: msgspec.Raw(raw))
    )
    encode = packet_encoder(protocol)
    for packet in (msgspec.Raw(raw), [msgspec.Raw(raw)]):
        with pytest.raises(ValueError, match="separator"):
            encode(packet)
    assert encode(msgspec.Raw(b"1")) == b"1\n"
    with pytest.raises(ValueError, match="separator"):
        packet_encoder(with_hook)(object())
    assert send(MsgspecJSONSerializer(Any, frames=LengthPrefixedFrames(1)), [msgspec.Raw(raw)]).endswith(raw)


INVALID: list[tuple[Any, str]] = [
    ({"type": "order", "items": [{"name": "tea", "price": "cheap"}]}, "$.items[0].price"),
    ({"type": "order", "items": [{"name": "tea", "price": 1}, {"name": "milk"}]}, "$.items[1]"),
    ({"type": "pay"}, "$.type"),
    ({"type": "cancel", "number": 1.5}, "$.number"),
    ({"number": 1}, "type"),
    ([], "Expected `object`, got `array`"),
]


@both
@pytest.mark.parametrize(("plain", "text"), INVALID)
@pytest.mark.parametrize("debug", [False, True])
def test_packet_of_another_type_is_invalid_and_the_message_says_where(
    make: Any, plain: Any, text: str, debug: bool
) -> None:
    data = encoded(make, plain)
    with pytest.raises(DeserializeError) as caught:
        make(Request, debug=debug).deserialize(data)
    assert text in str(caught.value)
    assert isinstance(caught.value.__cause__, msgspec.ValidationError)
    assert caught.value.error_info == ({"data": data} if debug else None)


@both
@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_stream_goes_on_after_invalid_packets(make: Any, receive_all: Any, size: int) -> None:
    serializer = make(Request)
    bad = [serializer.frame_format().wrap(encoded(make, plain)) for plain, _ in INVALID]
    good = [send(serializer, [packet]) for packet in PACKETS]
    sent = good[0] + bad[0] + bad[1] + good[1] + b"".join(bad[2:]) + good[2] + good[3]
    results = receive_all(serializer, pieces(sent, size))
    assert [result for result in results if not isinstance(result, Exception)] == PACKETS
    refused = [result.error for result in results if isinstance(result, StreamProtocolParseError)]
    assert [type(error) for error in refused] == [IncrementalDeserializeError] * len(INVALID)
    for error, (_, text) in zip(refused, INVALID, strict=True):
        assert text in str(error)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"type":', b"[1] 2", b"nul", b'"\xff"', b"\xff", b'"\\ud800"', b"NaN", b"[" * 100_000]
)
def test_malformed_json_is_invalid(data: bytes) -> None:
    types: Any = (Any, list[str], Request)
    for type in types:
        with pytest.raises(DeserializeError) as caught:
            MsgspecJSONSerializer(type).deserialize(data)
        assert str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x92\x01", b"\x01\x02", b"\xa1\xff", b"\x81\x81\x01\x01\x01", b"\x91" * 100_000]
)
def test_malformed_messagepack_is_invalid(data: bytes) -> None:
    types: Any = (Any, list[str], Request)
    for type in types:
        with pytest.raises(DeserializeError) as caught:
            MsgspecMessagePackSerializer(type).deserialize(data)
        assert str(caught.value)


@both
@every_way
def test_packets_have_a_limit(make: Any, receive_all: Any) -> None:
    serializer = make(str, limit=10)
    frame = serializer.frame_format().wrap
    within, above = (encoded(make, "x" * count) for count in ((7, 9) if make is MsgspecJSONSerializer else (9, 10)))
    for size in (1, 100):
        refused, packet = receive_all(serializer, pieces(frame(above) + frame(within), size))
        assert type(refused.error) is LimitOverrunError
        assert set(packet) == {"x"}
    assert make(str).frame_format().limit == 64 * 1024


@both
def test_strict_is_obeyed(make: Any) -> None:
    with pytest.raises(DeserializeError):
        make(int).deserialize(encoded(make, "1"))
    assert make(int, strict=False).deserialize(encoded(make, "1")) == 1


@both
def test_hooks_convert_what_msgspec_does_not_know(make: Any) -> None:
    def enc_hook(obj: Any) -> int:
        assert isinstance(obj, Temperature)
        return obj.degrees

    serializer = make(
        list[Temperature], enc_hook=enc_hook, dec_hook=lambda type, obj: type(obj), frames=LengthPrefixedFrames(2)
    )
    packet = [Temperature(20), Temperature(-1)]
    assert receive(serializer, [send(serializer, [packet])]) == [packet]
    with pytest.raises(TypeError):
        make(list[Temperature]).serialize(packet)


def test_extensions_of_messagepack_are_converted() -> None:
    serializer = MsgspecMessagePackSerializer(Any, ext_hook=lambda code, data: (code, bytes(data)))
    packet: Any = serializer.deserialize(b"\xd4\x05x")
    assert packet == (5, b"x")


@both
@pytest.mark.parametrize("error", [ValueError, KeyError, EOFError])
def test_object_that_a_hook_refuses_is_invalid(make: Any, error: type[Exception]) -> None:
    def dec_hook(type: Any, obj: Any) -> Any:
        if obj:
            raise error("the hook")
        return type(obj)

    serializer = make(Temperature, dec_hook=dec_hook)
    with pytest.raises(DeserializeError, match="the hook"):
        serializer.deserialize(encoded(make, 1))
    frames = [serializer.frame_format().wrap(encoded(make, number)) for number in (0, 1, 0)]
    for receive_all in (receive, receive_buffered, receive_decoded):
        first, refused, last = receive_all(serializer, [b"".join(frames)])
        assert type(refused.error) is IncrementalDeserializeError
        assert first == last == Temperature(0)


@both
def test_hook_may_raise_the_error_itself(make: Any) -> None:
    def dec_hook(type: Any, obj: Any) -> Any:
        raise DeserializeError("no such temperature", {"degrees": obj})

    with pytest.raises(DeserializeError, match="no such temperature") as caught:
        make(Temperature, dec_hook=dec_hook).deserialize(encoded(make, 1))
    assert caught.value.error_info == {"degrees": 1}


@both
@pytest.mark.parametrize(("number", "text"), [(-1, "negative"), (0, "KeyError: 'zero'")])
def test_struct_may_refuse_its_fields(make: Any, number: int, text: str) -> None:
    with pytest.raises(DeserializeError, match=text):
        make(Checked).deserialize(encoded(make, {"number": number}))


@both
def test_subclass_that_overrides_deserialize_takes_precedence(make: Any) -> None:
    class Own(make):  # type: ignore[misc] # whichever it is
        def deserialize(self, data: bytes) -> Any:
            return "own"

    serializer = Own(Request)
    for receive_all in (receive, receive_buffered, receive_decoded):
        assert receive_all(serializer, [send(serializer, PACKETS)]) == ["own"] * len(PACKETS)


class NumberConverter(AbstractPacketConverter[int, Cancel]):
    def convert_to_dto_packet(self, obj: int, /) -> Cancel:
        return Cancel(obj)

    def create_from_dto_packet(self, packet: Cancel, /) -> int:
        if packet.number < 0:
            raise PacketConversionError("negative")
        return packet.number


@both
def test_converter_gets_objects_of_the_type(make: Any) -> None:
    protocol: StreamProtocol[int, int] = StreamProtocol(make(Cancel), NumberConverter())
    decoder = decoder_factory(protocol, 1024)()
    decoder.feed(b"".join(map(packet_encoder(protocol), [1, 2, -1, 3])))
    assert decoder.next_packets(10) == [1, 2]
    with pytest.raises(StreamProtocolParseError, match="negative"):
        decoder.next_packets(10)
    assert decoder.next_packets(10) == [3]


@both
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"limit": 0}, ValueError),
        ({"limit": 10, "frames": LengthPrefixedFrames(4)}, ValueError),
        ({"frames": 4}, TypeError),
        ({"frames": LengthPrefixedFrames}, TypeError),
    ],
)
def test_bad_arguments_are_refused(make: Any, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        make(Request, **arguments)


@both
def test_type_that_msgspec_does_not_support_is_refused(make: Any) -> None:
    class Other(msgspec.Struct):  # has no tag, so nothing tells it from the other structs
        number: int

    for type in (5, Order | Other):
        with pytest.raises(TypeError):
            make(type)


@both
def test_missing_extra_is_named(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        make(Request)
    assert "easynetwork-uvloop[msgspec]" in caught.value.__notes__[0]


def test_debug_is_readable() -> None:
    for make in BOTH.values():
        assert make(int, debug=True).debug is True
        assert make(int).debug is False


def test_lines_may_have_another_separator() -> None:
    serializer = MsgspecJSONSerializer[Request](Request, frames=SeparatedFrames(b"\r\n", 100))
    assert send(serializer, [Cancel(5)]) == b'{"type":"cancel","number":5}\r\n'
