"""The readings: figures that are measured once for a program, not in rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.candidates import Candidate, Cores
from benchmarks.process import ProgramError
from benchmarks.progress import Progress
from benchmarks.readings.crowd import crowd
from benchmarks.readings.flood import flood
from benchmarks.readings.idle import idle_connections
from benchmarks.results import Reading, Results

__all__ = ["READINGS", "run_readings"]

# Each function returns figures by their names in `catalogue.READINGS`.
READINGS: dict[str, Callable[[Candidate, Cores], dict[str, float]]] = {
    "idle": idle_connections,
    "crowd": crowd,
    "flood": flood,
}


def run_readings(candidates: Sequence[Candidate], cores: Cores, results: Results, *, progress: Progress) -> None:
    """Add the readings of each candidate's group to *results*."""
    for candidate in candidates:
        for name in candidate.group.readings:
            if results.has_failed(candidate.key, candidate.loop):
                continue
            progress(f"{candidate.group.title}: {name}", str(candidate))
            try:
                figures = READINGS[name](candidate, cores)
            except (ProgramError, OSError) as error:
                results.failures.append(candidate.failure(error))
            else:
                results.readings += [Reading(candidate.key, candidate.loop, *item) for item in figures.items()]
