from __future__ import annotations

import inspect
import weakref
from collections.abc import Generator
from typing import Any

import pytest

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer


class TwoBytes(AbstractIncrementalPacketSerializer[bytes, bytes]):
    """Packets of two bytes; those that begin with ``!`` are refused."""

    def __init__(self) -> None:
        self.generators: list[Generator[None, bytes, tuple[bytes, bytes]]] = []

    def incremental_serialize(self, packet: bytes, /) -> Generator[bytes]:
        yield packet[:1]
        yield b""
        yield packet[1:]

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        generator = self._deserialize()
        self.generators.append(generator)
        return generator

    def _deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        data = yield
        while len(data) < 2:
            data += yield
        if data.startswith(b"!"):
            raise IncrementalDeserializeError("refused", data[2:])
        return data[:2], data[2:]


def test_one_shot_serialize_joins_the_chunks() -> None:
    assert TwoBytes().serialize(b"ab") == b"ab"


def test_one_shot_deserialize_returns_the_packet() -> None:
    assert TwoBytes().deserialize(b"ab") == b"ab"


def test_one_shot_deserialize_refuses_what_follows_the_packet() -> None:
    with pytest.raises(DeserializeError) as caught:
        TwoBytes().deserialize(b"abc")
    assert type(caught.value) is DeserializeError
    assert caught.value.error_info == {"packet": b"ab", "extra": b"c"}


def test_one_shot_deserialize_refuses_an_incomplete_packet_and_closes_the_generator() -> None:
    serializer = TwoBytes()
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(b"a")
    assert type(caught.value) is DeserializeError
    assert caught.value.error_info == {"data": b"a"}
    assert inspect.getgeneratorstate(serializer.generators[0]) == inspect.GEN_CLOSED


def test_one_shot_deserialize_lets_exceptions_through() -> None:
    with pytest.raises(IncrementalDeserializeError) as caught:
        TwoBytes().deserialize(b"!!x")
    assert caught.value.remaining_data == b"x"


def test_generator_that_asks_for_nothing_is_a_bug() -> None:
    class Hasty(TwoBytes):
        def _deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            return b"", b""
            yield

    with pytest.raises(RuntimeError):
        Hasty().deserialize(b"ab")


def test_serializers_take_weak_references_and_need_no_dict() -> None:
    class Slotted(TwoBytes):
        __slots__ = ()

    class SlottedBase(AbstractIncrementalPacketSerializer[Any, Any]):
        __slots__ = ()

        def incremental_serialize(self, packet: Any, /) -> Generator[bytes]:
            yield b""

        def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
            return (yield), b""

    serializer = SlottedBase()
    assert not hasattr(serializer, "__dict__")
    assert weakref.ref(serializer)() is serializer
