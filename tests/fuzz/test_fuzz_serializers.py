"""`pytest -m fuzz`: more than a million inputs, and none may cause anything that is not documented."""

from __future__ import annotations

import collections
import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import make_targets, run

EXECUTIONS = int(os.environ.get("FUZZ_EXECUTIONS", "1_100_000"))


@pytest.mark.fuzz
def test_mutated_streams_cause_documented_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(0)
    executions: collections.Counter[str] = collections.Counter()
    targets = make_targets()
    while executions.total() < EXECUTIONS:
        for target in targets:
            data, size = mutate(rng, target.seeds), rng.randrange(1, 60)
            try:
                executions[target.name] += run(target, data, size)
            except BaseException as exc:
                exc.add_note(f"{target.name}: {data!r} in pieces of {size} bytes")
                raise
    with capsys.disabled():
        sys.stdout.write(f"\nfuzzed {executions.total():,} executions without an undocumented exception:\n")
        sys.stdout.writelines(f"{count:>12,}  {name}\n" for name, count in executions.items())


@pytest.mark.fuzz
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_inputs_found_by_coverage_cause_documented_errors_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, target in enumerate(make_targets()):
        for seed_number, seed in enumerate(target.seeds):
            (tmp_path / f"{target.name}-{seed_number}").write_bytes(bytes([number, seed_number % 60]) + seed)
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.coverage_guided",
        f"-runs={EXECUTIONS // 20}",
        "-seed=1",
        str(tmp_path),
    ]
    fuzzer = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert fuzzer.returncode == 0, fuzzer.stderr[-5000:]
    with capsys.disabled():
        sys.stdout.write(f"\natheris: {fuzzer.stderr.splitlines()[-1]}, each received in four or five ways\n")
