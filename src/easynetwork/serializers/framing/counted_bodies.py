"""Frames with a header in text, which says how many bytes follow."""

from __future__ import annotations

__all__ = ["CountedBodyFrames"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from easynetwork._checks import check_strictly_positive
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError

from ._cutting import Bytes, CutFormat, FrameError

DEFAULT_HEADER_LIMIT: Final = 8 * 1024
"""Default limit on the size of a header, in bytes."""


@dataclass(frozen=True, slots=True)
class CountedBodyFrames(CutFormat):
    """Frames with a header that ends with *header_end*, and a body whose size the header tells.

    ``deserialize()`` receives the header, *header_end* and the body. The bulk strings of Redis, for example::

        def count(header: bytes) -> int | None:
            if header == b"$-1":
                return None  # null: there is no body
            return parse_decimal(header.removeprefix(b"$"))

        frames = CountedBodyFrames(count, header_end=b"\\r\\n", body_end=b"\\r\\n")

    A frame with a body that is too large is dropped without being stored. After a header that is too long or for which
    *count* raises an error, and after a body that *body_end* does not follow, the stream cannot continue.

    Raises:
        TypeError: *count* is not callable.
        ValueError: *header_end* is empty, or a limit is not strictly positive.
    """

    count: Callable[[bytes], int | None]
    """Returns the size of the body in bytes, without *body_end*, given the header without *header_end*.

    None if there is neither a body nor a *body_end*; ``deserialize()`` gets the header and may refuse it. Raise
    `DeserializeError` if the header does not tell where the frame ends.
    """

    header_end: bytes = b"\n"
    """The bytes that end a header; never empty."""

    body_end: bytes = b""
    """The bytes that follow each body."""

    header_limit: int = DEFAULT_HEADER_LIMIT
    """Maximum size of a header in bytes, without *header_end*."""

    limit: int = DEFAULT_SERIALIZER_LIMIT
    """Maximum size of a body in bytes, without *body_end*."""

    def __post_init__(self) -> None:
        if not callable(self.count):
            raise TypeError(f"'count' must be callable, got {self.count!r}")
        if not self.header_end:
            raise ValueError("'header_end' must not be empty")
        check_strictly_positive("header_limit", self.header_limit)
        check_strictly_positive("limit", self.limit)

    def wrap(self, payload: bytes) -> bytes:
        """Return *payload*, a header and its body, followed by *body_end* if there is a body.

        Raises:
            ValueError: the header does not tell the size of the body that follows.
            DeserializeError: raised by `count`.
        """
        header, found, body = payload.partition(self.header_end)
        size = self.count(header)
        if not found or len(body) != (size or 0):
            raise ValueError(f"The header {header[:80]!r} is followed by {len(body)} bytes and tells {size!r}")
        return payload if size is None else payload + self.body_end

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        separator = self.header_end
        end_of_header = data.find(separator, start + max(seen - len(separator) + 1, 0))
        if end_of_header < 0:
            if len(data) - start >= self.header_limit + len(separator):
                raise self._header_overrun(len(data) - start)
            return 0
        return self._end_after(data, start, end_of_header)

    def _end_after(self, data: Bytes, start: int, end_of_header: int) -> int:
        if end_of_header - start > self.header_limit:
            raise self._header_overrun(end_of_header - start)
        try:
            size = self.count(bytes(data[start:end_of_header]))
        except DeserializeError as exc:
            raise FrameError(str(exc)) from exc
        end_of_header += len(self.header_end)
        if size is None:
            return end_of_header
        if not isinstance(size, int):
            raise TypeError(f"'count' must return an int or None, got {size!r}")
        if size < 0:
            raise FrameError(f"A header tells that {size} bytes follow")
        end = end_of_header + size + len(self.body_end)
        if size > self.limit:
            raise FrameError(f"A body of {size} bytes, the limit is {self.limit} bytes", end - start, is_overrun=True)
        if end <= len(data) and not data.endswith(self.body_end, end_of_header, end):
            raise FrameError(f"A body of {size} bytes does not end with {self.body_end!r}")
        return end

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        has_body = data.find(self.header_end, start) + len(self.header_end) < end
        return data[start : end - len(self.body_end) if has_body else end]

    def split(self, data: bytes, start: int) -> tuple[list[bytes], int, int]:
        # The same as the inherited method, with one call per frame, and one search for the end of its header.
        frames: list[bytes] = []
        size, header_end, body_end = len(data), self.header_end, len(self.body_end)
        try:
            while (end_of_header := data.find(header_end, start)) >= 0:
                end = self._end_after(data, start, end_of_header)
                if end > size:
                    break
                has_body = end > end_of_header + len(header_end)
                frames.append(data[start : end - body_end if has_body else end])
                start = end
        except Exception:
            pass  # the inherited method raises it again
        return self._split_rest(frames, data, start)

    def _header_overrun(self, size: int) -> FrameError:
        return FrameError(f"A header of {size} bytes or more, the limit is {self.header_limit} bytes", is_overrun=True)
