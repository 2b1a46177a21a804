"""Parse a buffer with a serializer that cannot parse in place."""

from __future__ import annotations

__all__ = ["deserialize_from_buffer"]

from collections.abc import Generator
from typing import TypeVar

_T_Result = TypeVar("_T_Result")


def deserialize_from_buffer(
    consumer: Generator[None, bytes, _T_Result], buffer: memoryview
) -> Generator[None, int, _T_Result]:
    """Feed *consumer* with copies of the bytes written at the start of *buffer*."""
    next(consumer)
    while True:
        nbytes = yield
        try:
            consumer.send(bytes(buffer[:nbytes]))
        except StopIteration as exc:
            result: _T_Result = exc.value
            return result
