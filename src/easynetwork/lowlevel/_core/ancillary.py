"""Ancillary data on its way to a handler. What it consists of is known to sockets only."""

from __future__ import annotations

__all__ = ["TruncatedMessages", "hand_over"]

from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn


def hand_over(ancillary_data: Any, ancillary_data_received: Callable[[Any], object]) -> None:
    """Call *ancillary_data_received*.

    Raises:
        RuntimeError: it raised an exception, which is the cause.
    """
    try:
        ancillary_data_received(ancillary_data)
    except Exception as exc:
        raise RuntimeError("The callback for ancillary data has failed") from exc


class TruncatedMessages:
    """Stand-in for control messages that the system truncated, as a datagram listener delivers them.

    Iterating over it raises *error*, an `OSError` (``EMSGSIZE``).
    """

    __slots__ = ("error",)

    def __init__(self, error: OSError) -> None:
        self.error: Final = error
        """The error to raise where the messages were requested."""

    def __iter__(self) -> Iterator[NoReturn]:
        raise self.error
