"""Where a stream goes on after a packet that failed, as generators tell the decoder that drives them."""

from __future__ import annotations

__all__ = ["drop_through", "note_remaining_data", "pop_remaining_data", "rest_of_refused"]

from collections.abc import Generator
from typing import Final

from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import LimitOverrunError

_REMAINING_DATA: Final = "_easynetwork_remaining_data"


def note_remaining_data(exc: BaseException, remaining_data: ReadableBuffer) -> None:
    """Note on *exc*, raised by user code for a frame that was cut already, what follows that frame.

    The exception itself goes through the generators unchanged, so it has to carry this.
    """
    exc.__dict__[_REMAINING_DATA] = remaining_data


def pop_remaining_data(exc: BaseException) -> ReadableBuffer | None:
    """Take the note off *exc*. Return what follows the frame; None if only the generator knew where that is."""
    remaining_data: ReadableBuffer | None = exc.__dict__.pop(_REMAINING_DATA, None)
    return remaining_data


def rest_of_refused(error: LimitOverrunError) -> Generator[None, bytes, bytes] | None:
    """Return what takes the rest of a packet that has not ended yet; None if nothing says where it ends."""
    if error._rest is None and error._separator:
        return drop_through(error._separator)
    return error._rest


def drop_through(separator: bytes) -> Generator[None, bytes, bytes]:
    """Drop what is sent in, up to *separator*, and return what follows. Hold less than one separator meanwhile."""
    overlap = len(separator) - 1
    held = b""
    while True:
        held += yield
        end = held.find(separator)
        if end >= 0:
            return held[end + len(separator) :]
        held = held[max(len(held) - overlap, 0) :]
