"""One stream's bytes, cut into packets: what a protocol object means, without any I/O.

A *decoder* belongs to one connection. It is fed what the transport received and gives packets, one at a time and only
when asked: what nobody asked for yet stays as bytes. An *encoder* is a function from a packet to its bytes.

Serializers that say their framing as data (:mod:`easynetwork.serializers.framing`) are decoded chunk by chunk; all
others, and all that a user has overridden, by their generators. Both ways give the same packets and the same errors.
"""

from __future__ import annotations

__all__ = [
    "NEED_DATA",
    "BufferedDecoder",
    "NeedData",
    "StreamDecoder",
    "SupportsAppend",
    "check_stream_protocol",
    "decoder_factory",
    "packet_encoder",
]

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import partial
from itertools import accumulate
from typing import Any, Final, Generic, Literal, NoReturn, Protocol, TypeAlias, TypeVar

from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import (
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    PacketConversionError,
    StreamProtocolParseError,
)
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers._results import not_a_pair
from easynetwork.serializers.framing import FixedSizeFrames, FramedPacketSerializer, SeparatedFrames

from ._bytes_queue import BytesQueue
from ._checks import check_strictly_positive

_T_Packet = TypeVar("_T_Packet")


class _Token(enum.Enum):
    NEED_DATA = "NEED_DATA"


NeedData: TypeAlias = Literal[_Token.NEED_DATA]
NEED_DATA: Final = _Token.NEED_DATA
"""What a decoder answers while the next packet is incomplete. A token, since any object may be a packet."""


class SupportsAppend(Protocol):
    """What chunks can be appended to."""

    def append(self, chunk: bytes, /) -> None:
        """Takes a chunk."""


class StreamDecoder(ABC, Generic[_T_Packet]):
    """The receiving half of one stream."""

    __slots__ = ("input",)

    input: SupportsAppend
    """Takes chunks as received. Parses nothing: a packet costs nothing before somebody wants it."""
    drained: bool = False
    """Whether `next_packets` has just taken all there was: without new bytes, the next call would return none."""

    def feed(self, chunk: bytes) -> None:
        """Takes received bytes."""
        self.input.append(chunk)

    @abstractmethod
    def next_packet(self) -> _T_Packet | NeedData:
        """Returns the next packet, or `NEED_DATA`.

        Raises:
            StreamProtocolParseError: the bytes are no valid packet. The next call goes on after them.
            RuntimeError: the protocol object crashed (its exception is the cause).
        """
        raise NotImplementedError

    def next_packets(self, limit: int) -> list[_T_Packet]:
        """Returns at most *limit* of the next packets; none if the next one is incomplete.

        Raises as `next_packet`.

        More than one only where parsing a packet cannot depend on what is done about the one before.
        """
        packet = self.next_packet()
        return [] if packet is NEED_DATA else [packet]

    def next_lone_packet(self, chunk: bytes) -> _T_Packet | NeedData:
        """Takes *chunk*, and returns the packet in it if there is nothing else: a short way for the most common case.

        If it returns `NEED_DATA`, `next_packets` has to be asked. Raises as `next_packet`.
        """
        self.input.append(chunk)
        return NEED_DATA

    @property
    def buffered(self) -> BufferedDecoder[_T_Packet] | None:
        """The decoder itself if it takes bytes without a copy, in a buffer of its own."""
        return None

    @abstractmethod
    def clear(self) -> None:
        """Forgets all bytes."""
        raise NotImplementedError


def _crash(exc: Exception) -> RuntimeError:
    error = RuntimeError("The protocol object crashed while it was building a packet from received bytes")
    error.__cause__ = exc
    return error


# ------------------------------------------------------------------------------------- framing that is said as data


