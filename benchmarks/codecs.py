"""Measure the cost of encoding and decoding packets: `python benchmarks/codecs.py --help`.

Compare, on the same packets, this library, EasyNetwork 1.2.0, and the plain codec (``json.loads(line)`` and so on)
called in a loop on frames that are already split.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.machine import Quietness, describe
from benchmarks.peers import ROOT, Interpreter, our_interpreter, peer_interpreter
from benchmarks.report import heading, number, number_range, table
from benchmarks.results import Results

BARS = {
    "line, 100 B / decode": ("released", 5.0),
    "own lines, 100 B / decode": ("released", 5.0),
    "struct, 16 B / decode": ("released", 5.0),
    "JSON, 1 KiB / decode": ("plain", 0.8),
    "JSON, 1 KiB / encode": ("plain", 0.8),
}


Round = dict[str, Any]  # what codec_worker.py prints


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 1 if a bar is missed."""
    options = _parser().parse_args(arguments)
    interpreters = list(map(our_interpreter, options.pythons or [sys.executable]))
    return max([_compare(ours, options.rounds, peer=not options.no_peer) for ours in interpreters])


def _compare(ours: Interpreter, rounds: int, *, peer: bool) -> int:
    """Measure with one interpreter and print the tables. Return 1 if a bar is missed."""
    released = peer_interpreter(ours, f"msgpack=={version('msgpack')}") if peer else None
    quietness = Quietness()
    own_rounds: list[Round] = []
    released_rounds: list[Round] = []
    for _ in range(rounds):  # alternate: a machine that slows down then slows both
        own_rounds.append(_work(ours))
        if released is not None:
            released_rounds.append(_work(released))
    print(f"{heading(Results({**describe(ours), **quietness.report()}, {'rounds': rounds}))}\n")
    failures = 0
    for what, title in (("decode", "Decode a chunk of 100 packets"), ("encode", "Encode a packet")):
        rows = []
        for name in [name for name in own_rounds[0]["rates"] if name.endswith(f" / {what}")]:
            ratios = _ratios(name, own_rounds, released_rounds)
            verdict, failed = _verdict(name, ratios)
            failures += failed
            row = [name.split(" / ")[0], f"{median(made['rates'][name] for made in own_rounds):,.0f}"]
            for against in ("plain", "released"):
                figures = ratios.get(against, [])
                row += [number(median(figures) if figures else None), number_range(figures)]
            rows.append([*row, verdict])
        print(f"### {title}\n")
        header = ["packet", "packets/s", "÷ plain codec in a loop", "rounds", "÷ EasyNetwork 1.2.0", "rounds", "bar"]
        print(f"{table(header, rows)}\n")
    print(f"### A line that arrives in small pieces\n\n{_drip_table(own_rounds, released_rounds)}\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python",
        dest="pythons",
        action="append",
        metavar="PATH",
        help="interpreter to measure with (default: this one). Repeat it to measure with several, one after the other",
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements, of which the median is reported")
    parser.add_argument("--no-peer", action="store_true", help="leave EasyNetwork 1.2.0 out")
    return parser


def _work(interpreter: Interpreter) -> Round:
    command = [interpreter.python, str(ROOT / "benchmarks" / "codec_worker.py"), "--drip"]
    done = subprocess.run(command, env=interpreter.environment, check=True, capture_output=True, text=True)
    result: Round = json.loads(done.stdout)
    return result


def _ratios(name: str, own: Sequence[Round], released: Sequence[Round]) -> dict[str, list[float]]:
    """Return the rate of this library divided by that of the plain codec and of the release, for each round."""
    ratios = {"plain": [made["rates"][name] / made["rates"][f"{name}, plain"] for made in own]}
    if released and name in released[0]["rates"]:  # the release has not all of our codecs
        ratios["released"] = [
            made["rates"][name] / peer["rates"][name] for made, peer in zip(own, released, strict=True)
        ]
    return ratios


def _verdict(name: str, ratios: Mapping[str, Sequence[float]]) -> tuple[str, bool]:
    """Return the words about the bar of *name*, and whether the median of the rounds misses it."""
    against, at_least = BARS.get(name, ("", 0.0))
    if against not in ratios:
        return "", False
    passed = median(ratios[against]) >= at_least
    return f"≥ {at_least:g} {against}: {'pass' if passed else '**FAIL**'}", not passed


def _drip_table(own: Sequence[Round], released: Sequence[Round]) -> str:
    rows = []
    for name in own[0]["drip"]:
        costs = [made["drip"][name] for made in own]
        # zip stops at once without the release
        ratios = [peer["drip"][name] / cost for cost, peer in zip(costs, released, strict=False)]
        rows.append([name, number(median(costs)), number(median(ratios) if ratios else None), number_range(ratios)])
    return table(["pieces / line", "ns per byte", "EasyNetwork 1.2.0 ÷ this library", "rounds"], rows)


if __name__ == "__main__":
    sys.exit(main())
