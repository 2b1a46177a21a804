"""Frames that begin with their size, as a decimal number in ASCII."""

from __future__ import annotations

__all__ = ["NetstringFrames", "OctetCountedFrames", "parse_decimal"]

from dataclasses import dataclass
from typing import ClassVar, Final

from easynetwork._checks import check_strictly_positive
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError

from ._cutting import Bytes, CutFormat, FrameError

_MAX_DIGITS: Final = 19  # any number of so many digits has less than 64 bits


def parse_decimal(digits: bytes | bytearray) -> int:
    """Return the number that *digits* are: ASCII digits and nothing else, unlike `int`, at most 19.

    Raises:
        DeserializeError: *digits* are not such a number.
    """
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise DeserializeError(f"Expected a decimal number of at most {_MAX_DIGITS} digits, got {bytes(digits[:40])!r}")
    return int(digits)


@dataclass(frozen=True, slots=True)
class _DecimalCountFrames(CutFormat):
    """Base class of both framings. An invalid number is an error after which the stream cannot continue."""

    limit: int = DEFAULT_SERIALIZER_LIMIT
    """Maximum size of a frame without its number, in bytes."""

    _after_number: ClassVar[bytes]
    """The byte between the number and the content."""
    _after_content: ClassVar[bytes] = b""
    _least: ClassVar[int] = 0
    """Size of the smallest content, in bytes."""

    def __post_init__(self) -> None:
        check_strictly_positive("limit", self.limit)

    def wrap(self, payload: bytes) -> bytes:
        """Return *payload* after its size.

        Raises:
            ValueError: *payload* is smaller than the framing allows.
        """
        if len(payload) < self._least:
            raise ValueError("The framing cannot express an empty frame")
        return b"%d%b%b%b" % (len(payload), self._after_number, payload, self._after_content)

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        end_of_number = data.find(self._after_number, start, start + _MAX_DIGITS + 1)
        digits = data[start : start + _MAX_DIGITS + 1 if end_of_number < 0 else end_of_number]
        has_zeros = digits.startswith(b"0") and (len(digits) > 1 or self._least > 0)
        if has_zeros or len(digits) > _MAX_DIGITS or not digits.isdigit():
            raise FrameError(f"Expected a decimal number that does not begin with 0, got {bytes(digits)!r}")
        if end_of_number < 0:
            return 0
        size = int(digits)
        end = end_of_number + 1 + size + len(self._after_content)
        if size > self.limit:
            raise FrameError(f"A frame of {size} bytes, the limit is {self.limit} bytes", end - start, is_overrun=True)
        if end <= len(data) and not data.endswith(self._after_content, start, end):
            raise FrameError(f"A frame of {size} bytes does not end with {self._after_content!r}")
        return end

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        return data[data.index(self._after_number, start) + 1 : end - len(self._after_content)]


@dataclass(frozen=True, slots=True)
class NetstringFrames(_DecimalCountFrames):
    """Netstrings: the size, a colon, the content, and a comma.

    An invalid number or a missing comma is an error after which the stream cannot continue.
    See `the specification <https://cr.yp.to/proto/netstrings.txt>`__.
    """

    _after_number = b":"
    _after_content = b","


@dataclass(frozen=True, slots=True)
class OctetCountedFrames(_DecimalCountFrames):
    """The size, a space, and the content, as in :rfc:`6587` (syslog over TCP). No frame is empty.

    An invalid number is an error after which the stream cannot continue.
    """

    _after_number = b" "
    _least = 1
