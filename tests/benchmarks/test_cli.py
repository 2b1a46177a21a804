from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.choice import chosen_programs
from benchmarks.cli import _parse, main
from benchmarks.results import Reading, Results, from_json, to_json


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nobody"],
        ["--only", "tls,nobody"],
        ["--workloads", "32x100"],
        ["--loops", "uvloop,curio"],
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
    path.write_text(to_json([results]))
    return main(["--replay", str(path), *arguments])


def test_replay_reports_an_earlier_run(results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.failures.clear()
    assert replay(results, tmp_path) == 0
    assert "hand-written Protocol" in capsys.readouterr().out


def test_several_files_are_reported_as_one_by_python(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.failures.clear()
    newer = replace(results, machine={**results.machine, "python": "CPython 3.14.0"})
    files = [tmp_path / "newer.json", tmp_path / "older.json"]
    for path, run in zip(files, (newer, results), strict=True):
        path.write_text(to_json([run]))
    together = tmp_path / "together.json"
    assert main(["--replay", *map(str, files), "--json", str(together)]) == 0
    text = capsys.readouterr().out
    assert text.index("## Python 3.11.0") < text.index("## Python 3.14.0")
    assert from_json(together.read_text()) == [results, newer]


def test_status_is_1_when_a_program_could_not_be_measured(results: Results, tmp_path: Path) -> None:
    assert replay(results, tmp_path) == 1


def test_check_fails_on_a_missed_bar_and_only_then(results: Results, tmp_path: Path) -> None:
    results.failures.clear()
    assert replay(results, tmp_path, "--check") == 0
    results.readings[0] = Reading("tcp/ours-bare", "uvloop", "idle-used", 30.0)
    assert replay(results, tmp_path) == 0
    assert replay(results, tmp_path, "--check") == 1


def keys(*arguments: str) -> list[str]:
    """Which programs these arguments choose, on which loops."""
    options = _parse(arguments)
    return [
        f"{group.key(program)} {loop}" for group, program, loop in chosen_programs(options, first_loop=options.quick)
    ]


def test_a_group_by_name_means_its_usual_programs() -> None:
    chosen = keys("--only", "tls")
    assert chosen[0] == "tls/protocol uvloop"
    assert "tls/ours-bare uvloop" in chosen
    assert "tls/released-bare uvloop" not in chosen
    assert all(key.startswith("tls/") for key in chosen)


def test_several_names_may_be_joined_by_commas() -> None:
    assert set(keys("--only", "tls,tcp")) == {*keys("--only", "tls"), *keys("--only", "tcp")}


def test_a_pattern_chooses_programs_and_each_group_keeps_what_it_is_compared_with() -> None:
    assert keys("--only", "*/released-bare", "--loops", "asyncio")[:2] == [
        "tcp/protocol asyncio",
        "tcp/released-bare asyncio",
    ]


def test_quick_means_one_loop() -> None:
    assert {key.split()[1] for key in keys("--only", "tcp", "--quick")} == {"uvloop"}
