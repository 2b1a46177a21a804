"""Checks for the results of deserializing generators."""

from __future__ import annotations

__all__ = ["packet_and_rest"]

from typing import Any


def packet_and_rest(result: Any, parser: object, method: str) -> tuple[Any, Any]:
    """Return *result*, which the generator *method* of *parser* returned, as a packet and the bytes after it.

    Raises:
        TypeError: *result* is not a tuple of a packet and a bytes-like object.
    """
    try:
        packet, remaining = result
        if type(remaining) is not bytes:
            memoryview(remaining)
    except (TypeError, ValueError):
        generator = f"{type(parser).__name__}.{method}()"
        raise TypeError(f"{generator} must return a tuple (packet, remaining bytes), got {result!r}") from None
    return packet, remaining
