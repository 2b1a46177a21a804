"""Every asynchronous byte stream passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

import pytest
from tests.conformance.harnesses.memory import MemoryHarness
from tests.conformance.harnesses.stapled import StapledHarness
from tests.conformance.harnesses.tcp import TCPHarness
from tests.conformance.harnesses.tls import TLSHarness
from tests.conformance.harnesses.unix_stream import UnixStreamHarness
from tests.conformance.kit.checks import Check, name_of
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.runner import Runner, asyncio_runners, trio_runners
from tests.conformance.kit.stream import STREAM_CHECKS, StreamStage, stream_stage

HARNESSES: list[StreamHarness] = [
    TCPHarness(),
    UnixStreamHarness(),
    TLSHarness(MemoryHarness(), server_side=False, is_pulled=True),
    TLSHarness(MemoryHarness(), server_side=True, is_pulled=True),
    TLSHarness(UnixStreamHarness(), server_side=True, is_pulled=True),
    StapledHarness(TCPHarness()),
    StapledHarness(MemoryHarness()),
    MemoryHarness(),
]


def tls_over_tcp(*, is_pulled: bool) -> list[StreamHarness]:
    return [TLSHarness(TCPHarness(), server_side=side, is_pulled=is_pulled) for side in (False, True)]


def cases() -> list[object]:
    return [
        pytest.param(runner, harness, check, id=f"{harness}-{runner}-{name_of(check)}")
        for runners, has_callbacks in ((asyncio_runners(), True), (trio_runners(), False))
        for harness in [*HARNESSES, *tls_over_tcp(is_pulled=not has_callbacks)]
        for runner in runners
        for check in STREAM_CHECKS.of(harness)
    ]


@pytest.mark.parametrize(("runner", "harness", "check"), cases())
def test_stream(runner: Runner, harness: StreamHarness, check: Check[StreamStage]) -> None:
    runner.run(partial(stream_stage, harness), check)
