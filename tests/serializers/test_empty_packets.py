"""Packets without bytes: they are received, and sent if asked for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded

from easynetwork.lowlevel._core.stream_decoders.choice import packet_encoder
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.serializers.base_stream import AutoSeparatedPacketSerializer
from easynetwork.serializers.wrapper import Base64EncoderSerializer


class Separated(AutoSeparatedPacketSerializer[str, str]):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(b"\r\n", **kwargs)

    def serialize(self, packet: str, /) -> bytes:
        return packet.encode()

    def deserialize(self, data: bytes, /) -> str:
        return data.decode()


MAKE: Any = {
    "lines": StringLineSerializer,
    "CRLF lines": lambda **kwargs: StringLineSerializer("CRLF", **kwargs),
    "separated": Separated,
    "separated, not checked": lambda **kwargs: Separated(incremental_serialize_check_separator=False, **kwargs),
    "base64": lambda **kwargs: Base64EncoderSerializer(StringLineSerializer(), **kwargs),
    "base64 with a separator of its own": lambda **kwargs: Base64EncoderSerializer(
        StringLineSerializer(), separator=b"--", **kwargs
    ),
}
each = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


@each
def test_empty_packet_is_not_sent_by_default(make: Any) -> None:
    for serializer in (make(), make(send_empty=False)):
        assert list(serializer.incremental_serialize("")) == []
        assert packet_encoder(StreamProtocol(serializer))("") == b""


@each
@pytest.mark.parametrize("protocol", [StreamProtocol, BufferedStreamProtocol])
def test_empty_packet_is_sent_if_asked_for(make: Any, protocol: Any) -> None:
    serializer = make(send_empty=True)
    assert list(serializer.incremental_serialize("")) == [serializer.separator]
    assert packet_encoder(protocol(serializer))("") == serializer.separator
    assert serializer.serialize("") == b""


@each
@pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_empty_packets_arrive(make: Any, receive_all: Any, size: int) -> None:
    packets = ["", "one", "", "", "two", ""]
    encode = packet_encoder(StreamProtocol(make(send_empty=True)))
    data = b"".join(map(encode, packets))
    assert receive_all(make(), pieces(data, size)) == packets


def test_packet_of_separators_only_counts_as_empty() -> None:
    assert list(Separated().incremental_serialize("\r\n\r\n")) == []
    assert list(Separated(send_empty=True).incremental_serialize("\r\n\r\n")) == [b"\r\n"]


def test_what_is_not_text_is_refused_all_the_same() -> None:
    for packet in (None, b"", 0):
        with pytest.raises(TypeError):
            list(StringLineSerializer(send_empty=True).incremental_serialize(packet))  # type: ignore[arg-type] # tested
