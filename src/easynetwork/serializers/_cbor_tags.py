"""Restrict CBOR tags to those that produce plain data at a cost proportional to their size.

A tag tells the decoder how to interpret the next item (RFC 8949, section 3.4). ``cbor2`` compiles regular expressions
(tag 35) and parses mail (tag 36); a hostile expression of two kilobytes takes seconds. Therefore the bytes are scanned
for tags before they are decoded. A single regular expression skips everything that is not a tag to check.
"""

from __future__ import annotations

__all__ = ["TagScanner"]

import re
from collections.abc import Callable, Iterable
from typing import Final

from ._cbor_heads import read_argument

PLAIN_TAGS: Final[frozenset[int]] = frozenset(
    {
        *(0, 1, 1004),  # dates as text, seconds since the epoch
        *(2, 3),  # big integers
        *(25, 256),  # references to strings
        28,  # marks a target of references
        37,  # UUIDs
        *(52, 54, 260, 261),  # IP addresses and networks
        258,  # sets
        43000,  # complex numbers
        55799,  # self-described CBOR
    }
)
"""Tags decoded without further checks."""

_DECIMAL, _BIGFLOAT, _REFERENCE, _RATIONAL, _DAYS = 4, 5, 29, 30, 100
_PAIRS: Final = {_DECIMAL: "decimal", _BIGFLOAT: "bigfloat", _RATIONAL: "fraction"}
_CHECKED_TAGS: Final = frozenset({*_PAIRS, _REFERENCE, _DAYS})

_MAX_DIGITS: Final = 4300
"""The limit of `sys.int_info`. Converting a number takes quadratic time."""
_TOO_LARGE: Final = 10**_MAX_DIGITS
_MAX_BYTES: Final = (_TOO_LARGE.bit_length() + 7) // 8
_MAX_EXPONENT: Final = 999_999
"""The limit of `decimal`'s default context."""


def _skipping(*heads: bytes, size: int) -> bytes:
    """Return a regular expression for an item that starts with one of *heads*, followed by *size* bytes."""
    return b"[" + b"".join(heads) + b"]" + b"." * size


_UNINTERESTING: Final = re.compile(
    b"(?:"
    + b"|".join(
        [
            _skipping(rb"\x00-\x17\x20-\x37\x40\x60\x80-\x97\xa0-\xb7\xc0-\xc3\xe0-\xf7\x5f\x7f\x9f\xbf\xff", size=0)
            + b"++",
            _skipping(rb"\x18\x38\x98\xb8\xf8", size=1),
            _skipping(rb"\x19\x39\x99\xb9\xf9", size=2),
            _skipping(rb"\x1b\x3b\x9b\xbb\xfb", size=8),
            _skipping(rb"\x1a\x3a\x9a\xba\xfa", size=4),
            *(_skipping(rb"\x%02x\x%02x" % (0x40 + size, 0x60 + size), size=size) for size in range(1, 24)),
            rb"\xd8[\x19\x1c\x25\x34\x36]",
            rb"\xd9(?:\x01[\x00\x02\x04\x05]|\x03\xec|\xa7\xf8|\xd9\xf7)",
        ]
    )
    + b")*+",
    re.DOTALL,
)
"""Matches everything except long strings and tags that are not plain. Nesting does not matter."""


