"""The checks of datagram listeners. Importing this package fills `DATAGRAM_LISTENER_CHECKS`."""

from __future__ import annotations

__all__ = ["DATAGRAM_LISTENER_CHECKS", "DatagramListenerStage"]

from . import ancillary as ancillary
from . import exchanging as exchanging
from .stage import DATAGRAM_LISTENER_CHECKS, DatagramListenerStage
