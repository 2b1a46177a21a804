"""Many hostile peers in one process that sleeps until there is something to do.

It prints a line when it starts, answers `report` with what became of the peers of each kind, as JSON, and ends at
`stop` or at the end of its input. When a connection ends, its peer comes again after a pause, from the same address.
Each peer has an address of its own.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.loads.hostile_peers import KINDS, HostilePeer, Record, new_peer

__all__ = ["PAUSE"]

PAUSE = 1.0
"""Seconds until a peer comes again after its connection has ended. All peers first come within this time."""


@dataclass(slots=True)
class _Present:
    """A peer that is there, or connects."""

    name: str
    source: str
    peer: HostilePeer
    awaited: int = select.EPOLLIN | select.EPOLLOUT


class Attack:
    """The hostile peers of some kinds, each with its number, on the servers at two ports."""

    __slots__ = ("_count", "_epoll", "_later", "_peers", "_ports", "_records")

    def __init__(self, numbers: dict[str, int], ports: dict[bool, int], epoll: select.epoll) -> None:
        self._epoll = epoll
        self._ports = ports
        self._peers: dict[int, _Present] = {}
        self._records = {name: Record() for name in numbers}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        names = [name for name, number in numbers.items() for _ in range(number)]
        for number, name in enumerate(names):
            source = f"127.1.{number >> 8}.{number & 255}"
            self._in_a_while(PAUSE * number / len(names), partial(self._come, name, source))

    def run(self, is_over: Callable[[], bool]) -> None:
        """Attack until the standard input is readable and *is_over* returns true."""
        stdin = sys.stdin.fileno()
        self._epoll.register(stdin, select.EPOLLIN)
        while True:
            timeout = self._later[0][0] - time.monotonic() if self._later else None
            for fd, events in self._epoll.poll(max(timeout, 0.0) if timeout is not None else None):
                if fd != stdin:
                    self._act(fd, events)
                elif is_over():
                    return
            while self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()

    def report(self) -> str:
        for present in self._peers.values():
            self._keep_age(present)
        return json.dumps({name: asdict(record) for name, record in self._records.items()})

    def close(self) -> None:
        for present in self._peers.values():
            present.peer.close()

    def _come(self, name: str, source: str) -> None:
        kind = KINDS[name]
        peer = new_peer(kind, self._records[name], self._ports[kind.tls], source)
        present = self._peers[peer.fileno()] = _Present(name, source, peer)
        self._epoll.register(peer.fileno(), present.awaited)
        if kind.leaves_after:
            self._in_a_while(kind.leaves_after, lambda: self._end(peer.fileno()))
        elif kind.drip:
            self._in_a_while(1.0, lambda: self._tick(peer))

    def _act(self, fd: int, events: int) -> None:
        present = self._peers[fd]
        try:
            awaited = present.peer.act(events)
        except BlockingIOError:
            return
        except OSError:
            self._end(fd)
            return
        if awaited != present.awaited:
            present.awaited = awaited
            self._epoll.modify(fd, awaited)

    def _tick(self, peer: HostilePeer) -> None:
        if peer.fileno() >= 0:
            with suppress(OSError):  # an event is about to tell the same
                peer.tick()
            self._in_a_while(1.0, lambda: self._tick(peer))

    def _end(self, fd: int) -> None:
        if fd in self._peers:
            present = self._peers.pop(fd)
            self._keep_age(present)
            self._epoll.unregister(fd)
            present.peer.close()
            self._in_a_while(PAUSE, lambda: self._come(present.name, present.source))

    def _keep_age(self, present: _Present) -> None:
        record = self._records[present.name]
        record.longest = max(record.longest, present.peer.age)

    def _in_a_while(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._count), act))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcp", type=int, default=0, metavar="PORT")
    parser.add_argument("--tls", type=int, default=0, metavar="PORT")
    parser.add_argument("--peers", nargs="+", required=True, metavar="KIND=NUMBER")
    options = parser.parse_args()
    numbers = {name: int(number) for name, number in (word.split("=") for word in options.peers)}

    def is_over() -> bool:
        words = os.read(sys.stdin.fileno(), 4096).split()
        for word in words:
            if word == b"report":
                print(attack.report(), flush=True)
        return not words or b"stop" in words

    with select.epoll() as epoll:
        attack = Attack(numbers, {False: options.tcp, True: options.tls}, epoll)
        print(sum(numbers.values()), flush=True)
        try:
            attack.run(is_over)
        finally:
            attack.close()


if __name__ == "__main__":
    main()
