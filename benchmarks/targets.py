"""The bars that this project sets itself, as data, and the check whether a run clears them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.catalogue import GROUPS, PROGRAMS, READINGS
from benchmarks.results import Results, median_or_none

__all__ = ["TARGETS", "Bound", "Target", "Verdict", "evaluate"]

# One bound for every Python, or bounds by Python version. Each of these applies from that version on, up to the next
# one in the mapping; None means no bound.
Bound = float | Mapping[tuple[int, int], float | None] | None


@dataclass(frozen=True)
class Target:
    """A figure of a run and its bounds. Without a bound, the figure is only reported.

    *figures* returns one figure for each round, a single one if it is read once, none if it was not measured. The
    bounds apply to their median. *user_figures* returns the same figures of the user CPU alone, to be reported beside
    them. *aim*: the bound is a goal, not a requirement.
    """

    group: str
    title: str
    figures: Callable[[Results], Sequence[float]]
    at_least: Bound = None
    at_most: Bound = None
    aim: bool = False
    unit: str = ""
    user_figures: Callable[[Results], Sequence[float]] | None = None


@dataclass(frozen=True)
class Verdict:
    """The figures of one run, and the bounds for its Python."""

    target: Target
    figures: Sequence[float]
    user_figures: Sequence[float]
    at_least: float | None
    at_most: float | None

    @property
    def value(self) -> float | None:
        """None if the run did not measure it."""
        return median_or_none(self.figures)

    @property
    def passed(self) -> bool | None:
        """None if the run did not measure it."""
        if self.value is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def failed(self) -> bool:
        """Whether the run misses a required bar."""
        return self.passed is False and not self.target.aim


def evaluate(results: Results, targets: tuple[Target, ...] | None = None) -> list[Verdict]:
    return [
        Verdict(
            target,
            target.figures(results),
            target.user_figures(results) if target.user_figures is not None else [],
            _bound(target.at_least, results.python),
            _bound(target.at_most, results.python),
        )
        for target in (TARGETS if targets is None else targets)
    ]


def _bound(bound: Bound, python: tuple[int, int]) -> float | None:
    if not isinstance(bound, Mapping):
        return bound
    return bound[max(version for version in bound if version <= python)]


def _cpu(group: str, workload: str, ours: str, peer: str, at_least: Bound = None, *, aim: bool = False) -> Target:
    """Return a target for the CPU of the peer / CPU of ours, per message."""
    ours, peer, loop = f"{group}/{ours}", f"{group}/{peer}", GROUPS[group].loops[0]

    def figures(results: Results) -> Sequence[float]:
        return results.cpu_ratios(ours, peer, loop, workload)

    def user_figures(results: Results) -> Sequence[float]:
        return results.user_ratios(ours, peer, loop, workload)

    title = _title(group, workload, ours, f"vs {PROGRAMS[peer].title}")
    return Target(group, title, figures, at_least, aim=aim, user_figures=user_figures)


def _rate(group: str, workload: str, ours: str, peer: str, at_least: float) -> Target:
    """Return a target for the rate of ours / rate of the peer."""
    ours, peer = f"{group}/{ours}", f"{group}/{peer}"

    def figures(results: Results) -> Sequence[float]:
        return results.rate_ratios(ours, peer, GROUPS[group].loops[0], workload)

    return Target(group, _title(group, workload, ours, f"vs {PROGRAMS[peer].title}, bytes/s"), figures, at_least)


def _bulk(group: str) -> tuple[Target, ...]:
    return (
        _rate(group, "1m", "ours-bare", "protocol", 0.85),
        _cpu(group, "1m", "ours-bare", "protocol", 0.85, aim=True),
        _cpu(group, "1m", "ours-bare", "released-bare"),
    )


def _overhead(group: str, workload: str) -> Target:
    """Return a target for the extra CPU, in percent, of the network server over the low-level one (equal handlers)."""
    low, high, loop = f"{group}/ours-bare", f"{group}/ours-full-loop", GROUPS[group].loops[0]

    def figures(results: Results) -> Sequence[float]:
        return [(ratio - 1) * 100 for ratio in results.cpu_ratios(low, high, loop, workload)]

    def user_figures(results: Results) -> Sequence[float]:
        return [(ratio - 1) * 100 for ratio in results.user_ratios(low, high, loop, workload)]

    title = _title(group, workload, high, "vs the low-level server")
    return Target(group, title, figures, at_most=15.0, unit="% more CPU", user_figures=user_figures)


def _idle_memory(group: str, ours: str, at_most: Bound) -> Target:
    """Return a target for the KiB per idle connection: the larger of the readings for used and unused ones."""
    key = f"{group}/{ours}"

    def figures(results: Results) -> Sequence[float]:
        values = [results.reading(key, GROUPS[group].loops[0], name) for name in ("idle-used", "idle-silent")]
        known = [value for value in values if value is not None]
        return [max(known)] if known else []

    title = f"{GROUPS[group].title}, memory of an idle connection: {_own_title(key)}"
    return Target(group, title, figures, at_most=at_most, unit="KiB")


def _reading(group: str, ours: str, name: str, *, at_least: Bound = None, at_most: Bound = None) -> Target:
    key = f"{group}/{ours}"

    def figures(results: Results) -> Sequence[float]:
        value = results.reading(key, GROUPS[group].loops[0], name)
        return [] if value is None else [value]

    title = f"{GROUPS[group].title}, {READINGS[name]}: {_own_title(key)}"
    return Target(group, title, figures, at_least, at_most)


def _title(group: str, workload: str, key: str, words: str) -> str:
    load = next(known.title for known in GROUPS[group].workloads if known.name == workload)
    return f"{GROUPS[group].title}, {load}: {_own_title(key)} {words}"


def _own_title(key: str) -> str:
    return PROGRAMS[key].title.removeprefix("ours: ")


PY311, PY314 = (3, 11), (3, 14)


def _on_311(bound: float) -> Bound:
    """Return a bound for Python 3.11 alone. On newer ones, the peers cost less and objects take other sizes."""
    return {PY311: bound, PY314: None}


# If a group has two servers of this project, the bar of the group applies to the low-level one, `_overhead` bounds what
# the network server may add to it, and the bars of the ordinary handler (one generator for each request) stand beside.
# "As before" needs no bar: compare with the earlier revision (`ab.py`).
#
# The bars are those of the compiled module. Those of TCP come from an AMD EPYC, where a system call costs more: with 16
# requests in flight, a Protocol that writes once for all lines of a read reached 10 there.
TARGETS = (
    _cpu("tcp", "1x100", "ours-bare", "protocol", _on_311(0.80)),
    _cpu("tcp", "1x100", "ours-full-loop", "protocol", {PY311: 0.92, PY314: 0.95}),
    _cpu("tcp", "1x100", "ours-full", "protocol", {PY311: 0.84, PY314: 0.88}),
    _cpu("tcp", "16x100", "ours-bare", "protocol", 4.0),
    _cpu("tcp", "16x100", "ours-full-loop", "protocol", {PY311: 6.5, PY314: 7.0}),
    _cpu("tcp", "16x100", "ours-full", "protocol", {PY311: 3.8, PY314: 4.5}),
    _cpu("tcp", "16x100", "ours-full-loop", "protocol-batch", 0.75, aim=True),
    _cpu("tcp", "1x100", "ours-bare", "released-full", _on_311(1.8)),
    _cpu("tcp", "1x100", "ours-full", "released-full", _on_311(1.8), aim=True),
    _idle_memory("tcp", "ours-bare", _on_311(4.0)),
    _reading("tcp", "ours-full", "idle-used", at_most=3.5),
    _reading("tcp", "ours-full", "idle-silent", at_most=_on_311(6.0)),
    _overhead("tcp", "1x100"),
    _overhead("tcp", "16x100"),
    _cpu("tls", "1x100", "ours-bare", "protocol", {PY311: 2.5, PY314: 1.9}),
    _cpu("tls", "16x100", "ours-bare", "protocol", {PY311: 6.5, PY314: 4.0}),
    _cpu("tls", "1x16k", "ours-bare", "protocol", 1.2),
    _cpu("tls", "1x100", "ours-bare", "released-full", _on_311(2.0)),
    _cpu("tls", "1x100", "ours-full", "released-full", _on_311(2.0), aim=True),
    _idle_memory("tls", "ours-bare", _on_311(32.0)),
    _idle_memory("tls", "ours-full", _on_311(32.0)),
    _overhead("tls", "1x100"),
    _cpu("unix", "1x100", "ours-bare", "protocol", _on_311(0.75)),
    _cpu("unix", "1x100", "ours-full-loop", "protocol", _on_311(0.82)),
    _cpu("unix", "1x100", "ours-full", "released-full"),
    _overhead("unix", "1x100"),
    _cpu("udp", "8-sockets", "ours-full-loop", "protocol", {PY311: 0.85, PY314: 0.90}),
    _cpu("udp", "8-sockets", "ours-full", "protocol", {PY311: 0.70, PY314: 0.80}),
    _cpu("udp", "1-socket", "ours-full-loop", "protocol", _on_311(0.92)),
    _cpu("udp", "1-socket", "ours-full", "protocol", 0.80),
    _cpu("udp", "32-sockets", "ours-bare", "protocol", 0.70),
    _cpu("udp", "32-sockets", "ours-full-loop", "protocol", 0.70),
    _cpu("udp", "32-sockets", "ours-bare", "released-full", _on_311(2.5)),
    _cpu("udp", "32-sockets", "ours-full", "released-full", _on_311(2.5), aim=True),
    _overhead("udp", "32-sockets"),
    _reading("flood", "ours-bare", "flood-mib", at_most=16.0),
    _reading("flood", "ours-bare", "flood-lost", at_least=0.0, at_most=0.0),
    _reading("flood", "ours-bare", "flood-many-mib", at_most=16.0),
    _reading("flood", "ours-bare", "flood-many-lost", at_least=0.0, at_most=0.0),
    *_bulk("bulk-sink"),
    *_bulk("bulk-echo"),
    _cpu("connect", "connect", "ours-full", "protocol", {PY311: 0.70, PY314: 0.6}),
    _cpu("connect", "connect", "ours-full-loop", "protocol"),
    _cpu("connect", "connect", "ours-full", "released-full", _on_311(1.5)),
    _reading("crowd", "ours-full", "crowd-kib", at_most=_on_311(6.0)),
    _reading("crowd", "ours-full", "crowd-slowdown", at_most=1.5),
    _cpu("clients", "ping", "ours-tcp", "streams", 1.2),
    _cpu("clients", "send", "ours-tcp", "streams", 1.3),
    _cpu("clients", "receive", "ours-tcp", "streams", 1.0),
    _cpu("clients", "ping", "ours-tcp", "released-tcp"),
    _cpu("clients", "send", "ours-tcp", "released-tcp"),
    _cpu("clients", "receive", "ours-tcp", "released-tcp"),
    _cpu("blocking", "ping", "ours-tcp", "socket", {PY311: 0.75, PY314: 0.6}),
    _cpu("blocking", "ping", "ours-tcp", "released-tcp"),
    _cpu("trio", "1x100", "ours-bare", "loop", 0.7),
    _cpu("trio", "1x100", "ours-bare", "released-full", _on_311(1.3)),
    _cpu("trio", "1x100", "ours-full", "released-full", _on_311(1.3), aim=True),
)
