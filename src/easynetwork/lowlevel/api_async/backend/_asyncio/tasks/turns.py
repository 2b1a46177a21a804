"""Turns for connections that have more to do: those of one event loop share a part of its time.

A connection that floods its handler with requests stops after some of them, and waits for its next turn. All such
connections together get a limited time in each turn of the event loop, so that the others are served in between,
however many there are.
"""

from __future__ import annotations

__all__ = ["wait_for_turn"]

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final
from weakref import WeakKeyDictionary

_TIME: Final = 100e-6
"""Number of seconds in each turn of the event loop. One connection may exceed it."""


class _Turns:
    """The connections of one event loop that wait for a turn, in order."""

    __slots__ = ("_is_due", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_due = False  # whether `_grant` will be called, or is running

    def wait(self, loop: asyncio.AbstractEventLoop, resume: Callable[[], object]) -> None:
        self._waiting.append(resume)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._grant, loop)

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting
        end = perf_counter() + _TIME
        try:
            for _ in range(len(waiting)):  # those that wait again get their turn later
                waiting.popleft()()
                if perf_counter() >= end:
                    break
        finally:
            self._is_due = bool(waiting)
            if waiting:
                loop.call_soon(self._grant, loop)


_turns: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()


def wait_for_turn(loop: asyncio.AbstractEventLoop, resume: Callable[[], object]) -> None:
    """Call *resume* in one of the next turns of *loop*."""
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = _Turns()
    turns.wait(loop, resume)
