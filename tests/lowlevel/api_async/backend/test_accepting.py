"""What becomes of connections that come in while their listener is in trouble."""

from __future__ import annotations

import contextlib
import contextvars
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.support.descriptors import all_closed

from easynetwork.lowlevel._sockets import accepting
from easynetwork.lowlevel.api_async.backend._asyncio.stream import acceptor
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True

Listener = AsyncListener[AsyncStreamTransport]


@pytest.fixture
@contextlib.asynccontextmanager
async def listener(backend: AsyncBackend) -> AsyncIterator[Listener]:
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 100)
    async with listener:
        yield listener


@contextlib.contextmanager
def connected(listener: Listener, count: int) -> Any:
    """So many connections, none of them accepted yet."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(listener.extra(SocketAttribute.sockname), 5))
            for _ in range(count)
        ]


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def are_closed(socks: list[socket.socket]) -> bool:
    return all(map(is_closed, socks))


# --- a group that fails


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("private", [True, False])
async def test_a_group_that_fails_while_connections_come_in_leaves_none_open(
    backend: AsyncBackend, listener: Listener, private: bool, turns: int
) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        async with transport:
            await backend.sleep_forever()

    async def fail() -> None:
        for _ in range(turns):
            await backend.coro_yield()
        raise ZeroDivisionError

    with connected(listener, 20) as clients:
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as group:
                group.start_soon(listener.serve, handler, None if private else group)
                group.start_soon(fail)
        await listener.aclose()
        assert await backend.run_in_thread(are_closed, clients)


async def test_a_group_that_has_ended_ends_serve_and_the_connection(backend: AsyncBackend, listener: Listener) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        raise AssertionError("never called")

    async with backend.create_task_group() as ended:
        pass
    with connected(listener, 1) as [client]:
        with pytest.raises(RuntimeError):
            await listener.serve(handler, ended)
        assert await backend.run_in_thread(is_closed, client)


async def test_a_handler_that_cannot_be_called_ends_serve_and_the_connection(
    backend: AsyncBackend, listener: Listener
) -> None:
    handler: Any = "not a function"
    with connected(listener, 1) as [client]:
        with pytest.raises(TypeError):
            async with backend.create_task_group() as group:
                await listener.serve(handler, group)
        assert await backend.run_in_thread(is_closed, client)


@pytest.mark.parametrize("reserve", [0, sys.maxsize])
async def test_handlers_run_in_copies_of_the_context_of_serve(
    backend: AsyncBackend, listener: Listener, monkeypatch: pytest.MonkeyPatch, reserve: int
) -> None:
    monkeypatch.setattr(acceptor, "_RESERVE", reserve)
    variable = contextvars.ContextVar("variable", default="outside")
    values = []

    async def handler(transport: AsyncStreamTransport) -> None:
        values.append(variable.get())
        variable.set("handler")
        await transport.aclose()

    async def serve() -> None:
        variable.set("serve")
        await listener.serve(handler)

    async with backend.create_task_group() as group:
        serving = await group.start(serve)
        for _ in range(2):
            with connected(listener, 2) as clients:
                assert await backend.run_in_thread(are_closed, clients)
        serving.cancel()
    assert values == ["serve"] * 4


async def echo(transport: AsyncStreamTransport) -> None:
    async with transport:
        while data := await transport.recv(100):
            await transport.send_all(data)


async def test_a_listener_that_becomes_careful_while_it_serves_loses_neither_clients_nor_descriptors(
    backend: AsyncBackend, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve() -> None:
        monkeypatch.undo()
        async with backend.create_task_group() as group:
            serving = await group.start(listener.serve, echo)
            await backend.coro_yield()
            monkeypatch.setattr(acceptor, "_RESERVE", sys.maxsize)
            with connected(listener, 80) as clients:
                for client in clients:
                    client.sendall(b"?")
                assert await backend.run_in_thread(lambda: {client.recv(1) for client in clients}) == {b"?"}
            serving.cancel()

    await serve()
    async with all_closed():  # but for what the loop keeps for itself, once it has accepted something
        await serve()


# --- descriptors that run out

resource = pytest.importorskip("resource")

FEW, PLENTY = 100, 400
"""How many descriptors are free when the server begins to serve. With few, asyncio's listeners are always careful."""

CHECK_INTERVAL = 0.02
"""Seconds within which a listener notices that other parts of the process have taken the last descriptors."""

SERVER = f"""
import contextlib, logging, os, resource, sys
from easynetwork.lowlevel._sockets import accepting
from easynetwork.lowlevel.api_async.backend._asyncio.stream import acceptor
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.socket import SocketAttribute

taken = []

async def echo(transport):
    async with transport:
        with contextlib.suppress(ConnectionError):
            while data := await transport.recv(100):
                if data == b"take":
                    with contextlib.suppress(OSError):
                        while True:
                            taken.append(os.dup(0))
                elif data == b"release":
                    while taken:
                        os.close(taken.pop())
                await transport.send_all(data)

async def main():
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 500)
    with open(os.devnull) as probe:
        lowest_free = probe.fileno()
    limit = lowest_free + int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    accepting._REPORT_INTERVAL = float(sys.argv[2])
    acceptor._CHECK_INTERVAL = {CHECK_INTERVAL}
    print(listener.extra(SocketAttribute.sockname)[1], flush=True)
    await listener.serve(echo)

logging.basicConfig(format="%(levelname)s %(message)s")
backend = new_builtin_backend("trio" if sys.argv[1] == "trio" else "asyncio")
options = {{}} if sys.argv[1] == "trio" else {{"loop_factory": __import__(sys.argv[1]).new_event_loop}}
backend.bootstrap(main, runner_options=options)
"""


