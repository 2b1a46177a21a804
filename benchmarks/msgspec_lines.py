"""Measure the CPU time of a server of msgspec structs per packet: `python benchmarks/msgspec_lines.py --help`.

Compare a handler with `MsgspecJSONSerializer` with a hand-written Protocol that uses msgspec and writes once per read,
both on uvloop. Each answers a line of JSON with the same line.
"""

from __future__ import annotations

import argparse
import socket
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

WAYS = {"protocol": "hand-written Protocol", "loop": "looping handler", "once": "one generator per packet"}
DEPTHS = (16, 1)
CONNECTIONS = 8
LINE = b'{"type":"reading","sensor":"greenhouse-7","number":123456,"values":[21.5,21.25,20.75,22.0]}\n'
BAR = (16, "loop", 1.4)
"""What the CPU time may be at most, as a multiple of that of the hand-written Protocol."""


def microseconds(server: ProgramProcess, depth: int, packets: int) -> float:
    """Return the CPU time of *server* per packet, with *depth* packets in flight on each connection."""
    batch = LINE * depth
    with ExitStack() as stack:
        connect = socket.create_connection
        address = ("127.0.0.1", int(server.address))
        clients = [stack.enter_context(connect(address, timeout=10)) for _ in range(CONNECTIONS)]
        exchange(clients, batch)
        rounds = packets // (depth * CONNECTIONS)
        before = server.cpu_seconds()
        for _ in range(rounds):
            exchange(clients, batch)
        return (server.cpu_seconds() - before) / (rounds * depth * CONNECTIONS) * 1e6


def exchange(clients: Sequence[socket.socket], batch: bytes) -> None:
    """Send *batch* over all connections, and receive all of it again."""
    for client in clients:
        client.sendall(batch)
    for client in clients:
        received = client.recv(1 << 16)
        while len(received) < len(batch):
            received += client.recv(1 << 16)
        if received != batch:
            raise AssertionError(f"the server answers {received[:100]!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="number of measurements, of which the least is reported")
    parser.add_argument("--packets", type=int, default=100_000, help="packets per measurement; a fifth one by one")
    options = parser.parse_args(arguments)
    interpreter = our_interpreter(sys.executable)
    costs: dict[tuple[int, str], list[float]] = {}
    with ExitStack() as stack:
        servers: dict[str, ProgramProcess] = {}
        for way in WAYS:
            arguments_of_server = ["--loop", "uvloop", "--way", way]
            server = ProgramProcess(
                "benchmarks.servers.msgspec_lines", arguments_of_server, interpreter, transport="tcp"
            )
            servers[way] = stack.enter_context(server)
        for _ in range(options.rounds):
            for depth in DEPTHS:
                packets = options.packets if depth > 1 else options.packets // 5
                for way, server in servers.items():
                    costs.setdefault((depth, way), []).append(microseconds(server, depth, packets))
    least = {key: min(measured) for key, measured in costs.items()}
    ratios = {(depth, way): least[depth, way] / least[depth, "protocol"] for depth, way in least}
    rows = [
        [
            f"{depth} in flight",
            *(number(least[depth, way]) for way in WAYS),
            *(number(ratios[depth, way]) for way in ("loop", "once")),
        ]
        for depth in DEPTHS
    ]
    header = ["packets", *(f"{title}, µs" for title in WAYS.values()), "÷ by hand, looping", "÷ by hand, generator"]
    print(table(header, rows))
    depth, way, at_most = BAR
    passed = ratios[depth, way] <= at_most
    print(f"\n{WAYS[way]}, {depth} in flight: ≤ {at_most:g} × by hand: {'pass' if passed else '**FAIL**'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