class _FrameDecoder(StreamDecoder[_T_Packet]):
    """What separator-framed and fixed-size streams share: how a frame becomes a packet, and what its errors mean."""

    __slots__ = ("_chunk", "_decode", "_received")

    def __init__(self, decode: Callable[[bytes], _T_Packet]) -> None:
        self._received: list[bytes] = []
        self.input = self._received
        self._decode = decode
        self._chunk: bytes = b""

    def clear(self) -> None:
        self._received.clear()
        self._chunk = b""

    def _fail(self, exc: Exception, remaining_data: memoryview) -> NoReturn:
        if isinstance(exc, DeserializeError):
            error = IncrementalDeserializeError(str(exc), remaining_data, exc.error_info)
            error.__cause__ = exc
            raise StreamProtocolParseError(remaining_data, error) from error
        if isinstance(exc, PacketConversionError):
            raise StreamProtocolParseError(remaining_data, exc) from exc
        self.clear()
        raise _crash(exc)


class _SeparatedDecoder(_FrameDecoder[_T_Packet]):
    """Frames followed by a separator: a chunk is split at once.

    The incomplete frame at the end of a chunk is kept as ``bytes``; once it has outlived a chunk without any separator
    it becomes a ``bytearray``, in which only new bytes are searched: a frame that drips in costs linear time.
    """

    __slots__ = ("_frames", "_has_large_frames", "_limit", "_remaining_sizes", "_separator", "_tail", "drained")

    def __init__(self, decode: Callable[[bytes], _T_Packet], separator: bytes, limit: int) -> None:
        super().__init__(decode)
        self._separator = separator
        self._limit = limit
        self._frames: list[bytes] = []  # complete frames of the chunk, the next one last
        self._has_large_frames = False  # perhaps
        self._tail: bytes | bytearray = b""  # what follows the last separator
        self._remaining_sizes: list[int] | None = None

    def next_packet(self) -> _T_Packet | NeedData:
        frames = self._frames
        if not frames:
            received = self._received
            if not received and not self._tail:
                return NEED_DATA
            if len(received) == 1 and not self._tail:
                packet = self.next_lone_packet(received.pop())
                if packet is not NEED_DATA:
                    return packet
            frames = self._split_received()
            if not frames:
                return NEED_DATA
        if self._has_large_frames:
            return self._decode_last(frames)
        try:
            return self._decode(frames.pop())
        except Exception as exc:
            self._fail(exc, self._remaining())

    def next_packets(self, limit: int) -> list[_T_Packet]:
        self.drained = False
        frames = self._frames
        if not frames:
            if not self._received and not self._tail:
                self._chunk = b""  # nobody keeps the last chunk of an idle connection
                return []
            frames = self._split_received()
        if self._has_large_frames or not frames:
            return super().next_packets(limit)
        packets: list[_T_Packet] = []
        try:
            packets.extend(map(self._decode, frames[: -limit - 1 : -1]))
        except Exception:
            # Those before the bad one are in the list. It will be met again, as the first one.
            if not packets:
                return [self._decode_last(frames)]
        del frames[-len(packets) :]
        if not frames and not self._tail:
            self.drained = True
            self._chunk = b""
        return packets

    def next_lone_packet(self, chunk: bytes) -> _T_Packet | NeedData:
        if not (self._received or self._frames or self._tail):
            frame, separator, rest = chunk.partition(self._separator)
            if separator and not rest and len(frame) <= self._limit:
                try:
                    return self._decode(frame)
                except Exception as exc:
                    self._fail(exc, memoryview(b""))
        self._received.append(chunk)
        return NEED_DATA

    def clear(self) -> None:
        super().clear()
        self._frames.clear()
        self._tail = b""

    def _decode_last(self, frames: list[bytes]) -> _T_Packet:
        frame = frames.pop()
        if self._has_large_frames and len(frame) > self._limit:
            self._refuse_frame(frame)
        try:
            return self._decode(frame)
        except Exception as exc:
            self._fail(exc, self._remaining())

    def _split_received(self) -> list[bytes]:
        """Makes frames of what was received. Called when there are none."""
        received, tail = self._received, self._tail
        if not tail and len(received) == 1:  # by far the most
            self._chunk = chunk = received.pop()
            self._remaining_sizes = None
            self._frames = frames = chunk.split(self._separator)
            self._tail = frames.pop()
            self._has_large_frames = len(chunk) > self._limit
            if len(frames) > 1:
                frames.reverse()
            elif not frames:
                self._tail = bytearray(chunk)
                return self._split_received()
            return frames
        if not received:
            if len(tail) - len(self._separator) >= self._limit:
                self._refuse_tail()
            return self._frames
        if len(received) == 1:
            chunk = received.pop()
        else:
            chunk = b"".join(received)
            received.clear()
        first = None
        if tail:
            if isinstance(tail, bytearray):
                searched = max(len(tail) - len(self._separator) + 1, 0)
                tail += chunk
                end = tail.find(self._separator, searched)
                if end < 0:
                    return self._split_received()
                with memoryview(tail) as view:  # a slice of a bytearray would be one more copy
                    first = bytes(view[:end])
                    chunk = bytes(view[end + len(self._separator) :])
            else:
                chunk = tail + chunk
        frames = chunk.split(self._separator)
        self._tail = frames.pop()
        if len(frames) > 1:
            frames.reverse()
        self._has_large_frames = len(chunk) > self._limit
        if first is not None:
            frames.append(first)
            self._has_large_frames = True
        elif not frames:
            self._tail = bytearray(chunk)
            return self._split_received()
        self._chunk = chunk
        self._frames = frames
        self._remaining_sizes = None
        return frames

    def _remaining(self) -> memoryview:
        """Returns what comes after the frame that was taken last. No copy, and no search at each error of a chunk."""
        frames, sizes = self._frames, self._remaining_sizes
        if sizes is None:
            frame_sizes = (len(frame) + len(self._separator) for frame in frames)
            sizes = self._remaining_sizes = list(accumulate(frame_sizes, initial=len(self._tail)))
        return memoryview(self._chunk)[len(self._chunk) - sizes[len(frames)] :]

    def _refuse_frame(self, frame: bytes) -> NoReturn:
        buffer = b"".join((frame, self._separator, self._remaining()))
        self._overrun(f"A frame of {len(frame)} bytes was received", buffer, len(frame))

    def _refuse_tail(self) -> NoReturn:
        buffer = bytes(self._tail)
        consumed = len(buffer) + 1 - len(self._separator)
        self._tail = bytes(LimitOverrunError("", buffer, consumed, self._separator).remaining_data)
        self._overrun(f"No separator was found in {len(buffer)} bytes", buffer, consumed)

    def _overrun(self, what: str, buffer: bytes, consumed: int) -> NoReturn:
        message = f"{what}; the limit is {self._limit} bytes before {self._separator!r}"
        error = LimitOverrunError(message, buffer, consumed, self._separator)
        raise StreamProtocolParseError(error.remaining_data, error) from error


