from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.results import MemorySample, Results


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nobody"],
        ["--workloads", "32x100"],
        ["--loops", "uvloop,trio"],
        ["--rounds", "0"],
        ["--window", "nan"],
        ["--window", "soon"],
    ],
)
def test_wrong_options_are_refused_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert arguments[1].split(",")[-1] in capsys.readouterr().err


def test_an_interpreter_that_does_not_run_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--python", "/nonexistent/python"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[0].startswith("cannot run /nonexistent/python")


def replay(results: Results, folder: Path, *arguments: str) -> int:
    path = folder / "run.json"
    path.write_text(results.to_json())
    return main(["--replay", str(path), *arguments])


def test_replay_reports_an_earlier_run(results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.failures.clear()
    assert replay(results, tmp_path) == 0
    assert "hand-written Protocol" in capsys.readouterr().out


def test_status_is_1_when_a_server_could_not_be_measured(results: Results, tmp_path: Path) -> None:
    assert replay(results, tmp_path) == 1


def test_check_fails_on_a_missed_bar_and_only_then(results: Results, tmp_path: Path) -> None:
    results.failures.clear()
    assert replay(results, tmp_path, "--check") == 0
    results.memory[0] = MemorySample("ours-bare", "uvloop", 1000, silent_kib=2.0, used_kib=30.0)
    assert replay(results, tmp_path) == 0
    assert replay(results, tmp_path, "--check") == 1
