"""Measure the cost of encoding and decoding packets: `python benchmarks/codecs.py --help`.

Compare, on the same packets, this library, EasyNetwork 1.2.0, and the plain codec (``json.loads(line)`` and so on)
called in a loop on frames that are already split.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.machine import describe
from benchmarks.peers import ROOT, Interpreter, our_interpreter, peer_interpreter
from benchmarks.report import number, table

BARS = {
    "line, 100 B / decode": ("released", 5.0),
    "own lines, 100 B / decode": ("released", 5.0),
    "struct, 16 B / decode": ("released", 5.0),
    "JSON, 1 KiB / decode": ("plain", 0.8),
    "JSON, 1 KiB / encode": ("plain", 0.8),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 1 if a bar is missed."""
    options = _parser().parse_args(arguments)
    ours = our_interpreter(options.python)
    released = None if options.no_peer else peer_interpreter(ours, f"msgpack=={version('msgpack')}")
    own_rounds: list[dict[str, Any]] = []
    released_rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):  # alternate: a machine that slows down then slows both
        own_rounds.append(_work(ours))
        if released is not None:
            released_rounds.append(_work(released))
    rates, released_rates = _medians(own_rounds), _medians(released_rounds)
    print(_heading(ours, options.rounds))
    failures = 0
    for what in ("decode", "encode"):
        rows = []
        for name in [name for name in rates if name.endswith(f" / {what}")]:
            ratios = {"plain": rates[name] / rates[f"{name}, plain"]}
            if released_rates:
                ratios["released"] = rates[name] / released_rates[name]
            verdict, failed = _verdict(name, ratios)
            failures += failed
            rows.append(
                [
                    name.split(" / ")[0],
                    f"{rates[name]:,.0f}",
                    number(ratios["plain"]),
                    number(ratios.get("released")),
                    verdict,
                ]
            )
        title = "Decode a chunk of 100 packets" if what == "decode" else "Encode a packet"
        print(f"\n### {title}\n")
        print(table(["packet", "packets/s", "÷ plain codec in a loop", "÷ EasyNetwork 1.2.0", "bar"], rows))
    print("\n### A line that arrives in small pieces\n")
    print(_drip_table(own_rounds[-1]["drip"], released_rounds[-1]["drip"] if released_rounds else {}))
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure with")
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements, of which the median is reported")
    parser.add_argument("--no-peer", action="store_true", help="leave EasyNetwork 1.2.0 out")
    return parser


def _work(interpreter: Interpreter) -> dict[str, Any]:
    command = [interpreter.python, str(ROOT / "benchmarks" / "codec_worker.py"), "--drip"]
    done = subprocess.run(command, env=interpreter.environment, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _medians(rounds: list[dict[str, Any]]) -> dict[str, float]:
    names = rounds[0]["rates"] if rounds else ()
    return {name: median(result["rates"][name] for result in rounds) for name in names}


def _verdict(name: str, ratios: dict[str, float]) -> tuple[str, bool]:
    against, at_least = BARS.get(name, ("", 0.0))
    if against not in ratios:
        return "", False
    passed = ratios[against] >= at_least
    return f"≥ {at_least:g} {against}: {'pass' if passed else '**FAIL**'}", not passed


def _drip_table(own: dict[str, float], released: dict[str, float]) -> str:
    rows = [[name, number(cost), number(released.get(name))] for name, cost in own.items()]
    return table(["pieces / line", "ns per byte", "EasyNetwork 1.2.0"], rows)


def _heading(interpreter: Interpreter, rounds: int) -> str:
    machine = describe(interpreter)
    return f"{interpreter.versions['python']}, {machine['cpu']} ({machine['cores']} cores); medians of {rounds} rounds."


if __name__ == "__main__":
    sys.exit(main())
