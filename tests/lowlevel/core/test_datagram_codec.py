"""Packets from datagrams and datagrams from packets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.lines import line_protocol

from easynetwork.exceptions import DatagramProtocolParseError, DeserializeError, PacketConversionError
from easynetwork.lowlevel._core.datagram_codec import DatagramCodec, check_datagram_protocol
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.line import StringLineSerializer


class Failing(AbstractPacketSerializer[Any, Any]):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def serialize(self, packet: Any, /) -> bytes:
        raise self.error

    def deserialize(self, data: bytes, /) -> Any:
        raise self.error


@pytest.mark.parametrize("bad", [None, StringLineSerializer(), line_protocol()])
def test_anything_but_a_datagram_protocol_is_refused(bad: Any) -> None:
    for function in (check_datagram_protocol, DatagramCodec):
        with pytest.raises(TypeError, match="DatagramProtocol"):
            function(bad)


def test_a_packet_becomes_a_datagram_and_back() -> None:
    protocol: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer(encoding="utf-8"))
    assert DatagramCodec(protocol).encode("é") == "é".encode()
    assert DatagramCodec(protocol).decode("é".encode()) == "é"


def test_a_subclass_of_the_protocol_is_asked() -> None:
    class Shouting(DatagramProtocol[str, str]):
        def make_datagram(self, packet: str) -> bytes:
            return super().make_datagram(packet.upper())

        def build_packet_from_datagram(self, datagram: bytes) -> str:
            return super().build_packet_from_datagram(datagram).lower()

    protocol = Shouting(StringLineSerializer())
    assert DatagramCodec(protocol).encode("abc") == b"ABC"
    assert DatagramCodec(protocol).decode(b"ABC") == "abc"


@pytest.mark.parametrize("error", [DeserializeError("no"), PacketConversionError("no")])
def test_an_invalid_datagram_is_a_parse_error(error: Exception) -> None:
    with pytest.raises(DatagramProtocolParseError) as info:
        DatagramCodec(DatagramProtocol(Failing(error))).decode(b"")
    assert info.value.error is error


def test_a_crash_is_a_runtime_error_with_its_cause() -> None:
    crash = LookupError("crash")
    protocol: DatagramProtocol[Any, Any] = DatagramProtocol(Failing(crash))
    for function in (DatagramCodec(protocol).encode, DatagramCodec(protocol).decode):
        with pytest.raises(RuntimeError) as info:
            function(b"")
        assert info.value.__cause__ is crash


def test_what_is_no_exception_goes_through() -> None:
    protocol: DatagramProtocol[Any, Any] = DatagramProtocol(Failing(KeyboardInterrupt()))
    for function in (DatagramCodec(protocol).encode, DatagramCodec(protocol).decode):
        with pytest.raises(KeyboardInterrupt):
            function(b"")


def test_ancillary_data_comes_before_its_packet() -> None:
    received: list[Any] = []
    protocol: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer())
    received.append(DatagramCodec(protocol).decode_with_ancillary(b"abc", "messages", received.append))
    assert received == ["messages", "abc"]


def test_an_error_that_the_protocol_itself_explains_stays_as_it_is() -> None:
    error = DatagramProtocolParseError(DeserializeError("invalid"))

    class Refusing(DatagramProtocol[str, str]):
        def build_packet_from_datagram(self, datagram: bytes) -> str:
            raise error

    codec = DatagramCodec(Refusing(StringLineSerializer()))
    assert codec.building_error(error) is error
    with pytest.raises(DatagramProtocolParseError) as caught:
        codec.decode(b"abc")
    assert caught.value is error
