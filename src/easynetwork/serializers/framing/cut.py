"""Frames that a function cuts."""

from __future__ import annotations

__all__ = ["CutFrames"]

from collections.abc import Callable
from dataclasses import dataclass

from easynetwork._checks import check_strictly_positive
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError

from .cutting import Bytes, CutFormat, FrameError


@dataclass(frozen=True, slots=True)
class CutFrames(CutFormat):
    """Frames whose end a function finds: the framing for everything that the others cannot express.

    The library does the rest: it stores incomplete frames, checks the limit, and calls the function for each frame of a
    chunk. Frames whose first byte tells their size, for example::

        def cut(data: bytes | bytearray, start: int) -> int:
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

    cut: Callable[[Bytes, int], int]
    """Returns the end of the frame that begins at *start* (the second argument), an index of *data* (the first).

    There is at least one byte at *start*.

    If the frame is incomplete, it returns a position after the end of *data*. The function is called again when bytes
    up to that position have been received, so the position must not be after the end of the frame. ``len(data) + 1`` is
    always correct. A position that is known better saves time, which is quadratic in the size of the frame if each call
    searches the frame from its start.

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
        try:
            end = self.cut(data, start)
        except IncrementalDeserializeError as exc:
            raise FrameError(str(exc), len(data) - start - len(memoryview(exc.remaining_data))) from exc
        except DeserializeError as exc:
            raise FrameError(str(exc)) from exc
        if not start < end <= start + self.limit:
            raise self._wrong_end(end - start)
        return end

    def payload(self, data: Bytes, start: int, end: int) -> Bytes:
        return data[start:end]

    def _wrong_end(self, size: int) -> Exception:
        if size > 0:
            return FrameError(f"A frame of {size} bytes or more, the limit is {self.limit} bytes", is_overrun=True)
        return ValueError(f"The function returned the end of a frame of {size} bytes")
