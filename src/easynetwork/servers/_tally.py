"""What a server counts all the time, and what it measures if asked to."""

from __future__ import annotations

__all__ = ["Measurement", "Tally"]

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from easynetwork.lowlevel._core.traffic import Traffic

from ._stalls import StallMeter

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

Measurement: TypeAlias = Literal["traffic", "stalls"]


class Tally:
    """The counters of a server.

    Parameters:
        measure: what to measure besides.
        backend: the asynchronous backend.

    Raises:
        ValueError: *measure* names something else.
    """

    def __init__(self, measure: Collection[Measurement], backend: AsyncBackend) -> None:
        if isinstance(measure, str) or (unknown := set(measure) - set(get_args(Measurement))):
            wrong = repr(measure) if isinstance(measure, str) else ", ".join(map(repr, sorted(unknown, key=repr)))
            raise ValueError(f"'measure' is a collection of 'traffic' and 'stalls', got {wrong}")
        self.accepted = 0
        self.ended: Final[Counter[str]] = Counter()
        self.handshakes_failed: Final[Counter[str]] = Counter()
        self.traffic: Final = Traffic() if "traffic" in measure else None
        """The traffic of closed connections, or of all datagrams."""
        self.stalls: Final = StallMeter(backend) if "stalls" in measure else None
