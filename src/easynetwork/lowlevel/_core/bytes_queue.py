"""Received bytes in the order of their arrival, taken out in pieces of any size at linear cost."""

from __future__ import annotations

__all__ = ["BytesQueue", "SupportsAppend"]

from typing import Protocol


class SupportsAppend(Protocol):
    """What chunks can be appended to."""

    def append(self, chunk: bytes, /) -> None:
        """Takes a chunk."""


class BytesQueue:
    """A queue of chunks."""

    __slots__ = ("_chunk", "_newer", "_position", "nbytes")

    def __init__(self) -> None:
        self._chunk: bytes = b""
        self._position: int = 0  # what is before it in the chunk was taken
        self._newer: list[bytes] = []
        self.nbytes: int = 0
        """How many bytes wait here."""

    def append(self, chunk: bytes) -> None:
        self._newer.append(chunk)
        self.nbytes += len(chunk)

    def take(self, size: int) -> bytes:
        """Returns at most *size* of the oldest bytes; ``b""`` if there are none.

        May return less than there is: a chunk is not joined to the next one just to fill up *size*.
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

    def take_all(self) -> bytes:
        """Returns all bytes, ``b""`` if there are none."""
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
