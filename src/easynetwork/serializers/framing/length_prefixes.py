"""Frames that begin with their size, as a binary number."""

from __future__ import annotations

__all__ = ["LengthPrefixedFrames", "VarintFrames"]

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from easynetwork._checks import check_strictly_positive
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT

from ._cutting import ASK_AGAIN, Bytes, CutFormat, FrameError

_STRUCT_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class LengthPrefixedFrames(CutFormat):
    """Frames with a header that contains the number of bytes that follow.

    ``LengthPrefixedFrames(4)`` is the framing of Kafka, ``LengthPrefixedFrames(2)`` that of DNS over TCP (:rfc:`1035`),
    and ``LengthPrefixedFrames(2, offset=4, keep_header=True)`` that of Modbus/TCP.

    The header ends with the length field. A frame that is too large is dropped without being stored. After a length
    that would end the frame inside of its header, the stream cannot continue.

    Raises:
        ValueError: a field has a value that is not allowed.
    """

    size: int
    """The size of the length field in bytes: 1, 2, 3, 4 or 8. It is unsigned."""

    byteorder: Literal["big", "little"] = "big"
    """The byte order of the length field; network byte order by default."""

    offset: int = 0
    """Number of bytes in the header before the length field."""

    adjustment: int = 0
    """Added to the value of the length field: the sum is the number of bytes after the header.

    For a field that also counts the bytes of the header, this is the negative size of the header.
    """

    keep_header: bool = False
    """Whether the header is part of what ``serialize()`` returns and of what ``deserialize()`` receives.

    For sending, the length field is filled in. Without this, the bytes before the length field are sent as zeros and
    dropped when received.
    """

    limit: int = DEFAULT_SERIALIZER_LIMIT
    """Maximum size of what ``deserialize()`` receives, in bytes."""

    _header_size: int = field(init=False, repr=False, compare=False)
    _before_field: bytes = field(init=False, repr=False, compare=False)
    _limit_of_rest: int = field(init=False, repr=False, compare=False)
    _pack: Callable[[int], bytes] = field(init=False, repr=False, compare=False)
    _unpack: Callable[[Any, int], tuple[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.size not in (1, 2, 3, 4, 8):
            raise ValueError(f"'size' must be 1, 2, 3, 4 or 8, got {self.size!r}")
        if self.byteorder not in ("big", "little"):
            raise ValueError(f"'byteorder' must be 'big' or 'little', got {self.byteorder!r}")
        if self.offset < 0:
            raise ValueError(f"'offset' must not be negative, got {self.offset!r}")
        check_strictly_positive("limit", self.limit)
        header_size = self.offset + self.size
        if self.keep_header and self.limit < header_size:
            raise ValueError(f"'limit' must be at least the size of the header, {header_size}, got {self.limit!r}")
        set_field = object.__setattr__
        set_field(self, "_header_size", header_size)
        set_field(self, "_limit_of_rest", self.limit - header_size if self.keep_header else self.limit)
        set_field(self, "_before_field", bytes(self.offset))
        pack, unpack = _codec(self.size, self.byteorder)
        set_field(self, "_pack", pack)
        set_field(self, "_unpack", unpack)

    def __reduce__(self) -> tuple[type[LengthPrefixedFrames], tuple[Any, ...]]:
        public = (self.size, self.byteorder, self.offset, self.adjustment, self.keep_header, self.limit)
        return LengthPrefixedFrames, public

    def wrap(self, payload: bytes) -> bytes:
        """Return the frame of *payload*.

        Raises:
            ValueError: the length field cannot express the size, or *payload* is shorter than the header it includes.
        """
        try:
            if not self.keep_header:
                return self._before_field + self._pack(len(payload) - self.adjustment) + payload
            rest = len(payload) - self._header_size
            if rest < 0:
                raise ValueError(f"A frame begins with a header of {self._header_size} bytes, got {len(payload)} bytes")
            return payload[: self.offset] + self._pack(rest - self.adjustment) + payload[self._header_size :]
        except (struct.error, OverflowError):
            raise ValueError(f"{len(payload)} bytes do not fit in a frame with a field of {self.size} bytes") from None

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        end_of_header = start + self._header_size
        if end_of_header > len(data):
            return end_of_header
        rest = self._unpack(data, start + self.offset)[0] + self.adjustment
        if not 0 <= rest <= self._limit_of_rest:
            raise self._error(rest)
        return end_of_header + rest

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        return data[start if self.keep_header else start + self._header_size : end]

    def split(self, data: bytes, start: int) -> tuple[list[bytes], int, int]:
        # The same as the inherited method, without calls: this takes less than half the time.
        frames: list[bytes] = []
        size, header_size, offset, adjustment = len(data), self._header_size, self.offset, self.adjustment
        skipped, limit, unpack = 0 if self.keep_header else header_size, self._limit_of_rest, self._unpack
        while True:
            end = start + header_size
            if end > size:
                return frames, start, end
            rest = unpack(data, start + offset)[0] + adjustment
            if not 0 <= rest <= limit:
                if frames:
                    return frames, start, ASK_AGAIN
                raise self._error(rest)
            end += rest
            if end > size:
                return frames, start, end
            frames.append(data[start + skipped : end])
            start = end

    def _error(self, rest: int) -> FrameError:
        if rest < 0:
            return FrameError(f"The length field ends the frame {-rest} bytes before the end of its header")
        size = self._header_size + rest
        return FrameError(f"A frame of {size} bytes, the limit is {self.limit} bytes", size, is_overrun=True)


def _codec(
    size: int, byteorder: Literal["big", "little"]
) -> tuple[Callable[[int], bytes], Callable[[Any, int], tuple[int]]]:
    """Return functions that write and read a number of *size* bytes, like those of `struct.Struct`."""
    code = _STRUCT_CODES.get(size)
    if code is not None:
        number = struct.Struct(f"{'>' if byteorder == 'big' else '<'}{code}")
        return number.pack, number.unpack_from
    return (
        lambda value: value.to_bytes(size, byteorder),
        lambda data, start: (int.from_bytes(data[start : start + size], byteorder),),
    )


_SINGLE_BYTES: Final = [bytes([byte]) for byte in range(0x80)]

_MAX_VARINT_SIZE: Final = 10
"""Size of the longest varint of 64 bits, in bytes."""


@dataclass(frozen=True, slots=True)
class VarintFrames(CutFormat):
    """Frames that begin with their size as an unsigned LEB128 number, as delimited messages of Protocol Buffers do.

    A number of more than 64 bits is an error after which the stream cannot continue.

    Raises:
        ValueError: *limit* is not strictly positive.
    """

    limit: int = DEFAULT_SERIALIZER_LIMIT
    """Maximum size of a frame without its number, in bytes."""

    def __post_init__(self) -> None:
        check_strictly_positive("limit", self.limit)

    def wrap(self, payload: bytes) -> bytes:
        """Return *payload* after its size."""
        rest = len(payload)
        if rest <= 0x7F:
            return _SINGLE_BYTES[rest] + payload
        number = bytearray()
        while rest > 0x7F:
            number.append(rest & 0x7F | 0x80)
            rest >>= 7
        number.append(rest)
        return bytes(number) + payload

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        position, size, shift = start, data[start], 0
        while data[position] > 0x7F:
            position += 1
            shift += 7
            if shift == 7 * _MAX_VARINT_SIZE:
                raise FrameError(f"A varint of more than {_MAX_VARINT_SIZE} bytes")
            if position == len(data):
                return 0
            size += data[position] - 1 << shift  # minus the highest bit of the byte before it
        if size >= 1 << 64:
            raise FrameError("A varint of more than 64 bits")
        end = position + 1 + size
        if size > self.limit:
            raise FrameError(f"A frame of {size} bytes, the limit is {self.limit} bytes", end - start, is_overrun=True)
        return end

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        while data[start] > 0x7F:
            start += 1
        return data[start + 1 : end]

    def split(self, data: bytes, start: int) -> tuple[list[bytes], int, int]:
        # The same as the inherited method for sizes of one or two bytes, without calls: this takes half the time.
        frames: list[bytes] = []
        total, limit = len(data), self.limit
        while start < total:
            begin, size = start + 1, data[start]
            if size > 0x7F:
                if begin == total or data[begin] > 0x7F:
                    break
                size += data[begin] - 1 << 7  # minus the highest bit of the first byte
                begin += 1
            end = begin + size
            if size > limit or end > total:
                break
            frames.append(data[begin:end])
            start = end
        return self._split_rest(frames, data, start)
