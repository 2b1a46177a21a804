"""The base class of serializers that state their framing as data."""

from __future__ import annotations

__all__ = ["FramedPacketSerializer", "deserialize_frame", "error_in_stream"]

from abc import abstractmethod
from collections.abc import Callable, Generator
from typing import ClassVar

from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers._copying import deserialize_from_buffer
from easynetwork.serializers._resuming import note_remaining_data
from easynetwork.serializers.abc import AbstractPacketSerializer, BufferedIncrementalPacketSerializer
from easynetwork.serializers.tools import GeneratorStreamReader

from ._cutting import CutFormat, receive_frame
from .formats import FixedSizeFrames, FrameFormat, SeparatedFrames


class FramedPacketSerializer(
    BufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, bytearray | memoryview]
):
    """Base class for serializers that declare their framing as data.

    The generators are derived from the declaration. A subclass may override them, and the most derived definition
    wins. If a class overrides `incremental_deserialize` or `buffered_incremental_deserialize` below the class that
    defines `frame_format`, or `incremental_serialize` below the class that defines `encode_frame`, the override runs
    for each packet.
    """

    __slots__ = ()

    _reports_causes: ClassVar[bool] = False
    """Whether the cause of an error in a stream is the original error instead of the error of `deserialize`.

    For the serializers that behave this way in EasyNetwork 1.2, so that programs that inspect the cause keep working.
    """

    @abstractmethod
    def frame_format(self) -> FrameFormat | None:
        """Return how to split a stream into frames. The result is constant for each object.

        Return None if only the generators know. A class that may return None must define the generators.
        """
        raise NotImplementedError

    @property
    def _between_packets(self) -> bytes:
        frames = self.frame_format()
        return frames.between if isinstance(frames, CutFormat) else b""

    def encode_frame(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Return the frame of *packet*, including any separator, or ``b""`` if nothing is to be sent.

        Raises:
            ValueError: the framing has no such frame.
        """
        frames = self.frame_format()
        if frames is None:
            raise _no_frame_format(self)
        return frames.wrap(self.serialize(packet))

    @abstractmethod
    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Return the bytes of *packet* without a separator. Any exception makes sending raise `RuntimeError`."""
        raise NotImplementedError

    @abstractmethod
    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Return the packet in one frame.

        Raises:
            DeserializeError: *data* is not a valid packet. In a stream, parsing continues after the frame.
        """
        raise NotImplementedError

    @property
    def _deserialize_valid(self) -> Callable[[bytes], ReceivedDTOPacketT_co] | None:
        """A function that is faster than `deserialize`, and returns the same for a valid packet. None if there is none.

        For invalid packets it may raise any exception: then `deserialize` is called.
        """
        return None

    def incremental_serialize(self, packet: SentDTOPacketT_contra) -> Generator[bytes]:
        """Yield the result of `encode_frame` in one piece, or nothing if it is empty."""
        if frame := self.encode_frame(packet):
            yield frame

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Wait for one frame and deserialize it.

        Raises:
            IncrementalDeserializeError: `deserialize` raised `DeserializeError`.
            LimitOverrunError: the frame is longer than allowed.
        """
        reader = GeneratorStreamReader()
        frames = self.frame_format()
        if isinstance(frames, SeparatedFrames):
            frame = yield from reader.read_until(frames.separator, frames.limit, keep_end=frames.keep_end)
        elif isinstance(frames, FixedSizeFrames):
            frame = yield from reader.read_exactly(frames.size)
        elif isinstance(frames, CutFormat):
            frame, remaining = yield from receive_frame(frames)
            return deserialize_frame(self, frame, remaining, flat=self._reports_causes), remaining
        else:
            raise _no_frame_format(self)
        remaining = reader.read_all()
        return deserialize_frame(self, frame, remaining, flat=self._reports_causes), remaining

    def create_deserializer_buffer(self, sizehint: int) -> bytearray | memoryview:
        """Return a new buffer. For separated frames, it is a ``bytearray`` of the limit; *sizehint* is ignored.

        Otherwise, it is a ``memoryview`` of *sizehint* bytes, or of one frame of a fixed size if that is larger.
        """
        frames = self.frame_format()
        if isinstance(frames, SeparatedFrames):
            return bytearray(max(frames.limit, len(frames.separator)))
        if isinstance(frames, FixedSizeFrames):
            return memoryview(bytearray(max(frames.size, sizehint)))
        if frames is not None:
            return memoryview(bytearray(max(sizehint, 1)))
        raise _no_frame_format(self)

    def buffered_incremental_deserialize(
        self, buffer: bytearray | memoryview
    ) -> Generator[int | None, int, tuple[ReceivedDTOPacketT_co, ReadableBuffer]]:
        """Wait for one frame in *buffer* and deserialize it.

        Raises:
            IncrementalDeserializeError: `deserialize` raised `DeserializeError`.
            LimitOverrunError: the buffer is full and the frame is incomplete.
        """
        frames = self.frame_format()
        if isinstance(frames, SeparatedFrames):
            assert isinstance(buffer, bytearray), "the buffer must come from create_deserializer_buffer()"
            index, received = yield from _receive_until(frames.separator, buffer)
            end = index + len(frames.separator)
            size = end if frames.keep_end else index
        elif isinstance(frames, FixedSizeFrames):
            end = size = frames.size
            received = 0
            while received < size:
                received += yield received
        elif frames is not None:
            return (yield from deserialize_from_buffer(self.incremental_deserialize(), memoryview(buffer)))
        else:
            raise _no_frame_format(self)
        view = memoryview(buffer)
        remaining = view[end:received]
        return deserialize_frame(self, bytes(view[:size]), remaining, flat=self._reports_causes), remaining


def _receive_until(separator: bytes, buffer: bytearray) -> Generator[int, int, tuple[int, int]]:
    """Wait for *separator* in *buffer*. Return its position and the number of bytes received."""
    received = searched = 0
    while True:
        received += yield received
        index = buffer.find(separator, searched, received)
        if index >= 0:
            return index, received
        searched = max(received + 1 - len(separator), 0)
        if received > len(buffer) - len(separator):
            message = f"No {separator!r} in the first {received} of {len(buffer)} bytes, and no room for it after them"
            error = LimitOverrunError(message, memoryview(buffer)[:received], searched, separator)
            if received - len(bytes(error.remaining_data)) > len(buffer) - len(separator):
                raise error


def deserialize_frame(
    serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
    frame: bytes,
    remaining_data: ReadableBuffer,
    *,
    flat: bool = False,
) -> ReceivedDTOPacketT_co:
    """Deserialize one frame of a stream. Convert `DeserializeError` to an error that says where the next packet starts.

    See `error_in_stream` for *flat*.
    """
    try:
        return serializer.deserialize(frame)
    except DeserializeError as exc:
        error = error_in_stream(exc, remaining_data, flat=flat)
        raise error from error.__cause__
    except BaseException as exc:
        note_remaining_data(exc, remaining_data)
        raise


def error_in_stream(
    exc: DeserializeError, remaining_data: ReadableBuffer, *, flat: bool
) -> IncrementalDeserializeError:
    """Convert *exc*, raised for one frame, to a stream error. Its cause is *exc*, or with *flat* the cause of *exc*."""
    error = IncrementalDeserializeError(str(exc), remaining_data, exc.error_info)
    error.__cause__ = (exc.__cause__ if flat else None) or exc
    return error


def _no_frame_format(serializer: object) -> NotImplementedError:
    return NotImplementedError(f"{type(serializer).__name__} has no frame format: it must define the generators")
