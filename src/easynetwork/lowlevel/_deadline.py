"""A time-out that several waits share."""

from __future__ import annotations

__all__ = ["Deadline"]

import time


class Deadline:
    """The moment at which *timeout* seconds will be over; never if that is infinite."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout

    def remaining(self) -> float:
        """Returns how many seconds are left; 0 once it is over."""
        return max(self._end - time.monotonic(), 0.0)
