"""What checks of blocking transports get to work with."""

from __future__ import annotations

__all__ = [
    "BLOCKING_DATAGRAM_CHECKS",
    "BLOCKING_STREAM_CHECKS",
    "BlockingDatagramStage",
    "BlockingStreamStage",
    "expires",
]

import contextlib
import errno
import math
import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.kit.blocking.in_thread import DatagramsInThread, StreamInThread
from tests.conformance.kit.checks import Checks
from tests.conformance.kit.common import COMMON_CHECKS
from tests.conformance.kit.datagram import DATAGRAM_EXCHANGE_CHECKS, DatagramStage
from tests.conformance.kit.stream import EXCHANGE_CHECKS, StreamStage

from easynetwork.lowlevel.api_sync.transports.abc import DatagramTransport, StreamTransport

BAD_TIMEOUTS = (-1, -0.001, -math.inf, math.nan)


class BlockingStreamStage(StreamStage):
    """A blocking transport, which is also the asynchronous one in disguise, with its peer."""

    @property
    def blocking(self) -> StreamTransport:
        assert isinstance(self.subject, StreamInThread), "what a blocking harness gives"
        return self.subject.blocking

    def fill(self) -> int:
        """Send until there is no more room; return how many bytes that were."""
        sent = 0
        with expires():
            while True:
                sent += self.blocking.send(bytes(1 << 16), 0)
        return sent


class BlockingDatagramStage(DatagramStage):
    """A blocking transport, which is also the asynchronous one in disguise, with its peer."""

    @property
    def blocking(self) -> DatagramTransport:
        assert isinstance(self.subject, DatagramsInThread), "what a blocking harness gives"
        return self.subject.blocking


@contextlib.contextmanager
def expires() -> Iterator[None]:
    """The block ends by the time-out of a transport."""
    with pytest.raises(TimeoutError) as info:
        yield
    assert info.value.errno == errno.ETIMEDOUT
    assert info.value.strerror != os.strerror(errno.ETIMEDOUT)  # "Connection timed out"


BLOCKING_STREAM_CHECKS: Checks[Any] = Checks(COMMON_CHECKS, EXCHANGE_CHECKS)
"""What blocking streams promise."""

BLOCKING_DATAGRAM_CHECKS: Checks[Any] = Checks(COMMON_CHECKS, DATAGRAM_EXCHANGE_CHECKS)
"""What blocking datagram transports promise."""
