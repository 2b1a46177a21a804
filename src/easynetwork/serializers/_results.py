"""Checks for the results of deserializing generators."""

from __future__ import annotations

__all__ = ["check_remaining_data", "not_a_pair"]

from typing import Any


def not_a_pair(generator: str, result: object) -> TypeError:
    """Return the error for a *generator* whose *result* is not a tuple of a packet and the bytes after it."""
    return TypeError(f"{generator} must return a tuple (packet, remaining bytes), got {result!r}")


def check_remaining_data(generator: str, packet: Any, remaining_data: object) -> None:
    """Check the remaining bytes that *generator* returned.

    Raises:
        TypeError: *remaining_data* is not a bytes-like object.
    """
    try:
        memoryview(remaining_data)  # type: ignore[arg-type] # this is the check
    except TypeError:
        raise not_a_pair(generator, (packet, remaining_data)) from None
