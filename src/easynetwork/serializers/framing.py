"""How a serializer's packets are cut out of a byte stream, said as data.

The generator protocol of :mod:`easynetwork.serializers.abc` can express any framing, at the price of one generator per
packet. Most framings need none of that freedom: a frame ends with a separator, or has a fixed size. A serializer that
*says so* lets the library cut a whole chunk of received bytes at once, and gives the same packets and the same errors.
"""

from __future__ import annotations

__all__ = ["FixedSizeFrames", "FrameFormat", "FramedPacketSerializer", "SeparatedFrames"]

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SeparatedFrames:
    """Each frame is followed by *separator*."""

    separator: bytes
    """What ends a frame; never empty."""

    limit: int
    """Largest size of a frame, in bytes, its separator not counted."""

    keep_end: bool = False
    """Whether ``deserialize()`` gets the frame with its separator."""


@dataclass(frozen=True, slots=True)
class FixedSizeFrames:
    """Each frame is exactly *size* bytes long."""

    size: int


FrameFormat: TypeAlias = SeparatedFrames | FixedSizeFrames
