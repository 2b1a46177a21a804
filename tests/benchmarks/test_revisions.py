from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.peers import ROOT
from benchmarks.results import from_json
from benchmarks.revisions import main

FEW = ["--only", "tcp/ours-bare", "--workloads", "1x100", "--loops", "asyncio", "--rounds", "1", "--window", "0.4"]

needs_git = pytest.mark.skipif(
    subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode != 0,
    reason="the sources of another revision come from git",
)


@needs_git
def test_a_revision_is_measured_twice_beside_the_working_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    assert main(["HEAD", *FEW, "--json", str(figures)]) == 0
    [run] = from_json(figures.read_text())
    samples = run.samples
    assert sorted(sample.program for sample in samples) == [
        "tcp/ours-bare@again",
        "tcp/ours-bare@before",
        "tcp/ours-bare@now",
    ]
    assert all(sample.user_seconds is not None and sample.user_seconds >= 0 for sample in samples)
    [row] = [line for line in capsys.readouterr().out.splitlines() if "| tcp/ours-bare |" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["tcp/ours-bare", "asyncio", "1x100"]
    assert all(re.fullmatch(r"\d+\.\d{3}", cell) for cell in (cells[5], cells[7], cells[9]))


def test_a_folder_may_stand_for_a_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "src").symlink_to(ROOT / "src")
    assert main([str(tmp_path), *FEW]) == 0
    assert "tcp/ours-bare" in capsys.readouterr().out


@needs_git
def test_a_ratio_below_the_bar_makes_the_status_1() -> None:
    assert main(["HEAD", *FEW, "--bar", "1000"]) == 1


@needs_git
def test_a_revision_that_git_does_not_know_ends_with_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-revision", *FEW]) == 2
    assert "no-such-revision" in capsys.readouterr().err
