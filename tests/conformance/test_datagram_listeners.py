"""Every datagram listener passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

from tests.conformance.harnesses.udp import UDPListenerHarness
from tests.conformance.harnesses.unix_datagram import UnixDatagramListenerHarness
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.datagram_listener import DATAGRAM_LISTENER_CHECKS, DatagramListenerStage
from tests.conformance.kit.harness import DatagramListenerHarness
from tests.conformance.kit.runner import Runner, asyncio_runners, trio_runners
from tests.conformance.kit.stage import set_stage

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

ALL = asyncio_runners() + trio_runners()
UNIX = [runner for runner in ALL if runner.provides(AsyncBackend.create_unix_datagram_listener)]

SUBJECTS = [
    (UDPListenerHarness(), ALL),
    (UnixDatagramListenerHarness(), UNIX),
]


@conformance_cases(DATAGRAM_LISTENER_CHECKS, SUBJECTS)
def test_datagram_listener(
    runner: Runner, harness: DatagramListenerHarness, check: Check[DatagramListenerStage]
) -> None:
    runner.run(partial(set_stage, DatagramListenerStage, harness), check)