class _FixedSizeDecoder(_FrameDecoder[_T_Packet]):
    """Frames of one size: slices of a chunk. An incomplete one grows in a ``bytearray``."""

    __slots__ = ("_partial", "_position", "_size")

    def __init__(self, decode: Callable[[bytes], _T_Packet], size: int) -> None:
        super().__init__(decode)
        self._size = size
        self._position: int = 0  # in the chunk
        self._partial: bytearray | None = None

    def next_packet(self) -> _T_Packet | NeedData:
        start = self._position
        end = start + self._size
        if end > len(self._chunk):
            if not self._received or not self._next_chunk():
                return NEED_DATA
            start, end = 0, self._size
        self._position = end
        try:
            return self._decode(self._chunk[start:end])
        except Exception as exc:
            self._fail(exc, memoryview(self._chunk)[end:])

    def next_packets(self, limit: int) -> list[_T_Packet]:
        size = self._size
        if self._position + size > len(self._chunk) and not (self._received and self._next_chunk()):
            return []
        chunk, start = self._chunk, self._position
        end = min(start + limit * size, len(chunk) - size + 1)
        packets: list[_T_Packet] = []
        try:
            packets.extend(map(self._decode, [chunk[i : i + size] for i in range(start, end, size)]))
        except Exception as exc:
            # Those before it have been decoded, and stay in the list. It will be met again as the first one.
            if not packets:
                self._position += size
                self._fail(exc, memoryview(chunk)[self._position :])
        self._position += size * len(packets)
        return packets

    def clear(self) -> None:
        super().clear()
        self._position = 0
        self._partial = None

    def _next_chunk(self) -> bool:
        """Makes the next chunk of what was left of the last one and what was received; false if that is too little."""
        partial = self._partial
        if partial is None:
            partial = bytearray(memoryview(self._chunk)[self._position :])
            self._chunk = b""
            self._position = 0
        received = b"".join(self._received)
        self._received.clear()
        if partial:
            partial += received
            if len(partial) < self._size:
                self._partial = partial
                return False
            received = bytes(partial)
        elif len(received) < self._size:
            self._partial = bytearray(received)
            return False
        self._partial = None
        self._chunk = received
        return True


