"""Find the end of a JSON document in a stream without separators."""

from __future__ import annotations

__all__ = ["JSON_WHITESPACE", "read_json_frame"]

import re
from collections.abc import Generator
from io import BytesIO
from typing import Final, Protocol

from easynetwork.exceptions import LimitOverrunError

from ._self_delimiting import EndFinder, receive_to_end

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
    """Wait for a document. Return it and the bytes after it. Drop whitespace before both.

    The document is not validated. If it starts with a bracket or a quotation mark, it ends where that is closed. Any
    other document (a number, a word) ends before the first byte that is not printable ASCII. Each byte is examined
    once.

    Raises:
        LimitOverrunError: the document is longer than *limit* bytes.
    """
    chunk = b""
    while not (document := chunk.lstrip(JSON_WHITESPACE)):
        chunk = yield
    if _NOT_PRINTABLE.match(document):
        return document, b""  # not the start of a document, and the start of the next one is unknown
    limit -= len(chunk) - len(document)
    held = BytesIO()
    held.write(document)
    finder = _new_end_finder(document[:1])
    end = yield from receive_to_end(finder, held, limit)
    document = held.getvalue()
    if end < 0 or end > limit:
        message = f"More than {limit} bytes in a JSON document"
        error = LimitOverrunError(message, document, end if end >= 0 else len(document))
        error._is_over = end >= 0
        error._rest = _drop_rest(finder, len(document))
        raise error
    return document[:end], document[end:].lstrip(JSON_WHITESPACE)


def _drop_rest(finder: _End, searched: int) -> Generator[None, bytes, bytes]:
    """Drop the rest of a document, of which *finder* has examined *searched* bytes. Return the bytes after it."""
    while True:
        finder.position -= searched  # 1 is left if the next byte is escaped
        chunk = yield
        end = finder.find_end(memoryview(chunk))
        if end >= 0:
            return chunk[end:]
        searched = len(chunk)


def _new_end_finder(first_byte: bytes) -> _End:
    tokens = _BRACKET_OR_STRING.get(first_byte)
    return _EndOfPlain() if tokens is None else _EndOfEnclosed(tokens)


class _End(EndFinder, Protocol):
    """An end finder that can continue in other bytes."""

    position: int
    """Index at which the search continues."""


class _EndOfPlain:
    """Find the end of a number or a word."""

    __slots__ = ("position",)

    def __init__(self) -> None:
        self.position: int = 0

    def find_end(self, held: memoryview, /) -> int:
        match = _NOT_PRINTABLE.search(held, self.position)
        self.position = len(held)
        return -1 if match is None else match.start()


class _EndOfEnclosed:
    """Find the end of an object, an array or a string."""

    __slots__ = ("_depth", "_in_string", "_tokens", "position")

    def __init__(self, tokens: re.Pattern[bytes]) -> None:
        self._tokens = tokens
        self.position: int = 0
        self._depth: int = 0
        self._in_string: bool = False

    def find_end(self, held: memoryview, /) -> int:
        while match := (_ESCAPE_OR_END_OF_STRING if self._in_string else self._tokens).search(held, self.position):
            self.position = match.end()
            token = held[match.start()]
            if token == _BACKSLASH:
                self.position += 1  # skip the escaped byte, which may not have arrived yet
                continue
            if token == _QUOTATION_MARK:
                self._in_string = not self._in_string
            else:
                self._depth += 1 if token in b"{[" else -1
            if not self._depth and not self._in_string:
                return self.position
        self.position = max(self.position, len(held))
        return -1
