from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from tests.support.serializer_drivers import receive, receive_buffered, send

from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.composite import (
    StapledBufferedIncrementalPacketSerializer,
    StapledIncrementalPacketSerializer,
    StapledPacketSerializer,
)


class Incremental(AbstractIncrementalPacketSerializer[bytes, bytes]):
    """Neither more nor less than incremental."""

    def incremental_serialize(self, packet: bytes, /) -> Generator[bytes]:
        yield packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        return (yield), b""


@pytest.mark.parametrize(
    ("sent", "received", "expected"),
    [
        (StringLineSerializer(), JSONSerializer(), StapledBufferedIncrementalPacketSerializer),
        (Incremental(), JSONSerializer(), StapledBufferedIncrementalPacketSerializer),
        (StringLineSerializer(), Incremental(), StapledIncrementalPacketSerializer),
        (StringLineSerializer(), PickleSerializer(), StapledPacketSerializer),
        (PickleSerializer(), StringLineSerializer(), StapledPacketSerializer),
        (PickleSerializer(), Incremental(), StapledPacketSerializer),
        (PickleSerializer(), PickleSerializer(), StapledPacketSerializer),
    ],
)
def test_class_is_what_both_can_do(sent: Any, received: Any, expected: type[Any]) -> None:
    serializer = StapledPacketSerializer(sent, received)
    assert type(serializer) is expected
    assert serializer.sent_packet_serializer is sent
    assert serializer.received_packet_serializer is received


def test_incremental_class_chooses_too() -> None:
    line, incremental = StringLineSerializer(), Incremental()
    assert type(StapledIncrementalPacketSerializer(line, line)) is StapledBufferedIncrementalPacketSerializer
    assert type(StapledIncrementalPacketSerializer(line, incremental)) is StapledIncrementalPacketSerializer
    assert type(StapledBufferedIncrementalPacketSerializer(line, line)) is StapledBufferedIncrementalPacketSerializer


@pytest.mark.parametrize(
    ("cls", "sent", "received"),
    [
        (StapledPacketSerializer, object(), PickleSerializer()),
        (StapledPacketSerializer, PickleSerializer(), object()),
        (StapledPacketSerializer, StringLineSerializer, StringLineSerializer()),
        (StapledIncrementalPacketSerializer, PickleSerializer(), StringLineSerializer()),
        (StapledIncrementalPacketSerializer, StringLineSerializer(), PickleSerializer()),
        (StapledBufferedIncrementalPacketSerializer, StringLineSerializer(), Incremental()),
    ],
)
def test_serializers_that_cannot_do_it_are_refused(cls: Any, sent: Any, received: Any) -> None:
    with pytest.raises(TypeError):
        cls(sent, received)


def test_sends_through_one_and_receives_through_the_other() -> None:
    serializer: Any = StapledPacketSerializer(StringLineSerializer(), JSONSerializer())
    assert serializer.serialize("abc") == b"abc"
    assert serializer.deserialize(b"[1]") == [1]
    assert send(serializer, ["abc"]) == b"abc\n"
    assert receive(serializer, [b"[1]\n2", b"\n"]) == [[1], 2]
    assert receive_buffered(serializer, [b"[1]\n2", b"\n"]) == [[1], 2]


def test_every_protocol_that_fits_takes_it() -> None:
    StreamProtocol(StapledPacketSerializer(StringLineSerializer(), JSONSerializer()))
    BufferedStreamProtocol(StapledPacketSerializer(StringLineSerializer(), JSONSerializer()))
    StreamProtocol(StapledPacketSerializer(StringLineSerializer(), Incremental()))
    DatagramProtocol(StapledPacketSerializer(PickleSerializer(), JSONSerializer()))
    with pytest.raises(TypeError):
        StreamProtocol(StapledPacketSerializer(PickleSerializer(), JSONSerializer()))  # type: ignore[call-overload] # what is tested


def test_equality_is_identity() -> None:
    line = StringLineSerializer()
    first, second = StapledPacketSerializer(line, line), StapledPacketSerializer(line, line)
    assert first == first
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize(
    "cls",
    [StapledPacketSerializer, StapledIncrementalPacketSerializer, StapledBufferedIncrementalPacketSerializer],
)
def test_classes_are_final(cls: type[Any]) -> None:
    with pytest.raises(TypeError):
        type("Sub", (cls,), {})
    assert not hasattr(cls(StringLineSerializer(), StringLineSerializer()), "__dict__")


def test_repr_names_the_class_and_both_serializers() -> None:
    text, pickle = StringLineSerializer(), PickleSerializer()
    stapled = StapledPacketSerializer(text, pickle)
    assert repr(stapled) == (
        f"StapledPacketSerializer(sent_packet_serializer={text!r}, received_packet_serializer={pickle!r})"
    )
    assert repr(StapledPacketSerializer(text, text)).startswith("StapledBufferedIncrementalPacketSerializer(")
