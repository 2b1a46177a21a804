from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, send

from easynetwork.exceptions import DeserializeError
from easynetwork.serializers import NamedTupleStructSerializer, StructSerializer
from easynetwork.serializers.struct import AbstractStructSerializer


class Point(NamedTuple):
    name: str
    x: int
    y: int


FORMATS = {"name": "6s", "x": "i", "y": "H"}


class Celsius(AbstractStructSerializer[float, float]):
    def iter_values(self, packet: float, /) -> list[int]:
        return [round(packet * 10) + 2732]

    def from_tuple(self, packet_tuple: tuple[Any, ...], /) -> float:
        if packet_tuple[0] == 0xFFFF:
            raise DeserializeError("no measurement")
        if packet_tuple[0] == 0xFFFE:
            raise ZeroDivisionError
        return float(packet_tuple[0] - 2732) / 10


@pytest.mark.parametrize(
    ("given", "used", "size"),
    [("HH", "!HH", 4), ("<HB", "<HB", 3), ("@HI", "@HI", 8), ("=B", "=B", 1), (">B", ">B", 1), ("!B", "!B", 1)],
)
def test_network_byte_order_unless_said_otherwise(given: str, used: str, size: int) -> None:
    serializer = StructSerializer(given)
    assert serializer.struct.format == used
    assert serializer.packet_size == serializer.struct.size == size