# ------------------------------------------------------------------------------------------- framing by generators


class _GeneratorDecoder(StreamDecoder[_T_Packet]):
    """Any `StreamProtocol`: its generator gets at most *max_recv_size* bytes at a time."""

    __slots__ = ("_build", "_generator", "_kept", "_max_recv_size", "_received")

    def __init__(self, protocol: StreamProtocol[Any, _T_Packet], max_recv_size: int) -> None:
        self.input = self._received = BytesQueue()
        self._build = protocol.build_packet_from_chunks
        self._max_recv_size = max_recv_size
        self._generator: Generator[None, bytes, tuple[_T_Packet, bytes]] | None = None
        self._kept: bytes = b""  # the remainder of the last packet, older than what is received

    def next_packet(self) -> _T_Packet | NeedData:
        while data := self._kept or self._received.take(self._max_recv_size):
            self._kept = data
            generator = self._generator
            if generator is None:
                generator = self._generator = _started(self._build())[0]
            self._kept = b""
            try:
                generator.send(data)
            except StopIteration as stop:
                self._generator = None
                packet: _T_Packet
                try:
                    packet, self._kept = stop.value
                except (TypeError, ValueError):
                    raise _crash(not_a_pair("build_packet_from_chunks()", stop.value))
                return packet
            except StreamProtocolParseError as exc:
                self._generator = None
                self._kept = bytes(exc.remaining_data)
                raise
            except Exception as exc:
                self._generator = None
                raise _crash(exc)
        return NEED_DATA

    def clear(self) -> None:
        self._received.clear()
        self._kept = b""
        if self._generator is not None:
            self._generator.close()
            self._generator = None


