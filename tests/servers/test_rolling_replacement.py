"""Servers behind a real HAProxy are replaced one at a time under load: no request that a server has read is lost."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.programs import Program, needs_program, running
from tests.support.sockets import PATIENCE

CLIENTS = 6
IN_FLIGHT = 8
ROUNDS = 2

SERVER = """
import argparse, logging, signal
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("notes")
options = parser.parse_args()


class Numbered(AsyncStreamRequestHandler):
    async def handle(self, client):
        while True:
            line = yield
            print(line, file=notes, flush=True)
            await client.send_packet(line)


logging.basicConfig(level=logging.INFO)
protocol = StreamProtocol(StringLineSerializer())
with open(options.notes, "a") as notes:
    with StandaloneTCPNetworkServer(
        "127.0.0.1", options.port, protocol, Numbered(), stop_signals=[signal.SIGTERM], drain_timeout=20
    ) as server:
        server.serve_forever()
"""

CONFIGURATION = """
global
    maxconn 200
defaults
    mode tcp
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
frontend entrance
    bind 127.0.0.1:{entrance}
    default_backend servers
backend servers
    balance roundrobin
    default-server check inter 100ms fall 1 rise 1
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Client(threading.Thread):
    """Sends numbers without a pause, and connects again when its connection ends."""

    def __init__(self, entrance: int, name: str) -> None:
        super().__init__(name=name)
        self._entrance = entrance
        self._count = 0
        self.is_over = False
        self.answered: set[str] = set()
        self.connections = 0
        self.torn: list[bytes] = []

    def run(self) -> None:
        while not self.is_over:
            try:
                with socket.create_connection(("127.0.0.1", self._entrance), PATIENCE) as connection:
                    self._exchange(connection)
            except OSError:  # HAProxy resets connections that it cannot pass on
                time.sleep(0.01)

    def _exchange(self, connection: socket.socket) -> None:
        self.connections += 1
        buffer = b""
        in_flight = 0
        while in_flight or not self.is_over:
            if in_flight < IN_FLIGHT and not self.is_over:
                lines = [f"{self.name}-{self._count + number}\n" for number in range(IN_FLIGHT - in_flight)]
                self._count += len(lines)
                in_flight += len(lines)
                try:
                    connection.sendall("".join(lines).encode())
                except OSError:  # answers to what was sent before may still arrive
                    pass
            try:
                data = connection.recv(65536)
            except ConnectionError:
                return
            if not data:
                if buffer:
                    self.torn.append(buffer)
                return
            *answers, buffer = (buffer + data).split(b"\n")
            in_flight -= len(answers)
            self.answered.update(answer.decode() for answer in answers)


@contextmanager
def server(folder: Path, name: str, port: int) -> Iterator[Program]:
    place = folder / name
    place.mkdir(exist_ok=True)
    with running([sys.executable, "-u", str(folder / "server.py"), str(port), str(folder / "notes")], place) as program:
        program.wait_for("Start serving")
        yield program


def test_no_request_is_lost_when_servers_are_replaced_one_at_a_time(tmp_path: Path) -> None:
    haproxy = needs_program("haproxy")
    entrance, one, two = free_ports(3)
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "haproxy.cfg").write_text(CONFIGURATION.format(entrance=entrance, one=one, two=two))
    clients = [Client(entrance, f"client{number}") for number in range(CLIENTS)]
    with ExitStack() as stack:
        stacks = {port: stack.enter_context(ExitStack()) for port in (one, two)}
        programs = {port: stacks[port].enter_context(server(tmp_path, str(port), port)) for port in (one, two)}
        stack.enter_context(running([haproxy, "-db", "-f", str(tmp_path / "haproxy.cfg")], tmp_path))
        for client in clients:
            client.start()
        try:
            for _ in range(ROUNDS):
                for port in (one, two):
                    time.sleep(0.5)  # under load, and until HAProxy has seen that the other one is up
                    programs[port].process.send_signal(signal.SIGTERM)
                    assert programs[port].process.wait(PATIENCE) == 0, programs[port].output
                    assert "Traceback" not in programs[port].output
                    stacks[port].close()
                    programs[port] = stacks[port].enter_context(server(tmp_path, str(port), port))
            time.sleep(0.5)
        finally:
            for client in clients:
                client.is_over = True
            for client in clients:
                client.join(PATIENCE)
    read = set((tmp_path / "notes").read_text().split())
    answered = set[str]().union(*(client.answered for client in clients))
    assert len(answered) > 1000
    assert answered <= read
    assert read - answered == set()
    assert not [torn for client in clients for torn in client.torn]
    assert sum(client.connections for client in clients) > CLIENTS * ROUNDS
