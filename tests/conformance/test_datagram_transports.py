"""Every asynchronous datagram transport passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

from tests.conformance.harnesses.stapled import StapledDatagramHarness
from tests.conformance.harnesses.udp import UDPHarness
from tests.conformance.harnesses.unix_datagram import UnixDatagramHarness
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.datagram import DATAGRAM_CHECKS, DatagramStage
from tests.conformance.kit.harness import DatagramHarness
from tests.conformance.kit.runner import Runner, asyncio_runners, trio_runners
from tests.conformance.kit.stage import set_stage

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

ALL = asyncio_runners() + trio_runners()
UNIX = [runner for runner in ALL if runner.provides(AsyncBackend.create_unix_datagram_endpoint)]

SUBJECTS = [
    (UDPHarness(), ALL),
    (UnixDatagramHarness(), UNIX),
    (StapledDatagramHarness(UDPHarness()), ALL),
]


@conformance_cases(DATAGRAM_CHECKS, SUBJECTS)
def test_datagram_transport(runner: Runner, harness: DatagramHarness, check: Check[DatagramStage]) -> None:
    runner.run(partial(set_stage, DatagramStage, harness), check)
