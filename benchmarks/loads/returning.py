"""Clients of a server that is restarted again and again: they keep requests in flight, and connect again.

The program prints a line when it starts. Its commands: `count` prints the number of replies so far; `finish` sends no
more requests, waits for the replies, prints a report as JSON and ends.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.loads.channels import Channel, connect
from benchmarks.loads.numbered import first_number, request
from benchmarks.process import ProgramError

__all__ = ["IN_FLIGHT", "Kind", "kind_of"]

IN_FLIGHT = 32
"""Requests of each client."""

_AT_ONCE = 256 * 1024  # bytes of a read
_A_LITTLE = 32 * 1024  # of a slow reader
_PAUSE = 0.005  # seconds between two reads of a slow reader, and between two attempts to connect
_PATIENCE = 10.0  # seconds to wait for the last replies


@dataclass(frozen=True)
class Kind:
    """What a client asks for, and how it reads the replies."""

    title: str
    size: int = 100  # bytes of a reply
    milliseconds: int = 0  # that the handler needs
    is_slow: bool = False


_FAST = Kind("fast")
_SLOW = Kind("reads slowly", size=32768, is_slow=True)
_KINDS = (_FAST, _FAST, _FAST, Kind("asks for work", milliseconds=5), _SLOW)


def kind_of(client: int) -> Kind:
    """Return the kind of a client, by its number: they take turns."""
    return _KINDS[client % len(_KINDS)]


@dataclass
class Situation:
    """What all clients share."""

    port: int
    context: ssl.SSLContext | None
    epoll: select.epoll
    is_over: bool = False  # no more requests, no more connections
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: list[tuple[int, int]] = field(default_factory=list)  # ranges of requests, of connections that have ended


class Client:
    """A client, with one connection at a time."""

    __slots__ = ("_begin", "_channel", "_first", "_kind", "_next", "_partial", "_situation")

    def __init__(self, number: int, situation: Situation) -> None:
        self._kind = kind_of(number)
        self._situation = situation
        self._next = first_number(number)
        self._connect()

    @property
    def is_waiting(self) -> bool:
        """Whether a reply is missing that may still come."""
        return self._channel is not None and self._first < self._next

    def fileno(self) -> int:
        return -1 if self._channel is None else self._channel.fileno()

    def act(self, events: int) -> None:
        """Do what the events of the socket allow."""
        if not events & select.EPOLLOUT:
            self._read()
            return
        assert self._channel is not None
        try:
            self._channel.begin()
        except OSError:
            self._end("refused")
            return
        self._situation.outcomes["connections"] += 1
        self._situation.epoll.modify(self._channel.fileno(), select.EPOLLIN)
        if self._channel.is_open:
            self._start()

    def tick(self) -> None:
        """Read slowly, and connect again."""
        if self._channel is None:
            if not self._situation.is_over:
                self._connect()
        elif self._kind.is_slow and self._channel.is_open:
            self._read()

    def answered(self) -> tuple[int, int]:
        """Return the range of requests on this connection that have a reply."""
        return self._begin, self._first

    def _connect(self) -> None:
        self._begin = self._first = self._next  # the first request of this connection; the first one without a reply
        self._partial = b""
        receive_buffer = _A_LITTLE if self._kind.is_slow else None
        self._channel: Channel | None = connect(self._situation.port, self._situation.context, receive_buffer)
        self._situation.epoll.register(self._channel.fileno(), select.EPOLLOUT)

    def _start(self) -> None:
        assert self._channel is not None
        if self._kind.is_slow:
            self._situation.epoll.modify(self._channel.fileno(), 0)
        self._send(IN_FLIGHT)

    def _send(self, count: int) -> None:
        if self._situation.is_over:
            return
        numbers = range(self._next, self._next + count)
        self._next += count
        assert self._channel is not None
        try:
            self._channel.send(b"".join(request(n, self._kind.size, self._kind.milliseconds) for n in numbers))
        except ConnectionError:
            pass  # the server has closed the connection, but its replies may still have to be read

    def _read(self) -> None:
        channel = self._channel
        assert channel is not None
        was_open = channel.is_open
        try:
            data = channel.receive(_A_LITTLE if self._kind.is_slow else _AT_ONCE)
        except BlockingIOError:
            data = None
        except OSError:
            self._end("reset")
            return
        if channel.is_open and not was_open:
            self._start()
        if data == b"":
            self._end("ended")
        elif data is not None:
            self._take(data)

    def _take(self, data: bytes) -> None:
        *replies, self._partial = (self._partial + data).split(b"\n")
        for reply in replies:
            if len(reply) + 1 != self._kind.size or int(reply.partition(b" ")[0]) != self._first:
                raise ProgramError(f"a wrong reply to request {self._first}: {reply[:30]!r}")
            self._first += 1
        self._send(len(replies))

    def _end(self, how: str) -> None:
        assert self._channel is not None
        outcomes = self._situation.outcomes
        if how != "refused":
            if self._first == self._begin:
                outcomes["without a reply"] += 1
            if self._partial or self._channel.has_partial_record:
                how = f"{how} in a reply"
        outcomes[how] += 1
        self._situation.answered.append(self.answered())
        self._channel.close()
        self._channel = None


class Clients:
    """All clients. Run them until the standard input tells to stop, or ends."""

    __slots__ = ("_clients", "_situation")

    def __init__(self, count: int, situation: Situation) -> None:
        self._situation = situation
        self._clients = [Client(number, situation) for number in range(count)]

    def run(self) -> None:
        stdin = sys.stdin.fileno()
        situation = self._situation
        situation.epoll.register(stdin, select.EPOLLIN)
        by_descriptor = {client.fileno(): client for client in self._clients}
        tick = time.monotonic() + _PAUSE
        end = math.inf
        while time.monotonic() < end:
            for fd, events in situation.epoll.poll(max(tick - time.monotonic(), 0.0)):
                if fd != stdin:
                    by_descriptor[fd].act(events)
                elif not self._obey(os.read(stdin, 4096).split()):
                    return
            if situation.is_over:
                end = min(end, time.monotonic() + _PATIENCE)
                if not any(client.is_waiting for client in self._clients):
                    break
            if time.monotonic() >= tick:
                for client in self._clients:
                    client.tick()
                by_descriptor = {client.fileno(): client for client in self._clients}
                tick = time.monotonic() + _PAUSE
        print(json.dumps({"outcomes": situation.outcomes, "answered": self._answered()}), flush=True)

    def _obey(self, words: list[bytes]) -> bool:
        """Execute the commands. Return whether to continue."""
        for word in words:
            if word == b"count":
                print(sum(stop - start for start, stop in self._answered()), flush=True)
            elif word == b"finish":
                self._situation.is_over = True
        return bool(words) and b"stop" not in words

    def _answered(self) -> list[tuple[int, int]]:
        return [*self._situation.answered, *(client.answered() for client in self._clients if client.fileno() >= 0)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--transport", choices=["tcp", "tls"], default="tcp")
    options = parser.parse_args()
    with select.epoll() as epoll:
        clients = Clients(options.clients, Situation(options.port, context_for(options.transport), epoll))
        print(options.clients, flush=True)
        clients.run()


def context_for(transport: str) -> ssl.SSLContext | None:
    """Return a context that trusts every server, because the certificates of a benchmark last as long as it."""
    if transport != "tls":
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    main()
