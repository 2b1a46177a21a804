"""Tell the decoder that drives a generator where the stream continues after an invalid packet."""

from __future__ import annotations

__all__ = ["drop", "drop_through", "note_remaining_data", "pop_remaining_data", "rest_of_refused"]

from collections.abc import Generator
from typing import Final

from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import IncrementalDeserializeError

_REMAINING_DATA: Final = "_easynetwork_remaining_data"


def note_remaining_data(exc: BaseException, remaining_data: ReadableBuffer) -> None:
    """Attach to *exc*, which user code raised for a complete frame, the bytes after that frame.

    The exception itself must pass through the generators unchanged, so it carries the bytes in an attribute.
    """
    exc.__dict__[_REMAINING_DATA] = remaining_data


def pop_remaining_data(exc: BaseException) -> ReadableBuffer | None:
    """Remove and return the bytes attached to *exc*, or None if only the generator knows where the frame ends."""
    remaining_data: ReadableBuffer | None = exc.__dict__.pop(_REMAINING_DATA, None)
    return remaining_data


def rest_of_refused(error: IncrementalDeserializeError) -> Generator[None, bytes, bytes] | None:
    """Return a generator that drops the rest of an incomplete packet, or None if the end of the packet is unknown."""
    if error._rest is None and error._separator:
        return drop_through(error._separator)
    return error._rest


def drop_through(separator: bytes) -> Generator[None, bytes, bytes]:
    """Drop received bytes up to and including *separator*. Return the bytes after it. Buffer less than a separator."""
    overlap = len(separator) - 1
    held = b""
    while True:
        held += yield
        end = held.find(separator)
        if end >= 0:
            return held[end + len(separator) :]
        held = held[max(len(held) - overlap, 0) :]


def drop(size: int) -> Generator[None, bytes, bytes]:
    """Drop *size* received bytes, at least one. Return the bytes after them."""
    while True:
        received = yield
        if len(received) >= size:
            return received[size:]
        size -= len(received)