@pytest.fixture
def report_interval() -> float:
    """Seconds between two records of a server about missing descriptors."""
    return accepting._REPORT_INTERVAL


@pytest.fixture(params=[FEW, PLENTY])
def limit(request: pytest.FixtureRequest) -> int:
    value: int = request.param
    return value


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def server(request: pytest.FixtureRequest, report_interval: float, limit: int) -> Iterator[subprocess.Popen[str]]:
    pytest.importorskip(request.param)
    command = [sys.executable, "-c", SERVER, request.param, str(report_interval), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@contextlib.contextmanager
def clients_of(server: subprocess.Popen[str], count: int) -> Iterator[list[socket.socket]]:
    """So many connections, which have sent a byte each. One by one: the server is to notice what happens to it."""
    assert server.stdout is not None
    port = int(server.stdout.readline())
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            client.sendall(b"?")
            clients.append(client)
        yield clients


def log_of(server: subprocess.Popen[str]) -> list[str]:
    server.terminate()
    return server.communicate()[1].splitlines()


def test_connections_wait_while_there_are_no_descriptors(server: subprocess.Popen[str], limit: int) -> None:
    with clients_of(server, limit + 50) as clients:
        first, last = clients[:-75], clients[-75:]
        assert {client.recv(1) for client in first} == {b"?"}
        last[-1].settimeout(0.3)
        with pytest.raises(TimeoutError):
            last[-1].recv(1)
        last[-1].settimeout(5)
        for client in first:
            client.close()
        assert {client.recv(1) for client in last} == {b"?"}
    lines = log_of(server)
    assert len(lines) == 1
    assert all(line.startswith("ERROR accept() failed") for line in lines)


def test_good_clients_are_served_after_a_flood(server: subprocess.Popen[str], limit: int) -> None:
    with clients_of(server, limit + 300) as clients:
        address = clients[0].getpeername()
        assert clients[0].recv(1) == b"?"
    for _ in range(3):
        with socket.create_connection(address, 5) as client:
            client.sendall(b"!")
            assert client.recv(1) == b"!"
    assert not [line for line in log_of(server) if not line.startswith("ERROR accept() failed")]


def test_plenty_of_descriptors_are_used_in_silence(server: subprocess.Popen[str], limit: int) -> None:
    with clients_of(server, limit - 20) as clients:
        assert {client.recv(1) for client in clients} == {b"?"}
    assert log_of(server) == []


TOO_LATE = "ERROR No descriptor is left. The event loop may have closed connections"
"""What listeners log if other parts of the process were faster. uvloop does not tell whether there were connections."""


@contextlib.contextmanager
def waiting_clients(server: subprocess.Popen[str]) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """One connection that is served, and five that have come since other parts of the server took all descriptors."""
    with clients_of(server, 1) as [thief], contextlib.ExitStack() as stack:
        assert thief.recv(10) == b"?"
        thief.sendall(b"take")
        assert thief.recv(10) == b"take"
        time.sleep(10 * CHECK_INTERVAL)  # uvloop would close what comes before the listener notices
        clients = [stack.enter_context(socket.create_connection(thief.getpeername(), 5)) for _ in range(5)]
        for client in clients:
            client.sendall(b"?")
        yield thief, clients


def test_connections_wait_while_other_parts_of_the_process_have_the_last_descriptors(
    server: subprocess.Popen[str],
) -> None:
    with waiting_clients(server) as (thief, clients):
        clients[-1].settimeout(0.3)
        with pytest.raises(TimeoutError):
            clients[-1].recv(1)
        clients[-1].settimeout(5)
        thief.sendall(b"release")
        assert thief.recv(10) == b"release"
        assert {client.recv(1) for client in clients} == {b"?"}
    [line] = [line for line in log_of(server) if not line.startswith(TOO_LATE)]
    assert line.startswith("ERROR accept() failed: [Errno 24]")
    if sys.platform == "linux":
        assert re.search(r"Connections waiting: [1-5]\. ", line)  # those that had come by then


@pytest.mark.parametrize("report_interval", [0.3])
def test_missing_descriptors_are_logged_once_per_interval_with_the_count(server: subprocess.Popen[str]) -> None:
    assert server.stderr is not None
    with waiting_clients(server):
        lines = [server.stderr.readline() for _ in range(4)]
    first, *others = [line for line in lines if not line.startswith(TOO_LATE)]
    assert first.startswith("ERROR accept() failed: [Errno 24]")
    for line in others:
        assert re.match(r"ERROR accept\(\) failed [2-9] times since the last report: \[Errno 24\]", line)
