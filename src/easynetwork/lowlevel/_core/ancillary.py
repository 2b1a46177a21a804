"""Delivery of ancillary data to a handler, without knowledge of its contents."""

from __future__ import annotations

__all__ = ["TruncatedMessages", "hand_over"]

from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn


def hand_over(ancillary_data: Any, ancillary_data_received: Callable[[Any], object]) -> None:
    """Call *ancillary_data_received*.

    Raises:
        RuntimeError: *ancillary_data_received* raised an exception (the cause).
    """
    try:
        ancillary_data_received(ancillary_data)
    except Exception as exc:
        raise RuntimeError("The callback for ancillary data failed") from exc


class TruncatedMessages:
    """A stand-in for the control messages of a datagram that the system truncated.

    Iterating over the object raises *error*, an `OSError` (``EMSGSIZE``).
    """

    __slots__ = ("error",)

    def __init__(self, error: OSError) -> None:
        self.error: Final = error
        """The error to raise where the messages were requested."""

    def __iter__(self) -> Iterator[NoReturn]:
        raise self.error
