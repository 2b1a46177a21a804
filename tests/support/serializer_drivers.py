"""What an endpoint does with a protocol object, without any transport: bytes in, packets and parse errors out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from easynetwork.exceptions import IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers._resuming import rest_of_refused
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer, BufferedIncrementalPacketSerializer


class _Receiver:
    """What both ways of receiving have in common: the rest of a packet over its limit is dropped."""

    def __init__(self) -> None:
        self._rest: Any = None
        self._is_lost = False
        self.kept = b""

    def _goes_on(self) -> bool:
        """Drop what belongs to a refused packet. Return whether there are bytes to parse."""
        if self._is_lost:
            self.kept = b""
        elif self.kept and self._rest is not None:
            data, self.kept = self.kept, b""
            try:
                self._rest.send(data)
            except StopIteration as exc:
                self._rest, self.kept = None, exc.value
        return bool(self.kept)

    def _refuse(self, error: object) -> None:
        if isinstance(error, IncrementalDeserializeError) and not error._is_over:
            self._rest = rest_of_refused(error)
            self._is_lost = self._rest is None
            if self._rest is not None:
                next(self._rest)


class StreamReceiver(_Receiver):
    """Receives through ``build_packet_from_chunks()``."""

    def __init__(self, protocol: StreamProtocol[Any, Any]) -> None:
        super().__init__()
        self._build = protocol.build_packet_from_chunks
        self._generator: Any = None

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Yield packets, and parse errors as objects."""
        self.kept += chunk
        while self._goes_on():
            if self._generator is None:
                self._generator = self._build()
                assert next(self._generator) is None
            data, self.kept = self.kept, b""
            try:
                assert self._generator.send(data) is None
                return
            except StopIteration as exc:
                packet, self.kept = exc.value
                assert type(self.kept) is bytes
                result = packet
            except StreamProtocolParseError as exc:
                self.kept = bytes(exc.remaining_data)
                self._refuse(exc.error)
                result = exc
            self._generator = None
            yield result


class BufferedReceiver(_Receiver):
    """Receives through ``build_packet_from_buffer()``: bytes are written where the generator says."""

    def __init__(self, protocol: BufferedStreamProtocol[Any, Any, Any], sizehint: int) -> None:
        super().__init__()
        self._protocol = protocol
        self._sizehint = sizehint
        self._generator: Any = None
        self._window = memoryview(b"")

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Yield packets, and parse errors as objects."""
        self.kept += chunk
        while self._goes_on():
            if self._generator is None:
                buffer = self._protocol.create_buffer(self._sizehint)
                self._generator = self._protocol.build_packet_from_buffer(buffer)
                self._buffer = memoryview(buffer).cast("B")
                assert not self._buffer.readonly
                self._window = self._buffer[next(self._generator) or 0 :]
            assert self._window, "nothing fits into the buffer"
            piece, self.kept = self.kept[: len(self._window)], self.kept[len(self._window) :]
            self._window[: len(piece)] = piece
            try:
                self._window = self._buffer[self._generator.send(len(piece)) or 0 :]
                continue
            except StopIteration as exc:
                packet, remaining = exc.value
                result = packet
            except StreamProtocolParseError as exc:
                remaining = exc.remaining_data
                self._refuse(exc.error)
                result = exc
            self.kept = bytes(remaining) + self.kept
            self._generator = None
            yield result


def receive(serializer: AbstractIncrementalPacketSerializer[Any, Any], chunks: Iterable[bytes]) -> list[Any]:
    """Return the packets and parse errors (as objects) that a `StreamProtocol` makes of *chunks*."""
    receiver = StreamReceiver(StreamProtocol(serializer))
    return [result for chunk in chunks for result in receiver.feed(chunk)]


def receive_buffered(
    serializer: BufferedIncrementalPacketSerializer[Any, Any, Any], chunks: Iterable[bytes], sizehint: int = 1024
) -> list[Any]:
    """Return the packets and parse errors (as objects) that a `BufferedStreamProtocol` makes of *chunks*."""
    receiver = BufferedReceiver(BufferedStreamProtocol(serializer), sizehint)
    return [result for chunk in chunks for result in receiver.feed(chunk)]


def receive_decoded(
    serializer: AbstractIncrementalPacketSerializer[Any, Any], chunks: Iterable[bytes], *, one_by_one: bool = False
) -> list[Any]:
    """Return the packets and parse errors (as objects) that the library's own decoder makes of *chunks*.

    It makes one packet at a time, as for a client, or many.
    """
    decoder = decoder_factory(StreamProtocol(serializer), 2**16)()
    results: list[Any] = []
    for chunk in chunks:
        decoder.feed(chunk)
        while True:
            try:
                if one_by_one:
                    packet = decoder.next_packet()
                    packets = [] if packet is NEED_DATA else [packet]
                else:
                    packets = decoder.next_packets(100)
            except StreamProtocolParseError as exc:
                results.append(exc)
            except FramingLostError:
                return results
            else:
                if not packets:
                    break
                results += packets
    return results


def comparable(results: Iterable[Any]) -> list[Any]:
    """Replace parse errors by their class and what remains, and what cannot be compared by its text."""
    return [
        (type(result.error), bytes(result.remaining_data))
        if isinstance(result, StreamProtocolParseError)
        else _without_addresses(result)
        for result in results
    ]


def _without_addresses(packet: Any) -> str:
    """NaN is not equal to itself, and some objects show their address."""
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", repr(packet))
    except RecursionError:  # deeper than repr() can go; the packet is legal
        return "deep"


def send(serializer: AbstractIncrementalPacketSerializer[Any, Any], packets: Iterable[Any]) -> bytes:
    """Return the bytes that a stream of *packets* carries."""
    protocol = StreamProtocol(serializer)
    return b"".join(chunk for packet in packets for chunk in protocol.generate_chunks(packet))


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut *data* into pieces of *size* bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """Cut *data* at *positions*, which are taken modulo its size."""
    cuts = sorted({position % len(data) for position in positions} | {0, len(data)}) if data else []
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


def check_errors(results: Iterable[Any], data: bytes) -> None:
    """Check that each packet or error in *results* comes from at least a byte of *data*, and each rest from there."""
    results = list(results)
    assert len(results) <= len(data), "something did not consume any byte"
    for result in results:
        if isinstance(result, StreamProtocolParseError):
            assert isinstance(result.error, IncrementalDeserializeError)
            assert bytes(result.remaining_data) in data
            assert str(result)
