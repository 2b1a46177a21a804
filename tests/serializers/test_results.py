"""A generator that returns something else than a packet and the bytes after it: the error says so."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer

WRONG: list[Any] = [None, 5, "ab", "abc", b"ab", ("packet",), ("packet", b"", 1), ("packet", None), ("packet", "text")]
each_wrong = pytest.mark.parametrize("result", WRONG, ids=repr)


class Returning(BufferedIncrementalPacketSerializer[Any, Any, bytearray]):
    def __init__(self, result: Any) -> None:
        self.result = result

    def incremental_serialize(self, packet: Any, /) -> Generator[bytes]:
        yield packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        yield
        result: tuple[Any, bytes] = self.result
        return result

    def create_deserializer_buffer(self, sizehint: int, /) -> bytearray:
        return bytearray(10)

    def buffered_incremental_deserialize(self, buffer: bytearray, /) -> Generator[None, int, tuple[Any, bytes]]:
        yield
        result: tuple[Any, bytes] = self.result
        return result


class OwnStream(StreamProtocol[Any, Any]):
    def __init__(self, result: Any) -> None:
        super().__init__(Returning(result))
        self.result = result

    def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        yield
        result: tuple[Any, bytes] = self.result
        return result


class OwnBufferedStream(BufferedStreamProtocol[Any, Any, bytearray]):
    def __init__(self, result: Any) -> None:
        super().__init__(Returning(result))
        self.result = result

    def build_packet_from_buffer(self, buffer: bytearray) -> Generator[None, int, tuple[Any, bytes]]:
        yield
        result: tuple[Any, bytes] = self.result
        return result


@each_wrong
def test_one_shot_says_what_was_returned(result: Any) -> None:
    with pytest.raises(TypeError, match=r"Returning.incremental_deserialize\(\) must return a tuple") as caught:
        Returning(result).deserialize(b"data")
    assert repr(result) in str(caught.value) or result in ("ab", b"ab")


@each_wrong
@pytest.mark.parametrize(
    ("make", "generator"),
    [
        (lambda result: StreamProtocol(Returning(result)), "Returning.incremental_deserialize()"),
        (lambda result: BufferedStreamProtocol(Returning(result)), "Returning.buffered_incremental_deserialize()"),
    ],
)
def test_stream_says_what_was_returned(make: Any, generator: str, result: Any) -> None:
    decoder = decoder_factory(make(result), 1024)()
    decoder.feed(b"data")
    with pytest.raises(RuntimeError) as caught:
        decoder.next_packet()
    assert isinstance(caught.value.__cause__, TypeError)
    assert str(caught.value.__cause__).startswith(f"{generator} must return a tuple (packet, remaining bytes), ")


@pytest.mark.parametrize("result", [None, 5, ("packet",), ("packet", b"", 1)], ids=repr)
@pytest.mark.parametrize("protocol", [OwnStream, OwnBufferedStream])
def test_protocol_object_of_ones_own_is_told_too(protocol: Any, result: Any) -> None:
    decoder = decoder_factory(protocol(result), 1024)()
    decoder.feed(b"data")
    with pytest.raises(RuntimeError) as caught:
        decoder.next_packet()
    assert "must return a tuple" in str(caught.value.__cause__)


@pytest.mark.parametrize("remaining", [b"", bytearray(b""), memoryview(b"")], ids=lambda value: type(value).__name__)
def test_remaining_bytes_may_be_of_any_kind(remaining: Any) -> None:
    assert Returning(("packet", remaining)).deserialize(b"data") == "packet"
    decoder = decoder_factory(BufferedStreamProtocol(Returning(("packet", remaining))), 1024)()
    decoder.feed(b"data")
    assert decoder.next_packet() == "packet"
