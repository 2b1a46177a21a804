"""Standalone servers as services: sockets from the program ``systemd-socket-activate``, and messages to a manager."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.datagram_servers import has_unix_datagrams
from tests.support.programs import Program, needs_program, running
from tests.support.sockets import PATIENCE, unused_address

from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

PROGRAM = """
import asyncio, contextlib, logging, os, sys
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer, StandaloneUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler
from easynetwork.servers.standalone_unix_datagram import StandaloneUnixDatagramServer
from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer
from easynetwork.servers.systemd import take_sockets

class Streams(AsyncStreamRequestHandler):
    async def handle(self, client):
        await client.send_packet((yield))

class Datagrams(AsyncDatagramRequestHandler):
    async def handle(self, client):
        await client.send_packet((yield))

logging.basicConfig(level=logging.INFO)
name, loop = sys.argv[1:]
backend, options = {
    "asyncio": ("asyncio", {"loop_factory": asyncio.new_event_loop}),
    "uvloop": ("asyncio", {}),
    "trio": ("trio", {}),
}[loop]
server_class, neutral = {
    "tcp": (StandaloneTCPNetworkServer, (None, 0)),
    "udp": (StandaloneUDPNetworkServer, (None, 0)),
    "unix-stream": (StandaloneUnixStreamServer, ("",)),
    "unix-datagram": (StandaloneUnixDatagramServer, ("",)),
}[name]
if name in ("tcp", "unix-stream"):
    protocol, handler = StreamProtocol(StringLineSerializer()), Streams()
else:
    protocol, handler = DatagramProtocol(StringLineSerializer()), Datagrams()
taken = take_sockets()
print("taken", {key: len(group) for key, group in taken.items()})
print("left", [variable for variable in os.environ if variable.startswith("LISTEN_")], flush=True)
sockets = [sock for group in taken.values() for sock in group]
if not sockets:
    neutral, sockets = ("127.0.0.1", 0), None
with server_class(*neutral, protocol, handler, backend, runner_options=options, sockets=sockets) as server:
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
"""


class Kind:
    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.is_inet = name in ("tcp", "udp")
        self.is_stream = name in ("tcp", "unix-stream")
        self.directory = directory
        self.address: Any = unused_address() if self.is_inet else str(directory / "socket")

    @property
    def listen(self) -> str:
        """The address as the launcher wants it."""
        return f"{self.address[0]}:{self.address[1]}" if self.is_inet else self.address

    def ask(self, text: str) -> str:
        family = socket.AF_INET if self.is_inet else socket.AF_UNIX
        with socket.socket(family, socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            if not self.is_inet and not self.is_stream:
                sock.bind(str(self.directory / text))
            sock.connect(self.address)
            sock.sendall(text.encode() + b"\n" * self.is_stream)
            return sock.recv(100).decode().rstrip("\n")


@pytest.fixture(params=["tcp", "udp", "unix-stream", "unix-datagram"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return Kind(request.param, tmp_path)


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name)
    return name


@contextmanager
def activated(kind: Kind, loop: str, *options: str) -> Iterator[Program]:
    """Let the launcher listen. It becomes the server when somebody comes."""
    launcher = needs_program("systemd-socket-activate")
    if kind.name == "unix-datagram" and loop == "trio" and not has_unix_datagrams(new_builtin_backend("trio")):
        pytest.skip("this backend has no Unix datagram sockets")
    (kind.directory / "server.py").write_text(PROGRAM)
    kinds = [] if kind.is_stream else ["--datagram"]
    # The launcher passes only a few variables on.
    environment = [f"--setenv={name}" for name in os.environ if name.startswith(("PYTHON", "COVERAGE", "COV_"))]
    command = [
        launcher,
        *kinds,
        *environment,
        f"--listen={kind.listen}",
        *options,
        sys.executable,
        "-u",
        "server.py",
        kind.name,
        loop,
    ]
    with running(command, kind.directory) as program:
        program.wait_for("Listening on")
        yield program


def test_the_first_client_starts_the_server_which_serves_it_and_others(kind: Kind, loop: str) -> None:
    with activated(kind, loop) as program:
        assert kind.ask("first") == "first"
        assert kind.ask("second") == "second"
        assert "taken {'unknown': 1}\nleft []\n" in program.output
        shown = str(kind.address[1]) if kind.is_inet else kind.address
        program.wait_for(f"Start serving at .*{shown}")
        program.interrupt()
        assert "Warning" not in program.output
    if not kind.is_inet:
        assert os.path.exists(kind.address)


def test_sockets_have_the_names_of_the_launcher(kind: Kind) -> None:
    other = Kind(kind.name, kind.directory / "other")
    other.directory.mkdir()
    names = ["--fdname=here", "--fdname=there"]
    with activated(kind, "asyncio", f"--listen={other.listen}", *names) as program:
        assert kind.ask("first") == "first"
        assert other.ask("second") == "second"
        assert "taken {'here': 1, 'there': 1}\nleft []\n" in program.output
        program.interrupt()


@pytest.mark.parametrize("kind", ["tcp"], indirect=True)
def test_a_service_tells_its_manager_that_it_lives(kind: Kind, loop: str) -> None:
    (kind.directory / "server.py").write_text(PROGRAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(str(kind.directory / "notify"))
        environment = [f"NOTIFY_SOCKET={manager.getsockname()}", "WATCHDOG_USEC=40000"]
        command = ["/usr/bin/env", *environment, sys.executable, "-u", "server.py", "tcp", loop]
        with running(command, kind.directory) as program:
            messages: list[str] = []
            while messages.count("WATCHDOG=1") < 3 or "READY=1" not in messages:
                messages.append(manager.recv(100).decode())
            assert set(messages) == {"READY=1", "WATCHDOG=1"}
            program.interrupt()
            while messages[-1] != "STOPPING=1":
                messages.append(manager.recv(100).decode())
            assert "Warning" not in program.output
