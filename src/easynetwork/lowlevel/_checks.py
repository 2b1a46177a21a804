"""Arguments that are refused in several places."""

from __future__ import annotations

__all__ = [
    "check_above_zero",
    "check_not_nan",
    "check_strictly_positive",
    "check_timeout",
    "check_timeouts",
    "check_transport",
    "seconds",
]

import math


def check_strictly_positive(name: str, value: object) -> None:
    """Raises `ValueError` unless *value* is an integer above 0."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"{name!r} must be a strictly positive integer, got {value!r}")


def check_above_zero(name: str, value: float) -> None:
    """Raises `ValueError` unless *value* is above 0; NaN is not."""
    if not value > 0:
        raise ValueError(f"{name!r} must be above 0, got {value!r}")


def check_timeout(name: str, value: float) -> None:
    """Raises `ValueError` if *value*, in seconds, is negative or NaN."""
    if not value >= 0:
        raise ValueError(f"{name!r} must not be negative or NaN, got {value!r}")


def check_not_nan(name: str, value: float) -> None:
    """Raises `ValueError` if *value* is NaN."""
    if math.isnan(value):
        raise ValueError(f"{name!r} must not be NaN")


def check_timeouts(**timeouts: float | None) -> None:
    """Does the same for each of *timeouts* that is not None."""
    for name, value in timeouts.items():
        if value is not None:
            check_timeout(name, value)


def check_transport(transport: object, expected: type[object]) -> None:
    """Raises `TypeError` unless *transport* is of the type *expected*."""
    if not isinstance(transport, expected):
        raise TypeError(f"Expected an object of type {expected.__name__}, got {transport!r}")


def seconds(timeout: float | None) -> float:
    """Returns *timeout* in seconds, infinite if it is None. Raises `ValueError` if it is negative or NaN."""
    if timeout is None:
        return math.inf
    check_timeout("timeout", timeout)
    return timeout
