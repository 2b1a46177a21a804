"""Framings as data: how a byte stream is split into packets.

The generator protocol of :mod:`easynetwork.serializers.abc` can express any framing, but needs one generator per
packet. A serializer that states its framing as data needs none: the library splits a whole chunk at once. The packets
and the errors are the same.
"""

from __future__ import annotations

__all__ = [
    "CobsFrames",
    "CountedBodyFrames",
    "CutFrames",
    "FixedSizeFrames",
    "FrameFormat",
    "FramedPacketSerializer",
    "LengthPrefixedFrames",
    "NetstringFrames",
    "OctetCountedFrames",
    "SeparatedFrames",
    "SlipFrames",
    "VarintFrames",
    "parse_decimal",
]

from .counted_bodies import CountedBodyFrames
from .cut import CutFrames
from .decimal_counts import NetstringFrames, OctetCountedFrames, parse_decimal
from .escaped import CobsFrames, SlipFrames
from .formats import FixedSizeFrames, FrameFormat, SeparatedFrames
from .length_prefixes import LengthPrefixedFrames, VarintFrames
from .serializer import FramedPacketSerializer
