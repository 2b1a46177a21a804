"""Measure the sources of another revision of this project beside those of the working tree."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.candidates import Candidate, Cores
from benchmarks.catalogue import Group, Program
from benchmarks.choice import WHAT_THERE_IS, add_choices, check_choices, chosen_programs, chosen_workloads
from benchmarks.machine import Quietness, describe
from benchmarks.peers import ROOT, Interpreter, InterpreterError, our_interpreter
from benchmarks.progress import Progress
from benchmarks.report import heading, number_range, table
from benchmarks.results import Results, median_or_none, to_json
from benchmarks.rounds import Timing, run_rounds

__all__ = ["main"]

_TIMING = Timing(rounds=15, warmup=0.1, window=0.4, samples=4000)  # the samples burden both revisions alike
_BEFORE, _AGAIN, _NOW = "before", "again", "now"
_HEADER = [
    "program",
    "loop",
    "workload",
    "user µs before",
    "now",
    "before / now",
    "rounds",
    "before / before",
    "rounds",
]
_HEADER += ["all CPU: before / now", "rounds"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison. Return 0 if no ratio is below the bar."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/ab.py",
        description="Compare the working tree with a revision: user CPU per message, in interleaved rounds. "
        "The revision runs twice, so that each row shows the noise beside the difference.",
        epilog=WHAT_THERE_IS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revision", help="a git revision, or a folder with the `src` of one (where git is missing)")
    parser.add_argument("--bar", type=float, default=0.0, help="exit status 1 if a ratio is below this")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the raw figures to this file")
    add_choices(parser, _TIMING)
    options = parser.parse_args(arguments)
    check_choices(parser, options)
    chosen = [
        (group, program, loop)
        for group, program, loop in chosen_programs(options, first_loop=True)
        if program.name.startswith("ours-") and group.workloads
    ]
    try:
        with _folder(options.revision) as folder:
            pairs = [
                (our_interpreter(python, _packages(folder, python)), our_interpreter(python))
                for python in options.pythons
            ]
            runs = [_measure(options, chosen, before, now) for before, now in pairs]
    except InterpreterError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json is not None:
        options.json.write_text(to_json(runs))
    good = [_report(run, chosen, options.bar) for run in runs]
    return 0 if all(good) else 1


def _measure(
    options: argparse.Namespace, chosen: Sequence[tuple[Group, Program, str]], before: Interpreter, now: Interpreter
) -> Results:
    """Return the results of one Python, with the revision as *before* and the working tree as *now*."""
    timing = replace(_TIMING, rounds=options.rounds or _TIMING.rounds, window=options.window or _TIMING.window)
    results, progress, quietness = Results(describe(now), {"revision": options.revision}), Progress(), Quietness()
    candidates = [
        Candidate(group, _named(program, name), loop, interpreter)
        for group, program, loop in chosen
        for name, interpreter in ((_BEFORE, before), (_AGAIN, before), (_NOW, now))
    ]
    cores = Cores.choose()
    with cores.pin_load():
        run_rounds(candidates, chosen_workloads(options), timing, cores, results, seed=options.seed, progress=progress)
    results.machine.update(quietness.report())
    progress.end("done")
    return results


def _report(results: Results, chosen: Sequence[tuple[Group, Program, str]], bar: float) -> bool:
    """Print the table of one run. Return whether all was measured and no ratio is below *bar*."""
    for failure in results.failures:
        print(f"{failure.program} on {failure.loop}: {failure.reason}", file=sys.stderr)
    rows = [row for group, program, loop in chosen for row in _rows(results, group, program, loop)]
    print(f"{heading(results)}\n\n{table(_HEADER, [cells for cells, _ in rows])}\n")
    return bool(rows) and not results.failures and all(ratio >= bar for _, ratio in rows)


def _named(program: Program, name: str) -> Program:
    return replace(program, name=f"{program.name}@{name}")


def _rows(results: Results, group: Group, program: Program, loop: str) -> Iterator[tuple[list[str], float]]:
    """Yield a row of the table for each workload, with its ratio."""
    before, again, now = (group.key(_named(program, name)) for name in (_BEFORE, _AGAIN, _NOW))
    for workload in (workload.name for workload in group.workloads):
        ratios = results.user_ratios(now, before, loop, workload)
        ratio = median_or_none(ratios)
        if ratio is None:
            continue
        noise = results.user_ratios(again, before, loop, workload)
        all_cpu = results.cpu_ratios(now, before, loop, workload)
        cells = [group.key(program), loop, workload]
        cells += [_digits(results.user_us(key, loop, workload), 2) for key in (before, now)]
        for figures in (ratios, noise, all_cpu):
            cells += [_digits(median_or_none(figures), 3), number_range(figures)]
        yield cells, ratio


def _digits(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


@contextmanager
def _folder(revision: str) -> Iterator[Path]:
    """Yield the folder of *revision*: the one of that name, or a temporary one with its files."""
    if Path(revision, "src").is_dir():
        yield Path(revision).resolve()
        return
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True)
    if packed.returncode:
        raise InterpreterError(packed.stderr.decode().strip())
    with tempfile.TemporaryDirectory(prefix="revision-") as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
        yield Path(folder)


def _packages(folder: Path, python: str) -> Path:
    """Return where the packages of a revision are that *python* shall import, with the compiled module if it has one.

    pip builds it as at any installation, unless EASYNETWORK_PURE_PYTHON is set. For a folder without a build hook, and
    without the module, these are its sources.
    """
    if os.environ.get("EASYNETWORK_PURE_PYTHON", "0") not in ("", "0") or not (folder / "hatch_build.py").exists():
        return folder / "src"
    target = folder / "installed" / Path(python).name
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InterpreterError(done.stderr.strip())
    return target
