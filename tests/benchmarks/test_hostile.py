from __future__ import annotations

import pytest

from benchmarks.hostile import main


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_fairness_prints_the_share_of_the_honest_clients(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--only", "fairness", "--loop", loop, "--rounds", "1", "--seconds", "0.04", "--no-release"]
    assert main(options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1].strip() for line in lines if line.startswith("| this library")] == ["once", "loop"]
