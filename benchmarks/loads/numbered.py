"""Numbered requests, so that each can be followed: which ones a server has read, and which ones it has answered.

A request is a line with its number, the size of its reply in bytes and the milliseconds that a handler needs for it.
The reply is a line of that size, which starts with the number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["client_of", "first_number", "numbers_of", "ranges", "reply_to", "request"]

_PER_CLIENT = 100_000_000


def first_number(client: int) -> int:
    """Return the number of a client's first request. The others follow it."""
    return client * _PER_CLIENT


def client_of(number: int) -> int:
    """Return the client that sent a request."""
    return number // _PER_CLIENT


def request(number: int, size: int, milliseconds: int) -> bytes:
    return f"{number} {size} {milliseconds}\n".encode("ascii")


def reply_to(line: str) -> str:
    """Return the reply to a request, both without their newlines."""
    number, size, _ = line.split()
    return f"{number} ".ljust(int(size) - 1, "=")


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return *numbers* as ranges, each with its first number and the one after its last."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return found


def numbers_of(found: Iterable[Sequence[int]]) -> set[int]:
    """Return the numbers in some ranges."""
    return {number for start, stop in found for number in range(start, stop)}
