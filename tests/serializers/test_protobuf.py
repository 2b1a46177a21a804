from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from google.protobuf import proto
from google.protobuf.message import DecodeError, EncodeError
from tests.serializers.protobuf_messages import Note, Order, Reply
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.lowlevel._core.stream_decoders.choice import packet_encoder
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.framing import CobsFrames, FrameFormat, LengthPrefixedFrames, NetstringFrames
from easynetwork.serializers.protobuf import ProtobufSerializer

PACKETS = [Reply(text="é" * 100), Reply(), Reply(number=-1, inner=Reply(text="a"))]

every_way = pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])


def nested(depth: int) -> bytes:
    """Return a message within messages."""
    data = b""
    for _ in range(depth):
        size = len(data)
        data = b"\x1a" + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + data
    return data


@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_messages_follow_each_other_in_a_stream(receive_all: Any, size: int) -> None:
    serializer: Any = ProtobufSerializer(Reply)
    assert receive_all(serializer, pieces(send(serializer, PACKETS), size)) == PACKETS


def test_frames_are_those_of_protobuf_itself() -> None:
    file = io.BytesIO()
    for packet in PACKETS:
        proto.serialize_length_prefixed(packet, file)
    assert send(ProtobufSerializer(Reply), PACKETS) == file.getvalue()


@every_way
@pytest.mark.parametrize("frames", [LengthPrefixedFrames(4), NetstringFrames(), CobsFrames()])
def test_any_frames_may_be_used(receive_all: Any, frames: FrameFormat) -> None:
    serializer: Any = ProtobufSerializer(Reply, frames=frames)
    assert serializer.frame_format() is frames
    sent = send(serializer, PACKETS)
    assert sent == b"".join(frames.wrap(packet.SerializeToString()) for packet in PACKETS)
    assert receive_all(serializer, pieces(sent, 5)) == PACKETS


def test_datagrams_have_no_frame() -> None:
    protocol: DatagramProtocol[Any, Any] = DatagramProtocol(ProtobufSerializer(Reply))
    assert protocol.make_datagram(PACKETS[0]) == PACKETS[0].SerializeToString()
    assert protocol.build_packet_from_datagram(PACKETS[0].SerializeToString()) == PACKETS[0]
    assert protocol.build_packet_from_datagram(b"") == Reply()


def test_each_direction_may_have_a_type() -> None:
    server: Any = ProtobufSerializer(Order, Reply)
    client: Any = ProtobufSerializer(Reply, Order)
    order = Order(number=1, notes=[Note(text="quick")])
    assert receive(server, [send(client, [order])]) == [order]
    assert receive(client, [send(server, PACKETS)]) == PACKETS


@pytest.mark.parametrize("packet", [Note(text="a"), b"\x08\x01", None, Reply])
def test_message_of_another_type_is_not_sent(packet: Any) -> None:
    serializer: Any = ProtobufSerializer(Order, Reply)
    for function in (serializer.serialize, packet_encoder(StreamProtocol(serializer))):
        with pytest.raises(TypeError, match=r"easynetwork.tests.proto3.Reply"):
            function(packet)


def test_error_names_both_types() -> None:
    with pytest.raises(TypeError, match=r"proto3.Reply, got easynetwork.tests.proto2.Note"):
        ProtobufSerializer(Reply).serialize(Note(text="a"))


def test_message_without_a_required_field_is_not_sent() -> None:
    with pytest.raises(EncodeError, match="text"):
        ProtobufSerializer(Order).serialize(Order(number=1, notes=[Note()]))


MALFORMED = [b"\xff", b"\x0a\x05a", b"\x0a\x01\xff", nested(150), b"\x07", b"\x0c", b"\x1a\x02\x0a\x05"]


@pytest.mark.parametrize("data", MALFORMED)
@pytest.mark.parametrize("debug", [False, True])
def test_malformed_bytes_are_invalid(data: bytes, debug: bool) -> None:
    with pytest.raises(DeserializeError) as caught:
        ProtobufSerializer(Reply, debug=debug).deserialize(data)
    # The implementation in Python raises the second one.
    assert isinstance(caught.value.__cause__, (DecodeError, UnicodeDecodeError))
    assert str(caught.value)
    assert caught.value.error_info == ({"data": data} if debug else None)


@pytest.mark.parametrize("debug", [False, True])
def test_message_without_required_fields_is_invalid_and_the_error_names_them(debug: bool) -> None:
    data = Order(notes=[Note(number=1), Note(text="a")]).SerializePartialToString()
    serializer: Any = ProtobufSerializer(Order, debug=debug)
    with pytest.raises(
        DeserializeError, match=r"proto2.Order lacks required fields: number, notes\[0\].text"
    ) as caught:
        serializer.deserialize(data)
    assert caught.value.error_info == ({"data": data} if debug else None)
    with pytest.raises(DeserializeError):
        serializer.deserialize(b"")


@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_stream_goes_on_after_invalid_messages(receive_all: Any, size: int) -> None:
    serializer: Any = ProtobufSerializer(Reply)
    sent = b"".join(map(serializer.frame_format().wrap, MALFORMED)) + send(serializer, PACKETS)
    results = receive_all(serializer, pieces(sent, size))
    refused = results[: len(MALFORMED)]
    assert [type(result.error) for result in refused] == [IncrementalDeserializeError] * len(MALFORMED)
    assert results[len(MALFORMED) :] == PACKETS


def test_fields_that_are_unknown_are_kept() -> None:
    data = b"\x92\x06\x01x"  # field 98
    packet = ProtobufSerializer(Reply).deserialize(data)
    assert ProtobufSerializer(Reply).serialize(packet) == data


@every_way
def test_messages_have_a_limit(receive_all: Any) -> None:
    serializer: Any = ProtobufSerializer(Reply, limit=10)
    sent = send(serializer, [Reply(text="x" * 9), Reply(text="x" * 8)])
    for size in (1, 100):
        refused, packet = receive_all(serializer, pieces(sent, size))
        assert type(refused.error) is LimitOverrunError
        assert packet == Reply(text="x" * 8)
    frames: Any = ProtobufSerializer(Reply).frame_format()
    assert frames.limit == 64 * 1024


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((Reply(),), TypeError),
        ((bytes,), TypeError),
        (("Reply",), TypeError),
        ((Reply, bytes), TypeError),
    ],
)
def test_what_is_not_a_message_is_refused(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error, match="class of a message"):
        ProtobufSerializer(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"limit": 0}, ValueError), ({"limit": 10, "frames": CobsFrames()}, ValueError), ({"frames": 4}, TypeError)],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ProtobufSerializer(Reply, **arguments)


def test_debug_is_readable() -> None:
    assert ProtobufSerializer(Reply, debug=True).debug is True
    assert ProtobufSerializer(Reply).debug is False


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        ProtobufSerializer(Reply)
    assert "easynetwork-uvloop[protobuf]" in caught.value.__notes__[0]
