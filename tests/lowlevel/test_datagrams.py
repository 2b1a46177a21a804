from __future__ import annotations

from typing import Any

import pytest

from easynetwork.exceptions import DatagramProtocolParseError, DeserializeError, PacketConversionError
from easynetwork.lowlevel._datagrams import check_datagram_protocol, datagram_decoder, datagram_encoder
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.line import StringLineSerializer


class Failing(AbstractPacketSerializer[Any, Any]):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def serialize(self, packet: Any, /) -> bytes:
        raise self.error

    def deserialize(self, data: bytes, /) -> Any:
        raise self.error


@pytest.mark.parametrize("bad", [None, StringLineSerializer(), StreamProtocol(StringLineSerializer())])
def test_anything_but_a_datagram_protocol_is_refused(bad: Any) -> None:
    for function in (check_datagram_protocol, datagram_encoder, datagram_decoder):
        with pytest.raises(TypeError, match="DatagramProtocol"):
            function(bad)


def test_a_packet_becomes_a_datagram_and_back() -> None:
    protocol: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer(encoding="utf-8"))
    assert datagram_encoder(protocol)("é") == "é".encode()
    assert datagram_decoder(protocol)("é".encode()) == "é"


def test_a_subclass_of_the_protocol_is_asked() -> None:
    class Shouting(DatagramProtocol[str, str]):
        def make_datagram(self, packet: str) -> bytes:
            return super().make_datagram(packet.upper())

        def build_packet_from_datagram(self, datagram: bytes) -> str:
            return super().build_packet_from_datagram(datagram).lower()

    protocol = Shouting(StringLineSerializer())
    assert datagram_encoder(protocol)("abc") == b"ABC"
    assert datagram_decoder(protocol)(b"ABC") == "abc"


@pytest.mark.parametrize("error", [DeserializeError("no"), PacketConversionError("no")])
def test_an_invalid_datagram_is_a_parse_error(error: Exception) -> None:
    with pytest.raises(DatagramProtocolParseError) as info:
        datagram_decoder(DatagramProtocol(Failing(error)))(b"")
    assert info.value.error is error


def test_a_crash_is_a_runtime_error_with_its_cause() -> None:
    crash = LookupError("crash")
    protocol: DatagramProtocol[Any, Any] = DatagramProtocol(Failing(crash))
    for function in (datagram_encoder(protocol), datagram_decoder(protocol)):
        with pytest.raises(RuntimeError) as info:
            function(b"")
        assert info.value.__cause__ is crash


def test_what_is_no_exception_goes_through() -> None:
    protocol: DatagramProtocol[Any, Any] = DatagramProtocol(Failing(KeyboardInterrupt()))
    for function in (datagram_encoder(protocol), datagram_decoder(protocol)):
        with pytest.raises(KeyboardInterrupt):
            function(b"")
