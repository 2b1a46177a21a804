"""Every blocking transport passes the same checks, most of them those of asynchronous ones."""

from __future__ import annotations

import math
from functools import partial

from tests.conformance.harnesses.blocking import (
    BlockingStapledDatagramHarness,
    BlockingStapledHarness,
    BlockingTCPHarness,
    BlockingTLSHarness,
    BlockingUDPHarness,
    BlockingUnixDatagramHarness,
    BlockingUnixStreamHarness,
)
from tests.conformance.kit.blocking import (
    BLOCKING_DATAGRAM_CHECKS,
    BLOCKING_STREAM_CHECKS,
    BlockingDatagramStage,
    BlockingStreamStage,
)
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.harness import DatagramHarness, StreamHarness
from tests.conformance.kit.runner import Runner, asyncio_runners
from tests.conformance.kit.stage import set_stage

ASYNCIO = asyncio_runners()[:1]

STREAMS = [
    (BlockingTCPHarness(math.inf), ASYNCIO),
    (BlockingTCPHarness(0.0005), ASYNCIO),
    (BlockingTLSHarness(server_side=False), ASYNCIO),
    (BlockingTLSHarness(server_side=True), ASYNCIO),
    (BlockingUnixStreamHarness(), ASYNCIO),
    (BlockingStapledHarness(), ASYNCIO),
]
DATAGRAMS = [
    (BlockingUDPHarness(), ASYNCIO),
    (BlockingUnixDatagramHarness(), ASYNCIO),
    (BlockingStapledDatagramHarness(), ASYNCIO),
]


@conformance_cases(BLOCKING_STREAM_CHECKS, STREAMS)
def test_blocking_stream(runner: Runner, harness: StreamHarness, check: Check[BlockingStreamStage]) -> None:
    runner.run(partial(set_stage, BlockingStreamStage, harness), check)


@conformance_cases(BLOCKING_DATAGRAM_CHECKS, DATAGRAMS)
def test_blocking_datagram_transport(
    runner: Runner, harness: DatagramHarness, check: Check[BlockingDatagramStage]
) -> None:
    runner.run(partial(set_stage, BlockingDatagramStage, harness), check)
