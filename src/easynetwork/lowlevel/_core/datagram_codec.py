"""What a datagram protocol object means: one packet is one datagram."""

from __future__ import annotations

__all__ = ["DatagramCodec", "check_datagram_protocol"]

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from easynetwork.exceptions import DatagramProtocolParseError, DeserializeError, PacketConversionError
from easynetwork.lowlevel._overrides import is_overridden
from easynetwork.protocol import DatagramProtocol

from .incoming_packets import encoding_crash, hand_over

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


def check_datagram_protocol(protocol: object) -> None:
    """Raises `TypeError` unless *protocol* is a datagram protocol object."""
    if not isinstance(protocol, DatagramProtocol):
        raise TypeError(f"Expected a DatagramProtocol object, got {protocol!r}")


class DatagramCodec(Generic[_T_SentPacket, _T_ReceivedPacket]):
    """Makes datagrams of packets and packets of datagrams, as *protocol* says, by the shortest way.

    Raises:
        TypeError: *protocol* is no datagram protocol object.
    """

    __slots__ = ("_deserializes", "build", "make")

    def __init__(self, protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket]) -> None:
        check_datagram_protocol(protocol)
        serializer: Any = getattr(protocol, "_serializer", None)  # a subclass may have a constructor of its own
        is_plain = serializer is not None and protocol._converter is None
        self.make: Final[Callable[[_T_SentPacket], bytes]] = (
            serializer.serialize
            if is_plain and not is_overridden(protocol, DatagramProtocol.make_datagram)
            else protocol.make_datagram
        )
        """Returns the datagram of a packet. What it raises is to be the cause of an `encoding_crash`."""

        self._deserializes = is_plain and not is_overridden(protocol, DatagramProtocol.build_packet_from_datagram)
        self.build: Final[Callable[[bytes], _T_ReceivedPacket]] = (
            serializer.deserialize if self._deserializes else protocol.build_packet_from_datagram
        )
        """Returns the packet of a datagram. To be asked what its exceptions mean: `building_error`."""

    def encode(self, packet: _T_SentPacket) -> bytes:
        """Returns the datagram of *packet*.

        Raises:
            RuntimeError: the protocol object crashed; its exception is the cause.
        """
        try:
            return self.make(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc

    def decode(self, datagram: bytes) -> _T_ReceivedPacket:
        """Returns the packet of *datagram*.

        Raises:
            DatagramProtocolParseError: it is no valid packet.
            RuntimeError: the protocol object crashed; its exception is the cause.
        """
        try:
            return self.build(datagram)
        except Exception as exc:
            raise self.building_error(exc)

    def decode_with_ancillary(
        self, datagram: bytes, ancillary_data: Any, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Like `decode`; *ancillary_data* is handed over before.

        Raises:
            RuntimeError: *ancillary_data_received* has failed.
        """
        hand_over(ancillary_data, ancillary_data_received)
        return self.decode(datagram)

    def building_error(self, exc: Exception) -> Exception:
        """Returns what to raise for an exception of `build`."""
        error: Exception
        if isinstance(exc, DatagramProtocolParseError):
            return exc
        if self._deserializes and isinstance(exc, (DeserializeError, PacketConversionError)):
            error = DatagramProtocolParseError(exc)
        else:
            error = RuntimeError("The protocol object crashed while it was building a packet of a datagram")
        error.__cause__ = exc
        return error
