"""The command line of the benchmark: choose programs, measure them, report the results."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.candidates import Candidate, Cores
from benchmarks.choice import WHAT_THERE_IS, add_choices, check_choices, chosen_programs, chosen_workloads
from benchmarks.machine import Quietness, describe
from benchmarks.peers import Interpreter, InterpreterError, our_interpreter, peer_interpreter
from benchmarks.progress import Progress
from benchmarks.publish import save, update_docs
from benchmarks.readings import run_readings
from benchmarks.report import markdown
from benchmarks.results import Failure, Results, from_json, to_json
from benchmarks.rounds import Timing, run_rounds
from benchmarks.targets import evaluate

__all__ = ["main"]

FULL = Timing(rounds=5, warmup=0.1, window=0.3)
QUICK = Timing(rounds=3, warmup=0.1, window=0.2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Return 0 if all programs were measured and, with --check, no bar was missed."""
    options = _parse(arguments)
    runs = [run for path in options.replay or () for run in from_json(path.read_text())]
    try:
        # Find all interpreters before the first of them is measured.
        runs = runs or [_measure(options, ours) for ours in list(map(our_interpreter, options.pythons))]
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except InterpreterError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    runs.sort(key=lambda run: run.python)
    print(markdown(runs))
    if options.json is not None:
        options.json.write_text(to_json(runs))
    failed = any(run.failures for run in runs)
    complete = options.complete and not failed
    if complete if options.save is None else options.save:
        save(runs)
    if options.docs:
        update_docs(runs)
    missed = any(verdict.failed for run in runs for verdict in evaluate(run))
    return 1 if failed or (options.check and missed) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/run.py",
        description="Measure servers and clients: CPU per message, rate, latency, memory.",
        epilog=WHAT_THERE_IS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choose = parser.add_argument_group("what to measure (default: all groups, the programs that matter most)")
    add_choices(choose, FULL)
    choose.add_argument("--quick", action="store_true", help="one loop, three rounds")
    choose.add_argument("--no-readings", action="store_true", help="skip the figures that are read once")
    choose.add_argument(
        "--replay", type=Path, nargs="+", metavar="JSON", help="do not measure, report the runs in these files together"
    )
    report = parser.add_argument_group("output besides the terminal")
    report.add_argument("--json", type=Path, metavar="PATH", help="write the raw figures to this file")
    report.add_argument(
        "--save",
        action=argparse.BooleanOptionalAction,
        help="write benchmarks/results/latest.* (default: if everything was measured, without --quick)",
    )
    report.add_argument("--docs", action="store_true", help="rewrite the figures in docs/ and README.md")
    report.add_argument("--check", action="store_true", help="exit status 1 if a bar is missed")
    options = parser.parse_args(arguments)
    partial = (options.quick, options.only, options.workloads, options.loops, options.no_readings, options.replay)
    options.complete = not any(partial)
    check_choices(parser, options)
    return options


def _measure(options: argparse.Namespace, ours: Interpreter) -> Results:
    """Return the results of one interpreter."""
    started = time.monotonic()
    progress = Progress()
    timing = QUICK if options.quick else FULL
    timing = replace(timing, rounds=options.rounds or timing.rounds, window=options.window or timing.window)
    results = Results(describe(ours), {**asdict(timing), "seed": options.seed})
    quietness = Quietness()
    candidates = _candidates(options, ours, results, progress)
    cores = Cores.choose()
    with cores.pin_load():
        run_rounds(candidates, chosen_workloads(options), timing, cores, results, seed=options.seed, progress=progress)
        if not options.no_readings:
            run_readings(candidates, cores, results, progress=progress)
    results.machine.update(quietness.report())
    progress.end(f"{ours.versions['python']}: done in {time.monotonic() - started:.0f} s")
    return results


def _candidates(
    options: argparse.Namespace, ours: Interpreter, results: Results, progress: Progress
) -> list[Candidate]:
    """Return the programs to measure. Leave out those of the release if it cannot be installed (without a network)."""
    chosen = chosen_programs(options, first_loop=options.quick)
    interpreters = {False: ours}
    if any(program.released for _, program, _ in chosen):
        progress("preparing the venv of the EasyNetwork release")
        try:
            interpreters[True] = peer_interpreter(ours)
        except InterpreterError as error:
            results.failures += [
                Failure(group.key(program), loop, str(error)) for group, program, loop in chosen if program.released
            ]
    return [
        Candidate(group, program, loop, interpreters[program.released])
        for group, program, loop in chosen
        if program.released in interpreters
    ]
