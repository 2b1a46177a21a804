"""What a run has measured, and the arithmetic on it: medians over the rounds, of figures and of ratios.

The speed of a machine drifts from round to round. So two programs are compared within each round, where their samples
lie seconds apart, and what counts is the median of these ratios: the ratio of two medians would compare one moment with
another.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

__all__ = ["Failure", "Reading", "Results", "Sample", "median_or_none", "percentile", "quartiles"]


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
    user_seconds: float | None = None  # the part of cpu_seconds outside of the kernel; None in files of older runs

    @property
    def cpu_us(self) -> float:
        """Microseconds of the program's CPU for each message."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def user_us(self) -> float | None:
        """Microseconds of the program's own code for each message: steadier than what the kernel adds."""
        return None if self.user_seconds is None else self.user_seconds / self.messages * 1e6

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
        return median_or_none([sample.cpu_us for sample in self.select(program, loop, workload)])

    def spread(self, program: str, loop: str, workload: str) -> float:
        """How far the middle half of the rounds lies apart in CPU for each message, as a share of the median."""
        low, median, high = quartiles([sample.cpu_us for sample in self.select(program, loop, workload)])
        return (high - low) / median

    def cpu_ratio(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> float | None:
        """The median of `cpu_ratios`, None if no round measured both."""
        return median_or_none(self.cpu_ratios(program, peer, loop, workload, peer_loop))

    def cpu_ratios(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> list[float]:
        """How many times the CPU of *program* its *peer* takes for a message: higher is better for *program*.

        One for each round that measured both.
        """
        pairs = self._pairs(program, peer, loop, workload, peer_loop)
        return [theirs.cpu_us / ours.cpu_us for ours, theirs in pairs]

    def user_ratios(self, program: str, peer: str, loop: str, workload: str) -> list[float]:
        """Do the same with the user CPU alone."""
        pairs = ((ours.user_us, theirs.user_us) for ours, theirs in self._pairs(program, peer, loop, workload))
        return [theirs / ours for ours, theirs in pairs if ours and theirs]

    def rate_ratios(self, program: str, peer: str, loop: str, workload: str) -> list[float]:
        """How many times the rate of *peer* *program* reaches, in each round that measured both."""
        return [ours.rate / theirs.rate for ours, theirs in self._pairs(program, peer, loop, workload)]

    def reading(self, program: str, loop: str, name: str) -> float | None:
        found = (r.value for r in self.readings if (r.program, r.loop, r.name) == (program, loop, name))
        return next(found, None)

    def programs(self) -> set[str]:
        """All that the run was about, failures included."""
        return {made.program for kind in (self.samples, self.readings, self.failures) for made in kind}

    def has_failed(self, program: str, loop: str) -> bool:
        return any((failure.program, failure.loop) == (program, loop) for failure in self.failures)

    def _pairs(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> list[tuple[Sample, Sample]]:
        """The samples of both, from each round that has both."""
        theirs = {sample.round: sample for sample in self.select(peer, peer_loop or loop, workload)}
        return [(ours, theirs[ours.round]) for ours in self.select(program, loop, workload) if ours.round in theirs]

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


def median_or_none(values: Sequence[float]) -> float | None:
    """The median; None for no values."""
    return statistics.median(values) if values else None


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """What a quarter, half, and three quarters of the values lie below of."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, method="inclusive")
    return low, median, high


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that *percent* of the values do not exceed (nearest rank); None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return float(ordered[max(int(rank), 1) - 1])
