"""The codec of a datagram protocol object: one packet per datagram."""

from __future__ import annotations

__all__ = ["DatagramCodec", "check_datagram_protocol"]

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from easynetwork._acceleration import faster
from easynetwork.exceptions import DatagramProtocolParseError, DeserializeError, PacketConversionError
from easynetwork.lowlevel._overrides import is_overridden
from easynetwork.protocol import DatagramProtocol

from .ancillary import hand_over
from .incoming_packets import encoding_crash
from .traffic import Traffic

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


def check_datagram_protocol(protocol: object) -> None:
    """Raise `TypeError` unless *protocol* is a datagram protocol object."""
    if not isinstance(protocol, DatagramProtocol):
        raise TypeError(f"Expected a DatagramProtocol object, got {protocol!r}")


class DatagramCodec(Generic[_T_SentPacket, _T_ReceivedPacket]):
    """A converter between packets and datagrams. If possible, it calls the serializer of *protocol* directly.

    Raises:
        TypeError: *protocol* is not a datagram protocol object.
    """

    __slots__ = ("_deserializes", "build", "make")

    def __init__(self, protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket]) -> None:
        check_datagram_protocol(protocol)
        serializer: Any = getattr(protocol, "_serializer", None)  # None if a subclass does not call super().__init__()
        is_plain = serializer is not None and protocol._converter is None
        self.make: Callable[[_T_SentPacket], bytes] = (
            faster(serializer.serialize)
            if is_plain and not is_overridden(protocol, DatagramProtocol.make_datagram)
            else protocol.make_datagram
        )
        """Return the datagram of a packet. The caller converts exceptions with `encoding_crash`."""

        self._deserializes = is_plain and not is_overridden(protocol, DatagramProtocol.build_packet_from_datagram)
        self.build: Callable[[bytes], _T_ReceivedPacket] = (
            faster(serializer.deserialize) if self._deserializes else protocol.build_packet_from_datagram
        )
        """Return the packet of a datagram. The caller converts exceptions with `building_error`."""

    def count_traffic(self, traffic: Traffic) -> None:
        """Count all packets in *traffic* from now on."""
        self.make = traffic.counting_sent(self.make)
        self.build = traffic.counting_received(self.build)

    def encode(self, packet: _T_SentPacket) -> bytes:
        """Return the datagram of *packet*.

        Raises:
            RuntimeError: the protocol object raised an unexpected exception (the cause).
        """
        try:
            return self.make(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc

    def decode(self, datagram: bytes) -> _T_ReceivedPacket:
        """Return the packet of *datagram*.

        Raises:
            DatagramProtocolParseError: *datagram* is not a valid packet.
            RuntimeError: the protocol object raised an unexpected exception (the cause).
        """
        try:
            return self.build(datagram)
        except Exception as exc:
            raise self.building_error(exc)

    def decode_with_ancillary(
        self, datagram: bytes, ancillary_data: Any, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Pass *ancillary_data* to *ancillary_data_received*, then return the packet like `decode`.

        Raises:
            RuntimeError: *ancillary_data_received* raised an exception (the cause).
        """
        hand_over(ancillary_data, ancillary_data_received)
        return self.decode(datagram)

    def building_error(self, exc: Exception) -> Exception:
        """Return the error to raise for an exception of `build`."""
        error: Exception
        if isinstance(exc, DatagramProtocolParseError):
            return exc
        if self._deserializes and isinstance(exc, (DeserializeError, PacketConversionError)):
            error = DatagramProtocolParseError(exc)
        else:
            error = RuntimeError("The protocol object crashed while it was building a packet from a datagram")
        error.__cause__ = exc
        return error
