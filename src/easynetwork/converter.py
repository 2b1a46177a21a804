"""Converters: between the objects a program works with and the ones its serializer can handle."""

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
    """Converts what is sent and what is received, which need not be of the same type.

    A *DTO* (data transfer object) is what the serializer consumes and produces.
    """

    __slots__ = ("__weakref__",)

    @abstractmethod
    def create_from_dto_packet(self, packet: ReceivedDTOPacketT_contra, /) -> ReceivedPacketT_co:
        """Makes a packet of what the serializer has produced.

        Raises:
            PacketConversionError: *packet* cannot be accepted. Who receives gets a parse error and may go on.
        """
        raise NotImplementedError

    @abstractmethod
    def convert_to_dto_packet(self, obj: SentPacketT_contra, /) -> SentDTOPacketT_co:
        """Makes what the serializer consumes of a packet. Whatever it raises is seen by who sends as a crash."""
        raise NotImplementedError


class AbstractPacketConverter(
    AbstractPacketConverterComposite[PacketT, PacketT, DTOPacketT, DTOPacketT], Generic[PacketT, DTOPacketT]
):
    """Converts packets of the same type in both directions."""

    __slots__ = ()

    @abstractmethod
    def create_from_dto_packet(self, packet: DTOPacketT, /) -> PacketT:
        """Makes a packet of what the serializer has produced.

        Raises:
            PacketConversionError: *packet* cannot be accepted. Who receives gets a parse error and may go on.
        """
        raise NotImplementedError

    @abstractmethod
    def convert_to_dto_packet(self, obj: PacketT, /) -> DTOPacketT:
        """Makes what the serializer consumes of a packet. Whatever it raises is seen by who sends as a crash."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class StapledPacketConverter(
    AbstractPacketConverterComposite[
        SentPacketT_contra, ReceivedPacketT_co, SentDTOPacketT_co, ReceivedDTOPacketT_contra
    ]
):
    """Two converters as one: what is sent goes through the first, what is received through the second."""

    sent_packet_converter: AbstractPacketConverterComposite[SentPacketT_contra, Any, SentDTOPacketT_co, Any]
    """Converts what is sent."""

    received_packet_converter: AbstractPacketConverterComposite[Any, ReceivedPacketT_co, Any, ReceivedDTOPacketT_contra]
    """Converts what is received."""

    @final
    def create_from_dto_packet(self, packet: ReceivedDTOPacketT_contra, /) -> ReceivedPacketT_co:
        """Asks `received_packet_converter`."""
        return self.received_packet_converter.create_from_dto_packet(packet)

    @final
    def convert_to_dto_packet(self, obj: SentPacketT_contra, /) -> SentDTOPacketT_co:
        """Asks `sent_packet_converter`."""
        return self.sent_packet_converter.convert_to_dto_packet(obj)
