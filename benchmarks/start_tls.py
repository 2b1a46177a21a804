"""Compare TLS from the start with connections that are upgraded: `python benchmarks/start_tls.py --help`.

Measure the CPU time of the server per message, after the handshakes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.catalogue import Workload
from benchmarks.certificates import certificate
from benchmarks.loads.echo import EchoLoad
from benchmarks.peers import our_interpreter
from benchmarks.process import ProgramProcess
from benchmarks.report import number, table

WORKLOADS = (
    Workload("1", "1 in flight, 128 bytes", depth=1, frame=128),
    Workload("16", "16 in flight, 128 bytes", depth=16, frame=128),
)
TRANSPORTS = {"at_once": "tls", "later": "starttls", "at_once again": "tls"}
"""Each way with the transport of its load. The first is measured twice, to show the noise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="number of interleaved measurements")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a measurement")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    options = parser.parse_args(arguments)
    interpreter = our_interpreter(sys.executable)
    server_options = ["--loop", options.loop, "--transport", "tls", "--certificate", str(certificate())]
    rows = []
    for workload in WORKLOADS:
        costs: dict[str, list[float]] = {way: [] for way in TRANSPORTS}
        with ExitStack() as stack:
            loads = {}
            for way, transport in TRANSPORTS.items():
                tls = ["--tls", way.partition(" ")[0]]
                server = stack.enter_context(
                    ProgramProcess(
                        "benchmarks.servers.upgraded", server_options + tls, interpreter, transport=transport
                    )
                )
                loads[way] = server, stack.enter_context(EchoLoad(server, workload))
            for turn in range(options.rounds + 1):
                for way, (server, load) in loads.items():
                    before = server.cpu_seconds()
                    messages = load.run(options.seconds).messages
                    if turn:  # the first round warms up
                        costs[way].append((server.cpu_seconds() - before) / messages * 1e6)
        ratios = [
            statistics.median(direct / other for direct, other in zip(costs["at_once"], costs[way], strict=True))
            for way in ("later", "at_once again")
        ]
        rows.append([workload.title, *(number(min(costs[way])) for way in ("at_once", "later")), *map(number, ratios)])
    print(table(["", "from the start, µs", "upgraded, µs", "ratio", "noise (start / start)"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
