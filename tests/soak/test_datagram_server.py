"""`pytest -m soak`: floods of datagrams for handlers that are stalled."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.conftest import LOOP_FACTORIES

from benchmarks.peers import our_interpreter
from benchmarks.process import ProgramProcess
from benchmarks.servers.harness import HOST

DATAGRAM = b"x" * 1024
ROOM = 16 << 20
"""Bytes by which the memory of the server may grow."""


@pytest.fixture(params=[*LOOP_FACTORIES, "trio"])
def server(request: pytest.FixtureRequest) -> Iterator[ProgramProcess]:
    options = ["--loop", request.param, "--transport", "udp"]
    interpreter = our_interpreter(sys.executable)
    with ProgramProcess("benchmarks.servers.stalled_datagram", options, interpreter, transport="udp") as process:
        yield process


def send(server: ProgramProcess, count: int, senders: int) -> None:
    """Send in pieces small enough for the queue of the system, so that most are dropped by the server."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(senders)]
        for sock in sockets:
            sock.connect((HOST, int(server.address)))
        for number in range(count):
            sockets[number % senders].send(DATAGRAM)
            if number % 50 == 0:
                server.ask("report")


def counts(server: ProgramProcess) -> tuple[int, int]:
    """Return how many datagrams the handlers got, and how many were dropped."""
    delivered, dropped = server.ask("report").split()
    return int(delivered), int(dropped)


def assert_nothing_is_lost_in_silence(server: ProgramProcess, count: int) -> None:
    server.ask("release")
    deadline = time.monotonic() + 20
    while sum(counts(server)) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    delivered, dropped = counts(server)
    assert dropped > 0
    assert delivered + dropped == count


@pytest.mark.soak
@pytest.mark.parametrize("senders", [1, 100])
def test_fifty_megabytes_for_a_stalled_handler_take_little_memory(
    server: ProgramProcess, senders: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = server.resident_bytes()
    send(server, 50_000, senders)
    growth = server.resident_bytes() - before
    _, dropped = counts(server)
    with capsys.disabled():
        sys.stdout.write(f"\n50,000 datagrams, {senders} senders: {growth >> 10:,} KiB more, {dropped:,} dropped ")
    assert growth < ROOM
    assert_nothing_is_lost_in_silence(server, 50_000)


def test_a_short_flood_is_counted_to_the_last_datagram(server: ProgramProcess) -> None:
    send(server, 2_000, 1)
    assert_nothing_is_lost_in_silence(server, 2_000)
