"""A server with ten thousand idle connections: the memory of each, and their effect on one active connection."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.candidates import Candidate, Cores
from benchmarks.catalogue import Workload
from benchmarks.loads.echo import EchoLoad
from benchmarks.process import ProgramError
from benchmarks.readings.idle import allow_descriptors, hold_connections
from benchmarks.results import percentile

__all__ = ["CROWD", "crowd"]

CROWD = 10_000

_ACTIVE = Workload("active", "one active connection", 1, 100, connections=1)
_TURNS = 7
_WINDOW = 0.4


def crowd(candidate: Candidate, cores: Cores, count: int = CROWD, window: float = _WINDOW) -> dict[str, float]:
    """Measure one active client on a crowded server and on an empty one, by turns: a slower machine slows both."""
    allow_descriptors(count + 200)
    with candidate.start(cores.program) as empty, candidate.start(cores.program) as crowded:
        for process in (empty, crowded):
            with EchoLoad(process, _ACTIVE) as load:  # leave out the allocations of the first connection
                load.run(window)
        before = crowded.resident_bytes()
        with hold_connections(crowded, count, talk=True):
            kib = (crowded.resident_bytes() - before) / count / 1024
            p99s: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(_TURNS):
                for is_crowded, process in ((False, empty), (True, crowded)):
                    with EchoLoad(process, _ACTIVE) as load:
                        p99 = percentile(load.run(window).latencies_us, 99)
                    if p99 is None:
                        raise ProgramError("no message was answered")
                    p99s[is_crowded].append(p99)
    return {
        "crowd-kib": kib,
        "crowd-p99": median(p99s[True]),
        "empty-p99": median(p99s[False]),
        "crowd-slowdown": slowdown(p99s[True], p99s[False]),
    }


def slowdown(crowded: Sequence[float], empty: Sequence[float]) -> float:
    """Return the median of the ratios of the turns."""
    return median(full / alone for full, alone in zip(crowded, empty, strict=True))
