"""The load of short connections: connect, send one line, receive it, close; 32 connections at any time."""

from __future__ import annotations

import select
import socket
import time
from itertools import cycle
from types import TracebackType
from typing import Self

from benchmarks.catalogue import Workload
from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import BUFFER_SIZE, HOST
from benchmarks.loads.window import STALL_NS, Window
from benchmarks.process import ProgramError, ProgramProcess

__all__ = ["ConnectionLoad"]

# A closed connection occupies its pair of ports for a minute (TIME_WAIT), so a single source address would run out of
# ports; use many addresses of 127.0.0.0/8. With this option, which Python names from 3.12 on, connect() chooses the
# port instead of bind(), because it knows the other end: see ip(7).
_SOURCES = [f"127.0.{third}.{fourth}" for third in range(1, 5) for fourth in range(1, 251)]
_IP_BIND_ADDRESS_NO_PORT = 24


class ConnectionLoad:
    """Open short connections and compare each answer with the line sent. One message is a whole connection."""

    __slots__ = ("_address", "_count", "_epoll", "_line", "_open", "_sources")

    def __init__(self, process: ProgramProcess, workload: Workload) -> None:
        self._address = (HOST, int(process.address))
        self._line = make_lines(workload.frame, workload.depth, seed=0)
        self._count = workload.connections
        self._sources = cycle(_SOURCES)
        self._epoll = select.epoll()
        self._open: dict[int, tuple[socket.socket, int]] = {}  # with the time of the start

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self._connect()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._epoll.close()
        for sock, _ in self._open.values():
            sock.close()

    def run(self, seconds: float) -> Window:
        """Open and close connections for *seconds*. The traffic does not pause between two calls."""
        poll, clock = self._epoll.poll, time.perf_counter_ns
        latencies: list[float] = []
        now = begin = heard = clock()
        end = begin + int(seconds * 1e9)
        while now < end:
            events = poll(0)
            now = clock()
            if events:
                heard = now
            elif now - heard > STALL_NS:
                raise ProgramError(f"no answer for {STALL_NS / 1e9:g} s")
            for fd, _ in events:
                sock, started = self._open.pop(fd)
                answer = sock.recv(BUFFER_SIZE)
                sock.close()
                if answer != self._line:
                    raise ProgramError("the answer differs from the line sent")
                latencies.append((clock() - started) / 1e3)
                self._connect()
        return Window(len(latencies), (clock() - begin) / 1e9, latencies)

    def _connect(self) -> None:
        started = time.perf_counter_ns()
        sock = socket.socket()
        self._open[sock.fileno()] = sock, started
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((next(self._sources), 0))
        # On loopback neither call blocks while the server's backlog is longer than the number of connections.
        sock.connect(self._address)
        sock.send(self._line)
        self._epoll.register(sock, select.EPOLLIN)
