from __future__ import annotations

import dataclasses
import weakref

import pytest

from easynetwork.converter import AbstractPacketConverter, StapledPacketConverter
from easynetwork.exceptions import PacketConversionError


class IntToText(AbstractPacketConverter[int, str]):
    __slots__ = ()

    def create_from_dto_packet(self, packet: str, /) -> int:
        try:
            return int(packet)
        except ValueError as exc:
            raise PacketConversionError(f"not a number: {packet!r}") from exc

    def convert_to_dto_packet(self, obj: int, /) -> str:
        return str(obj)


class HexToText(IntToText):
    __slots__ = ()

    def create_from_dto_packet(self, packet: str, /) -> int:
        return int(packet, 16)

    def convert_to_dto_packet(self, obj: int, /) -> str:
        return hex(obj)


def test_stapled_converter_sends_through_the_first_and_receives_through_the_second() -> None:
    converter: StapledPacketConverter[int, int, str, str] = StapledPacketConverter(HexToText(), IntToText())
    assert converter.convert_to_dto_packet(255) == "0xff"
    assert converter.create_from_dto_packet("12") == 12
    with pytest.raises(PacketConversionError):
        converter.create_from_dto_packet("0xff")


def test_stapled_converter_is_frozen_and_has_value_equality() -> None:
    first, second = IntToText(), HexToText()
    converter = StapledPacketConverter(first, second)
    assert converter == StapledPacketConverter(first, second)
    assert converter != StapledPacketConverter(second, first)
    with pytest.raises(dataclasses.FrozenInstanceError):
        converter.sent_packet_converter = second  # type: ignore[misc] # what is tested


def test_converters_have_no_dict_and_take_weak_references() -> None:
    for converter in (IntToText(), StapledPacketConverter(IntToText(), HexToText())):
        assert not hasattr(converter, "__dict__")
        assert weakref.ref(converter)() is converter


def test_converter_that_lacks_a_direction_cannot_be_made() -> None:
    class Half(AbstractPacketConverter[int, str]):
        def create_from_dto_packet(self, packet: str, /) -> int:
            return int(packet)

    with pytest.raises(TypeError):
        Half()  # type: ignore[abstract] # what is tested
