"""The command line of the benchmark: choose, measure, report."""

from __future__ import annotations

import argparse
import select
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.candidates import Candidate, Cores
from benchmarks.catalogue import GROUPS, LOOPS, PROGRAMS, Group, Program
from benchmarks.machine import describe
from benchmarks.peers import Interpreter, InterpreterError, our_interpreter, peer_interpreter
from benchmarks.progress import Progress
from benchmarks.publish import save, update_docs
from benchmarks.readings import run_readings
from benchmarks.report import markdown
from benchmarks.results import Failure, Results
from benchmarks.rounds import Timing, run_rounds
from benchmarks.targets import evaluate

__all__ = ["main"]

FULL = Timing(rounds=9, warmup=0.1, window=0.3)
QUICK = Timing(rounds=3, warmup=0.1, window=0.2)

_WORKLOADS = list(dict.fromkeys(workload.name for group in GROUPS.values() for workload in group.workloads))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if all programs were measured (and with --check: no bar was missed)."""
    options = _parse(arguments)
    try:
        results = _measure(options) if options.replay is None else Results.from_json(options.replay.read_text())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except InterpreterError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(markdown(results))
    if options.json is not None:
        options.json.write_text(results.to_json())
    complete = options.complete and not results.failures
    if complete if options.save is None else options.save:
        save(results)
    if options.docs:
        update_docs(results)
    missed = any(verdict.failed for verdict in evaluate(results))
    return 1 if results.failures or (options.check and missed) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    groups = "".join(f"\n  {group.name:<8} {', '.join(p.name for p in group.programs)}" for group in GROUPS.values())
    parser = argparse.ArgumentParser(
        prog="python benchmarks/run.py",
        description="Measure servers and clients: CPU per message, rate, latency, memory.",
        epilog=f"groups and their programs:{groups}\n\nworkloads: {', '.join(_WORKLOADS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choose = parser.add_argument_group("what to measure (default: all groups, the programs that matter most)")
    choose.add_argument("--quick", action="store_true", help="one loop, three rounds")
    choose.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="these groups, or programs by patterns as in a shell, such as 'tls/ours*' or '*bare'; commas do too. "
        "A group asked for by name means its usual programs; the first program of a group always runs",
    )
    choose.add_argument("--workloads", nargs="+", metavar="PATTERN", help="these workloads")
    choose.add_argument("--loops", type=_loops, metavar="A,B", help=f"these event loops, of {','.join(LOOPS)}")
    choose.add_argument("--no-readings", action="store_true", help="leave out what is not measured in rounds")
    choose.add_argument("--rounds", type=_count, metavar="N", help=f"how often (default {FULL.rounds})")
    choose.add_argument("--window", type=_seconds, metavar="SECONDS", help=f"each time (default {FULL.window})")
    choose.add_argument("--seed", type=int, default=1, help="of the order of the programs in each round")
    choose.add_argument("--python", default=sys.executable, help="interpreter of the programs (default: this one)")
    choose.add_argument("--replay", type=Path, metavar="JSON", help="measure nothing, report what this file holds")
    report = parser.add_argument_group("where it goes, besides the terminal")
    report.add_argument("--json", type=Path, metavar="PATH", help="raw figures to this file")
    report.add_argument(
        "--save",
        action=argparse.BooleanOptionalAction,
        help="write benchmarks/results/latest.* (default: if everything was measured, and not quickly)",
    )
    report.add_argument("--docs", action="store_true", help="rewrite the tables and the chart in docs/")
    report.add_argument("--check", action="store_true", help="exit status 1 if a bar is missed")
    options = parser.parse_args(arguments)
    if not hasattr(select, "epoll"):
        parser.error("the load needs epoll, so Linux")
    partial = (options.quick, options.only, options.workloads, options.loops, options.no_readings, options.replay)
    options.complete = not any(partial)
    if options.only is not None:
        options.only = [name for word in options.only for name in word.split(",") if name]
    for chosen, names in ((options.only, [*GROUPS, *PROGRAMS]), (options.workloads, _WORKLOADS)):
        for pattern in chosen or ():
            if not any(fnmatch(name, pattern) for name in names):
                parser.error(f"{pattern!r} is none of {', '.join(names)}")
    return options


def _loops(text: str) -> list[str]:
    loops = text.split(",")
    if not set(loops) <= set(LOOPS):
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(LOOPS)}")
    return loops


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        if 0 < float(text) <= 60:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, at most 60")


def _measure(options: argparse.Namespace) -> Results:
    started = time.monotonic()
    progress = Progress()
    timing = QUICK if options.quick else FULL
    timing = replace(timing, rounds=options.rounds or timing.rounds, window=options.window or timing.window)
    workloads = [name for name in _WORKLOADS if _matches(name, options.workloads or ["*"])]
    ours = our_interpreter(options.python)
    results = Results(describe(ours), {**asdict(timing), "seed": options.seed})
    candidates = _candidates(options, ours, results, progress)
    cores = Cores.choose()
    with cores.pin_load():
        run_rounds(candidates, workloads, timing, cores, results, seed=options.seed, progress=progress)
        if not options.no_readings:
            run_readings(candidates, cores, results, progress=progress)
    progress.end(f"done in {time.monotonic() - started:.0f} s")
    return results


def _candidates(
    options: argparse.Namespace, ours: Interpreter, results: Results, progress: Progress
) -> list[Candidate]:
    """What to measure. Without the release (no network, say) the others are measured all the same."""
    chosen = _chosen(options)
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


def _chosen(options: argparse.Namespace) -> list[tuple[Group, Program, str]]:
    return [
        (group, program, loop)
        for group in GROUPS.values()
        for loop in _chosen_loops(group, options)
        for program in _chosen_programs(group, options.only)
    ]


def _chosen_loops(group: Group, options: argparse.Namespace) -> list[str]:
    if options.loops is None:
        return list(group.loops[:1] if options.quick else group.loops)
    # What runs on one loop of asyncio runs on the other.
    able = {"uvloop", "asyncio"} if "uvloop" in group.loops else set(group.loops)
    return [loop for loop in options.loops if loop in able]


def _chosen_programs(group: Group, names: Sequence[str] | None) -> list[Program]:
    if names is None or _matches(group.name, names):
        usual = {program.name for program in group.programs if program.default}
    else:
        usual = set()
    chosen = [p for p in group.programs if p.name in usual or _matches(group.key(p), names or ())]
    # Every ratio needs the baseline.
    return list(dict.fromkeys([group.programs[0], *chosen])) if chosen else []


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
