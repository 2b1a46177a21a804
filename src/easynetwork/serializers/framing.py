"""How a serializer's packets are cut out of a byte stream, said as data.

The generator protocol of :mod:`easynetwork.serializers.abc` can express any framing, at the price of one generator per
packet. Most framings need none of that freedom: a frame ends with a separator, or has a fixed size. A serializer that
*says so* lets the library cut a whole chunk of received bytes at once, and gives the same packets and the same errors.
"""

from __future__ import annotations

__all__ = ["FixedSizeFrames", "FrameFormat", "FramedPacketSerializer", "SeparatedFrames"]

from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError

from ._resuming import note_remaining_data
from .abc import AbstractPacketSerializer, BufferedIncrementalPacketSerializer
from .tools import GeneratorStreamReader


@dataclass(frozen=True, slots=True)
class SeparatedFrames:
    """Each frame is followed by *separator*.

    Raises:
        ValueError: *separator* is empty, or *limit* is not strictly positive.
    """

    separator: bytes
    """What ends a frame; never empty."""

    limit: int
    """Largest size of a frame, in bytes, its separator not counted."""

    keep_end: bool = False
    """Whether ``deserialize()`` gets the frame with its separator."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError("separator must not be empty")
        if self.limit <= 0:
            raise ValueError(f"limit must be strictly positive, got {self.limit!r}")

    def strip(self, data: bytes) -> bytes:
        """Returns *data* without any separators at its end."""
        end = len(data)
        while data.endswith(self.separator, 0, end):
            end -= len(self.separator)
        return data[:end]


@dataclass(frozen=True, slots=True)
class FixedSizeFrames:
    """Each frame is exactly *size* bytes long.

    Raises:
        ValueError: *size* is not strictly positive.
    """

    size: int
    """The size of a frame, in bytes."""

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise ValueError(f"size must be strictly positive, got {self.size!r}")


FrameFormat: TypeAlias = SeparatedFrames | FixedSizeFrames


class FramedPacketSerializer(
    BufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, bytearray | memoryview]
):
    """A serializer that says its framing as data.

    The generators follow from it. A subclass may still replace them: the last word has the class that is furthest down
    the hierarchy. Whoever overrides `incremental_deserialize` or `buffered_incremental_deserialize` below the class
    that defines `frame_format`, or `incremental_serialize` below the one that defines `encode_frame`, has the override
    run for each packet.
    """

    __slots__ = ()

    _reports_causes: ClassVar[bool] = False
    """Whether errors in a stream come straight from what was wrong, without the error of `deserialize` in between.

    For serializers whose generators were written by hand in EasyNetwork 1.2, and whose users look at the cause.
    """

    @abstractmethod
    def frame_format(self) -> FrameFormat | None:
        """Returns how frames are told apart, always the same for one object.

        None means that only the generators know; the class that may return it has to define them.
        """
        raise NotImplementedError

    @abstractmethod
    def encode_frame(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns the frame of *packet* as the stream carries it, separator included; ``b""`` if it sends nothing."""
        raise NotImplementedError

    @abstractmethod
    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns the bytes of *packet* without any separator. Whatever it raises is seen by who sends as a crash."""
        raise NotImplementedError

    @abstractmethod
    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Returns the packet of one frame.

        Raises:
            DeserializeError: *data* is not the bytes of one packet. In a stream, parsing goes on after the frame.
        """
        raise NotImplementedError

    def incremental_serialize(self, packet: SentDTOPacketT_contra) -> Generator[bytes]:
        """Yields `encode_frame`, in one piece, unless it is empty."""
        if frame := self.encode_frame(packet):
            yield frame

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Waits for one frame and deserializes it.

        Raises:
            IncrementalDeserializeError: `deserialize` has raised `DeserializeError`.
            LimitOverrunError: the frame is larger than allowed.
        """
        reader = GeneratorStreamReader()
        frames = self.frame_format()
        if isinstance(frames, SeparatedFrames):
            frame = yield from reader.read_until(frames.separator, frames.limit, keep_end=frames.keep_end)
        elif frames is not None:
            frame = yield from reader.read_exactly(frames.size)
        else:
            raise _no_frame_format(self)
        remaining = reader.read_all()
        return deserialize_frame(self, frame, remaining, flat=self._reports_causes), remaining

    def create_deserializer_buffer(self, sizehint: int) -> bytearray | memoryview:
        """Returns a buffer for separated frames: a ``bytearray`` of exactly the limit; *sizehint* is ignored.

        For frames of a fixed size: a ``memoryview`` over *sizehint* bytes, or one frame if that is more.
        """
        frames = self.frame_format()
        if isinstance(frames, SeparatedFrames):
            return bytearray(max(frames.limit, len(frames.separator)))
        if frames is not None:
            return memoryview(bytearray(max(frames.size, sizehint)))
        raise _no_frame_format(self)

    def buffered_incremental_deserialize(
        self, buffer: bytearray | memoryview
    ) -> Generator[int | None, int, tuple[ReceivedDTOPacketT_co, ReadableBuffer]]:
        """Waits for one frame in *buffer* and deserializes it.

        Raises:
            IncrementalDeserializeError: `deserialize` has raised `DeserializeError`.
            LimitOverrunError: the buffer is full, and the frame incomplete.
        """
        frames = self.frame_format()
        if isinstance(frames, SeparatedFrames):
            assert isinstance(buffer, bytearray), "expected what create_deserializer_buffer() has returned"
            index, received = yield from _receive_until(frames.separator, buffer)
            end = index + len(frames.separator)
            size = end if frames.keep_end else index
        elif frames is not None:
            end = size = frames.size
            received = 0
            while received < size:
                received += yield received
        else:
            raise _no_frame_format(self)
        view = memoryview(buffer)
        remaining = view[end:received]
        return deserialize_frame(self, bytes(view[:size]), remaining, flat=self._reports_causes), remaining


def _receive_until(separator: bytes, buffer: bytearray) -> Generator[int, int, tuple[int, int]]:
    """Waits for *separator* in *buffer*; returns where it begins, and how many bytes were received."""
    received = searched = 0
    while True:
        received += yield received
        index = buffer.find(separator, searched, received)
        if index >= 0:
            return index, received
        searched = max(received + 1 - len(separator), 0)
        if received > len(buffer) - len(separator):
            message = f"No {separator!r} in {received} of {len(buffer)} bytes, and no room for it behind them"
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
    """Deserialize one frame of a stream. `DeserializeError` becomes an error that says where to go on.

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
    """Return what *exc*, about one frame, is in a stream. Its cause is *exc*, or with *flat* what *exc* comes from."""
    error = IncrementalDeserializeError(str(exc), remaining_data, exc.error_info)
    error.__cause__ = (exc.__cause__ if flat else None) or exc
    return error


def _no_frame_format(serializer: object) -> NotImplementedError:
    return NotImplementedError(f"{type(serializer).__name__} has no frame format: it has to define the generators")
