"""The bars that this project sets itself, as data, and whether a run clears them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.catalogue import GROUPS, PROGRAMS, READINGS
from benchmarks.results import Results

__all__ = ["TARGETS", "Target", "Verdict", "evaluate"]


@dataclass(frozen=True)
class Target:
    """A figure of a run and its bound; without a bound it is only told. *aim*: wished for, not required."""

    group: str
    title: str
    figure: Callable[[Results], float | None]
    at_least: float | None = None
    at_most: float | None = None
    aim: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    target: Target
    value: float | None

    @property
    def passed(self) -> bool | None:
        """None if the run did not measure it."""
        if self.value is None:
            return None
        low, high = self.target.at_least, self.target.at_most
        return (low is None or self.value >= low) and (high is None or self.value <= high)

    @property
    def failed(self) -> bool:
        """Whether a bar is missed that is required."""
        return self.passed is False and not self.target.aim


def evaluate(results: Results, targets: tuple[Target, ...] | None = None) -> list[Verdict]:
    return [Verdict(target, target.figure(results)) for target in (TARGETS if targets is None else targets)]


def _cpu(
    group: str, workload: str, ours: str, peer: str, at_least: float | None = None, *, aim: bool = False
) -> Target:
    """CPU of the peer / CPU of ours, for a message."""
    ours, peer = f"{group}/{ours}", f"{group}/{peer}"

    def figure(results: Results) -> float | None:
        return results.cpu_ratio(ours, peer, GROUPS[group].loops[0], workload)

    title = _title(group, workload, ours, f"vs {PROGRAMS[peer].title}")
    return Target(group, title, figure, at_least, aim=aim)


def _rate(group: str, workload: str, ours: str, peer: str, at_least: float) -> Target:
    """Rate of ours / rate of the peer."""
    ours, peer = f"{group}/{ours}", f"{group}/{peer}"

    def figure(results: Results) -> float | None:
        rates = [results.rate(key, GROUPS[group].loops[0], workload) for key in (ours, peer)]
        return None if rates[0] is None or rates[1] is None else rates[0] / rates[1]

    return Target(group, _title(group, workload, ours, f"vs {PROGRAMS[peer].title}, bytes/s"), figure, at_least)


def _bulk(group: str) -> tuple[Target, ...]:
    return (
        _rate(group, "1m", "ours-bare", "protocol", 0.85),
        _cpu(group, "1m", "ours-bare", "protocol", 0.85, aim=True),
        _cpu(group, "1m", "ours-bare", "released-bare"),
    )


def _overhead(group: str, workload: str) -> Target:
    """How many percent more CPU the network server takes than the low-level one, the handlers being alike."""
    low, high = f"{group}/ours-bare", f"{group}/ours-full-loop"

    def figure(results: Results) -> float | None:
        ratio = results.cpu_ratio(low, high, GROUPS[group].loops[0], workload)
        return None if ratio is None else (ratio - 1) * 100

    title = _title(group, workload, high, "over the low-level server")
    return Target(group, title, figure, at_most=15.0, unit="% more CPU")


def _idle_memory(group: str, ours: str, at_most: float) -> Target:
    """KiB for an idle connection, of the dearer kind."""
    key = f"{group}/{ours}"

    def figure(results: Results) -> float | None:
        values = [results.reading(key, GROUPS[group].loops[0], name) for name in ("idle-used", "idle-silent")]
        return max((value for value in values if value is not None), default=None)

    title = f"{GROUPS[group].title}, memory of an idle connection: {_own_title(key)}"
    return Target(group, title, figure, at_most=at_most, unit="KiB")


def _reading(
    group: str, ours: str, name: str, *, at_least: float | None = None, at_most: float | None = None
) -> Target:
    key = f"{group}/{ours}"

    def figure(results: Results) -> float | None:
        return results.reading(key, GROUPS[group].loops[0], name)

    title = f"{GROUPS[group].title}, {READINGS[name]}: {_own_title(key)}"
    return Target(group, title, figure, at_least, at_most)


def _title(group: str, workload: str, key: str, words: str) -> str:
    load = next(known.title for known in GROUPS[group].workloads if known.name == workload)
    return f"{GROUPS[group].title}, {load}: {_own_title(key)} {words}"


def _own_title(key: str) -> str:
    return PROGRAMS[key].title.removeprefix("ours: ")


# Where two servers of ours are named, the bar holds for the low-level one, and `_overhead` bounds what the network
# server may add to it.
TARGETS = (
    _cpu("tcp", "1x100", "ours-bare", "protocol", 0.80),
    _cpu("tcp", "16x100", "ours-bare", "protocol", 4.0),
    _cpu("tcp", "16x100", "ours-bare", "protocol-batch", 0.5, aim=True),
    _cpu("tcp", "1x100", "ours-bare", "released-full", 1.8),
    _cpu("tcp", "1x100", "ours-full", "released-full", 1.8, aim=True),
    _idle_memory("tcp", "ours-bare", 4.0),
    _idle_memory("tcp", "ours-full", 6.0),
    _overhead("tcp", "1x100"),
    _overhead("tcp", "16x100"),
    _cpu("tls", "1x100", "ours-bare", "protocol", 1.9),
    _cpu("tls", "16x100", "ours-bare", "protocol", 4.0),
    _cpu("tls", "1x16k", "ours-bare", "protocol", 1.2),
    _cpu("tls", "1x100", "ours-bare", "released-full", 2.0),
    _cpu("tls", "1x100", "ours-full", "released-full", 2.0, aim=True),
    _idle_memory("tls", "ours-bare", 32.0),
    _idle_memory("tls", "ours-full", 32.0),
    _overhead("tls", "1x100"),
    _cpu("unix", "1x100", "ours-bare", "protocol", 0.75),
    _cpu("unix", "1x100", "ours-full-loop", "protocol", 0.75),
    _cpu("unix", "1x100", "ours-full", "released-full"),
    _overhead("unix", "1x100"),
    _cpu("udp", "1x100", "ours-bare", "protocol", 0.70),
    _cpu("udp", "1x100", "ours-full-loop", "protocol", 0.70),
    _cpu("udp", "1x100", "ours-bare", "released-full", 2.5),
    _cpu("udp", "1x100", "ours-full", "released-full", 2.5, aim=True),
    _overhead("udp", "1x100"),
    _reading("flood", "ours-bare", "flood-mib", at_most=16.0),
    _reading("flood", "ours-bare", "flood-lost", at_least=0.0, at_most=0.0),
    _reading("flood", "ours-bare", "flood-many-mib", at_most=16.0),
    _reading("flood", "ours-bare", "flood-many-lost", at_least=0.0, at_most=0.0),
    *_bulk("bulk-sink"),
    *_bulk("bulk-echo"),
    _cpu("connect", "connect", "ours-full", "protocol", 0.6),
    _cpu("connect", "connect", "ours-full", "released-full", 1.5),
    _reading("crowd", "ours-full", "crowd-kib", at_most=6.0),
    _reading("crowd", "ours-full", "crowd-slowdown", at_most=1.5),
    _cpu("clients", "ping", "ours-tcp", "streams", 0.95),
    _cpu("clients", "send", "ours-tcp", "streams", 1.3),
    _cpu("clients", "receive", "ours-tcp", "streams", 1.0),
    _cpu("clients", "ping", "ours-tcp", "released-tcp"),
    _cpu("clients", "send", "ours-tcp", "released-tcp"),
    _cpu("clients", "receive", "ours-tcp", "released-tcp"),
    _cpu("blocking", "ping", "ours-tcp", "socket", 0.6),
    _cpu("blocking", "ping", "ours-tcp", "released-tcp"),
    _cpu("trio", "1x100", "ours-bare", "loop", 0.7),
    _cpu("trio", "1x100", "ours-bare", "released-full", 1.3),
    _cpu("trio", "1x100", "ours-full", "released-full", 1.3, aim=True),
)
