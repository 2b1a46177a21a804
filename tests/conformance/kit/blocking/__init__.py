"""The checks of blocking transports. Importing this package fills its collections of checks."""

from __future__ import annotations

__all__ = [
    "BLOCKING_DATAGRAM_CHECKS",
    "BLOCKING_STREAM_CHECKS",
    "BlockingDatagramStage",
    "BlockingStreamStage",
]

from . import datagrams as datagrams
from . import streams as streams
from .stage import BLOCKING_DATAGRAM_CHECKS, BLOCKING_STREAM_CHECKS, BlockingDatagramStage, BlockingStreamStage
