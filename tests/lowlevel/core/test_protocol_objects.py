"""What is asked of a protocol object: the documented methods of the object at hand, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from typing import Any
from unittest.mock import Mock

import pytest
from tests.support.sockets import stream_pair

from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport, SocketStreamTransport
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer, AbstractPacketSerializer
from easynetwork.serializers.composite import StapledIncrementalPacketSerializer
from easynetwork.serializers.line import StringLineSerializer


def chunks(packet: str) -> Generator[bytes]:
    yield packet.encode()
    yield b"!"


def from_chunks() -> Generator[None, bytes, tuple[str, bytes]]:
    data = b""
    while b"!" not in data:
        data += yield
    packet, _, rest = data.partition(b"!")
    return packet.decode(), rest


def from_buffer(buffer: bytearray) -> Generator[int | None, int, tuple[str, bytes]]:
    size = 0
    while b"!" not in buffer[:size]:
        size += yield size
    packet, _, rest = bytes(buffer[:size]).partition(b"!")
    return packet.decode(), rest


class PlainDatagrams(DatagramProtocol[str, str]):
    def __init__(self) -> None:
        pass

    def make_datagram(self, packet: str) -> bytes:
        return packet.encode() + b"!"

    def build_packet_from_datagram(self, datagram: bytes) -> str:
        return datagram.decode().removesuffix("!")


class PlainChunks(StreamProtocol[str, str]):
    def __init__(self) -> None:
        pass

    generate_chunks = staticmethod(chunks)
    build_packet_from_chunks = staticmethod(from_chunks)


class PlainBuffer(BufferedStreamProtocol[str, str, bytearray]):
    def __init__(self) -> None:
        pass

    def create_buffer(self, sizehint: int) -> bytearray:
        return bytearray(100)

    generate_chunks = staticmethod(chunks)
    build_packet_from_buffer = staticmethod(from_buffer)


class OpenDatagrams(DatagramProtocol[str, str]):
    """Has room for attributes."""


class OpenChunks(StreamProtocol[str, str]):
    pass


class OpenBuffer(BufferedStreamProtocol[str, str, Any]):
    pass


def with_datagram_attributes(protocol: Any) -> Any:
    protocol.make_datagram = Mock(side_effect=lambda packet: packet.encode() + b"!")
    protocol.build_packet_from_datagram = Mock(side_effect=lambda data: data.decode().removesuffix("!"))
    return protocol


def with_stream_attributes(protocol: Any) -> Any:
    protocol.generate_chunks = Mock(side_effect=chunks)
    protocol.create_buffer = Mock(side_effect=lambda sizehint: bytearray(100))
    protocol.build_packet_from_chunks = Mock(side_effect=from_chunks)
    protocol.build_packet_from_buffer = Mock(side_effect=from_buffer)
    return protocol


def mocked(cls: type[Any]) -> Any:
    protocol = Mock(spec=cls)
    if cls is DatagramProtocol:
        protocol.make_datagram.side_effect = lambda packet: packet.encode() + b"!"
        protocol.build_packet_from_datagram.side_effect = lambda data: data.decode().removesuffix("!")
        return protocol
    protocol.generate_chunks.side_effect = chunks
    if cls is StreamProtocol:
        protocol.build_packet_from_chunks.side_effect = from_chunks
    else:
        protocol.create_buffer.side_effect = lambda sizehint: bytearray(100)
        protocol.build_packet_from_buffer.side_effect = from_buffer
    return protocol


DATAGRAM_PROTOCOLS: dict[str, Callable[[], Any]] = {
    "no constructor": PlainDatagrams,
    "attributes": lambda: with_datagram_attributes(OpenDatagrams(StringLineSerializer())),
    "mock": lambda: mocked(DatagramProtocol),
}
STREAM_PROTOCOLS: dict[str, Callable[[], Any]] = {
    "no constructor, chunks": PlainChunks,
    "no constructor, buffer": PlainBuffer,
    "attributes, chunks": lambda: with_stream_attributes(OpenChunks(StringLineSerializer())),
    "attributes, buffer": lambda: with_stream_attributes(OpenBuffer(StringLineSerializer())),
    "mock, chunks": lambda: mocked(StreamProtocol),
    "mock, buffer": lambda: mocked(BufferedStreamProtocol),
}


@pytest.mark.parametrize("name", DATAGRAM_PROTOCOLS)
def test_datagrams_are_made_by_the_object(name: str) -> None:
    codec: DatagramCodec[Any, Any] = DatagramCodec(DATAGRAM_PROTOCOLS[name]())
    assert codec.encode("abc") == b"abc!"
    assert codec.decode(b"abc!") == "abc"


@pytest.mark.parametrize("name", DATAGRAM_PROTOCOLS)
def test_a_datagram_endpoint_asks_the_object(name: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    endpoint: DatagramEndpoint[Any, Any]
    with theirs, DatagramEndpoint(SocketDatagramTransport(ours, 1), DATAGRAM_PROTOCOLS[name]()) as endpoint:
        endpoint.send_packet("abc")
        assert theirs.recv(100) == b"abc!"
        theirs.send(b"def!")
        assert endpoint.recv_packet() == "def"


@pytest.mark.parametrize("name", STREAM_PROTOCOLS)
@pytest.mark.parametrize("by_chunks", [True, False])
def test_streams_are_made_by_the_object(name: str, by_chunks: bool) -> None:
    protocol: AnyStreamProtocolType[Any, Any] = STREAM_PROTOCOLS[name]()
    assert packet_encoder(protocol)("abc") == b"abc!"
    decoder = decoder_factory(protocol, 1024, by_chunks=by_chunks)()
    decoder.feed(b"abc!d")
    assert decoder.next_packet() == "abc"
    assert decoder.next_packet() is NEED_DATA
    assert decoder.pending == 1
    decoder.clear()


@pytest.mark.parametrize("name", STREAM_PROTOCOLS)
def test_a_stream_endpoint_asks_the_object(name: str) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    endpoint: StreamEndpoint[Any, Any]
    with theirs, StreamEndpoint(SocketStreamTransport(ours, 1), STREAM_PROTOCOLS[name](), 1024) as endpoint:
        endpoint.send_packet("abc")
        assert theirs.recv(100) == b"abc!"
        theirs.sendall(b"def!")
        assert endpoint.recv_packet() == "def"


def test_one_overridden_direction_leaves_the_other_to_the_serializer() -> None:
    class Shouting(DatagramProtocol[str, str]):
        def make_datagram(self, packet: str) -> bytes:
            return super().make_datagram(packet.upper())

    serializer: Any = StringLineSerializer()
    codec: DatagramCodec[Any, Any] = DatagramCodec(Shouting(serializer))
    assert codec.encode("abc") == b"ABC"
    assert codec.build(b"abc") == "abc"
    assert "build_packet_from_datagram" not in repr(codec.build)


@pytest.mark.parametrize("cls", [AbstractPacketSerializer, StringLineSerializer])
def test_a_mocked_serializer_makes_datagrams(cls: type[Any]) -> None:
    serializer = Mock(spec=cls)
    serializer.serialize.return_value = b"abc!"
    serializer.deserialize.return_value = "abc"
    codec: DatagramCodec[Any, Any] = DatagramCodec(DatagramProtocol(serializer))
    assert codec.encode("abc") == b"abc!"
    assert codec.decode(b"abc!") == "abc"


@pytest.mark.parametrize("cls", [AbstractIncrementalPacketSerializer, StringLineSerializer])
@pytest.mark.parametrize("stapled", [False, True])
def test_a_mocked_serializer_makes_streams(cls: type[Any], stapled: bool) -> None:
    serializer: Any = Mock(spec=cls)
    serializer.incremental_serialize.side_effect = chunks
    serializer.incremental_deserialize.side_effect = from_chunks
    if stapled:
        serializer = StapledIncrementalPacketSerializer(serializer, serializer)
    protocol: StreamProtocol[Any, Any] = StreamProtocol(serializer)
    assert packet_encoder(protocol)("abc") == b"abc!"
    decoder = decoder_factory(protocol, 1024)()
    decoder.feed(b"abc!d")
    assert decoder.next_packet() == "abc"
    assert decoder.next_packet() is NEED_DATA
    decoder.clear()
