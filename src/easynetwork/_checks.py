"""Argument checks that several modules share."""

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
    """Raise `ValueError` unless *value* is an integer greater than 0."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"{name!r} must be a strictly positive integer, got {value!r}")


def check_string(name: str, value: object) -> None:
    """Raise `TypeError` unless *value* is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name!r} must be a str, got {value!r}")


def check_port(port: object) -> None:
    """Raise `TypeError` unless *port* is an integer. The range is checked when the address is resolved."""
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"A port must be an int from 0 to 65535, got {port!r}")


def check_above_zero(name: str, value: float) -> None:
    """Raise `ValueError` unless *value* is greater than 0 (NaN is not), and `TypeError` unless it is a number."""
    try:
        is_allowed = value > 0
    except TypeError:
        raise _not_a_number(name, value) from None
    if not is_allowed:
        raise ValueError(f"{name!r} must be above 0, got {value!r}")


def check_timeout(name: str, value: float) -> None:
    """Raise `ValueError` if *value*, in seconds, is negative or NaN, and `TypeError` unless it is a number."""
    try:
        is_allowed = value >= 0
    except TypeError:
        raise _not_a_number(name, value) from None
    if not is_allowed:
        raise ValueError(f"{name!r} must not be negative or NaN, got {value!r}")


def _not_a_number(name: str, value: object) -> TypeError:
    return TypeError(f"{name!r} must be a number of seconds, got {value!r}")


def check_not_nan(name: str, value: float) -> None:
    """Raise `ValueError` if *value* is NaN."""
    if math.isnan(value):
        raise ValueError(f"{name!r} must not be NaN")


def check_timeouts(**timeouts: float | None) -> None:
    """Call `check_timeout` for each of *timeouts* that is not None."""
    for name, value in timeouts.items():
        if value is not None:
            check_timeout(name, value)


def check_transport(transport: object, expected: type[object]) -> None:
    """Raise `TypeError` unless *transport* is an instance of *expected*."""
    if not isinstance(transport, expected):
        raise TypeError(f"Expected an object of type {expected.__name__}, got {transport!r}")


def seconds(timeout: float | None, name: str = "timeout") -> float:
    """Return *timeout* in seconds, or infinity if it is None.

    Parameters:
        timeout: number of seconds.
        name: name of the caller's argument, for error messages.

    Raises:
        TypeError: *timeout* is not a number.
        ValueError: *timeout* is negative or NaN.
    """
    if timeout is None:
        return math.inf
    check_timeout(name, timeout)
    return timeout


def check_exception_types(name: str, value: object) -> None:
    """Raise `TypeError` unless *value* is valid in an ``except`` clause: an exception class or a tuple of them."""
    types = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(item, type) and issubclass(item, BaseException) for item in types):
        raise TypeError(f"{name} must be an exception class or a tuple of exception classes, got {value!r}")
