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

from benchmarks.catalogue import BASELINE, LOOPS, SERVERS, WORKLOADS, Server, Workload
from benchmarks.load import CONNECTIONS
from benchmarks.machine import describe
from benchmarks.memory import run_memory
from benchmarks.peers import Interpreter, InterpreterError, our_interpreter, peer_interpreter
from benchmarks.progress import Progress
from benchmarks.publish import save, update_docs
from benchmarks.report import markdown
from benchmarks.results import Failure, Results
from benchmarks.rounds import Candidate, Cores, Timing, run_rounds
from benchmarks.targets import evaluate

__all__ = ["main"]

FULL = Timing(rounds=5, warmup=0.15, window=0.85)
QUICK = Timing(rounds=2, warmup=0.1, window=0.4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if all servers were measured (and with --check: no bar was missed)."""
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
    missed = any(verdict.passed is False and not verdict.target.aim for verdict in evaluate(results))
    return 1 if results.failures or (options.check and missed) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/run.py",
        description="Measure line-echo servers: CPU per message, rate, latency, and memory per idle connection.",
        epilog=f"Servers: {', '.join(SERVERS)}. Workloads: {', '.join(WORKLOADS)}. Patterns are as in a shell.",
    )
    choose = parser.add_argument_group("what is measured")
    choose.add_argument("--quick", action="store_true", help="less than 90 s: uvloop only, two short rounds")
    choose.add_argument("--only", nargs="+", metavar="PATTERN", help="these servers (and the baseline)")
    choose.add_argument("--workloads", nargs="+", metavar="PATTERN", help="these workloads")
    choose.add_argument("--loops", type=_loops, metavar="A,B", help=f"these event loops, of {','.join(LOOPS)}")
    choose.add_argument("--no-memory", action="store_true", help="leave out the memory of idle connections")
    choose.add_argument("--rounds", type=_count, metavar="N", help=f"how often (default {FULL.rounds})")
    choose.add_argument("--window", type=_seconds, metavar="SECONDS", help=f"each time (default {FULL.window})")
    choose.add_argument("--seed", type=int, default=1, help="of the order of the servers in each round")
    choose.add_argument("--python", default=sys.executable, help="interpreter of the servers (default: this one)")
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
    for chosen, names in ((options.only, SERVERS), (options.workloads, WORKLOADS)):
        for pattern in chosen or ():
            if not _matching(names, [pattern]):
                parser.error(f"{pattern!r} is none of {', '.join(names)}")
    partial = (options.quick, options.only, options.workloads, options.loops, options.no_memory, options.replay)
    options.complete = not any(partial)
    options.loops = options.loops or (["uvloop"] if options.quick else list(LOOPS))
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


def _matching(names: Iterable[str], patterns: Sequence[str] | None) -> list[str]:
    return [name for name in names if patterns is None or any(fnmatch(name, pattern) for pattern in patterns)]


def _measure(options: argparse.Namespace) -> Results:
    started = time.monotonic()
    progress = Progress()
    timing = QUICK if options.quick else FULL
    timing = replace(timing, rounds=options.rounds or timing.rounds, window=options.window or timing.window)
    workloads: dict[str, Workload] = {name: WORKLOADS[name] for name in _matching(WORKLOADS, options.workloads)}
    ours = our_interpreter(options.python)
    results = Results(describe(ours), {**asdict(timing), "connections": CONNECTIONS, "seed": options.seed})
    candidates = _candidates(options, ours, results, progress)
    cores = Cores.choose()
    with cores.pin_load():
        run_rounds(candidates, workloads, timing, cores, results, seed=options.seed, progress=progress)
        if not options.no_memory:
            failed = {(failure.server, failure.loop) for failure in results.failures}
            healthy = [candidate for candidate in candidates if candidate.key not in failed]
            run_memory(healthy, cores, results, progress=progress)
    progress.end(f"done in {time.monotonic() - started:.0f} s")
    return results


def _candidates(
    options: argparse.Namespace, ours: Interpreter, results: Results, progress: Progress
) -> list[Candidate]:
    """What to measure. Without the release (no network, say) the others are measured all the same."""
    servers = [server for server in SERVERS.values() if _is_chosen(server, options.only)]
    interpreters = {False: ours}
    if any(server.released for server in servers):
        progress("preparing the venv of the EasyNetwork release")
        try:
            interpreters[True] = peer_interpreter(ours)
        except InterpreterError as error:
            absent = [server.name for server in servers if server.released]
            results.failures += [Failure(name, loop, str(error)) for name in absent for loop in options.loops]
    return [
        Candidate(server, loop, interpreters[server.released])
        for loop in options.loops
        for server in servers
        if server.released in interpreters
    ]


def _is_chosen(server: Server, patterns: Sequence[str] | None) -> bool:
    if patterns is None:
        return server.default
    # Every ratio needs the baseline.
    return server is BASELINE or bool(_matching([server.name], patterns))
