"""The load: raw sockets in one process that never sleeps, sends ready-made batches and counts the bytes it gets back.

Cheaper per message than any server measured here, so that the server's core is the busy one. Answers are compared
byte by byte before and after the measured time; in between only their length is.
"""

from __future__ import annotations

import random
import select
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from benchmarks.catalogue import Workload
from benchmarks.process import ServerError

__all__ = ["CONNECTIONS", "EchoLoad", "Window", "connect", "exchange", "make_lines"]

CONNECTIONS = 32

_BUFFER_SIZE = 256 * 1024
_STALL_NS = 10_000_000_000
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Window:
    """What happened while the load ran."""

    messages: float
    seconds: float
    latencies_ns: list[int]  # from the first byte of a batch sent to the last byte of its answers received


class _Connection:
    __slots__ = ("awaited", "batch", "socket", "started", "unsent")

    def __init__(self, sock: socket.socket, batch: bytes) -> None:
        self.socket = sock
        self.batch = batch
        self.awaited = 0
        self.started = 0
        self.unsent: memoryview | None = None


class EchoLoad:
    """Connections to one server; a context manager that opens and checks them, and checks and closes them."""

    __slots__ = ("_buffer", "_connections", "_epoll", "_workload", "port")

    def __init__(self, port: int, workload: Workload, connections: int = CONNECTIONS) -> None:
        self.port = port
        self._workload = workload
        self._buffer = bytearray(_BUFFER_SIZE)
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        try:
            for number in range(connections):
                sock = connect(port)
                batch = make_lines(workload.frame, workload.depth, seed=number)
                self._connections[sock.fileno()] = _Connection(sock, batch)
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
        """Keep the connections busy for so long. Calls follow one another without a pause in the traffic."""
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
            elif now - heard > _STALL_NS:
                raise ServerError(f"no answer for {_STALL_NS / 1e9:g} s")
            for fd, mask in events:
                connection = connections[fd]
                if mask & select.EPOLLOUT:
                    self._continue_sending(connection)
                    if mask == select.EPOLLOUT:
                        continue
                count = connection.socket.recv_into(buffer)
                received += count
                awaited = connection.awaited - count
                if awaited > 0 and count:
                    connection.awaited = awaited
                    continue
                if awaited or not count:
                    raise ServerError(
                        "more bytes than were sent" if awaited < 0 else "the server closed the connection"
                    )
                latencies.append(clock() - connection.started)
                if send_more:
                    self._send_batch(connection)
                else:
                    busy -= 1
        return Window(received / self._workload.frame, (clock() - begin) / 1e9, latencies)

    def _send_batch(self, connection: _Connection) -> None:
        batch = connection.batch
        connection.awaited = len(batch)
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
            exchange(connection.socket, connection.batch)

    def _close(self) -> None:
        self._epoll.close()
        for connection in self._connections.values():
            connection.socket.close()


def connect(port: int) -> socket.socket:
    """A connected non-blocking socket that sends at once."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def exchange(sock: socket.socket, data: bytes, timeout: float = 10.0) -> None:
    """Send *data*, whatever its size, and insist on the same bytes in answer."""
    unsent = memoryview(data)
    answer = bytearray()
    end = time.monotonic() + timeout
    while len(answer) < len(data):
        remaining = end - time.monotonic()
        readable, writable, _ = select.select([sock], [sock] if unsent else [], [], max(remaining, 0))
        if not readable and not writable:
            raise ServerError(f"{len(answer)} of {len(data)} bytes answered in {timeout:g} s")
        if writable:
            unsent = unsent[sock.send(unsent) :]
        if readable:
            chunk = sock.recv(_BUFFER_SIZE)
            if not chunk:
                raise ServerError(f"closed by the server after {len(answer)} of {len(data)} bytes")
            answer += chunk
    if answer != data:
        raise ServerError("the answer differs from what was sent")


def make_lines(frame: int, count: int, *, seed: int) -> bytes:
    """*count* lines of *frame* bytes each, newline included; no two alike, and none like those of another seed."""
    rng = random.Random(seed)
    texts = (f"{seed}:{number}:" + "".join(rng.choices(_ALPHABET, k=min(frame, 512))) for number in range(count))
    return b"".join((text * (frame // len(text) + 1))[: frame - 1].encode("ascii") + b"\n" for text in texts)
