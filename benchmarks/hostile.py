"""Measure what hostile peers take from honest ones: `python benchmarks/hostile.py --help`."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.candidates import Cores
from benchmarks.catalogue import Workload
from benchmarks.loads.echo import EchoLoad
from benchmarks.peers import EASYNETWORK_VERSION, Interpreter, our_interpreter, peer_interpreter
from benchmarks.process import ProgramProcess
from benchmarks.report import number, number_range, table

HONEST = Workload("honest", "20 honest clients, one request in flight each", depth=1, frame=100, connections=20)
FLOODERS = 10


def fairness(interpreter: Interpreter, handler: str, options: argparse.Namespace, cores: Cores) -> tuple[float, float]:
    """Return the requests per second of the honest clients alone, and beside flooders, on a new server."""
    server_options = ["--loop", options.loop, "--handler", handler]
    with ProgramProcess(
        "benchmarks.servers.full", server_options, interpreter, transport="tcp", core=cores.program
    ) as server:
        with EchoLoad(server, HONEST) as load:
            load.run(options.seconds / 4)
            window = load.run(options.seconds)
            alone = window.messages / window.seconds
            flooders = ["--port", server.address, "--kind", "flooder", "--count", str(FLOODERS)]
            ours = our_interpreter(sys.executable)
            with ProgramProcess("benchmarks.loads.attackers", flooders, ours, transport="tcp", core=cores.load):
                load.run(options.seconds / 4)
                window = load.run(options.seconds)
            return alone, window.messages / window.seconds


def fairness_table(programs: dict[str, Interpreter], options: argparse.Namespace, cores: Cores) -> str:
    """Measure each program and each kind of handler in interleaved rounds."""
    figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        for name, interpreter in programs.items():
            for handler in ("once", "loop"):
                figures.setdefault((name, handler), []).append(fairness(interpreter, handler, options, cores))
    rows = []
    for (name, handler), pairs in figures.items():
        shares = [100 * flooded / alone for alone, flooded in pairs]
        medians = (statistics.median(column) for column in zip(*pairs, strict=True))
        rates = (f"{rate:,.0f}" for rate in medians)
        rows.append([name, handler, *rates, number(statistics.median(shares)), number_range(shares)])
    return table(["program", "handler", "alone, requests/s", f"beside {FLOODERS} flooders", "share, %", "rounds"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["fairness"], help="measure only this")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--rounds", type=int, default=5, help="number of interleaved measurements")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a measurement")
    parser.add_argument("--no-release", action="store_true", help="leave out EasyNetwork " + EASYNETWORK_VERSION)
    options = parser.parse_args(arguments)
    programs = {"this library": our_interpreter(sys.executable)}
    if not options.no_release:
        programs[f"EasyNetwork {EASYNETWORK_VERSION}"] = peer_interpreter(programs["this library"])
    cores = Cores.choose()
    with cores.pin_load():
        print(f"{HONEST.title}:\n\n{fairness_table(programs, options, cores)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
