"""Results made up for the tests of the arithmetic and of the reports."""

from __future__ import annotations

import pytest

from benchmarks.results import Failure, MemorySample, Results, Sample


def sample(server: str, cpu_us: float, *, loop: str = "uvloop", workload: str = "1x100", round: int = 1) -> Sample:
    """A second in which *server* answered 1000 messages at *cpu_us* each."""
    return Sample(server, loop, workload, round, 1000, 1.0, cpu_us * 1000 / 1e6, p50_us=10.0, p99_us=20.0)


def results_of(*samples: Sample) -> Results:
    versions = {"python": "CPython 3.11.0", "uvloop": "0.22.0", "easynetwork": "0.1.0"}
    machine = {"date": "today", "cpu": "<cpu> & co", "cores": 2, "system": "Linux", "released": "1.2.0", **versions}
    return Results(machine, {"rounds": 1}, list(samples))


@pytest.fixture
def results() -> Results:
    """One round of all that the bars ask for; every required bar is cleared, and the aim is missed."""
    made = results_of(
        sample("protocol", 7.0),
        sample("protocol", 20.0, loop="asyncio"),
        sample("ours-bare", 8.0),
        sample("ours-tcp", 8.5),
        sample("ours-tcp-loop", 8.2),
        sample("released-tcp", 17.0),
        sample("protocol", 5.0, workload="16x100"),
        sample("protocol-batch", 0.4, workload="16x100"),
        sample("ours-bare", 1.0, workload="16x100"),
        sample("ours-tcp-loop", 1.1, workload="16x100"),
    )
    made.memory.append(MemorySample("ours-bare", "uvloop", 1000, silent_kib=2.0, used_kib=3.0))
    made.memory.append(MemorySample("ours-tcp", "uvloop", 1000, silent_kib=2.0, used_kib=3.5))
    made.failures.append(Failure("streams", "asyncio", "a <reason>"))
    return made
