"""Framings whose frames say themselves where they end."""

from __future__ import annotations

__all__ = ["ASK_AGAIN", "Bytes", "CutFormat", "FrameError", "receive_frame"]

from abc import abstractmethod
from collections.abc import Generator
from typing import ClassVar, Final, TypeAlias

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers._resuming import drop

from .formats import FrameFormat

Bytes: TypeAlias = bytes | bytearray

ASK_AGAIN: Final = -1
"""Stands for the end of a frame that only the next call of `CutFormat.split` tells."""


class FrameError(Exception):
    """A frame is invalid or too large.

    Parameters:
        message: what is wrong.
        size: the size of the frame in bytes, which may be more than was received. None if it is unknown; then the
            stream cannot continue.
        is_overrun: whether the frame is too large.
        separator: the bytes that end the frame, if its size is unknown but the stream can continue after them.
    """

    def __init__(
        self, message: str, size: int | None = None, *, is_overrun: bool = False, separator: bytes = b""
    ) -> None:
        super().__init__(message)
        self._size = size
        self._is_overrun = is_overrun
        self._separator = separator

    def in_stream(self, received: memoryview) -> IncrementalDeserializeError:
        """Return the error for a stream in which *received*, from the start of the frame on, has been received.

        The cause of this error becomes the cause of the result.
        """
        size = len(received) if self._size is None else min(self._size, len(received))
        error: IncrementalDeserializeError
        if self._is_overrun:
            error = LimitOverrunError(str(self), received[:size], size, self._separator)
            error.remaining_data = received[size:]
        else:
            error = IncrementalDeserializeError(str(self), received[size:])
        error.__cause__ = self.__cause__
        if isinstance(self.__cause__, DeserializeError):
            error.error_info = self.__cause__.error_info
        error._is_over = self._size is not None and self._size <= len(received)
        if self._size is not None and not error._is_over:
            error._rest = drop(self._size - len(received))
        return error


class CutFormat(FrameFormat):
    """Base class of framings that find the end of a frame from its start.

    The positions are indexes of *data*, which holds the received bytes.
    """

    __slots__ = ()

    between: ClassVar[bytes] = b""
    """Bytes that may come between frames and are not part of any."""

    @abstractmethod
    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        """Return the end of the frame that begins at *start*.

        If the frame is incomplete, return a position after the end of *data*, up to which bytes are needed at least.
        Return 0 if that is unknown.

        Parameters:
            data: the received bytes.
            start: where the frame begins. At least one byte is there.
            seen: number of bytes from *start* for which the last call returned 0.

        Raises:
            FrameError: the frame is invalid or too large.
        """
        raise NotImplementedError

    @abstractmethod
    def payload(self, data: bytes, start: int, end: int) -> bytes:
        """Return what ``deserialize()`` receives of the frame from *start* to *end*.

        Raises:
            FrameError: the frame is invalid.
        """
        raise NotImplementedError

    def split(self, data: bytes, start: int) -> tuple[list[bytes], int, int]:
        """Cut *data* into frames.

        Returns:
            the payloads of the complete frames from *start* on, the start of the next frame, and its end as `find_end`
            returns it, or ``ASK_AGAIN``: then the next call, from that start on, tells it or raises the error.

        Raises:
            FrameError: the first frame is invalid or too large. Any other exception comes from a function of the user.
        """
        frames: list[bytes] = []
        size = len(data)
        end = 0
        try:
            while start < size:
                end = self.find_end(data, start, 0)
                if not start < end <= size:
                    return frames, start, end
                frames.append(self.payload(data, start, end))
                start = end
        except Exception:
            if not frames:
                raise
            return frames, start, ASK_AGAIN
        return frames, start, 0

    def _split_rest(self, frames: list[bytes], data: bytes, start: int) -> tuple[list[bytes], int, int]:
        """Return what `split` returns, after an override of it cut *frames* up to *start*, before an odd frame."""
        if not frames:
            return CutFormat.split(self, data, start)
        return frames, start, ASK_AGAIN if start < len(data) else 0


def receive_frame(frames: CutFormat) -> Generator[None, bytes, tuple[bytes, bytes]]:
    """Wait for one frame. Return its payload and the bytes after it.

    Raises:
        IncrementalDeserializeError: the frame is invalid.
        LimitOverrunError: the frame is too large.
    """
    received: Bytes = b""
    while not received:
        received = (yield).lstrip(frames.between)
    seen = 0
    try:
        while not 0 < (end := frames.find_end(received, 0, seen)) <= len(received):
            seen = 0 if end else len(received)
            if isinstance(received, bytes):
                received = bytearray(received)
            needed = end or seen + 1
            while len(received) < needed:
                received += yield
        received = bytes(received)
        return frames.payload(received, 0, end), received[end:]
    except FrameError as exc:
        raise exc.in_stream(memoryview(bytes(received)))  # its cause is set
