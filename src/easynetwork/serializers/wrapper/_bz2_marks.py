"""Find possible ends of a bz2 stream without a decoder. Each decoder allocates 3.6 MB with its first byte."""

from __future__ import annotations

__all__ = ["EndMarkFinder"]

from typing import Final

_MARK: Final = 0x177245385090
"""The 48 bits after the last block. A checksum of 32 bits and zeros up to the end of the byte follow."""

_WHOLE_BYTES: Final[tuple[bytes, ...]] = tuple(
    ((_MARK << (-shift % 8)) >> (0 if shift == 0 else 8) & (2**40 - 1)).to_bytes(5, "big") for shift in range(8)
)
"""The five bytes that consist of bits of the mark only, if it starts at bit *shift* of a byte (0 is the highest).

They start with the second byte of the mark.
"""


class EndMarkFinder:
    """Find end marks, at any bit offset, in data that only grows. Each byte is searched once."""

    __slots__ = ("_candidates", "_searched")

    def __init__(self) -> None:
        self._searched: int = 0
        self._candidates: list[int] = []

    def find_end(self, held: bytearray) -> int:
        """Return the end of the stream according to the next mark, or -1 if *held* does not contain that end."""
        size = len(held)
        start = max(self._searched - 6, 0)
        for shift, whole_bytes in enumerate(_WHOLE_BYTES):
            position = held.find(whole_bytes, start + 1)
            while position >= 0:
                first, last = position - 1, position + 5 + (shift > 0)
                if last > size:
                    break
                bits = int.from_bytes(held[first:last], "big") >> (-shift % 8)
                if bits & (2**48 - 1) == _MARK and last > self._searched:
                    self._candidates.append((8 * first + shift + 48 + 32 + 7) // 8)
                position = held.find(whole_bytes, position + 1)
        self._searched = size
        self._candidates.sort()
        if self._candidates and self._candidates[0] <= size:
            return self._candidates.pop(0)
        return -1
