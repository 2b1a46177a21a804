"""Frames that a function cuts."""

from __future__ import annotations

__all__ = ["CutFrames"]

from collections.abc import Callable
from dataclasses import dataclass

from easynetwork._checks import check_strictly_positive
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError

from ._cutting import ASK_AGAIN, Bytes, CutFormat, FrameError


@dataclass(frozen=True, slots=True)
class CutFrames(CutFormat):
    """Frames whose end a function finds: the framing for everything that the others cannot express.

    The library does the rest: it stores incomplete frames, checks the limit, and calls the function for each frame of a
    chunk. Frames whose first byte tells their size, for example::

        def cut(data: bytes, start: int) -> int:
            try:
                return start + {1: 8, 2: 20}[data[start]]
            except KeyError:
                raise DeserializeError("unknown type") from None

        frames = CutFrames(cut)

    After an error of the function, and after a frame that is too large, the stream cannot continue, because the end of
    the frame is unknown. The exception is `IncrementalDeserializeError`: the stream continues with its
    ``remaining_data``, which must be the last bytes of *data*.

    Raises:
        TypeError: *cut* is not callable.
        ValueError: *limit* is not strictly positive.
    """

    cut: Callable[[bytes, int], int]
    """Returns the end of the frame that begins at *start* (the second argument), an index of *data* (the first).

    There is at least one byte at *start*. The result must depend on nothing but the bytes from there on.

    If the frame is incomplete, it returns 0 (or *start*) and is called again with more bytes. If it knows more, it
    returns a position after the end of *data*, and is called again when the bytes up to there have arrived. The frame
    must not end before that position. This saves time: of a frame that arrives in small pieces, each call searches the
    bytes again from the start of the frame.

    Raise `DeserializeError` if the bytes are invalid.
    """

    limit: int = DEFAULT_SERIALIZER_LIMIT
    """Maximum size of a frame in bytes."""

    def __post_init__(self) -> None:
        if not callable(self.cut):
            raise TypeError(f"'cut' must be callable, got {self.cut!r}")
        check_strictly_positive("limit", self.limit)

    def wrap(self, payload: bytes) -> bytes:
        """Return *payload*, which must be a frame already."""
        return payload

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        data = bytes(data)  # no copy of bytes; the function must not get a bytearray, whose slices cannot be dict keys
        try:
            return self._checked(self.cut(data, start), start, len(data))
        except DeserializeError as exc:
            raise self._refusal(exc, len(data) - start) from exc

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]

    def split(self, data: bytes, start: int) -> tuple[list[bytes], int, int]:
        # The same as the inherited method, with one call per frame.
        frames: list[bytes] = []
        size, cut, limit = len(data), self.cut, self.limit
        try:
            while start < size:
                end = cut(data, start)
                if not start < end <= size or end - start > limit:
                    return frames, start, self._checked(end, start, size)
                frames.append(data[start:end])
                start = end
        except Exception as exc:
            if frames:
                return frames, start, ASK_AGAIN
            if isinstance(exc, DeserializeError):
                raise self._refusal(exc, size - start) from exc
            raise
        return frames, start, 0

    def _checked(self, end: object, start: int, size: int) -> int:
        """Return *end*, a result of the function for *size* bytes of data, or 0 if it tells that the end is unknown."""
        if not isinstance(end, int):
            raise TypeError(f"'cut' must return an int, got {end!r}")
        least = size + 1 if end in (0, start) else end
        if least < start:
            raise ValueError(f"'cut' returned {end}, which is before the start of the frame, {start}")
        if least - start > self.limit:
            raise self._overrun(least - start)
        return 0 if end == start else end

    def _overrun(self, size: int) -> FrameError:
        return FrameError(f"A frame of {size} bytes or more, the limit is {self.limit} bytes", is_overrun=True)

    def _refusal(self, exc: DeserializeError, received: int) -> FrameError:
        if not isinstance(exc, IncrementalDeserializeError):
            return FrameError(str(exc))
        size = received - memoryview(exc.remaining_data).nbytes
        if size <= 0:
            raise ValueError("'cut' refused a frame of no bytes: remaining_data is too long") from exc
        if size > self.limit:  # as if it had arrived in pieces
            return self._overrun(size)
        return FrameError(str(exc), size, is_overrun=isinstance(exc, LimitOverrunError))
