"""What a run has measured, and the arithmetic on it: medians over rounds, ratios of medians."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Self

__all__ = ["Failure", "MemorySample", "Results", "Sample", "percentile"]


@dataclass(frozen=True)
class Sample:
    """One server under one workload, once."""

    server: str
    loop: str
    workload: str
    round: int
    messages: float
    seconds: float
    cpu_seconds: float
    p50_us: float
    p99_us: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of server CPU for each message."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds

    @property
    def utilisation(self) -> float:
        """Share of one core that the server took; near 1 the server was what limited the rate."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True)
class MemorySample:
    """KiB of resident memory that one idle connection keeps."""

    server: str
    loop: str
    connections: int
    silent_kib: float  # connections that never sent anything
    used_kib: float  # connections that have exchanged one message


@dataclass(frozen=True)
class Failure:
    """A server that could not be measured, and why."""

    server: str
    loop: str
    reason: str


@dataclass
class Results:
    machine: dict[str, Any]
    settings: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    memory: list[MemorySample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def select(self, server: str, loop: str, workload: str) -> list[Sample]:
        return [s for s in self.samples if (s.server, s.loop, s.workload) == (server, loop, workload)]

    def cpu_us(self, server: str, loop: str, workload: str) -> float | None:
        """Microseconds of server CPU for each message: the median over the rounds, None if it was not measured."""
        values = [sample.cpu_us for sample in self.select(server, loop, workload)]
        return statistics.median(values) if values else None

    def spread(self, server: str, loop: str, workload: str) -> float:
        """How far the rounds lie apart in CPU for each message: highest minus lowest, as a share of the median."""
        values = [sample.cpu_us for sample in self.select(server, loop, workload)]
        return (max(values) - min(values)) / statistics.median(values)

    def cpu_ratio(self, server: str, peer: str, loop: str, workload: str, peer_loop: str | None = None) -> float | None:
        """How many times the CPU of *server* its *peer* takes for a message: higher is better for *server*."""
        ours, theirs = self.cpu_us(server, loop, workload), self.cpu_us(peer, peer_loop or loop, workload)
        return None if ours is None or theirs is None else theirs / ours

    def memory_of(self, server: str, loop: str) -> MemorySample | None:
        return next((m for m in self.memory if (m.server, m.loop) == (server, loop)), None)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw = json.loads(text)
        return cls(
            raw["machine"],
            raw["settings"],
            [Sample(**sample) for sample in raw["samples"]],
            [MemorySample(**sample) for sample in raw["memory"]],
            [Failure(**failure) for failure in raw["failures"]],
        )


def percentile(values: list[int], percent: float) -> float:
    """The smallest value that *percent* of the values do not exceed (nearest rank); NaN for no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return float(ordered[max(int(rank), 1) - 1])
