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
    TLSHarness(MemoryHarness(), server_side=False, is_pulled=True),
    TLSHarness(MemoryHarness(), server_side=True, is_pulled=True),
    UnixStreamHarness(),
    TLSHarness(UnixStreamHarness(), server_side=True, is_pulled=True),
    StapledHarness(TCPHarness()),
    StapledHarness(MemoryHarness()),
    MemoryHarness(),
]


RUNNERS: list[tuple[Runner, bool]] = [(runner, False) for runner in asyncio_runners()]
"""The event loops, and whether TLS over TCP is pulled there: not where the loop calls."""
RUNNERS += [(runner, True) for runner in trio_runners()]


def cases() -> list[object]:
    return [
        pytest.param(runner, harness, check, id=f"{harness}-{runner}-{name_of(check)}")
        for runner, is_pulled in RUNNERS
        for harness in [
            *HARNESSES,
            TLSHarness(TCPHarness(), server_side=False, is_pulled=is_pulled),
            TLSHarness(TCPHarness(), server_side=True, is_pulled=is_pulled),
        ]
        for check in STREAM_CHECKS.of(harness)
    ]


@pytest.mark.parametrize(("runner", "harness", "check"), cases())
def test_stream(runner: Runner, harness: StreamHarness, check: Check[StreamStage]) -> None:
    runner.run(partial(stream_stage, harness), check)
