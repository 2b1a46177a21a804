"""What a datagram protocol object means: one packet is one datagram."""

from __future__ import annotations

__all__ = ["check_datagram_protocol", "datagram_decoder", "datagram_encoder"]

from collections.abc import Callable
from typing import Any, TypeVar

from easynetwork.exceptions import DatagramProtocolParseError
from easynetwork.protocol import DatagramProtocol

_T_Packet = TypeVar("_T_Packet")


def check_datagram_protocol(protocol: object) -> None:
    """Raises `TypeError` unless *protocol* is a datagram protocol object."""
    if not isinstance(protocol, DatagramProtocol):
        raise TypeError(f"Expected a DatagramProtocol object, got {protocol!r}")


def datagram_encoder(protocol: DatagramProtocol[_T_Packet, Any]) -> Callable[[_T_Packet], bytes]:
    """Returns a function that gives the datagram of a packet.

    It raises `RuntimeError` if the protocol object crashes; the exception is the cause.

    Raises:
        TypeError: *protocol* is no datagram protocol object.
    """
    check_datagram_protocol(protocol)
    make_datagram = protocol.make_datagram

    def encode(packet: _T_Packet) -> bytes:
        try:
            return make_datagram(packet)
        except Exception as exc:
            raise RuntimeError("The protocol object crashed while it was making the datagram of a packet") from exc

    return encode


def datagram_decoder(protocol: DatagramProtocol[Any, _T_Packet]) -> Callable[[bytes], _T_Packet]:
    """Returns a function that gives the packet of a datagram.

    It raises `DatagramProtocolParseError` if the datagram is no valid packet, and `RuntimeError` if the protocol object
    crashes; the exception is the cause.

    Raises:
        TypeError: *protocol* is no datagram protocol object.
    """
    check_datagram_protocol(protocol)
    build_packet = protocol.build_packet_from_datagram

    def decode(datagram: bytes) -> _T_Packet:
        try:
            return build_packet(datagram)
        except DatagramProtocolParseError:
            raise
        except Exception as exc:
            raise RuntimeError("The protocol object crashed while it was building a packet from a datagram") from exc

    return decode
