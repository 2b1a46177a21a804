"""Arguments that are refused in several places."""

from __future__ import annotations

__all__ = [
    "check_above_zero",
    "check_exception_types",
    "check_not_nan",
    "check_port",
    "check_strictly_positive",
    "check_string",
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


def check_string(name: str, value: object) -> None:
    """Raise `TypeError` unless *value* is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name!r} must be a str, got {value!r}")


def check_port(port: object) -> None:
    """Raise `TypeError` unless *port* is an integer. Resolving tells whether there is such a port."""
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"A port must be an int from 0 to 65535, got {port!r}")


def check_above_zero(name: str, value: float) -> None:
    """Raises `ValueError` unless *value* is above 0; NaN is not. `TypeError` if it is not a number."""
    try:
        is_allowed = value > 0
    except TypeError:
        raise _not_a_number(name, value) from None
    if not is_allowed:
        raise ValueError(f"{name!r} must be above 0, got {value!r}")


def check_timeout(name: str, value: float) -> None:
    """Raises `ValueError` if *value*, in seconds, is negative or NaN. `TypeError` if it is not a number."""
    try:
        is_allowed = value >= 0
    except TypeError:
        raise _not_a_number(name, value) from None
    if not is_allowed:
        raise ValueError(f"{name!r} must not be negative or NaN, got {value!r}")


def _not_a_number(name: str, value: object) -> TypeError:
    return TypeError(f"{name!r} must be a number of seconds, got {value!r}")


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


def seconds(timeout: float | None, name: str = "timeout") -> float:
    """Returns *timeout* in seconds, infinite if it is None. Raises `ValueError` if it is negative or NaN.

    *name* is what the caller's argument is called.
    """
    if timeout is None:
        return math.inf
    check_timeout(name, timeout)
    return timeout


def check_exception_types(name: str, value: object) -> None:
    """Raise `TypeError` unless *value* is what ``except`` takes: an exception class, or a tuple of some."""
    types = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(item, type) and issubclass(item, BaseException) for item in types):
        raise TypeError(f"{name} must be an exception class or a tuple of exception classes, got {value!r}")
