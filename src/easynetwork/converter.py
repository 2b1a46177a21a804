"""Converters between the objects of a program and the objects that its serializer supports."""

from __future__ import annotations

__all__ = ["AbstractPacketConverter", "AbstractPacketConverterComposite", "StapledPacketConverter"]

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, final

from ._typing import (
    DTOPacketT,
    PacketT,
    ReceivedDTOPacketT_contra,
    ReceivedPacketT_co,
    SentDTOPacketT_co,
    SentPacketT_contra,
)


class AbstractPacketConverterComposite(
    ABC, Generic[SentPacketT_contra, ReceivedPacketT_co, SentDTOPacketT_co, ReceivedDTOPacketT_contra]
):
    """Convert sent and received packets, which may be of different types.

    A *DTO* (data transfer object) is the type that the serializer reads and writes.
    """

    __slots__ = ("__weakref__",)

    @abstractmethod
    def create_from_dto_packet(self, packet: ReceivedDTOPacketT_contra, /) -> ReceivedPacketT_co:
        """Convert a deserialized object to a packet.

        Raises:
            PacketConversionError: *packet* is not acceptable. The receiver gets a parse error and may continue.
        """
        raise NotImplementedError

    @abstractmethod
    def convert_to_dto_packet(self, obj: SentPacketT_contra, /) -> SentDTOPacketT_co:
        """Convert a packet to an object for the serializer. Any exception makes sending raise `RuntimeError`."""
        raise NotImplementedError


class AbstractPacketConverter(
    AbstractPacketConverterComposite[PacketT, PacketT, DTOPacketT, DTOPacketT], Generic[PacketT, DTOPacketT]
):
    """Convert packets of one type in both directions."""

    __slots__ = ()

    @abstractmethod
    def create_from_dto_packet(self, packet: DTOPacketT, /) -> PacketT:
        """Convert a deserialized object to a packet.

        Raises:
            PacketConversionError: *packet* is not acceptable. The receiver gets a parse error and may continue.
        """
        raise NotImplementedError

    @abstractmethod
    def convert_to_dto_packet(self, obj: PacketT, /) -> DTOPacketT:
        """Convert a packet to an object for the serializer. Any exception makes sending raise `RuntimeError`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class StapledPacketConverter(
    AbstractPacketConverterComposite[
        SentPacketT_contra, ReceivedPacketT_co, SentDTOPacketT_co, ReceivedDTOPacketT_contra
    ]
):
    """Combine two converters: the first converts sent packets, the second converts received packets."""

    sent_packet_converter: AbstractPacketConverterComposite[SentPacketT_contra, Any, SentDTOPacketT_co, Any]
    """Converter for sent packets."""

    received_packet_converter: AbstractPacketConverterComposite[Any, ReceivedPacketT_co, Any, ReceivedDTOPacketT_contra]
    """Converter for received packets."""

    @final
    def create_from_dto_packet(self, packet: ReceivedDTOPacketT_contra, /) -> ReceivedPacketT_co:
        """Convert with `received_packet_converter`."""
        return self.received_packet_converter.create_from_dto_packet(packet)

    @final
    def convert_to_dto_packet(self, obj: SentPacketT_contra, /) -> SentDTOPacketT_co:
        """Convert with `sent_packet_converter`."""
        return self.sent_packet_converter.convert_to_dto_packet(obj)
