"""The report of a load."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STALL_NS", "Window"]

STALL_NS = 10_000_000_000  # a program that is silent for this long while it has work to do has failed


@dataclass(frozen=True)
class Window:
    """The messages, time and latencies of one run of the load."""

    messages: float
    seconds: float
    latencies_us: list[float]  # from the first byte of a batch sent to the last byte of its answers received
