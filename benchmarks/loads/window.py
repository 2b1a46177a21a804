"""What a load reports."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STALL_NS", "Window"]

STALL_NS = 10_000_000_000  # a program silent for so long while it has something to do is at fault


@dataclass(frozen=True)
class Window:
    """What happened while the load ran."""

    messages: float
    seconds: float
    latencies_us: list[float]  # from the first byte of a batch sent to the last byte of its answers received
