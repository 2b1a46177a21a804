"""The interleaved rounds: each measures every server once, so that a drift of the machine meets all alike."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.catalogue import Server, Workload
from benchmarks.load import EchoLoad
from benchmarks.peers import Interpreter
from benchmarks.process import ServerError, ServerProcess
from benchmarks.progress import Progress
from benchmarks.results import Failure, Results, Sample, percentile

__all__ = ["Candidate", "Cores", "Timing", "measure", "run_rounds"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A server on a loop, and the interpreter that runs it."""

    server: Server
    loop: str
    interpreter: Interpreter

    @property
    def key(self) -> tuple[str, str]:
        return self.server.name, self.loop

    def start(self, core: int | None) -> ServerProcess:
        return ServerProcess(self.server, self.loop, self.interpreter, core=core)

    def failure(self, error: Exception) -> Failure:
        return Failure(self.server.name, self.loop, str(error) or type(error).__name__)


@dataclass(frozen=True)
class Timing:
    rounds: int
    warmup: float  # seconds of load before each measured window
    window: float  # seconds


@dataclass(frozen=True)
class Cores:
    """Where the server and the load run; None where they cannot be kept apart."""

    server: int | None
    load: int | None

    @classmethod
    def choose(cls) -> Cores:
        available = sorted(os.sched_getaffinity(0))
        try:
            os.sched_setaffinity(0, available)
        except OSError:  # some sandboxes allow to ask, and not to choose
            return cls(None, None)
        # Core 0 serves most interrupts, so the measured side gets the other end.
        return cls(available[-1], available[0]) if len(available) > 1 else cls(None, None)

    @contextmanager
    def pin_load(self) -> Iterator[None]:
        """Keep this process on its core meanwhile."""
        before = os.sched_getaffinity(0)
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def run_rounds(
    candidates: Sequence[Candidate],
    workloads: Mapping[str, Workload],
    timing: Timing,
    cores: Cores,
    results: Results,
    *,
    seed: int,
    progress: Progress,
) -> None:
    """Add a sample to *results* for each candidate, workload and round. A candidate that fails is not tried again."""
    rng = random.Random(seed)
    alive = list(candidates)
    for number in range(1, timing.rounds + 1):
        # All servers of a round run side by side, idle but for the one under load: they cost the others nothing,
        # and the samples of one workload lie seconds apart.
        with ExitStack() as stack:
            processes: dict[Candidate, ServerProcess] = {}
            for candidate in list(alive):
                try:
                    processes[candidate] = stack.enter_context(candidate.start(cores.server))
                except (ServerError, OSError) as error:
                    alive.remove(candidate)
                    results.failures.append(candidate.failure(error))
            for workload in workloads.values():
                for candidate in rng.sample(alive, len(alive)):
                    server = candidate.server.name
                    progress(f"round {number} of {timing.rounds}, {workload.title}", f"{server} on {candidate.loop}")
                    try:
                        sample = measure(processes[candidate], candidate, workload, timing, number)
                    except (ServerError, OSError) as error:
                        alive.remove(candidate)
                        said = processes[candidate].error_output()
                        results.failures.append(candidate.failure(ServerError(f"{error} ({said})")))
                    else:
                        results.samples.append(sample)


def measure(process: ServerProcess, candidate: Candidate, workload: Workload, timing: Timing, number: int) -> Sample:
    """Load *process* and take one sample of it."""
    with EchoLoad(process.port, workload) as load:
        load.run(timing.warmup)
        before = process.cpu_seconds()
        window = load.run(timing.window)
        cpu_seconds = process.cpu_seconds() - before
    if not window.messages:
        raise ServerError(f"no message was answered in {timing.window:g} s")
    return Sample(
        server=candidate.server.name,
        loop=candidate.loop,
        workload=workload.name,
        round=number,
        messages=window.messages,
        seconds=window.seconds,
        cpu_seconds=cpu_seconds,
        p50_us=percentile(window.latencies_ns, 50) / 1e3,
        p99_us=percentile(window.latencies_ns, 99) / 1e3,
    )
