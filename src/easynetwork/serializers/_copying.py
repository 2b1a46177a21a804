"""Parsing in a buffer, for serializers that cannot parse in place."""

from __future__ import annotations

__all__ = ["deserialize_from_buffer"]

from collections.abc import Generator

from easynetwork._typing import ReceivedDTOPacketT_co


def deserialize_from_buffer(
    consumer: Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]], buffer: memoryview
) -> Generator[None, int, tuple[ReceivedDTOPacketT_co, bytes]]:
    """Feeds *consumer* with copies of what is written at the start of *buffer*."""
    next(consumer)
    while True:
        nbytes = yield
        try:
            consumer.send(bytes(buffer[:nbytes]))
        except StopIteration as exc:
            packet_and_remaining: tuple[ReceivedDTOPacketT_co, bytes] = exc.value
            return packet_and_remaining
