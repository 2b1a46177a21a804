"""Tools for incremental serializers."""

from __future__ import annotations

__all__ = ["GeneratorStreamReader"]

from collections.abc import Generator
from io import BytesIO

from easynetwork.exceptions import LimitOverrunError


class GeneratorStreamReader:
    """A stream in memory. Where a file would block, its methods ``yield`` and wait for a chunk to be sent in.

    Use it in `AbstractIncrementalPacketSerializer.incremental_deserialize`::

        def incremental_deserialize(self):
            reader = GeneratorStreamReader()
            header = yield from reader.read_exactly(4)
            body = yield from reader.read_exactly(int.from_bytes(header))
            return self.make_packet(body), reader.read_all()

    Data that arrives in many small chunks takes linear time and is stored once. Reading does not copy the bytes that
    remain; only `read_all` does. Only one method may wait at a time.
    """

    __slots__ = ("__weakref__", "_buffer", "_start")

    def __init__(self, initial_bytes: bytes = b"") -> None:
        self._buffer: bytes = bytes(initial_bytes) if initial_bytes else b""
        self._start: int = 0  # position in the buffer of the first byte that was not read; 0 if the buffer is empty

    def read_all(self) -> bytes:
        """Return all buffered bytes without waiting."""
        data = self._buffer[self._start :]
        self._buffer = b""
        self._start = 0
        return data

    def read(self, size: int) -> Generator[None, bytes, bytes]:
        """Return up to *size* bytes. Wait only if none are buffered.

        Raises:
            ValueError: *size* is negative.
        """
        if size < 0:
            raise ValueError(f"size must not be negative, got {size!r}")
        while size and self._start >= len(self._buffer):
            self._buffer = b""
            self._start = 0
            self._buffer = yield
        start = self._start
        data = self._buffer[start : start + size]
        self._start = start + len(data)
        return data

    def read_exactly(self, n: int) -> Generator[None, bytes, bytes]:
        """Wait for *n* bytes and return them.

        Raises:
            ValueError: *n* is negative.
        """
        if not self._buffer and n > 0:
            self._buffer = yield
        start = self._start
        end = start + n
        data = self._buffer[start:end]
        if len(data) == n:
            self._start = end
            return data
        return (yield from self._read_exactly(n))

    def _read_exactly(self, n: int) -> Generator[None, bytes, bytes]:
        if n < 0:
            raise ValueError(f"n must not be negative, got {n!r}")
        earlier = BytesIO()  # returns its contents without a copy, so that a frame is never stored twice
        data = self.read_all()
        earlier.write(data)
        missing = n - len(data)
        try:
            while missing > 0:
                data = yield
                earlier.write(data[:missing])
                missing -= len(data)
        except BaseException:
            self._buffer = earlier.getvalue()
            raise
        self._buffer = data[len(data) + missing :]
        return earlier.getvalue()

    def read_until(self, separator: bytes, limit: int, *, keep_end: bool = True) -> Generator[None, bytes, bytes]:
        """Wait for *separator*. Return the bytes before it, with the separator if *keep_end*.

        The separator is consumed in either case.

        Raises:
            LimitOverrunError: more than *limit* bytes precede the separator. No bytes are consumed.
            ValueError: *separator* is empty, or *limit* is not strictly positive.
        """
        if not self._buffer and separator and limit > 0:
            self._buffer = yield
        start = self._start
        index = self._buffer.find(separator, start)
        if start < index <= start + limit:  # never true for invalid arguments
            self._start = end = index + len(separator)
            return self._buffer[start : end if keep_end else index]
        return (yield from self._read_until(separator, limit, keep_end))

    def _read_until(self, separator: bytes, limit: int, keep_end: bool) -> Generator[None, bytes, bytes]:
        if not separator:
            raise ValueError("separator must not be empty")
        if limit <= 0:
            raise ValueError(f"limit must be strictly positive, got {limit!r}")
        # `earlier` holds bytes that cannot be part of a separator. `chunk` holds the rest; its end may be part of one.
        overlap = len(separator) - 1
        earlier = BytesIO()
        chunk = self.read_all()
        try:
            while (index := chunk.find(separator)) < 0:
                consumed = earlier.tell() + len(chunk) - overlap
                if consumed > limit:
                    raise _overrun(earlier.getvalue() + chunk, consumed, separator, limit)
                received = yield
                searched = max(len(chunk) - overlap, 0)
                earlier.write(chunk[:searched])
                chunk = chunk[searched:] + received
            if earlier.tell() + index > limit:
                raise _overrun(earlier.getvalue() + chunk, earlier.tell() + index, separator, limit)
        except BaseException:
            self._buffer = earlier.getvalue() + chunk
            raise
        end = index + len(separator)
        self._buffer = chunk[end:]
        earlier.write(chunk[: end if keep_end else index])
        return earlier.getvalue()


def _overrun(buffer: bytes, consumed: int, separator: bytes, limit: int) -> LimitOverrunError:
    return LimitOverrunError(f"More than {limit} bytes before {separator!r}", buffer, consumed, separator)
