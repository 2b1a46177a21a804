from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import Any

import pytest
from tests.support.serializer_drivers import receive, receive_buffered

from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import (
    DatagramProtocolParseError,
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    PacketConversionError,
    StreamProtocolParseError,
)
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer, BufferedIncrementalPacketSerializer


class Number(AbstractPacketConverter[int, str]):
    """Sends numbers as text."""

    def create_from_dto_packet(self, packet: str, /) -> int:
        if not packet.isdigit():
            raise PacketConversionError(f"not a number: {packet}")
        return int(packet)

    def convert_to_dto_packet(self, obj: int, /) -> str:
        if not isinstance(obj, int):
            raise PacketConversionError("not a number")
        return str(obj)


class Crashing(BufferedIncrementalPacketSerializer[Any, Any, bytearray]):
    """Raises what it is made with, from wherever it is asked to deserialize."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def incremental_serialize(self, packet: Any, /) -> Generator[bytes]:
        yield b""
        raise self.error

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        yield
        raise self.error

    def create_deserializer_buffer(self, sizehint: int, /) -> bytearray:
        return bytearray(sizehint)

    def buffered_incremental_deserialize(self, buffer: bytearray, /) -> Generator[None, int, tuple[Any, bytes]]:
        yield
        raise self.error


def parse_stream(serializer: AbstractIncrementalPacketSerializer[Any, Any], data: bytes) -> Any:
    generator = StreamProtocol(serializer).build_packet_from_chunks()
    next(generator)
    generator.send(data)


def parse_buffer(serializer: BufferedIncrementalPacketSerializer[Any, Any, Any], data: bytes) -> Any:
    protocol = BufferedStreamProtocol(serializer)
    buffer = protocol.create_buffer(1024)
    generator = protocol.build_packet_from_buffer(buffer)
    next(generator)
    buffer[: len(data)] = data
    generator.send(len(data))


def test_datagram_is_one_packet() -> None:
    protocol = DatagramProtocol(JSONSerializer())
    assert protocol.make_datagram({"a": [1]}) == b'{"a":[1]}'
    assert protocol.build_packet_from_datagram(b'{"a":[1]}') == {"a": [1]}


def test_datagram_goes_through_the_converter() -> None:
    protocol = DatagramProtocol(StringLineSerializer(), Number())
    assert protocol.make_datagram(12) == b"12"
    assert protocol.build_packet_from_datagram(b"34") == 34


@pytest.mark.parametrize(("datagram", "error"), [(b"\xff", DeserializeError), (b"abc", PacketConversionError)])
def test_bad_datagram_is_a_parse_error(datagram: bytes, error: type[Exception]) -> None:
    protocol = DatagramProtocol(StringLineSerializer(), Number())
    with pytest.raises(DatagramProtocolParseError) as caught:
        protocol.build_packet_from_datagram(datagram)
    assert type(caught.value.error) is error
    assert caught.value.__cause__ is caught.value.error


def test_crash_while_parsing_a_datagram_goes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        DatagramProtocol(Crashing(ZeroDivisionError())).build_packet_from_datagram(b"x")


@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
def test_stream_sends_the_chunks_of_the_serializer(protocol_class: Any) -> None:
    assert list(protocol_class(StringLineSerializer()).generate_chunks("abc")) == [b"abc\n"]
    assert list(protocol_class(StringLineSerializer(), Number()).generate_chunks(12)) == [b"12\n"]


@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
def test_what_is_raised_while_sending_goes_through(protocol_class: Any) -> None:
    with pytest.raises(PacketConversionError):
        list(protocol_class(StringLineSerializer(), Number()).generate_chunks("x"))
    with pytest.raises(ZeroDivisionError):
        list(protocol_class(Crashing(ZeroDivisionError())).generate_chunks("x"))


@pytest.mark.parametrize("parse", [parse_stream, parse_buffer])
def test_incremental_error_becomes_a_parse_error_with_the_same_remainder(parse: Any) -> None:
    error = IncrementalDeserializeError("bad", b"rest")
    with pytest.raises(StreamProtocolParseError) as caught:
        parse(Crashing(error), b"data")
    assert caught.value.error is error
    assert caught.value.remaining_data == b"rest"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("parse", [parse_stream, parse_buffer])
def test_plain_deserialize_error_in_a_stream_is_a_bug(parse: Any) -> None:
    error = DeserializeError("bad")
    with pytest.raises(RuntimeError) as caught:
        parse(Crashing(error), b"data")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("parse", [parse_stream, parse_buffer])
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), PacketConversionError("no converter")])
def test_any_other_exception_goes_through(parse: Any, error: Any) -> None:
    with pytest.raises(type(error)) as caught:
        parse(Crashing(error), b"data")
    assert caught.value is error


@pytest.mark.parametrize("receive", [StreamProtocol, BufferedStreamProtocol])
def test_packet_that_the_converter_refuses_leaves_what_follows(receive: Any) -> None:
    protocol = receive(StringLineSerializer(), Number())
    if isinstance(protocol, StreamProtocol):
        generator: Any = protocol.build_packet_from_chunks()
        next(generator)
        sent: Any = b"abc\n12\n"
    else:
        buffer = protocol.create_buffer(1024)
        generator = protocol.build_packet_from_buffer(buffer)
        next(generator)
        buffer[:7] = b"abc\n12\n"
        sent = 7
    with pytest.raises(StreamProtocolParseError) as caught:
        generator.send(sent)
    assert bytes(caught.value.remaining_data) == b"12\n"
    assert isinstance(caught.value.error, PacketConversionError)
    assert caught.value.__cause__ is caught.value.error


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
def test_line_too_long_is_a_parse_error_and_the_next_line_is_read(receive_all: Any) -> None:
    results = receive_all(StringLineSerializer(limit=8), [b"1234567890\nok\n"])
    assert isinstance(results[0].error, LimitOverrunError)
    assert results[-1] == "ok"


@pytest.mark.parametrize(
    ("protocol_class", "wrong"),
    [
        (DatagramProtocol, object()),
        (DatagramProtocol, StringLineSerializer),
        (StreamProtocol, PickleSerializer()),
        (StreamProtocol, StringLineSerializer),
        (BufferedStreamProtocol, PickleSerializer()),
        (BufferedStreamProtocol, StringLineSerializer),
    ],
)
def test_wrong_serializer_is_refused(protocol_class: Any, wrong: object) -> None:
    with pytest.raises(TypeError):
        protocol_class(wrong)


def test_serializer_that_is_not_buffered_is_refused_where_a_buffer_is_needed() -> None:
    class OnlyIncremental(AbstractIncrementalPacketSerializer[bytes, bytes]):
        def incremental_serialize(self, packet: bytes, /) -> Generator[bytes]:
            yield packet

        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            return (yield), b""

    StreamProtocol(OnlyIncremental())
    with pytest.raises(TypeError):
        BufferedStreamProtocol(OnlyIncremental())  # type: ignore[call-overload] # what is tested


@pytest.mark.parametrize("protocol_class", [DatagramProtocol, StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("wrong", [object(), Number, False])
def test_wrong_converter_is_refused(protocol_class: Any, wrong: object) -> None:
    with pytest.raises(TypeError):
        protocol_class(StringLineSerializer(), wrong)


def test_buffered_protocol_is_no_stream_protocol() -> None:
    assert not issubclass(BufferedStreamProtocol, StreamProtocol)


@pytest.mark.parametrize("protocol_class", [DatagramProtocol, StreamProtocol, BufferedStreamProtocol])
def test_protocols_have_no_dict_and_take_weak_references(protocol_class: Any) -> None:
    protocol = protocol_class(StringLineSerializer())
    assert not hasattr(protocol, "__dict__")
    assert weakref.ref(protocol)() is protocol
