"""Turn samples into readable figures."""

from __future__ import annotations

__all__ = ["format_seconds", "percentile"]

import math
from collections.abc import Sequence

_UNITS = ((1, "s"), (1e3, "ms"), (1e6, "µs"))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the *ordered* samples that at least *percent* % of them do not exceed (nearest rank).

    Raises:
        ValueError: there are no samples, or *percent* is not above 0 and at most 100.
    """
    if not ordered:
        raise ValueError("a percentile needs at least one sample, but there are no samples")
    if not 0 < percent <= 100:
        raise ValueError(f"percent must be above 0 and at most 100, not {percent!r}")
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def format_seconds(seconds: float) -> str:
    """Return *seconds* with three significant digits, in s, ms or µs."""
    factor, unit = next((unit for unit in _UNITS if seconds * unit[0] >= 0.9995), _UNITS[-1])
    value = seconds * factor
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"