class BufferedDecoder(StreamDecoder[_T_Packet]):
    """Any `BufferedStreamProtocol`: bytes are written into the protocol's own buffer.

    Who can read straight into that buffer does so between `get_buffer` and `buffer_updated`; what is fed is copied.
    """

    __slots__ = ("_generator", "_kept", "_protocol", "_received", "_sizehint", "_user_buffer", "_view", "_written")

    def __init__(self, protocol: BufferedStreamProtocol[Any, _T_Packet, Any], max_recv_size: int) -> None:
        self.input = self._received = BytesQueue()
        self._protocol = protocol
        self._sizehint = max_recv_size
        self._user_buffer: Any = None
        self._view: memoryview | None = None  # where the next bytes go; None while no generator runs
        self._generator: Generator[int | None, int, tuple[_T_Packet, Any]] | None = None
        self._written: int = 0  # bytes in the view that the generator was not told of
        self._kept: bytes = b""  # the remainder of the last packet, older than what is received

    @property
    def buffered(self) -> BufferedDecoder[_T_Packet]:
        return self

    def get_buffer(self) -> memoryview:
        """Returns where the next received bytes are to be written: at least one byte, writable.

        Raises:
            ValueError: the protocol object made a buffer that is empty or read-only.
            RuntimeError: the protocol object crashed or wants to write where its buffer ends.
        """
        if self._view is None:
            if self._user_buffer is None:
                buffer = self._protocol.create_buffer(self._sizehint)
                with memoryview(buffer) as view:
                    if view.readonly:
                        raise ValueError("The protocol object created a read-only buffer")
                    if not view.nbytes:
                        raise ValueError("The protocol object created an empty buffer")
                self._user_buffer = buffer
            self._generator, position = _started(self._protocol.build_packet_from_buffer(self._user_buffer))
            self._view = self._window(position)
        return self._view[self._written :]

    def buffer_updated(self, nbytes: int) -> None:
        """Says that *nbytes* were written at the beginning of what `get_buffer` returned."""
        self._written += nbytes

    def next_packet(self) -> _T_Packet | NeedData:
        while self._written or self._copy_fed_bytes():
            assert self._generator is not None
            nbytes, self._written = self._written, 0
            try:
                position = self._generator.send(nbytes)
            except StopIteration as stop:
                packet: _T_Packet
                try:
                    packet, remaining = stop.value
                    self._keep(remaining)
                except (TypeError, ValueError):
                    self._drop_buffer()
                    raise _crash(not_a_pair("build_packet_from_buffer()", stop.value))
                return packet
            except StreamProtocolParseError as exc:
                self._keep(exc.remaining_data)
                raise
            except Exception as exc:
                self._drop_buffer()
                raise _crash(exc)
            self._view = self._window(position)
        return NEED_DATA

    def clear(self) -> None:
        self._received.clear()
        if self._generator is not None:
            self._generator.close()
        self._drop_buffer()
        self._kept = b""

    def _window(self, position: int | None) -> memoryview:
        window = memoryview(self._user_buffer).cast("B")[position or 0 :]
        if not window:
            self._drop_buffer()
            raise RuntimeError("The protocol object wants to receive bytes where its buffer ends")
        return window

    def _keep(self, remaining: ReadableBuffer) -> None:
        """Puts *remaining* before all other bytes. It is copied: it may be a view of the buffer that is used again."""
        self._generator = self._view = None
        self._kept = bytes(remaining) + self._kept

    def _copy_fed_bytes(self) -> int:
        if not self._kept and not self._received.nbytes:
            return 0
        buffer = self.get_buffer()
        piece = self._kept[: len(buffer)]
        self._kept = self._kept[len(buffer) :]
        piece = piece or self._received.take(len(buffer))
        buffer[: len(piece)] = piece
        self._written = len(piece)
        return self._written

    def _drop_buffer(self) -> None:
        self._generator = self._view = self._user_buffer = None
        self._written = 0


_T_Generator = TypeVar("_T_Generator", bound=Generator[Any, Any, Any])


def _started(generator: _T_Generator) -> tuple[_T_Generator, Any]:
    """Runs *generator* to its first ``yield``; returns it with what it yielded there."""
    try:
        return generator, next(generator)
    except StopIteration as exc:
        raise RuntimeError("The protocol object finished before it has asked for any byte") from exc
    except Exception as exc:
        raise _crash(exc)


# ------------------------------------------------------------------------------------------------------- the choice

_LARGE_FRAME: Final = 16 * 1024
"""From this size on, one copy less is worth more than many frames in one step."""


