"""The kit finds what it is for."""

from __future__ import annotations

import gc
import os
import warnings
from functools import partial

import pytest
from tests.conformance.harnesses.memory import MemoryHarness, MemoryTransport
from tests.conformance.kit import runner as runner_module
from tests.conformance.kit.checks import Checks, Feature, name_of
from tests.conformance.kit.runner import asyncio_runners
from tests.conformance.kit.stage import set_stage
from tests.conformance.kit.stream import STREAM_CHECKS, StreamStage
from tests.conformance.mutants import MUTANTS, LeavesADescriptor


@pytest.mark.parametrize(
    ("mutant", "check_name"), MUTANTS, ids=[f"{mutant.__name__}-{check}" for mutant, check in MUTANTS]
)
def test_a_faulty_transport_is_caught(
    mutant: type[MemoryTransport], check_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "PATIENCE", 0.3)
    harness = MemoryHarness(mutant)
    [check] = [check for check in STREAM_CHECKS.of(harness) if name_of(check) == check_name]
    asyncio_runner = asyncio_runners()[0]
    try:
        with pytest.raises((Exception, pytest.fail.Exception)):
            asyncio_runner.run(partial(set_stage, StreamStage, harness), check)
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
        for descriptor in LeavesADescriptor.left:
            os.close(descriptor)
        LeavesADescriptor.left.clear()


def test_a_harness_gets_the_checks_of_its_features() -> None:
    checks: Checks[object] = Checks()

    async def always(stage: object) -> None: ...
    async def for_half_closers(stage: object) -> None: ...
    async def for_others(stage: object) -> None: ...

    checks()(always)
    checks(needs=Feature.HALF_CLOSE)(for_half_closers)
    checks(without=Feature.HALF_CLOSE)(for_others)
    harness = MemoryHarness()
    assert checks.of(harness) == [always, for_half_closers]
    harness.features = Feature.RESET
    assert checks.of(harness) == [always, for_others]
    assert Checks(checks).of(harness) == [always, for_others]