@pytest.mark.parametrize(("given", "error"), [("", ValueError), ("!", ValueError), ("Hk", struct.error)])
def test_bad_format_is_refused(given: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        StructSerializer(given)


def test_packet_is_the_tuple_of_values() -> None:
    serializer = StructSerializer("HB")
    assert serializer.serialize((1, 2)) == b"\0\1\2"
    assert list(serializer.incremental_serialize((1, 2))) == [b"\0\1\2"]
    assert serializer.deserialize(b"\0\1\2") == (1, 2)


def test_packet_that_is_no_tuple_is_not_sent() -> None:
    with pytest.raises(TypeError):
        StructSerializer("HB").serialize([1, 2])  # type: ignore[arg-type] # what is tested
    with pytest.raises(TypeError):
        list(StructSerializer("HB").incremental_serialize([1, 2]))  # type: ignore[arg-type] # what is tested


def test_values_that_do_not_fit_are_not_sent() -> None:
    for values in ((1,), (1, 256), (1, "a")):
        with pytest.raises(struct.error):
            StructSerializer("HB").serialize(values)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("data", [b"", b"\0\1", b"\0\1\2\3"])
def test_wrong_size_is_invalid(data: bytes, debug: bool) -> None:
    with pytest.raises(DeserializeError) as caught:
        StructSerializer("HB", debug=debug).deserialize(data)
    assert caught.value.error_info == ({"data": data} if debug else None)


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_structures_follow_each_other_in_a_stream(receive_all: Any, size: int) -> None:
    serializer = StructSerializer("HB")
    packets = [(number, number) for number in range(50)]
    assert receive_all(serializer, pieces(send(serializer, packets), size)) == packets


def test_own_structure_needs_two_methods() -> None:
    serializer = Celsius("H")
    assert serializer.deserialize(serializer.serialize(21.5)) == 21.5
    cold, error, warm = receive(serializer, [send(serializer, [-10.0]) + b"\xff\xff" + send(serializer, [30.5])])
    assert (cold, warm) == (-10.0, 30.5)
    assert str(error.error) == "no measurement"
    assert bytes(error.remaining_data) == send(serializer, [30.5])


def test_crash_of_from_tuple_goes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        Celsius("H").deserialize(b"\xff\xfe")
    with pytest.raises(ZeroDivisionError):
        receive(Celsius("H"), [b"\xff\xfe"])


# -------------------------------------------------------------------------------------------------------- named tuples


def test_fields_are_packed_in_the_order_of_the_named_tuple() -> None:
    serializer = NamedTupleStructSerializer(Point, {"y": "H", "x": "i", "name": "6s", "unused": "B"})
    assert serializer.struct.format == "!6siH"
    data = serializer.serialize(Point("é", -1, 2))
    assert data == b"\xc3\xa9\0\0\0\0\xff\xff\xff\xff\0\2"
    packet = serializer.deserialize(data)
    assert packet == Point("é", -1, 2)
    assert type(packet) is Point


@pytest.mark.parametrize("byte_order", ["", "@", "=", "<", ">", "!"])
def test_byte_order_is_obeyed(byte_order: str) -> None:
    serializer = NamedTupleStructSerializer(Point, FORMATS, byte_order)
    assert serializer.struct.format == (byte_order or "!") + "6siH"


@pytest.mark.parametrize("byte_order", ["<>", "a", "! ", "@="])
def test_other_byte_orders_are_refused(byte_order: str) -> None:
    with pytest.raises(ValueError):
        NamedTupleStructSerializer(Point, FORMATS, byte_order)


@pytest.mark.parametrize("format", ["", "5H", "H5", "!H", "5p", "6s ", "ss", "é", "5"])
def test_format_of_a_field_is_one_letter_or_a_sized_string(format: str) -> None:
    with pytest.raises(ValueError):
        NamedTupleStructSerializer(Point, FORMATS | {"x": format})
    with pytest.raises(ValueError):
        NamedTupleStructSerializer(Point, FORMATS | {"unused": format})


def test_each_field_needs_a_format() -> None:
    with pytest.raises(KeyError):
        NamedTupleStructSerializer(Point, {"name": "6s", "x": "i"})


def test_what_is_not_of_the_class_is_not_sent() -> None:
    with pytest.raises(TypeError):
        NamedTupleStructSerializer(Point, FORMATS).serialize(("a", 1, 2))  # type: ignore[arg-type] # what is tested


def test_longer_strings_are_cut() -> None:
    serializer = NamedTupleStructSerializer(Point, FORMATS)
    assert serializer.deserialize(serializer.serialize(Point("abcdefgh", 1, 2))) == Point("abcdef", 1, 2)


def test_strings_are_bytes_without_an_encoding() -> None:
    serializer: Any = NamedTupleStructSerializer(Point, FORMATS, encoding=None)
    assert serializer.deserialize(serializer.serialize(Point(b"\xff", 1, 2))) == (b"\xff", 1, 2)  # type: ignore[arg-type] # what is tested
    with pytest.raises(struct.error):
        serializer.serialize(Point("a", 1, 2))


def test_strings_are_text_with_an_encoding() -> None:
    serializer: Any = NamedTupleStructSerializer(Point, FORMATS)
    with pytest.raises(TypeError):
        serializer.serialize(Point(b"a", 1, 2))  # type: ignore[arg-type] # what is tested
    assert NamedTupleStructSerializer(Point, FORMATS, "", "ascii", "replace").serialize(Point("é", 0, 0))[:1] == b"?"


def test_padding_is_kept_if_wanted() -> None:
    for encoding, name in (("utf-8", "a\0\0\0\0\0"), (None, b"a\0\0\0\0\0")):
        serializer = NamedTupleStructSerializer(
            Point, FORMATS, encoding=encoding, strip_string_trailing_nul_bytes=False
        )
        assert serializer.from_tuple((b"a\0\0\0\0\0", 1, 2)) == (name, 1, 2)


@pytest.mark.parametrize("debug", [False, True])
def test_undecodable_string_is_invalid(debug: bool) -> None:
    serializer = NamedTupleStructSerializer(Point, FORMATS, debug=debug)
    values = (b"\xff\0\0\0\0\0", 1, 2)
    with pytest.raises(DeserializeError) as caught:
        serializer.from_tuple(values)
    assert caught.value.error_info == ({"unpacked_struct": values} if debug else None)
