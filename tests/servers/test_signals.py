"""Signals and `SystemExit` stop the process of a standalone server, whatever its clients are doing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

PATIENCE = 30.0

PROGRAM = """
import asyncio, signal, sys, threading
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler

class Handler(AsyncStreamRequestHandler):
    async def service_init(self, exit_stack, server):
        exit_stack.callback(print, "unwound", flush=True)

    async def handle(self, client):
        match (yield):
            case "sleep":
                await client.send_packet("asleep")
                await client.backend().sleep_forever()
            case "spin":
                await client.send_packet("spinning")
                while True:
                    await client.backend().coro_yield()
            case "flood":
                while True:
                    await client.send_packet("x" * 1000)
            case "exit":
                sys.exit(3)
            case "exit later":
                await client.send_packet("soon")
                try:
                    yield 0.05
                finally:
                    sys.exit(3)
            case request:
                await client.send_packet(request)

    async def on_disconnection(self, client):
        print("disconnected", flush=True)

class Up:
    def set(self):
        threading.Thread(target=lambda: print(server.get_addresses()[0].port, flush=True)).start()

backend, options = {
    "asyncio": ("asyncio", {"loop_factory": asyncio.new_event_loop}),
    "uvloop": ("asyncio", {}),
    "trio": ("trio", {}),
}[sys.argv[1]]
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
with StandaloneTCPNetworkServer(
    "127.0.0.1", 0, StreamProtocol(StringLineSerializer()), Handler(), backend, runner_options=options
) as server:
    try:
        server.serve_forever(is_up_event=Up())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


BACKGROUND = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh"]
"""Starts a program as a shell script does with ``&``: it ignores SIGINT from the beginning."""


@contextmanager
def running_server(loop: str, launcher: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [*launcher, sys.executable, "-c", PROGRAM, loop], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def ask(port: int, request: bytes, answer: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection.sendall(request)
    received = b""
    while len(received) < len(answer):
        received += connection.recv(len(answer) - len(received))
    assert received == answer
    return connection


@pytest.mark.parametrize("launcher", [[], BACKGROUND], ids=["foreground", "background"])
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_a_signal_stops_a_server_with_idle_and_busy_clients(
    loop: str, signal_number: signal.Signals, launcher: list[str]
) -> None:
    pytest.importorskip(loop)
    requests = {b"hello\n": b"hello\n", b"sleep\n": b"asleep\n", b"spin\n": b"spinning\n", b"flood\n": b"x" * 1000}
    with running_server(loop, launcher) as (process, port), ExitStack() as connections:
        connections.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))  # says nothing
        for request, answer in requests.items():
            connections.enter_context(ask(port, request, answer))
        process.send_signal(signal_number)
        output, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    assert process.returncode == 0
    assert output.split() == ["disconnected"] * (1 + len(requests)) + ["unwound", "interrupted"]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_stops_a_server_that_nobody_has_found_yet(signal_number: signal.Signals) -> None:
    with running_server("uvloop") as (process, _):
        process.send_signal(signal_number)
        output, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    assert process.returncode == 0
    assert output.split() == ["unwound", "interrupted"]


@pytest.mark.parametrize("way", ["request", "end of the stream", "time-out"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])  # trio has it in a group of exceptions
def test_a_handler_that_exits_ends_the_process(loop: str, way: str) -> None:
    with running_server(loop) as (process, port):
        with ask(port, *((b"exit\n", b"") if way == "request" else (b"exit later\n", b"soon\n"))) as connection:
            if way == "end of the stream":
                connection.shutdown(socket.SHUT_WR)
            output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 3
        assert "unwound" in output
        assert errors == ""
