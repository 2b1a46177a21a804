"""Raw sockets in one process that never sleeps, sends ready-made batches and counts the bytes that come back.

The load costs less per message than any measured server, so the server is the bottleneck. It compares answers byte by
byte before and after the measured time; in between it checks only their length.
"""

from __future__ import annotations

import select
import time
from types import TracebackType
from typing import Self

from benchmarks.catalogue import Workload
from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import BUFFER_SIZE, LoadSocket, dial, exchange
from benchmarks.loads.window import STALL_NS, Window
from benchmarks.process import ProgramError, ProgramProcess

__all__ = ["EchoLoad"]


class _Connection:
    __slots__ = ("answer", "awaited", "batch", "socket", "started", "unsent")

    def __init__(self, sock: LoadSocket, workload: Workload, number: int) -> None:
        self.socket = sock
        self.batch = make_lines(workload.frame, workload.depth, seed=number)
        self.answer = self.batch
        if workload.answer is not None:
            frames = range(0, len(self.batch), workload.frame)
            self.answer = b"".join(self.batch[start : start + workload.answer] for start in frames)
        self.awaited = 0
        self.started = 0
        self.unsent: memoryview | None = None


class EchoLoad:
    """Connections to one server. The constructor opens and checks them; the context manager checks and closes them."""

    __slots__ = ("_buffer", "_connections", "_epoll", "_workload")

    def __init__(self, process: ProgramProcess, workload: Workload) -> None:
        self._workload = workload
        self._buffer = bytearray(BUFFER_SIZE)
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        try:
            for number in range(workload.connections):
                sock = dial(process.transport, process.address)
                self._connections[sock.fileno()] = _Connection(sock, workload, number)
                self._epoll.register(sock, select.EPOLLIN)
            self._check_content()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        for connection in self._connections.values():
            self._send_batch(connection)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None:
                self._run(10.0, send_more=False)
                self._check_content()
        finally:
            self._close()

    def run(self, seconds: float) -> Window:
        """Keep the connections busy for *seconds*. The traffic does not pause between two calls."""
        return self._run(seconds, send_more=True)

    def _run(self, seconds: float, *, send_more: bool) -> Window:
        connections, buffer, poll = self._connections, self._buffer, self._epoll.poll
        clock = time.perf_counter_ns
        latencies: list[int] = []
        received = 0
        busy = len(connections)
        now = begin = heard = clock()
        end = begin + int(seconds * 1e9)
        while now < end and busy:
            events = poll(0)
            now = clock()
            if events:
                heard = now
            elif now - heard > STALL_NS:
                raise ProgramError(f"no answer for {STALL_NS / 1e9:g} s")
            for fd, mask in events:
                connection = connections[fd]
                if mask & select.EPOLLOUT:
                    self._continue_sending(connection)
                    if mask == select.EPOLLOUT:
                        continue
                try:
                    count = connection.socket.recv_into(buffer)
                except BlockingIOError:  # TLS: an incomplete record
                    continue
                received += count
                awaited = connection.awaited - count
                if awaited > 0 and count:
                    connection.awaited = awaited
                    continue
                if awaited or not count:
                    raise ProgramError(
                        "server sent more bytes than expected" if awaited < 0 else "the server closed the connection"
                    )
                latencies.append(clock() - connection.started)
                if send_more:
                    self._send_batch(connection)
                else:
                    busy -= 1
        messages = received / (self._workload.answer or self._workload.frame)
        return Window(messages, (clock() - begin) / 1e9, [latency / 1e3 for latency in latencies])

    def _send_batch(self, connection: _Connection) -> None:
        batch = connection.batch
        connection.awaited = len(connection.answer)
        connection.started = time.perf_counter_ns()
        try:
            sent = connection.socket.send(batch)
        except BlockingIOError:
            sent = 0
        if sent < len(batch):
            connection.unsent = memoryview(batch)[sent:]
            self._epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def _continue_sending(self, connection: _Connection) -> None:
        assert connection.unsent is not None
        connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        if not connection.unsent:
            connection.unsent = None
            self._epoll.modify(connection.socket, select.EPOLLIN)

    def _check_content(self) -> None:
        for connection in self._connections.values():
            exchange(connection.socket, connection.batch, connection.answer)

    def _close(self) -> None:
        self._epoll.close()
        for connection in self._connections.values():
            connection.socket.close()
