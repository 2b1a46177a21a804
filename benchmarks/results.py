"""What a run has measured, and the arithmetic on it: medians over rounds, ratios of medians."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

__all__ = ["Failure", "Reading", "Results", "Sample", "percentile"]


@dataclass(frozen=True)
class Sample:
    """One program under one workload, once."""

    program: str  # group/name
    loop: str
    workload: str
    round: int
    messages: float
    seconds: float
    cpu_seconds: float
    p50_us: float | None  # None where the load cannot see latencies
    p99_us: float | None

    @property
    def cpu_us(self) -> float:
        """Microseconds of the program's CPU for each message."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds

    @property
    def utilisation(self) -> float:
        """Share of one core that the program took; near 1 the program was what limited the rate."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True)
class Reading:
    """A figure that was measured once. *name*: a key of `catalogue.READINGS`, which tells the unit."""

    program: str
    loop: str
    name: str
    value: float


@dataclass(frozen=True)
class Failure:
    """A program that could not be measured, and why."""

    program: str
    loop: str
    reason: str


@dataclass
class Results:
    machine: dict[str, Any]
    settings: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def select(self, program: str, loop: str, workload: str) -> list[Sample]:
        return [s for s in self.samples if (s.program, s.loop, s.workload) == (program, loop, workload)]

    def cpu_us(self, program: str, loop: str, workload: str) -> float | None:
        """Microseconds of CPU for each message: the median over the rounds, None if it was not measured."""
        return self._median(program, loop, workload, lambda sample: sample.cpu_us)

    def rate(self, program: str, loop: str, workload: str) -> float | None:
        """Messages per second: the median over the rounds, None if it was not measured."""
        return self._median(program, loop, workload, lambda sample: sample.rate)

    def spread(self, program: str, loop: str, workload: str) -> float:
        """How far the rounds lie apart in CPU for each message: highest minus lowest, as a share of the median."""
        values = [sample.cpu_us for sample in self.select(program, loop, workload)]
        return (max(values) - min(values)) / statistics.median(values)

    def cpu_ratio(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> float | None:
        """How many times the CPU of *program* its *peer* takes for a message: higher is better for *program*."""
        ours, theirs = self.cpu_us(program, loop, workload), self.cpu_us(peer, peer_loop or loop, workload)
        return None if ours is None or theirs is None else theirs / ours

    def reading(self, program: str, loop: str, name: str) -> float | None:
        found = (r.value for r in self.readings if (r.program, r.loop, r.name) == (program, loop, name))
        return next(found, None)

    def programs(self) -> set[str]:
        """All that the run was about, failures included."""
        return {made.program for kind in (self.samples, self.readings, self.failures) for made in kind}

    def has_failed(self, program: str, loop: str) -> bool:
        return any((failure.program, failure.loop) == (program, loop) for failure in self.failures)

    def _median(self, program: str, loop: str, workload: str, figure: Callable[[Sample], float]) -> float | None:
        values = [figure(sample) for sample in self.select(program, loop, workload)]
        return statistics.median(values) if values else None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw = json.loads(text)
        return cls(
            raw["machine"],
            raw["settings"],
            [Sample(**sample) for sample in raw["samples"]],
            [Reading(**reading) for reading in raw["readings"]],
            [Failure(**failure) for failure in raw["failures"]],
        )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that *percent* of the values do not exceed (nearest rank); None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return float(ordered[max(int(rank), 1) - 1])
