"""The bars that this project sets itself, as data, and whether a run clears them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results import Results

__all__ = ["TARGETS", "Target", "Verdict", "evaluate"]

_LOOP = "uvloop"


@dataclass(frozen=True)
class Target:
    """A figure of a run and its bound. *aim*: wished for and reported, not required."""

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


def evaluate(results: Results, targets: tuple[Target, ...] | None = None) -> list[Verdict]:
    return [Verdict(target, target.figure(results)) for target in (TARGETS if targets is None else targets)]


def _ratio(ours: str, peer: str, workload: str) -> Callable[[Results], float | None]:
    """CPU of the peer / CPU of ours, for a message."""
    return lambda results: results.cpu_ratio(ours, peer, _LOOP, workload)


def _more_cpu(server: str, than: str, workload: str) -> Callable[[Results], float | None]:
    """How many percent more CPU *server* takes for a message."""

    def figure(results: Results) -> float | None:
        ratio = results.cpu_ratio(than, server, _LOOP, workload)
        return None if ratio is None else (ratio - 1) * 100

    return figure


def _memory(server: str) -> Callable[[Results], float | None]:
    """KiB for each idle connection that has been used."""

    def figure(results: Results) -> float | None:
        sample = results.memory_of(server, _LOOP)
        return None if sample is None else max(sample.used_kib, sample.silent_kib)

    return figure


# The bars hold for the low-level server; the last two bound what the high-level one may add to it.
TARGETS = (
    Target("1 in flight, 100 B: vs hand-written Protocol", _ratio("ours-bare", "protocol", "1x100"), at_least=0.80),
    Target("16 in flight, 100 B: vs hand-written Protocol", _ratio("ours-bare", "protocol", "16x100"), at_least=4.0),
    Target(
        "16 in flight, 100 B: vs hand-written Protocol, one write per batch",
        _ratio("ours-bare", "protocol-batch", "16x100"),
        at_least=0.5,
        aim=True,
    ),
    Target("1 in flight, 100 B: vs EasyNetwork 1.2.0", _ratio("ours-bare", "released-tcp", "1x100"), at_least=1.8),
    Target(
        "1 in flight, 100 B: AsyncTCPNetworkServer, a generator per request, vs EasyNetwork 1.2.0",
        _ratio("ours-tcp", "released-tcp", "1x100"),
        at_least=1.8,
        aim=True,
    ),
    Target("resident memory of an idle connection, AsyncStreamServer", _memory("ours-bare"), at_most=4.0, unit="KiB"),
    Target(
        "resident memory of an idle connection, AsyncTCPNetworkServer", _memory("ours-tcp"), at_most=6.0, unit="KiB"
    ),
    Target(
        "1 in flight, 100 B: AsyncTCPNetworkServer over AsyncStreamServer",
        _more_cpu("ours-tcp-loop", "ours-bare", "1x100"),
        at_most=15.0,
        unit="% more CPU",
    ),
    Target(
        "16 in flight, 100 B: AsyncTCPNetworkServer over AsyncStreamServer",
        _more_cpu("ours-tcp-loop", "ours-bare", "16x100"),
        at_most=15.0,
        unit="% more CPU",
    ),
)
