"""Measure what hostile peers take from honest ones: `python benchmarks/hostile.py --help`.

streams:    2,000 hostile peers of eight kinds beside 20 honest clients, over TCP and over TLS
datagrams:  senders with forged addresses, some of which make a handler wait
fairness:   10 clients that send requests without waiting for answers, beside 20 honest ones
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.candidates import Cores
from benchmarks.exposure import EAGER, HONEST, NEWCOMERS, Bench, Program, Throughput
from benchmarks.loads.hostile_peers import KINDS
from benchmarks.peers import EASYNETWORK_VERSION, our_interpreter, peer_interpreter
from benchmarks.publish import replaced
from benchmarks.readings.idle import allow_descriptors
from benchmarks.report import number, table
from benchmarks.servers.exposed import LIMITS

FLOODERS = 10
KEY_UPDATERS = 4
"""Peers that update keys. Few, because each is a process that fills a core if it may."""

GRACE = 1.0
"""Seconds after its deadline in which a hostile peer must be gone."""

_MIB = 1 << 20


def hostile_peers(count: int) -> dict[str, int]:
    """Return *count* peers of the eight kinds: as many of each kind, but few that update keys."""
    others = [name for name in KINDS if name not in ("flooder", "tls-keys")]
    return {"tls-keys": KEY_UPDATERS, **dict.fromkeys(others, (count - KEY_UPDATERS) // len(others))}


@dataclass
class Figure:
    """A row of a table: a figure of each program. Its bar, if it has one, is for servers with limits."""

    title: str
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bar(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    def misses(self, value: float) -> bool:
        """Tell whether *value* misses the bar."""
        is_low = self.at_least is not None and value < self.at_least
        return is_low or (self.at_most is not None and value > self.at_most)


@dataclass
class Section:
    """A table, with a column for each program and way to use it."""

    title: str
    columns: Sequence[tuple[Program, str]]
    figures: list[Figure]

    def text(self) -> str:
        names = [f"{program.title}, {program.limits}, {way}".removesuffix(", ") for program, way in self.columns]
        rows = [[figure.title, figure.bar, *self._cells(figure)] for figure in self.figures]
        return f"### {self.title}\n\n{table(['', 'bar', *names], rows)}"

    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if any("*" in cell for cell in self._cells(figure))]

    def _cells(self, figure: Figure) -> list[str]:
        cells = []
        for (program, _), value in zip(self.columns, figure.values, strict=True):
            text = "–" if isnan(value) else f"{value:,.0f}" if value == int(value) or value >= 1000 else number(value)
            cells.append(f"**{text}**" if program.limits != "off" and figure.misses(value) else text)
        return cells


_Pairs = Sequence[tuple[Throughput, Throughput]]


def fairness(bench: Bench, programs: Sequence[Program], options: argparse.Namespace) -> Section:
    """Measure each program and each kind of handler in interleaved rounds."""
    columns = [(program, f"handler {handler}") for program in programs for handler in ("once", "loop")]
    pairs: list[list[tuple[Throughput, Throughput]]] = [[] for _ in columns]
    for _ in range(options.rounds):
        for (program, handler), of_column in zip(columns, pairs, strict=True):
            of_column.append(bench.fairness(program, handler.split()[1], FLOODERS))
    figures = [
        _rates("requests/s alone", ([alone for alone, _ in of_column] for of_column in pairs)),
        _rates("beside the flooders", ([beside for _, beside in of_column] for of_column in pairs)),
        _shares("% of those alone", _by_clock, pairs),
        _shares("% of those alone, per CPU second", _by_cpu, pairs, at_least=45),
    ]
    return Section(f"{HONEST.title}, beside {FLOODERS} that do not wait for answers", columns, figures)


def streams(bench: Bench, programs: Sequence[Program], options: argparse.Namespace) -> Section:
    """Attack each program, with the honest clients on TCP and on TLS."""
    peers = hostile_peers(options.peers)
    columns = [(program, transport) for program in programs for transport in ("tcp", "tls")]
    found = [bench.streams(program, transport, peers) for program, transport in columns]
    pairs = [list(zip(exposure.control, exposure.attacked, strict=True)) for exposure in found]
    figures = [
        _rates("requests/s without an attack", (exposure.alone for exposure in found)),
        _rates("control run: another process is attacked", (exposure.control for exposure in found)),
        _rates("under attack", (exposure.attacked for exposure in found)),
        _shares("% of those in the control run", _by_clock, pairs),
        _shares("% of those in the control run, per CPU second", _by_cpu, pairs, at_least=80),
        Figure(f"newcomers answered, of {NEWCOMERS}", [exposure.newcomers for exposure in found], at_least=NEWCOMERS),
        Figure("MiB after the first attack", [exposure.after[0] / _MIB for exposure in found]),
        Figure("MiB during the last", [exposure.during / _MIB for exposure in found]),
        Figure("after the last / after the first", [e.after[-1] / e.after[0] for e in found], at_most=1.05),
        Figure("log lines per minute", [exposure.log_lines for exposure in found], at_most=100),
        Figure("descriptors left", [exposure.left for exposure in found], at_most=0),
    ]
    deadlines: dict[str, float] = next((exposure.limits for exposure in found if exposure.limits), {})
    for name, count in peers.items():
        kind = KINDS[name]
        deadline = deadlines.get(kind.deadline or "")
        stays = [exposure.peers[name]["longest"] for exposure in found]
        title = f"{kind.title} ({count}): longest connection, s"
        figures.append(Figure(title, stays, at_most=None if deadline is None else deadline + GRACE))
    return Section(f"{EAGER.title}, beside {sum(peers.values()):,} hostile peers", columns, figures)


def datagrams(bench: Bench, programs: Sequence[Program], options: argparse.Namespace) -> Section:
    """Send datagrams from many addresses to each program."""
    senders, waiting = options.senders, options.senders * 3 // 20
    found = [bench.datagrams(program, senders, waiting) for program in programs]
    figures = [
        Figure("MiB before", [exposure.before / _MIB for exposure in found]),
        Figure("MiB when half of them have sent", [exposure.after[0] / _MIB for exposure in found]),
        Figure("when all have sent / when half have", [e.after[1] / e.after[0] for e in found], at_most=1.05),
        Figure("datagrams that handlers received", [exposure.heard for exposure in found]),
        Figure("log lines", [exposure.log_lines for exposure in found], at_most=100),
        Figure("answers afterwards", [exposure.is_answering for exposure in found], at_least=1),
    ]
    title = f"Datagrams of {senders:,} addresses, {waiting:,} of which make a handler wait"
    return Section(title, [(program, "") for program in programs], figures)


def _rates(title: str, of_columns: Iterable[Sequence[Throughput]]) -> Figure:
    return Figure(title, [statistics.median(found.per_second for found in of_column) for of_column in of_columns])


def _shares(
    title: str,
    share: Callable[[Throughput, Throughput], float],
    of_columns: Iterable[_Pairs],
    at_least: float | None = None,
) -> Figure:
    """Return the median, in percent, of what *share* makes of an undisturbed throughput and of a disturbed one."""
    medians = [statistics.median(100 * share(free, hit) for free, hit in pairs) for pairs in of_columns]
    return Figure(title, medians, at_least)


def _by_clock(free: Throughput, hit: Throughput) -> float:
    return hit.per_second / free.per_second


def _by_cpu(free: Throughput, hit: Throughput) -> float:
    return hit.per_cpu_second / free.per_cpu_second


PARTS = {"fairness": fairness, "streams": streams, "datagrams": datagrams}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these parts")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--limits", nargs="+", choices=LIMITS, default=LIMITS, help="those of this library's servers")
    parser.add_argument(
        "--deadline",
        type=float,
        default=5.0,
        help="seconds that the limits allow each step of a peer; 0: the preset's own",
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements, and of attacks")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a measurement")
    parser.add_argument(
        "--attack-seconds",
        type=float,
        default=60.0,
        help="minimum length of the last attack: the limits of the log are per minute",
    )
    parser.add_argument("--peers", type=int, default=2000, help="number of hostile peers")
    parser.add_argument("--senders", type=int, default=200_000, help="number of addresses that send a datagram")
    parser.add_argument("--no-release", action="store_true", help=f"leave out EasyNetwork {EASYNETWORK_VERSION}")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="replace the generated part of this page")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a bar is missed")
    options = parser.parse_args(arguments)
    allow_descriptors(2 * options.peers + 200)
    ours = our_interpreter(sys.executable)
    programs = [Program("this library", ours, limits) for limits in options.limits]
    if not options.no_release:
        programs.append(Program(f"EasyNetwork {EASYNETWORK_VERSION}", peer_interpreter(ours), "off"))
    cores = Cores.choose()
    with cores.pin_load():
        bench = Bench(options, cores)
        sections = [measure(bench, programs, options) for name, measure in PARTS.items() if name in options.only]
    text = "\n\n".join(section.text() for section in sections)
    print(text)
    if options.docs is not None:
        options.docs.write_text(replaced(options.docs, text))
    return 1 if options.check and any(section.missed() for section in sections) else 0


if __name__ == "__main__":
    sys.exit(main())
