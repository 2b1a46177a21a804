"""Every asynchronous datagram transport passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

from tests.conformance.harnesses.stapled import StapledDatagramHarness
from tests.conformance.harnesses.udp import UDPHarness
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.datagram import DATAGRAM_CHECKS, DatagramStage
from tests.conformance.kit.harness import DatagramHarness
from tests.conformance.kit.runner import Runner, asyncio_runners
from tests.conformance.kit.stage import set_stage

CALLBACK_LOOPS = asyncio_runners()

SUBJECTS = [
    (UDPHarness(), CALLBACK_LOOPS),
    (StapledDatagramHarness(UDPHarness()), CALLBACK_LOOPS[:1]),
]


@conformance_cases(DATAGRAM_CHECKS, SUBJECTS)
def test_datagram_transport(runner: Runner, harness: DatagramHarness, check: Check[DatagramStage]) -> None:
    runner.run(partial(set_stage, DatagramStage, harness), check)
