"""Programs to measure, and a server of a few lines that misbehaves on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from benchmarks.candidates import Candidate, Cores
from benchmarks.catalogue import GROUPS, PROGRAMS, Workload
from benchmarks.peers import Interpreter
from benchmarks.process import ProgramProcess
from benchmarks.progress import Progress
from benchmarks.results import Results
from benchmarks.rounds import Timing, run_rounds

NO_CORES = Cores(None, None)


def candidate(key: str, loop: str, interpreter: Interpreter) -> Candidate:
    return Candidate(GROUPS[key.partition("/")[0]], PROGRAMS[key], loop, interpreter)


def one_round(measured: Candidate, workload: Workload) -> Results:
    """What a short round makes of *measured* under *workload*, which need not be one of its group."""
    results = Results({}, {})
    changed = replace(measured, group=replace(measured.group, workloads=(workload,)))
    timing = Timing(rounds=1, warmup=0.01, window=0.1)
    run_rounds([changed], [workload.name], timing, NO_CORES, results, seed=1, progress=Progress())
    return results


class FakeProcess:
    """A server that lives in this process: what the load asks of a process, and nothing else."""

    def __init__(self, port: int) -> None:
        self.address = str(port)
        self.transport = "tcp"


@contextmanager
def answering(answer: Callable[[bytes, int], bytes]) -> Iterator[ProgramProcess]:
    """A server that answers each read of its one connection with what *answer* makes of it and of the bytes so far."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            total = 0
            while data := connection.recv(65536):
                total += len(data)
                answered = answer(data, total)
                if not answered:
                    return
                connection.sendall(answered)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        yield cast(ProgramProcess, FakeProcess(listener.getsockname()[1]))
        thread.join(10)
        assert not thread.is_alive()