def decoder_factory(
    protocol: AnyStreamProtocolType[Any, _T_Packet], max_recv_size: int
) -> Callable[[], StreamDecoder[_T_Packet]]:
    """Returns a function that makes one decoder per connection.

    Raises:
        TypeError: *protocol* is no stream protocol object.
        ValueError: *max_recv_size* is no strictly positive integer.
    """
    check_stream_protocol(protocol)
    check_strictly_positive("max_recv_size", max_recv_size)

    fallback: Callable[[], StreamDecoder[_T_Packet]]
    if isinstance(protocol, StreamProtocol):
        serializer = _framed_serializer(protocol, StreamProtocol.build_packet_from_chunks, "incremental_deserialize")
        fallback = partial(_GeneratorDecoder, protocol, max_recv_size)
    else:
        serializer = _framed_serializer(
            protocol, BufferedStreamProtocol.build_packet_from_buffer, "buffered_incremental_deserialize"
        )
        fallback = partial(BufferedDecoder, protocol, max_recv_size)
    if serializer is None:
        return fallback
    decode = _decode_function(serializer, protocol._converter)
    match serializer.frame_format():
        case SeparatedFrames(separator, limit, keep_end):
            if keep_end:
                return partial(_SeparatedDecoder, lambda frame: decode(frame + separator), separator, limit)
            return partial(_SeparatedDecoder, decode, separator, limit)
        case FixedSizeFrames(size) if isinstance(protocol, StreamProtocol) or size < _LARGE_FRAME:
            return partial(_FixedSizeDecoder, decode, size)
        case _:
            return fallback


def packet_encoder(protocol: AnyStreamProtocolType[_T_Packet, Any]) -> Callable[[_T_Packet], bytes]:
    """Returns a function that gives the bytes of a packet, ``b""`` for one that sends nothing.

    It raises whatever the serializer or the converter raises.

    Raises:
        TypeError: *protocol* is no stream protocol object.
    """
    check_stream_protocol(protocol)
    protocol_type = StreamProtocol if isinstance(protocol, StreamProtocol) else BufferedStreamProtocol
    serializer = _framed_serializer(protocol, protocol_type.generate_chunks, "incremental_serialize", "encode_frame")
    if serializer is None:
        return lambda packet: b"".join(protocol.generate_chunks(packet))
    encode: Callable[[Any], bytes] = serializer.encode_frame
    converter = protocol._converter
    if converter is None:
        return encode
    convert = converter.convert_to_dto_packet
    return lambda packet: encode(convert(packet))


def check_stream_protocol(protocol: object) -> None:
    """Raises `TypeError` unless *protocol* is a stream protocol object."""
    if not isinstance(protocol, (StreamProtocol, BufferedStreamProtocol)):
        raise TypeError(f"Expected a StreamProtocol or a BufferedStreamProtocol object, got {protocol!r}")


def _decode_function(serializer: FramedPacketSerializer[Any, Any], converter: Any) -> Callable[[bytes], Any]:
    deserialize = serializer.deserialize
    if converter is None:
        return deserialize
    convert = converter.create_from_dto_packet
    return lambda frame: convert(deserialize(frame))


def _framed_serializer(
    protocol: AnyStreamProtocolType[Any, Any],
    protocol_method: Callable[..., Any],
    serializer_method: str,
    said_by: str = "frame_format",
) -> FramedPacketSerializer[Any, Any] | None:
    """Returns the serializer if its framing, as data, says all; None if a user's generator has to be honoured.

    Parameters:
        protocol: the protocol object.
        protocol_method: its generator function, as we have written it.
        serializer_method: the generator function of the serializer.
        said_by: what says the same without a generator.
    """
    serializer = protocol._serializer
    if not isinstance(serializer, FramedPacketSerializer):
        return None
    if getattr(getattr(protocol, protocol_method.__name__), "__func__", None) is not protocol_method:
        return None
    # A class that replaces the generator after the framing was said (further down the hierarchy) has the last word.
    overrider = _provider(serializer, serializer_method)
    speaker = _provider(serializer, said_by)
    return serializer if overrider and speaker and issubclass(speaker, overrider) else None


def _provider(obj: object, name: str) -> type[Any] | None:
    """Returns the class that *obj* has its method *name* from; None if it is an attribute of the object itself."""
    if name in getattr(obj, "__dict__", ()):
        return None
    return next(cls for cls in type(obj).__mro__ if name in vars(cls))
