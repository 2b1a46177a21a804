"""Measure the CPU time of a Redis server per command: `python benchmarks/redis_commands.py --help`.

Compare the server of docs/examples, whose commands are frames that a function cuts, with a hand-written Protocol that
does the same, both on uvloop. The load is redis-benchmark, of the Debian package redis-tools.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.peers import our_interpreter
from benchmarks.process import ProgramProcess
from benchmarks.report import number, table

WAYS = {"protocol": "hand-written Protocol", "loop": "looping handler", "once": "one generator per command"}
COMMANDS = ("set", "get", "ping_mbulk")
DEPTHS = (16, 1)


def microseconds(server: ProgramProcess, command: str, depth: int, requests: int) -> float:
    """Return the CPU time of *server* per request."""
    before = server.cpu_seconds()
    load = ["redis-benchmark", "-p", server.address, "-P", str(depth), "-n", str(requests), "-t", command, "-q"]
    subprocess.run(load, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (server.cpu_seconds() - before) / requests * 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements, of which the least is reported")
    parser.add_argument("--requests", type=int, default=300_000, help="requests per measurement; a fifth one by one")
    options = parser.parse_args(arguments)
    if shutil.which("redis-benchmark") is None:
        parser.error("redis-benchmark is not installed")
    interpreter = our_interpreter(sys.executable)
    costs: dict[tuple[int, str, str], list[float]] = {}
    with ExitStack() as stack:
        servers: dict[str, ProgramProcess] = {}
        for way in WAYS:
            server = ProgramProcess(
                "benchmarks.servers.redis", ["--loop", "uvloop", "--way", way], interpreter, transport="tcp"
            )
            servers[way] = stack.enter_context(server)
        for _ in range(options.rounds):
            for depth in DEPTHS:
                requests = options.requests if depth > 1 else options.requests // 5
                for command in COMMANDS:
                    for way, server in servers.items():
                        cost = microseconds(server, command, depth, requests)
                        costs.setdefault((depth, command, way), []).append(cost)
    rows = []
    for depth in DEPTHS:
        for command in COMMANDS:
            least = {way: min(costs[depth, command, way]) for way in WAYS}
            ratios = [least[way] / least["protocol"] for way in ("loop", "once")]
            rows.append([f"{command}, {depth} in flight", *map(number, [*least.values(), *ratios])])
    header = ["command", *(f"{title}, µs" for title in WAYS.values()), "÷ by hand, looping", "÷ by hand, generator"]
    print(table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
