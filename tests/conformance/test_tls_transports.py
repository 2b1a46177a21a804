"""TLS is a byte stream like any other, whatever it runs over."""

from __future__ import annotations

from functools import partial

import pytest
from tests.conformance.harnesses.memory import MemoryHarness
from tests.conformance.harnesses.tcp import TCPHarness
from tests.conformance.harnesses.tls import TLSHarness
from tests.conformance.kit.checks import Check, name_of
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.runner import Runner, asyncio_runners, trio_runners
from tests.conformance.kit.stream import STREAM_CHECKS, StreamStage, stream_stage

HARNESSES: list[StreamHarness] = [
    TLSHarness(TCPHarness()),
    TLSHarness(TCPHarness(), standard_compatible=False),
    TLSHarness(MemoryHarness()),
    TLSHarness(MemoryHarness(), standard_compatible=False),
]


def cases() -> list[object]:
    return [
        pytest.param(runner, harness, check, id=f"{harness}-{runner}-{name_of(check)}")
        for harness in HARNESSES
        for runner in asyncio_runners() + trio_runners()
        for check in STREAM_CHECKS.of(harness)
    ]


@pytest.mark.parametrize(("runner", "harness", "check"), cases())
def test_tls(runner: Runner, harness: StreamHarness, check: Check[StreamStage]) -> None:
    runner.run(partial(stream_stage, harness), check)
