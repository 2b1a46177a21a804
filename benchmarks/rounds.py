"""The interleaved rounds: each measures every program once, so that a drift of the machine affects all alike.

Windows are short and rounds are many, because the speed of a machine changes within seconds. Every window has a new
process: random properties of a process, such as its memory layout, vary from window to window, and no load finds
traces of another load.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby

from benchmarks.candidates import Candidate, Cores
from benchmarks.catalogue import Workload
from benchmarks.loads import LOADS
from benchmarks.process import ProgramError, ProgramProcess
from benchmarks.progress import Progress
from benchmarks.results import Results, Sample, percentile
from benchmarks.user_clock import user_clock

__all__ = ["Timing", "measure", "run_rounds"]


@dataclass(frozen=True)
class Timing:
    rounds: int
    warmup: float  # seconds of load before each measured window
    window: float  # seconds
    samples: int = 1000  # per CPU second, of the user CPU; each costs some 15 µs on a virtual machine


def run_rounds(
    candidates: Sequence[Candidate],
    workloads: Sequence[str],
    timing: Timing,
    cores: Cores,
    results: Results,
    *,
    seed: int,
    progress: Progress,
) -> None:
    """Add a sample to *results* for each candidate, each of *workloads* that its group has, and each round.

    Do not run a candidate again after a failure.
    """
    rng = random.Random(seed)
    for number in range(1, timing.rounds + 1):
        for group, members in groupby(candidates, lambda candidate: candidate.group):
            programs = list(members)
            for workload in group.workloads:
                if workload.name in workloads:
                    _run_workload(programs, workload, timing, cores, results, number, rng, progress)


def _run_workload(
    members: list[Candidate],
    workload: Workload,
    timing: Timing,
    cores: Cores,
    results: Results,
    number: int,
    rng: random.Random,
    progress: Progress,
) -> None:
    # All programs run side by side, and only the one under load is busy. The idle ones cost nothing, and the samples
    # lie seconds apart.
    with ExitStack() as stack:
        processes: dict[Candidate, ProgramProcess] = {}
        for candidate in members:
            if not results.has_failed(candidate.key, candidate.loop):
                try:
                    processes[candidate] = stack.enter_context(candidate.start(cores.program))
                except (ProgramError, OSError) as error:
                    results.failures.append(candidate.failure(error))
        for candidate in rng.sample(list(processes), len(processes)):
            progress(f"round {number} of {timing.rounds}, {candidate.group.title}", f"{candidate}, {workload.title}")
            try:
                sample = measure(processes[candidate], candidate, workload, timing, number)
            except (ProgramError, OSError) as error:
                said = processes.pop(candidate).error_output()
                results.failures.append(candidate.failure(ProgramError(f"{error} ({said})")))
            else:
                results.samples.append(sample)


def measure(process: ProgramProcess, candidate: Candidate, workload: Workload, timing: Timing, number: int) -> Sample:
    """Put *process* under load and return one sample."""
    with LOADS[workload.load](process, workload) as load, user_clock(process, timing.samples) as user:
        load.run(timing.warmup)
        user_before, before = user(), process.cpu_seconds()
        window = load.run(timing.window)
        cpu_seconds = process.cpu_seconds() - before
        user_seconds = user() - user_before
    if not window.messages:
        raise ProgramError(f"no {workload.unit} in {timing.window:g} s")
    return Sample(
        program=candidate.key,
        loop=candidate.loop,
        workload=workload.name,
        round=number,
        messages=window.messages,
        seconds=window.seconds,
        cpu_seconds=cpu_seconds,
        p50_us=percentile(window.latencies_us, 50),
        p99_us=percentile(window.latencies_us, 99),
        user_seconds=user_seconds,
    )
