"""The command line of the benchmark: choose, measure, report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.catalogue import BASELINE, LOOPS, SERVERS, WORKLOADS, Server
from benchmarks.machine import describe
from benchmarks.memory import run_memory
from benchmarks.peers import our_interpreter, peer_interpreter
from benchmarks.report import markdown
from benchmarks.results import Results
from benchmarks.rounds import Candidate, Cores, Timing, run_rounds
from benchmarks.targets import evaluate

__all__ = ["main"]

FULL = Timing(rounds=5, warmup=0.15, window=0.85)
QUICK = Timing(rounds=2, warmup=0.1, window=0.4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if all servers were measured (and with --check: all bars cleared)."""
    options = _parse(arguments)
    if options.replay is not None:
        results = Results.from_json(options.replay.read_text())
    else:
        results = _measure(options)
    report = markdown(results)
    print(report)
    if options.json is not None:
        options.json.write_text(results.to_json())
    missed = any(verdict.passed is False and not verdict.target.aim for verdict in evaluate(results))
    return 1 if results.failures or (options.check and missed) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/run.py",
        description="Measure line-echo servers: CPU per message, rate, latency, and memory per idle connection.",
        epilog="servers: " + ", ".join(SERVERS) + "; workloads: " + ", ".join(WORKLOADS),
    )
    parser.add_argument("--quick", action="store_true", help="less than 90 s: uvloop only, two short rounds")
    parser.add_argument("--rounds", type=int, help=f"how often each server is measured (default {FULL.rounds})")
    parser.add_argument("--window", type=float, help=f"measured seconds each time (default {FULL.window})")
    parser.add_argument("--only", nargs="+", metavar="SERVER", help="these servers (patterns as in a shell)")
    parser.add_argument("--workloads", nargs="+", metavar="NAME", help="these workloads (patterns as in a shell)")
    parser.add_argument("--loops", type=lambda text: text.split(","), help="comma-separated: uvloop,asyncio")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the servers (default: this one)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the servers in each round")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory of idle connections")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the raw figures there too")
    parser.add_argument("--replay", type=Path, metavar="PATH", help="measure nothing, report what such a file holds")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a bar is missed")
    options = parser.parse_args(arguments)
    options.loops = options.loops or (["uvloop"] if options.quick else list(LOOPS))
    if unknown := set(options.loops) - set(LOOPS):
        parser.error(f"unknown loop: {', '.join(sorted(unknown))}; there are {', '.join(LOOPS)}")
    for chosen, names in ((options.only, SERVERS), (options.workloads, WORKLOADS)):
        for pattern in chosen or ():
            if not any(fnmatch(name, pattern) for name in names):
                parser.error(f"{pattern!r} is none of {', '.join(names)}")
    return options


def _measure(options: argparse.Namespace) -> Results:
    started = time.monotonic()
    candidates, results = _candidates(options)
    timing = QUICK if options.quick else FULL
    timing = Timing(options.rounds or timing.rounds, timing.warmup, options.window or timing.window)
    workloads = {
        name: workload
        for name, workload in WORKLOADS.items()
        if any(fnmatch(name, pattern) for pattern in options.workloads or ["*"])
    }
    cores = Cores.choose()
    with cores.pin_load():
        run_rounds(candidates, workloads, timing, cores, results, seed=options.seed, progress=_progress)
        if not options.no_memory:
            failed = {(failure.server, failure.loop) for failure in results.failures}
            healthy = [c for c in candidates if (c.server.name, c.loop) not in failed]
            run_memory(healthy, cores, results, progress=_progress)
    _progress(f"done in {time.monotonic() - started:.0f} s")
    print(file=sys.stderr)
    return results


def _candidates(options: argparse.Namespace) -> tuple[list[Candidate], Results]:
    """What to measure, and the results to fill."""
    servers = [server for server in SERVERS.values() if _chosen(server, options.only)]
    ours = our_interpreter(options.python)
    peer = None
    if any(server.released for server in servers):
        _progress("preparing the venv of the EasyNetwork release")
        peer = peer_interpreter(ours)
    candidates = []
    for loop in options.loops:
        for server in servers:
            interpreter = peer if server.released else ours
            assert interpreter is not None
            candidates.append(Candidate(server, loop, interpreter))
    return candidates, Results(describe(ours, peer))


def _chosen(server: Server, patterns: Sequence[str] | None) -> bool:
    if patterns is None:
        return server.default
    # Every ratio needs the baseline.
    return server is BASELINE or any(fnmatch(server.name, pattern) for pattern in patterns)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text.startswith(("done", "preparing")) or ": protocol on" in text:
        print(text, file=sys.stderr, flush=True)
