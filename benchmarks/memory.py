"""KiB of resident memory for each idle connection: what a thousand of them add to the server, divided by a thousand."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load import connect, exchange, make_lines
from benchmarks.process import ServerError, ServerProcess
from benchmarks.progress import Progress
from benchmarks.results import MemorySample, Results
from benchmarks.rounds import Candidate, Cores

__all__ = ["IDLE_CONNECTIONS", "measure_memory", "run_memory"]

IDLE_CONNECTIONS = 1000

_SETTLE_TIMEOUT = 10.0
_MESSAGE = make_lines(100, 1, seed=0)


def run_memory(candidates: list[Candidate], cores: Cores, results: Results, *, progress: Progress) -> None:
    """Add a memory sample to *results* for each candidate."""
    allow_descriptors(IDLE_CONNECTIONS + 200)
    for candidate in candidates:
        progress("memory of idle connections", f"{candidate.server.name} on {candidate.loop}")
        try:
            results.memory.append(measure_memory(candidate, IDLE_CONNECTIONS, cores.server))
        except (ServerError, OSError) as error:
            results.failures.append(candidate.failure(error))


def allow_descriptors(count: int) -> None:
    """Raise the limit of open descriptors, here and for the processes started from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ServerError(f"this needs {count} open files, and the hard limit (ulimit -Hn) is {hard}")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def measure_memory(candidate: Candidate, count: int, core: int | None) -> MemorySample:
    """Two fresh servers, one whose connections stay silent, one whose connections have exchanged a message."""
    silent, used = (_kib_per_connection(candidate, count, core, talk=talk) for talk in (False, True))
    return MemorySample(candidate.server.name, candidate.loop, count, silent_kib=silent, used_kib=used)


def _kib_per_connection(candidate: Candidate, count: int, core: int | None, *, talk: bool) -> float:
    with candidate.start(core) as process:
        # What the first connections import and allocate once is not what a connection costs.
        with _connections(process, 20, talk=True):
            pass
        _await_idle(process)
        before = process.resident_bytes()
        with _connections(process, count, talk=talk):
            return (process.resident_bytes() - before) / count / 1024


@contextmanager
def _connections(process: ServerProcess, count: int, *, talk: bool) -> Iterator[None]:
    """So many connections, all accepted, and idle once they have talked."""
    descriptors = process.open_descriptors()
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(connect(process.port))
            if talk:
                exchange(sockets[-1], _MESSAGE)
        end = time.monotonic() + _SETTLE_TIMEOUT
        while process.open_descriptors() < descriptors + count:
            if time.monotonic() > end:
                raise ServerError(f"not all of {count} connections were accepted in {_SETTLE_TIMEOUT:g} s")
            time.sleep(0.01)
        _await_idle(process)
        yield
    finally:
        for sock in sockets:
            sock.close()


def _await_idle(process: ServerProcess) -> None:
    """Wait until the server has used no CPU for a while."""
    end = time.monotonic() + _SETTLE_TIMEOUT
    before = -1.0
    while (now := process.cpu_seconds()) != before and time.monotonic() < end:
        before = now
        time.sleep(0.05)
