"""Frames whose content is encoded so that it does not contain the byte that ends a frame."""

from __future__ import annotations

__all__ = ["CobsFrames", "SlipFrames"]

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Final

from easynetwork._checks import check_strictly_positive
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError

from ._cutting import Bytes, CutFormat, FrameError


@dataclass(frozen=True, slots=True)
class _EscapedFrames(CutFormat):
    """Base class of both framings."""

    limit: int = DEFAULT_SERIALIZER_LIMIT
    """Maximum size of an encoded frame in bytes, without the byte that ends it."""

    def __post_init__(self) -> None:
        check_strictly_positive("limit", self.limit)

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        begin = start
        while data.startswith(self.between, begin):
            begin += 1
        end = data.find(self.between, max(start + seen, begin))
        is_complete = end >= 0
        size = (end if is_complete else len(data)) - begin
        if size <= self.limit:
            return end + 1
        message = f"A frame of {size} bytes or more, the limit is {self.limit} bytes"
        if is_complete:
            raise FrameError(message, end + 1 - start, is_overrun=True)
        raise FrameError(message, is_overrun=True, separator=self.between)

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        try:
            return self._decode(data[start : end - 1].lstrip(self.between))
        except DeserializeError as exc:
            raise FrameError(str(exc), end - start) from None

    def split(self, data: bytes, start: int) -> tuple[list[bytes], int, int]:
        # The same as the inherited method, with one call per frame.
        frames: list[bytes] = []
        separator, limit, decode = self.between, self.limit, self._decode
        begin = start  # without the bytes between frames
        try:
            while 0 <= (end := data.find(separator, begin)) <= begin + limit:
                if end > begin:
                    frames.append(decode(data[begin:end]))
                    start = end + 1
                begin = end + 1
        except DeserializeError:
            pass  # the inherited method raises it again
        return self._split_rest(frames, data, start)

    @abstractmethod
    def _decode(self, encoded: bytes) -> bytes:
        """Return the content of a frame.

        Raises:
            DeserializeError: *encoded* is not valid.
        """
        raise NotImplementedError


_END: Final = b"\xc0"
_ESC: Final = b"\xdb"
_ESCAPED_END: Final = b"\xdb\xdc"
_ESCAPED_ESC: Final = b"\xdb\xdd"
_SLIP_ESCAPE: Final = re.compile(rb"\xdb(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SlipFrames(_EscapedFrames):
    """Frames of SLIP (:rfc:`1055`): the byte 0xC0 ends a frame. Empty frames are neither sent nor received."""

    between = _END

    def wrap(self, payload: bytes) -> bytes:
        """Return *payload*, escaped, between two end bytes: the first one separates it from noise on the line.

        Raises:
            ValueError: *payload* is empty.
        """
        if not payload:
            raise ValueError("SLIP has no empty frames")
        return b"%b%b%b" % (_END, payload.replace(_ESC, _ESCAPED_ESC).replace(_END, _ESCAPED_END), _END)

    def _decode(self, encoded: bytes) -> bytes:
        if encoded.find(_ESC) < 0:
            return encoded
        for escape in _SLIP_ESCAPE.finditer(encoded):
            if escape[1] not in (b"\xdc", b"\xdd"):
                raise DeserializeError(f"Not an escape sequence of SLIP: {bytes(escape[0])!r}")
        return encoded.replace(_ESCAPED_END, _END).replace(_ESCAPED_ESC, _ESC)


_BLOCK: Final = 254
"""Maximum number of bytes in a block of COBS."""


@dataclass(frozen=True, slots=True)
class CobsFrames(_EscapedFrames):
    """Frames in Consistent Overhead Byte Stuffing: a zero byte ends a frame.

    An empty frame is sent as the byte 1 and the zero byte. A zero byte without anything before it is skipped.

    Source: S. Cheshire, M. Baker: Consistent Overhead Byte Stuffing. IEEE/ACM Transactions on Networking, 1999.
    """

    between = b"\0"

    def wrap(self, payload: bytes) -> bytes:
        """Return *payload*, encoded, and a zero byte."""
        encoded = bytearray()
        for part in payload.split(b"\0"):
            start = 0
            while len(part) - start >= _BLOCK:
                encoded.append(_BLOCK + 1)
                encoded += part[start : start + _BLOCK]
                start += _BLOCK
            encoded.append(len(part) - start + 1)
            encoded += part[start:]
        if len(encoded) > 1 and encoded[-1] == 1 and _ends_with_full_block(payload):
            del encoded[-1]  # the end of the frame is also the end of its last block
        encoded.append(0)
        return bytes(encoded)

    def _decode(self, encoded: bytes) -> bytes:
        decoded = bytearray()
        start = 0
        while True:
            end = start + encoded[start]
            if end > len(encoded):
                raise DeserializeError(f"A block of COBS ends {end - len(encoded)} bytes after its frame")
            decoded += encoded[start + 1 : end]
            if end == len(encoded):
                return bytes(decoded)
            if end - start <= _BLOCK:
                decoded.append(0)
            start = end


def _ends_with_full_block(payload: bytes) -> bool:
    size = len(payload) - payload.rfind(b"\0") - 1
    return size > 0 and size % _BLOCK == 0
