"""KiB of resident memory per idle connection: the growth of the server by 1,000 connections, divided by 1,000."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.candidates import Candidate, Cores
from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import LoadSocket, dial, exchange
from benchmarks.process import ProgramError, ProgramProcess

__all__ = ["IDLE_CONNECTIONS", "allow_descriptors", "await_idle", "hold_connections", "idle_connections"]

IDLE_CONNECTIONS = 1000

_SETTLE_TIMEOUT = 10.0
_IDLE_CPU = 0.001  # seconds that an idle program may use in 0.05 s
_MESSAGE = make_lines(100, 1, seed=0)


def idle_connections(candidate: Candidate, cores: Cores, count: int = IDLE_CONNECTIONS) -> dict[str, float]:
    """Measure two new servers: one whose connections have exchanged a message, one whose connections stay silent."""
    allow_descriptors(count + 200)
    return {
        "idle-used": _kib_per_connection(candidate, count, cores.program, talk=True),
        "idle-silent": _kib_per_connection(candidate, count, cores.program, talk=False),
    }


def allow_descriptors(count: int) -> None:
    """Raise the limit of open descriptors, for this process and for the processes that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ProgramError(f"{count} open files are needed, but the hard limit (ulimit -Hn) is {hard}")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _kib_per_connection(candidate: Candidate, count: int, core: int | None, *, talk: bool) -> float:
    with candidate.start(core) as process:
        # Leave out the one-off imports and allocations of the first connections.
        with hold_connections(process, 20, talk=True):
            pass
        await_idle(process)
        before = process.resident_bytes()
        with hold_connections(process, count, talk=talk):
            return (process.resident_bytes() - before) / count / 1024


@contextmanager
def hold_connections(process: ProgramProcess, count: int, *, talk: bool) -> Iterator[None]:
    """Hold *count* connections that are all accepted and idle; with *talk*, each exchanges a message before."""
    descriptors = process.open_descriptors()
    sockets: list[LoadSocket] = []
    try:
        for _ in range(count):
            sockets.append(dial(process.transport, process.address))
            if talk:
                exchange(sockets[-1], _MESSAGE)
        end = time.monotonic() + _SETTLE_TIMEOUT
        while process.open_descriptors() < descriptors + count:
            if time.monotonic() > end:
                raise ProgramError(f"not all of {count} connections were accepted in {_SETTLE_TIMEOUT:g} s")
            time.sleep(0.01)
        await_idle(process)
        yield
    finally:
        for sock in sockets:
            sock.close()


def await_idle(process: ProgramProcess) -> None:
    """Wait until the program has used no CPU for a while, except for a timer that finds nothing to do."""
    end = time.monotonic() + _SETTLE_TIMEOUT
    before = -1.0
    while (now := process.cpu_seconds()) - before > _IDLE_CPU and time.monotonic() < end:
        before = now
        time.sleep(0.05)
