"""50,000 datagrams for stalled handlers: the memory that the server keeps, and whether it accounts for all of them."""

from __future__ import annotations

import time

from benchmarks.candidates import Candidate, Cores
from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import dial
from benchmarks.readings.idle import allow_descriptors, await_idle

__all__ = ["flood"]

_DATAGRAMS = 50_000
_SENDERS = 1000
_DATAGRAM = make_lines(1024, 1, seed=0)
_BURST = 50


def flood(candidate: Candidate, cores: Cores, datagrams: int = _DATAGRAMS, senders: int = _SENDERS) -> dict[str, float]:
    """Flood two new servers, one from a single sender, one from many."""
    allow_descriptors(senders + 200)
    growth, lost = _flood(candidate, cores.program, datagrams, 1)
    growth_many, lost_many = _flood(candidate, cores.program, datagrams, senders)
    return {"flood-mib": growth, "flood-lost": lost, "flood-many-mib": growth_many, "flood-many-lost": lost_many}


def _flood(candidate: Candidate, core: int | None, datagrams: int, senders: int) -> tuple[float, float]:
    with candidate.start(core) as process:
        sockets = [dial("udp", process.address) for _ in range(senders)]
        try:
            sockets[0].send(_DATAGRAM)  # leave out the imports and allocations of the first datagram
            await_idle(process)
            before = process.resident_bytes()
            for number in range(datagrams):
                sockets[number % senders].send(_DATAGRAM)
                if number % _BURST == 0:
                    time.sleep(0.001)  # give the server time to receive
            await_idle(process)
            growth = process.resident_bytes() - before
            process.ask("release")
            await_idle(process)
            delivered, dropped = map(int, process.ask("report").split())
        finally:
            for sock in sockets:
                sock.close()
    return growth / (1 << 20), datagrams + 1 - delivered - dropped
