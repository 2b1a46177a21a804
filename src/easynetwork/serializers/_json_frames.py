"""Where a JSON document ends in a stream that has nothing between documents."""

from __future__ import annotations

__all__ = ["JSON_WHITESPACE", "read_json_frame"]

import re
from collections.abc import Generator
from io import BytesIO
from typing import Final

from easynetwork.exceptions import LimitOverrunError

JSON_WHITESPACE: Final[bytes] = b" \t\n\r"

_BACKSLASH: Final[int] = ord("\\")
_QUOTATION_MARK: Final[int] = ord('"')
_NOT_PRINTABLE: Final = re.compile(rb"[^\x20-\x7e]")
_ESCAPE_OR_END_OF_STRING: Final = re.compile(rb'["\\]')
_BRACKET_OR_STRING: Final = {
    b"{": re.compile(rb'[{}"]'),
    b"[": re.compile(rb'[\[\]"]'),
    b'"': re.compile(rb'"'),
}


def read_json_frame(limit: int) -> Generator[None, bytes, tuple[bytes, bytes]]:
    """Waits for a document; returns it with the whitespace before it, and the bytes after it without theirs.

    Nothing is validated: a document that begins with a bracket or a quotation mark ends where that is closed, any other
    (a number, a word) before the first byte that is not printable ASCII. Each byte is looked at once, and held once.

    Raises:
        LimitOverrunError: the document has, or will have, more than *limit* bytes.
    """
    chunk = b""
    while not (document := chunk.lstrip(JSON_WHITESPACE)):
        chunk = yield
    start = len(chunk) - len(document)
    if _NOT_PRINTABLE.match(chunk, start):
        return chunk, b""  # No document begins like this. Nothing says where the next one begins either.
    tokens = _BRACKET_OR_STRING.get(document[:1])
    search = _EndOfPlain() if tokens is None else _EndOfEnclosed(tokens)
    earlier = BytesIO()
    while (end := search.find_end(chunk, start)) < 0:
        if earlier.tell() + len(chunk) > limit:
            raise _overrun(earlier.getvalue() + chunk, earlier.tell() + len(chunk), limit)
        earlier.write(chunk)
        chunk = yield
        start = 0
    if earlier.tell() + end > limit:
        raise _overrun(earlier.getvalue() + chunk, earlier.tell() + end, limit)
    earlier.write(chunk[:end])
    return earlier.getvalue(), chunk[end:].lstrip(JSON_WHITESPACE)


def _overrun(buffer: bytes, consumed: int, limit: int) -> LimitOverrunError:
    return LimitOverrunError(f"More than {limit} bytes in a JSON document", buffer, consumed)


class _EndOfPlain:
    """Finds the end of a number or a word."""

    __slots__ = ()

    def find_end(self, chunk: bytes, start: int) -> int:
        """Returns where the document ends, or -1 if not in *chunk*."""
        match = _NOT_PRINTABLE.search(chunk, start)
        return -1 if match is None else match.start()


class _EndOfEnclosed:
    """Finds the end of an object, an array or a string; remembers between two chunks how deep it is inside."""

    __slots__ = ("_depth", "_in_string", "_is_escaped", "_tokens")

    def __init__(self, tokens: re.Pattern[bytes]) -> None:
        self._tokens = tokens
        self._depth: int = 0
        self._in_string: bool = False
        self._is_escaped: bool = False  # by a backslash which was the last byte

    def find_end(self, chunk: bytes, start: int) -> int:
        """Returns where the document ends, or -1 if not in *chunk*."""
        while True:
            if self._in_string:
                start = self._end_of_string(chunk, start)
                if start < 0:
                    return -1
                self._in_string = False
            else:
                match = self._tokens.search(chunk, start)
                if match is None:
                    return -1
                start = match.end()
                token = chunk[start - 1]
                if token == _QUOTATION_MARK:
                    self._in_string = True
                    continue
                self._depth += 1 if token in b"{[" else -1
            if self._depth == 0:
                return start

    def _end_of_string(self, chunk: bytes, start: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            start += 1
        while match := _ESCAPE_OR_END_OF_STRING.search(chunk, start):
            start = match.end()
            if chunk[start - 1] != _BACKSLASH:
                return start
            self._is_escaped = start == len(chunk)
            start += 1
        return -1
