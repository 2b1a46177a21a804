"""The hand-written client with blocking calls: a socket, and a buffer that it searches for newlines."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.clients.harness import HOST, LINE, check, main

_LINE = LINE.encode() + b"\n"


class SocketClient:
    __slots__ = ("received", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""

    def ping(self, count: int) -> None:
        sendall, read_line = self.socket.sendall, self.read_line
        for _ in range(count):
            sendall(_LINE)
            answer = read_line()
        check(answer, _LINE)

    def send(self, count: int) -> None:
        sendall = self.socket.sendall
        for _ in range(count):
            sendall(_LINE)
        check(self.read_line(), _LINE)

    def receive(self, count: int) -> None:
        read_line = self.read_line
        for _ in range(count):
            line = read_line()
        check(line, _LINE)

    def read_line(self) -> bytes:
        received = self.received
        while (end := received.find(b"\n") + 1) == 0:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionAbortedError("the peer has closed the connection")
            received += chunk
        self.received = received[end:]
        return received[:end]


@contextmanager
def connect(port: int) -> Iterator[SocketClient]:
    with socket.create_connection((HOST, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield SocketClient(sock)


if __name__ == "__main__":
    main(connect)
