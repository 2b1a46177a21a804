"""A time limit shared by several waits."""

from __future__ import annotations

__all__ = ["Deadline"]

import time


class Deadline:
    """A point in time *timeout* seconds from now; never if *timeout* is infinite."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout

    def remaining(self) -> float:
        """Return the number of seconds left, or 0 if the deadline has passed."""
        return max(self._end - time.monotonic(), 0.0)
