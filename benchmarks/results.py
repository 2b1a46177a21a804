"""The results of a run, and the medians of figures and ratios over its rounds.

The speed of a machine drifts from round to round. So compare two programs within each round, where their samples lie
seconds apart, and take the median of these ratios. The ratio of two medians would compare different moments.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "Failure",
    "Reading",
    "Results",
    "Sample",
    "from_json",
    "median_or_none",
    "percentile",
    "quartiles",
    "to_json",
]


@dataclass(frozen=True)
class Sample:
    """One measurement of one program under one workload."""

    program: str  # group/name
    loop: str
    workload: str
    round: int
    messages: float
    seconds: float
    cpu_seconds: float
    p50_us: float | None  # None where the load cannot see latencies
    p99_us: float | None
    user_seconds: float | None = None  # the part of cpu_seconds outside of the kernel, see user_clock.py

    @property
    def cpu_us(self) -> float:
        """The program's CPU time for each message, in microseconds."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def user_us(self) -> float | None:
        """The user CPU time for each message, in microseconds."""
        return None if self.user_seconds is None else self.user_seconds / self.messages * 1e6

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds

    @property
    def utilisation(self) -> float:
        """Share of one core that the program used. Near 1, the program limited the rate."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True)
class Reading:
    """A figure that was measured once. *name* is a key of `catalogue.READINGS`, which contains the unit."""

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
    """The results of one run: all its programs ran on one interpreter."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def python(self) -> tuple[int, int]:
        """The version of the interpreter that ran the programs, such as (3, 11)."""
        major, minor = self.machine["python"].split()[1].split(".")[:2]
        return int(major), int(minor)

    def select(self, program: str, loop: str, workload: str) -> list[Sample]:
        return [s for s in self.samples if (s.program, s.loop, s.workload) == (program, loop, workload)]

    def cpu_us(self, program: str, loop: str, workload: str) -> float | None:
        """Return the median CPU time for each message in microseconds, or None if it was not measured."""
        return median_or_none([sample.cpu_us for sample in self.select(program, loop, workload)])

    def user_us(self, program: str, loop: str, workload: str) -> float | None:
        """Return the median user CPU time for each message in microseconds, or None if it was not measured."""
        known = [sample.user_us for sample in self.select(program, loop, workload)]
        return median_or_none([user for user in known if user is not None])

    def cpu_ratio(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> float | None:
        """Return the median of `cpu_ratios`, or None if no round measured both."""
        return median_or_none(self.cpu_ratios(program, peer, loop, workload, peer_loop))

    def cpu_ratios(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> list[float]:
        """Return the CPU of *peer* divided by that of *program* for a message: higher is better for *program*.

        There is one ratio for each round that measured both.
        """
        pairs = self._pairs(program, peer, loop, workload, peer_loop)
        return [theirs.cpu_us / ours.cpu_us for ours, theirs in pairs]

    def user_ratios(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> list[float]:
        """Return the same ratios as `cpu_ratios`, of the user CPU alone."""
        pairs = (
            (ours.user_us, theirs.user_us) for ours, theirs in self._pairs(program, peer, loop, workload, peer_loop)
        )
        return [theirs / ours for ours, theirs in pairs if ours and theirs]

    def rate_ratios(self, program: str, peer: str, loop: str, workload: str) -> list[float]:
        """Return the rate of *program* divided by that of *peer*, for each round that measured both."""
        return [ours.rate / theirs.rate for ours, theirs in self._pairs(program, peer, loop, workload)]

    def reading(self, program: str, loop: str, name: str) -> float | None:
        found = (r.value for r in self.readings if (r.program, r.loop, r.name) == (program, loop, name))
        return next(found, None)

    def programs(self) -> set[str]:
        """Return the keys of all programs of the run, including those that failed."""
        return {made.program for kind in (self.samples, self.readings, self.failures) for made in kind}

    def has_failed(self, program: str, loop: str) -> bool:
        return any((failure.program, failure.loop) == (program, loop) for failure in self.failures)

    def _pairs(
        self, program: str, peer: str, loop: str, workload: str, peer_loop: str | None = None
    ) -> list[tuple[Sample, Sample]]:
        """Return the samples of both programs, from each round that has both."""
        theirs = {sample.round: sample for sample in self.select(peer, peer_loop or loop, workload)}
        return [(ours, theirs[ours.round]) for ours in self.select(program, loop, workload) if ours.round in theirs]


def to_json(runs: Sequence[Results]) -> str:
    """Return the text of a results file: a list of runs."""
    return json.dumps([asdict(run) for run in runs], indent=1) + "\n"


def from_json(text: str) -> list[Results]:
    """Return the runs of a results file."""
    return [
        Results(
            run["machine"],
            run["settings"],
            [Sample(**sample) for sample in run["samples"]],
            [Reading(**reading) for reading in run["readings"]],
            [Failure(**failure) for failure in run["failures"]],
        )
        for run in json.loads(text)
    ]


def median_or_none(values: Sequence[float]) -> float | None:
    """Return the median, or None if there are no values."""
    return statistics.median(values) if values else None


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, method="inclusive")
    return low, median, high


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that *percent* % of the values do not exceed (nearest rank), or None without values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return float(ordered[max(int(rank), 1) - 1])
