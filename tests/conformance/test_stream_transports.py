"""Every asynchronous byte stream passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

from tests.conformance.harnesses.memory import MemoryHarness
from tests.conformance.harnesses.stapled import StapledHarness
from tests.conformance.harnesses.tcp import TCPHarness
from tests.conformance.harnesses.tls import TLSHarness
from tests.conformance.harnesses.unix_stream import UnixStreamHarness
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.runner import Runner, asyncio_runners, trio_runners
from tests.conformance.kit.stage import set_stage
from tests.conformance.kit.stream import STREAM_CHECKS, StreamStage

CALLBACK_LOOPS = asyncio_runners()
TRIO = trio_runners()
ALL = CALLBACK_LOOPS + TRIO

SUBJECTS = [
    (TCPHarness(), ALL),
    (UnixStreamHarness(), ALL),
    (TLSHarness(TCPHarness(), server_side=False), CALLBACK_LOOPS),
    (TLSHarness(TCPHarness(), server_side=True), CALLBACK_LOOPS),
    (TLSHarness(TCPHarness(), server_side=False, is_pulled=True), TRIO),
    (TLSHarness(UnixStreamHarness(), server_side=True), CALLBACK_LOOPS),
    (TLSHarness(UnixStreamHarness(), server_side=True, is_pulled=True), TRIO),
    (TLSHarness(MemoryHarness(), server_side=False, is_pulled=True), ALL),
    (StapledHarness(TCPHarness()), ALL),
    (StapledHarness(MemoryHarness()), ALL),
    (MemoryHarness(), ALL),
]


@conformance_cases(STREAM_CHECKS, SUBJECTS)
def test_stream(runner: Runner, harness: StreamHarness, check: Check[StreamStage]) -> None:
    runner.run(partial(set_stage, StreamStage, harness), check)
