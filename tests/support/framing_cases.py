"""Serializers and protocol objects that the tests of the decoders share."""

from __future__ import annotations

__all__ = [
    "Block",
    "BufferedProtocolByGenerators",
    "CountingBytes",
    "Framed",
    "LengthPrefix",
    "Line",
    "ProtocolByGenerators",
    "ProtocolType",
    "cut",
    "decode",
    "drain",
]

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeAlias

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
from easynetwork.serializers.base_stream import AutoSeparatedPacketSerializer, FixedSizePacketSerializer
from easynetwork.serializers.framing import FramedPacketSerializer, FrameFormat

ProtocolType: TypeAlias = Callable[..., AnyStreamProtocolType[Any, Any]]
"""What makes a protocol object of a serializer."""


class Line(AutoSeparatedPacketSerializer[bytes, bytes]):
    """Bytes are packets. Those that begin with ``!`` are invalid, those with ``?`` are met with a bug."""

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        return _checked(data)


class Block(FixedSizePacketSerializer[bytes, bytes]):
    """The same, in blocks of one size."""

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        return _checked(data)


class Framed(FramedPacketSerializer[bytes, bytes]):
    """The same, in frames of any format."""

    def __init__(self, frames: FrameFormat) -> None:
        self._frames = frames

    def frame_format(self) -> FrameFormat:
        return self._frames

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        assert type(data) is bytes
        return _checked(data)


class LengthPrefix(BufferedIncrementalPacketSerializer[bytes, bytes, bytearray]):
    """One byte with the length of what follows, by generators."""

    def incremental_serialize(self, packet: bytes) -> Generator[bytes]:
        yield bytes([len(packet)])
        yield b""
        yield packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        data = yield
        assert data
        while len(data) <= data[0]:
            more = yield
            assert more
            data += more
        end = data[0] + 1
        return self._checked(data[1:end], data[end:]), data[end:]

    def create_deserializer_buffer(self, sizehint: int) -> bytearray:
        return bytearray(256)

    def buffered_incremental_deserialize(self, buffer: bytearray) -> Generator[int, int, tuple[bytes, memoryview]]:
        received = 0
        while received < 1 or received <= buffer[0]:
            nbytes = yield received
            assert nbytes > 0
            received += nbytes
        end = buffer[0] + 1
        remaining = memoryview(buffer)[end:received]
        return self._checked(bytes(buffer[1:end]), remaining), remaining

    @staticmethod
    def _checked(packet: bytes, remaining: bytes | memoryview) -> bytes:
        try:
            return _checked(packet)
        except DeserializeError as exc:
            raise IncrementalDeserializeError(str(exc), remaining)


def _checked(data: bytes) -> bytes:
    if data.startswith(b"!"):
        raise DeserializeError("invalid", {"data": data})
    if data.startswith(b"?"):
        raise ZeroDivisionError(data)
    return data


class ProtocolByGenerators(StreamProtocol[Any, Any]):
    """Overrides the generator without a change. The decoder has to run it all the same."""

    __slots__ = ()

    def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        return (yield from super().build_packet_from_chunks())


class BufferedProtocolByGenerators(BufferedStreamProtocol[Any, Any, Any]):
    """The same for the buffered way."""

    __slots__ = ()

    def build_packet_from_buffer(self, buffer: Any) -> Generator[int | None, int, tuple[Any, Any]]:
        return (yield from super().build_packet_from_buffer(buffer))


def cut(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Yield *data* in pieces: *cuts* are their sizes, used again and again."""
    sizes = list(cuts)
    start = turn = 0
    while start < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        yield data[start : start + size]
        start += size
        turn += 1


def drain(decoder: StreamDecoder[Any], batch: int = 0) -> Iterator[Any]:
    """Yield packets, and a tuple for each error, until more bytes are needed or the stream cannot continue."""
    while True:
        try:
            if batch:
                packets = decoder.next_packets(batch)
                assert len(packets) <= batch
                if not packets:
                    return
                yield from packets
            else:
                packet = decoder.next_packet()
                if packet is NEED_DATA:
                    return
                yield packet
        except StreamProtocolParseError as exc:
            yield type(exc.error), bytes(exc.remaining_data)
        except RuntimeError as exc:
            yield type(exc), type(exc.__cause__)
        except FramingLostError as exc:
            yield type(exc), type(exc.__cause__)
            return


def decode(
    protocol: AnyStreamProtocolType[Any, Any], chunks: Iterable[bytes], *, batch: int = 0, max_recv_size: int = 1024
) -> list[Any]:
    """Return all that comes out of a new decoder which is drained after each chunk."""
    decoder = decoder_factory(protocol, max_recv_size)()
    result: list[Any] = []
    for chunk in chunks:
        decoder.feed(chunk)
        result += drain(decoder, batch)
        if result and isinstance(result[-1], tuple) and result[-1][0] is FramingLostError:
            break
    return result


class CountingBytes(bytearray):
    """Counts the bytes that were searched or copied, in all objects since the test has set the counter to zero."""

    searched = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None, /) -> int:
        end = len(self) if end is None else min(end, len(self))
        CountingBytes.searched += end - start
        return super().find(sub, start, end)

    def __getitem__(self, index: Any, /) -> Any:
        if isinstance(index, slice):
            CountingBytes.searched += len(range(*index.indices(len(self))))
        return super().__getitem__(index)
