"""Results made up for the tests of the arithmetic and of the reports, and the interpreter of the other tests."""

from __future__ import annotations

import sys

import pytest

from benchmarks.peers import Interpreter, our_interpreter
from benchmarks.results import Failure, Reading, Results, Sample


def sample(program: str, cpu_us: float, *, loop: str = "uvloop", workload: str = "1x100", round: int = 1) -> Sample:
    """A second in which *program* answered 1000 messages at *cpu_us* each."""
    return Sample(program, loop, workload, round, 1000, 1.0, cpu_us * 1000 / 1e6, p50_us=10.0, p99_us=20.0)


def results_of(*samples: Sample) -> Results:
    versions = {"python": "CPython 3.11.0", "uvloop": "0.22.0", "trio": "0.30.0", "easynetwork": "0.1.0"}
    machine = {"date": "today", "cpu": "<cpu> & co", "cores": 2, "system": "Linux", "released": "1.2.0", **versions}
    return Results(machine, {"rounds": 1}, list(samples))


@pytest.fixture
def results() -> Results:
    """One round of all that the bars of the group `tcp` ask for; only the aim among them is missed."""
    made = results_of(
        sample("tcp/protocol", 7.0),
        sample("tcp/protocol", 20.0, loop="asyncio"),
        sample("tcp/ours-bare", 8.0),
        sample("tcp/ours-full", 8.2),
        sample("tcp/ours-full-loop", 7.5),
        sample("tcp/released-full", 16.4),
        sample("tcp/protocol", 8.0, workload="16x100"),
        sample("tcp/protocol-batch", 0.4, workload="16x100"),
        sample("tcp/ours-bare", 1.0, workload="16x100"),
        sample("tcp/ours-full-loop", 1.1, workload="16x100"),
        sample("tcp/ours-full", 1.9, workload="16x100"),
    )
    made.readings += [
        Reading("tcp/ours-bare", "uvloop", "idle-used", 3.0),
        Reading("tcp/ours-bare", "uvloop", "idle-silent", 2.0),
        Reading("tcp/ours-full", "uvloop", "idle-used", 3.5),
        Reading("tcp/ours-full", "uvloop", "idle-silent", 2.5),
    ]
    made.failures.append(Failure("tcp/streams", "asyncio", "a <reason>"))
    return made


@pytest.fixture(scope="session")
def interpreter() -> Interpreter:
    """The one that runs the tests."""
    return our_interpreter(sys.executable)
