"""Packets of bytes without a format of their own."""

from __future__ import annotations

import array
from typing import Any

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered

from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import RawSerializer

PROTOCOL_TYPES = pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
SENT = [b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"_abc_")[1:4], array.array("B", b"abc")]


def decoded(protocol: AnyStreamProtocolType[Any, bytes], *chunks: bytes) -> list[bytes]:
    """Return the packets of a stream, taken after each chunk."""
    decoder = decoder_factory(protocol, 1024)()
    packets = []
    for chunk in chunks:
        decoder.feed(chunk)
        while (packet := decoder.next_packet()) is not NEED_DATA:
            packets.append(packet)
    return packets


@pytest.mark.parametrize("exactly", [0, -1])
def test_size_is_positive(exactly: int) -> None:
    with pytest.raises(ValueError):
        RawSerializer(exactly)


@pytest.mark.parametrize("packet", SENT, ids=lambda packet: type(packet).__name__)
@pytest.mark.parametrize("exactly", [None, 2, 3])
def test_any_bytes_are_sent_as_they_are(packet: Any, exactly: int | None) -> None:
    serializer = RawSerializer(exactly)
    for data in (
        serializer.serialize(packet),
        b"".join(serializer.incremental_serialize(packet)),
        packet_encoder(StreamProtocol(serializer))(packet),
        packet_encoder(BufferedStreamProtocol(serializer))(packet),
        DatagramProtocol(serializer).make_datagram(packet),
    ):
        assert type(data) is bytes
        assert data == b"abc"


def test_sent_bytes_do_not_change_afterwards() -> None:
    packet = bytearray(b"abc")
    data = packet_encoder(StreamProtocol(RawSerializer()))(packet)  # type: ignore[arg-type]
    packet[:] = b"xyz"
    assert data == b"abc"


@pytest.mark.parametrize("packet", ["abc", None, 3, [b"abc"]])
def test_what_holds_no_bytes_is_refused(packet: Any) -> None:
    with pytest.raises(TypeError):
        RawSerializer().serialize(packet)


@PROTOCOL_TYPES
def test_packet_is_what_has_arrived(protocol_type: Any) -> None:
    protocol = protocol_type(RawSerializer())
    assert decoded(protocol, b"a", b"bc", b"\n\x00", b"d" * 100_000) == [b"a", b"bc", b"\n\x00", b"d" * 100_000]


@PROTOCOL_TYPES
@pytest.mark.parametrize("size", [1, 3, 20_000])
def test_packets_of_a_known_size(protocol_type: Any, size: int) -> None:
    data = bytes(range(256)) * (size * 3 // 256 + 1)
    protocol = protocol_type(RawSerializer(exactly=size))
    for step in (1, size, size + 1, len(data)) if size < 100 else (size - 1, len(data)):
        chunks = [data[start : start + step] for start in range(0, len(data), step)]
        packets = decoded(protocol, *chunks)
        assert packets == [data[size * n : size * (n + 1)] for n in range(len(data) // size)]
        assert all(type(packet) is bytes for packet in packets)


def test_nothing_is_no_packet() -> None:
    assert decoded(StreamProtocol(RawSerializer())) == []
    assert packet_encoder(StreamProtocol(RawSerializer()))(b"") == b""


def test_rest_of_a_packet_of_a_known_size_is_given_back() -> None:
    decoder = decoder_factory(StreamProtocol(RawSerializer(exactly=3)), 1024)()
    decoder.feed(b"abcdefgh")
    assert decoder.next_packet() == b"abc"
    assert decoder.take_undelivered() == b"defgh"


@pytest.mark.parametrize("receives", [receive, receive_buffered])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_generators_do_the_same(receives: Any, size: int) -> None:
    packets = receives(RawSerializer(exactly=3), pieces(b"abcdefghi", size))
    assert [bytes(packet) for packet in packets] == [b"abc", b"def", b"ghi"]


def test_datagram_is_one_packet() -> None:
    protocol = DatagramProtocol(RawSerializer())
    assert protocol.build_packet_from_datagram(b"abc\n") == b"abc\n"
    assert protocol.build_packet_from_datagram(b"") == b""