class TagScanner:
    """Find tags that must not be decoded.

    Parameters:
        is_interpreted: returns whether the decoder interprets a tag. Other tags are harmless.
        allowed: additional tags to decode.
    """

    __slots__ = ("_harmless", "_is_interpreted", "_suspects")

    def __init__(self, is_interpreted: Callable[[int], bool], allowed: Iterable[int]) -> None:
        self._is_interpreted = is_interpreted
        self._harmless: frozenset[int] = PLAIN_TAGS.union(allowed) - _CHECKED_TAGS
        self._suspects: bytes = b"\xd8\xd9\xda\xdb" + bytes(
            0xC0 + tag
            for tag in range(24)
            if tag in _CHECKED_TAGS or (tag not in self._harmless and is_interpreted(tag))
        )

    def is_plain(self, tag: int) -> bool:
        """Return whether *tag* can be decoded without further checks."""
        return tag in self._harmless or not (tag in _CHECKED_TAGS or self._is_interpreted(tag))

    def is_clean(self, data: bytes, size: int) -> bool:
        """Return whether *data*, any number of items, can be decoded without further checks.

        If *data* is longer than *size* bytes, only a quick check is made, which may return False for clean data.
        """
        if len(data.translate(None, self._suspects)) == len(data):  # costs a tenth of a scan
            return True
        return len(data) <= size and self.scan(data) == (None, False)

    def scan(self, data: bytes) -> tuple[str | None, bool]:
        """Return what is wrong with the first rejected tag, or None, and whether a reference precedes it."""
        position = longest = 0
        has_references = False
        try:
            while (position := _end_of_uninteresting(data, position)) < len(data):
                major_type = data[position] >> 5
                argument, position = read_argument(data, position)
                if major_type in (2, 3):  # a long string
                    longest = max(longest, argument)
                    position += argument
                    continue
                assert major_type == 6
                if argument in self._harmless:
                    continue
                if argument == _REFERENCE:
                    has_references = True
                elif argument in _PAIRS:
                    position = _skip_pair(data, position, argument, longest)
                elif argument == _DAYS:
                    if _byte(data, position) >> 5 > 1:  # cbor2 5.6.0 crashes the interpreter for a decimal
                        return f"tag {argument} (days since the epoch) must contain an integer", has_references
                elif self._is_interpreted(argument):
                    return f"tag {argument} does not produce plain data and is not in allowed_tags", has_references
        except EOFError:
            pass
        except ValueError as exc:
            return str(exc), has_references
        return None, has_references


def _end_of_uninteresting(data: bytes, position: int) -> int:
    match = _UNINTERESTING.match(data, position)
    assert match is not None, "the expression also matches an empty string"
    position = match.end()
    # The decoder stops at a malformed head, so the bytes after it need no check.
    if position < len(data) and data[position] & 0x1F > 27:
        return len(data)
    return position


def _byte(data: bytes, position: int) -> int:
    if position >= len(data):
        raise EOFError
    return data[position]


def _skip_pair(data: bytes, position: int, tag: int, longest: int) -> int:
    """Return the end of the array of two integers that follows *tag*.

    Any other content is rejected: ``cbor2`` 5 accepts 1e99999999, as text or decimal, as the numerator of a fraction.
    *longest* is the size of the largest byte string that a reference may refer to.
    """
    name = _PAIRS[tag]
    while data.startswith(b"\xd8\x1c", position):  # tag 28, which the encoder writes with value_sharing
        position += 2
    is_until_break = _byte(data, position) == 0x9F
    if is_until_break:
        position += 1
    else:
        is_array = data[position] >> 5 == 4
        size, position = read_argument(data, position)
        if not is_array or size != 2:
            raise ValueError(f"a {name} must be an array of two integers")
    exponent, position = _read_integer(data, position, name, longest)
    if tag != _RATIONAL and not -_MAX_EXPONENT <= exponent <= _MAX_EXPONENT:
        raise ValueError(f"the exponent of a {name} must be within ±{_MAX_EXPONENT}")
    _, position = _read_integer(data, position, name, longest)
    if is_until_break:
        if _byte(data, position) != 0xFF:
            raise ValueError(f"a {name} must be an array of two integers")
        position += 1
    return position


def _read_integer(data: bytes, position: int, name: str, longest: int) -> tuple[int, int]:
    """Return the absolute value of the integer at *position*, for limit checks, and where the integer ends.

    The value of a negative integer may be off by one. For a reference, the result is the largest number that is
    allowed, or a larger one if it may be too large.
    """
    major_type = _byte(data, position) >> 5
    argument, position = read_argument(data, position)
    if major_type < 2:
        return argument, position
    if major_type != 6 or argument not in (2, 3):
        raise ValueError(f"a {name} must be an array of two integers")
    is_string = _byte(data, position) >> 5 == 2
    is_reference = data.startswith(b"\xd8\x19", position)  # tag 25: a string that the encoder wrote before
    size, position = read_argument(data, position + 2 * is_reference)
    if is_reference:
        number = _TOO_LARGE - (longest < _MAX_BYTES)  # its value is unknown: assume the worst
    elif is_string:
        if position + size > len(data):
            raise EOFError
        digits = data[position : position + size].lstrip(b"\0")
        number = _TOO_LARGE if len(digits) > _MAX_BYTES else int.from_bytes(digits, "big")
        position += size
    else:
        raise ValueError(f"a {name} must be an array of two integers")
    if number >= _TOO_LARGE:
        raise ValueError(f"a number in a {name} must not have more than {_MAX_DIGITS} digits")
    return number, position
