"""A queue of received bytes that returns pieces of any size at linear cost."""

from __future__ import annotations

__all__ = ["BytesQueue", "SupportsAppend"]

from typing import Protocol


class SupportsAppend(Protocol):
    """Anything with an ``append()`` for chunks."""

    def append(self, chunk: bytes, /) -> None:
        """Append a chunk."""


class BytesQueue:
    """A queue of chunks."""

    __slots__ = ("_chunk", "_newer", "_position", "nbytes")

    def __init__(self) -> None:
        self._chunk: bytes = b""
        self._position: int = 0  # start of the bytes in _chunk that have not been taken
        self._newer: list[bytes] = []
        self.nbytes: int = 0
        """Number of bytes in the queue."""

    def append(self, chunk: bytes) -> None:
        self._newer.append(chunk)
        self.nbytes += len(chunk)

    def take(self, size: int) -> bytes:
        """Return at most *size* of the oldest bytes; ``b""`` if the queue is empty.

        The result may be shorter than *size* even if the queue holds more: chunks are not joined to fill it up.
        """
        start = self._position
        if start >= len(self._chunk):
            self._chunk, start = self._join_newer(), 0
        end = start + size
        piece = self._chunk[start:end]
        if end < len(self._chunk):
            self._position = end
        else:
            self._chunk = b""
            self._position = 0
        self.nbytes -= len(piece)
        return piece

    def give_back(self, data: bytes) -> None:
        """Put *data* before all other bytes. Nothing is copied if these are the last bytes that were taken."""
        start = self._position - len(data)
        if start >= 0 and self._chunk.startswith(data, start):
            self._position = start
        else:
            self._chunk = data + self._chunk[self._position :]
            self._position = 0
        self.nbytes += len(data)

    def take_all(self) -> bytes:
        """Return all bytes; ``b""`` if the queue is empty."""
        if self._chunk:
            self._newer.insert(0, self._chunk[self._position :])
            self._chunk = b""
            self._position = 0
        self.nbytes = 0
        return self._join_newer()

    def clear(self) -> None:
        self._newer.clear()
        self._chunk = b""
        self._position = self.nbytes = 0

    def _join_newer(self) -> bytes:
        newer = self._newer
        if len(newer) == 1:
            return newer.pop()
        joined = b"".join(newer)
        newer.clear()
        return joined
