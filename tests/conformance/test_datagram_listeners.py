"""Every datagram listener passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

from tests.conformance.harnesses.udp import UDPListenerHarness
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.datagram_listener import DATAGRAM_LISTENER_CHECKS, DatagramListenerStage
from tests.conformance.kit.harness import DatagramListenerHarness
from tests.conformance.kit.runner import Runner, asyncio_runners
from tests.conformance.kit.stage import set_stage

CALLBACK_LOOPS = asyncio_runners()

SUBJECTS = [(UDPListenerHarness(), CALLBACK_LOOPS)]


@conformance_cases(DATAGRAM_LISTENER_CHECKS, SUBJECTS)
def test_datagram_listener(
    runner: Runner, harness: DatagramListenerHarness, check: Check[DatagramListenerStage]
) -> None:
    runner.run(partial(set_stage, DatagramListenerStage, harness), check)
