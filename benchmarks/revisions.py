"""Measure the sources of another revision of this project beside those of the working tree."""

from __future__ import annotations

import argparse
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
from benchmarks.machine import describe
from benchmarks.peers import ROOT, InterpreterError, our_interpreter
from benchmarks.progress import Progress
from benchmarks.results import Results, quartiles
from benchmarks.rounds import Timing, run_rounds

__all__ = ["main"]

_TIMING = Timing(rounds=15, warmup=0.1, window=0.4)
_BEFORE, _AGAIN, _NOW = "before", "again", "now"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison. Return 0 if no ratio is below the bar."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/ab.py",
        description="Compare the working tree with a revision: user CPU per message, in interleaved rounds. "
        "The revision runs twice, so that each row shows the noise beside the difference.",
        epilog=WHAT_THERE_IS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revision", help="a git revision")
    parser.add_argument("--bar", type=float, default=0.0, help="exit status 1 if a ratio is below this")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the raw figures to this file")
    add_choices(parser, _TIMING)
    options = parser.parse_args(arguments)
    check_choices(parser, options)
    timing = replace(_TIMING, rounds=options.rounds or _TIMING.rounds, window=options.window or _TIMING.window)
    chosen = [
        (group, program, loop)
        for group, program, loop in chosen_programs(options, first_loop=True)
        if program.name.startswith("ours-") and group.workloads
    ]
    try:
        now = our_interpreter(options.python)
        results, progress = Results(describe(now), {"revision": options.revision}), Progress()
        with _source(options.revision) as source:
            before = our_interpreter(options.python, source)
            candidates = [
                Candidate(group, _named(program, name), loop, interpreter)
                for group, program, loop in chosen
                for name, interpreter in ((_BEFORE, before), (_AGAIN, before), (_NOW, now))
            ]
            cores = Cores.choose()
            with cores.pin_load():
                run_rounds(
                    candidates, chosen_workloads(options), timing, cores, results, seed=options.seed, progress=progress
                )
    except InterpreterError as error:
        print(error, file=sys.stderr)
        return 2
    progress.end("done")
    if options.json is not None:
        options.json.write_text(results.to_json())
    for failure in results.failures:
        print(f"{failure.program} on {failure.loop}: {failure.reason}", file=sys.stderr)
    rows = [row for group, program, loop in chosen for row in _rows(results, group, program, loop)]
    print(_HEADER, *(line for line, _ in rows), sep="\n")
    return 1 if results.failures or not rows or any(ratio < options.bar for _, ratio in rows) else 0


def _named(program: Program, name: str) -> Program:
    return replace(program, name=f"{program.name}@{name}")


_HEADER = """\
| program | loop | workload | user µs before | now | before / now | rounds | before / before | all CPU: before / now |
|---|---|---|---|---|---|---|---|---|"""


def _rows(results: Results, group: Group, program: Program, loop: str) -> Iterator[tuple[str, float]]:
    """Yield a row of the table for each workload, with its ratio."""
    before, again, now = (group.key(_named(program, name)) for name in (_BEFORE, _AGAIN, _NOW))
    for workload in (workload.name for workload in group.workloads):
        ratios = results.user_ratios(now, before, loop, workload)
        same_ratios = results.user_ratios(again, before, loop, workload)
        if not ratios or not same_ratios:
            continue
        low, ratio, high = quartiles(ratios)
        noise = quartiles(same_ratios)[1]
        user = [quartiles([s.user_us or 0 for s in results.select(key, loop, workload)])[1] for key in (before, now)]
        all_cpu = results.cpu_ratio(now, before, loop, workload)
        yield (
            f"| {group.key(program)} | {loop} | {workload} | {user[0]:.2f} | {user[1]:.2f} | **{ratio:.3f}** "
            f"| {low:.2f}-{high:.2f} | {noise:.3f} | {all_cpu:.3f} |",
            ratio,
        )


@contextmanager
def _source(revision: str) -> Iterator[Path]:
    """Unpack the sources of *revision* into a temporary folder. Yield the path of its packages."""
    packed = subprocess.run(["git", "archive", revision, "src"], cwd=ROOT, capture_output=True)
    if packed.returncode:
        raise InterpreterError(packed.stderr.decode().strip())
    with tempfile.TemporaryDirectory(prefix="revision-") as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
        yield Path(folder) / "src"
