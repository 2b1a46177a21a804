"""Peers that mean no good to the server at a port, in one process that sleeps until there is something to do.

It prints a line when all of them have connected, and ends at `stop` or at the end of its input.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys
from typing import Protocol

from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import BUFFER_SIZE, HOST

__all__ = ["KINDS", "Attacker"]


class Attacker(Protocol):
    """One hostile peer."""

    def fileno(self) -> int: ...

    def act(self, events: int) -> None:
        """Do what the *events* of the socket allow."""


class Flooder:
    """Pipeline requests without ever waiting for an answer; read the answers, so that the server continues."""

    __slots__ = ("_buffer", "_position", "_requests", "_socket")

    def __init__(self, port: int, number: int) -> None:
        self._requests = memoryview(make_lines(100, 655, seed=number))
        self._position = 0
        self._buffer = bytearray(BUFFER_SIZE)
        self._socket = socket.create_connection((HOST, port), timeout=10)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def act(self, events: int) -> None:
        if events & ~select.EPOLLOUT and not self._socket.recv_into(self._buffer):
            raise ConnectionAbortedError("the server closed the connection of a flooder")
        if events & select.EPOLLOUT:
            sent = self._socket.send(self._requests[self._position :])
            self._position = (self._position + sent) % len(self._requests)


KINDS = {"flooder": Flooder}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    attackers: dict[int, Attacker] = {}
    with select.epoll() as epoll:
        for number in range(options.count):
            attacker = KINDS[options.kind](options.port, number)
            attackers[attacker.fileno()] = attacker
            epoll.register(attacker.fileno(), select.EPOLLIN | select.EPOLLOUT)
        epoll.register(sys.stdin, select.EPOLLIN)
        print(len(attackers), flush=True)
        while True:
            for fd, events in epoll.poll():
                if fd != sys.stdin.fileno():
                    attackers[fd].act(events)
                elif os.read(fd, 4096).strip() in (b"stop", b""):
                    return


if __name__ == "__main__":
    main()
