"""Peers that mean no good: what each kind does on its connection."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from typing import Protocol

from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import BUFFER_SIZE, HOST

__all__ = ["KINDS", "HostilePeer", "Kind", "Record", "new_peer"]

_GARBAGE = random.Random(1).randbytes(512)
_REQUESTS = make_lines(100, 655, seed=1)
_SMALL_BUFFER = 4096
_SEGMENT = 1460  # bytes, as on Ethernet
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for 0 s
_IP_BIND_ADDRESS_NO_PORT = 24  # of ip(7): choose the port when it connects, or all peers share one range of ports


@dataclass(frozen=True)
class Kind:
    """What a hostile peer does, and where."""

    title: str
    tls: bool = False
    opening: bytes = b""  # what it sends at once
    drip: bytes = b""  # what it sends each second
    leaves_after: float = 0.0  # seconds until it resets the connection; 0: it stays
    floods: bool = False  # whether it sends requests as fast as it can
    reads: bool = True
    updates_keys: bool = False
    deadline: str | None = None  # the field of ServerLimits that ends its connection


KINDS = {
    "silent": Kind("silent", deadline="first_packet_timeout"),
    "half": Kind("half a frame", opening=b"half a fra", deadline="packet_timeout"),
    "drip": Kind("one byte a second", opening=b"x", drip=b"x", deadline="packet_timeout"),
    "deaf": Kind("never reads", floods=True, reads=False, deadline="send_timeout"),
    "reset": Kind("resets", opening=b"half a fra", leaves_after=0.1),
    "tls-silent": Kind("silent before TLS", tls=True, deadline="handshake_timeout"),
    "tls-garbage": Kind("garbage as TLS", tls=True, opening=_GARBAGE, deadline="handshake_timeout"),
    "tls-keys": Kind("updates its TLS keys", tls=True, updates_keys=True, deadline="first_packet_timeout"),
    "flooder": Kind("floods", floods=True),
}


@dataclass
class Record:
    """What became of the peers of one kind."""

    connections: int = 0
    refused: int = 0  # attempts to connect that failed
    longest: float = 0.0  # seconds that a connection lasted, or lasts still
    answers: int = 0  # bytes


class HostilePeer(Protocol):
    """One connection of a peer. Its methods raise OSError when it has ended."""

    @property
    def age(self) -> float:
        """The seconds for which the server has put up with the peer."""

    def fileno(self) -> int: ...

    def act(self, events: int) -> int:
        """Do what *events* allow, and return the events to wait for."""

    def tick(self) -> None:
        """Do what the peer does once a second."""

    def close(self) -> None: ...


def new_peer(kind: Kind, record: Record, port: int, source: str) -> HostilePeer:
    """Connect a new peer to *port*. *source* is its own address."""
    peer = _KeyUpdates if kind.updates_keys else _Socket
    return peer(kind, record, port, source)


class _Socket:
    __slots__ = ("_connected", "_kind", "_record", "_since", "_socket", "_unsent")

    _buffer = bytearray(BUFFER_SIZE)  # shared: what the server answers is only counted

    def __init__(self, kind: Kind, record: Record, port: int, source: str) -> None:
        self._kind = kind
        self._record = record
        self._connected = False
        self._since = time.monotonic()
        self._unsent = memoryview(_REQUESTS)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        if kind.leaves_after:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if not kind.reads:
            # Otherwise, the kernel holds megabytes of answers for each, because segments are large on the loopback.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        self._socket.bind((source, 0))
        self._socket.connect_ex((HOST, port))

    @property
    def age(self) -> float:
        return time.monotonic() - self._since if self._connected else 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def act(self, events: int) -> int:
        if not self._connected:
            self._begin()
        elif events & select.EPOLLIN:
            received = self._socket.recv_into(self._buffer)
            if not received:
                raise ConnectionAbortedError("the server has closed the connection")
            self._record.answers += received
        elif events & ~select.EPOLLOUT:
            raise ConnectionResetError("the server has reset the connection")
        if events & select.EPOLLOUT and self._kind.floods:
            self._unsent = self._unsent[self._socket.send(self._unsent) :] or memoryview(_REQUESTS)
            # The server has still made room for requests. Its deadline for one that never reads starts when it stops.
            self._since = time.monotonic()
        wanted = select.EPOLLIN if self._kind.reads else select.EPOLLRDHUP
        return wanted | select.EPOLLOUT if self._kind.floods else wanted

    def _begin(self) -> None:
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._record.refused += 1
            raise OSError(error, os.strerror(error))
        self._connected = True
        self._since = time.monotonic()
        self._record.connections += 1
        self._socket.send(self._kind.opening)

    def tick(self) -> None:
        if self._connected and self._kind.drip:
            self._socket.send(self._kind.drip)

    def close(self) -> None:
        self._socket.close()


class _KeyUpdates:
    """A process of OpenSSL that sends a message KeyUpdate (RFC 8446, section 4.6.3) for each line `K` of its input.

    Each asks the server for one of its own. The processes yield to all others, because each could fill a core.
    """

    __slots__ = ("_client", "_commands", "_pidfd", "_since")

    def __init__(self, kind: Kind, record: Record, port: int, source: str) -> None:
        command = ["nice", "-n", "19", "openssl", "s_client", "-quiet", "-no_ign_eof", "-tls1_3"]
        command += ["-connect", f"{HOST}:{port}", "-bind", f"{source}:0"]
        self._since = time.monotonic()
        self._commands = subprocess.Popen(["yes", "K"], stdout=subprocess.PIPE)
        self._client = subprocess.Popen(
            command, stdin=self._commands.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self._commands.stdout is not None
        self._commands.stdout.close()  # `yes` ends with its only reader
        self._pidfd = os.pidfd_open(self._client.pid)
        record.connections += 1

    @property
    def age(self) -> float:
        return time.monotonic() - self._since

    def fileno(self) -> int:
        return self._pidfd

    def act(self, events: int) -> int:
        if events & select.EPOLLIN:
            raise ConnectionAbortedError("the process has ended")
        return select.EPOLLIN

    def tick(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._pidfd)
        for process in (self._client, self._commands):
            process.kill()
            process.wait()
