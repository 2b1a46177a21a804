"""The checks of datagram transports. Importing this package fills its collections of checks."""

from __future__ import annotations

__all__ = ["DATAGRAM_CHECKS", "DATAGRAM_EXCHANGE_CHECKS", "DatagramStage"]

from . import ancillary as ancillary
from . import closing as closing
from . import exchanging as exchanging
from . import sharing as sharing
from .stage import DATAGRAM_CHECKS, DATAGRAM_EXCHANGE_CHECKS, DatagramStage
