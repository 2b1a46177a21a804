"""The peer of a measured client: it sends commands to the client, and does its own part without sleeping."""

from __future__ import annotations

import select
import socket
import time
from types import TracebackType
from typing import Self

from benchmarks.catalogue import Workload
from benchmarks.loads.sockets import BUFFER_SIZE, HOST
from benchmarks.loads.window import STALL_NS, Window
from benchmarks.process import ProgramError, ProgramProcess

__all__ = ["ClientLoad"]

_TIMEOUT = 10.0


class ClientLoad:
    """One connection of the client in *process*. The name of the workload is the command to the client."""

    __slots__ = ("_buffer", "_connection", "_process", "_stream", "_workload")

    def __init__(self, process: ProgramProcess, workload: Workload) -> None:
        self._process = process
        self._workload = workload
        self._buffer = bytearray(BUFFER_SIZE)
        # All clients send and receive the same line over and over: see benchmarks.clients.harness.
        line = (b"0123456789" * (workload.frame // 10 + 1))[: workload.frame - 1] + b"\n"
        self._stream = line * workload.depth
        with socket.create_server((HOST, 0)) as listener:
            listener.settimeout(_TIMEOUT)
            process.tell(f"connect {listener.getsockname()[1]}")
            self._connection = listener.accept()[0]
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setblocking(False)
        self._hear_done()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def run(self, seconds: float) -> Window:
        """Send commands for `depth` packets each, until the time is over."""
        clock = time.perf_counter
        begin = now = clock()
        turns = 0
        while now < begin + seconds:
            self._process.tell(f"{self._workload.name} {self._workload.depth}")
            self._serve()
            self._hear_done()
            turns += 1
            now = clock()
        return Window(turns * self._workload.depth, now - begin, [])

    def _hear_done(self) -> None:
        if (answer := self._process.hear(_TIMEOUT)) != "done":
            raise ProgramError(f"the client answered {answer!r}, expected 'done'")

    def _serve(self) -> None:
        """Do the peer's part of one command, until the client prints its answer."""
        job = self._workload.name
        connection, buffer, stream = self._connection, memoryview(self._buffer), self._stream
        unsent = memoryview(stream if job == "receive" else b"")
        received = 0
        poll = select.poll()
        poll.register(self._process.answers, select.POLLIN)
        poll.register(connection, select.POLLIN | (select.POLLOUT if unsent else 0))
        heard = time.perf_counter_ns()
        while True:
            events = poll.poll(0)
            if not events:
                if time.perf_counter_ns() - heard > STALL_NS:
                    raise ProgramError(f"the client did nothing for {STALL_NS / 1e9:g} s")
                continue
            heard = time.perf_counter_ns()
            for fd, mask in events:
                if fd == self._process.answers:
                    break
                if mask & select.POLLOUT:
                    unsent = unsent[connection.send(unsent) :]
                    if not unsent:
                        poll.modify(connection, select.POLLIN)
                if mask & ~select.POLLOUT:
                    count = connection.recv_into(buffer)
                    if not count:
                        raise ProgramError("the client closed the connection")
                    received += count
                    if job == "ping":
                        connection.send(buffer[:count])
                    elif received == len(stream):  # confirm the arrival of all packets
                        connection.send(stream[: self._workload.frame])
            else:
                continue
            break
        if job != "receive" and received != len(stream):
            raise ProgramError(f"the client sent {received} of {len(stream)} bytes")
