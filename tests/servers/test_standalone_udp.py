"""Servers of datagrams that bring their own event loop. What all standalone servers share is tested with TCP."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
from tests.support.datagram_servers import Client, Handler, Requests
from tests.support.lines import text_protocol
from tests.support.peers import PATIENCE

from easynetwork.exceptions import ServerAlreadyRunning, ServerClosedError
from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.servers.standalone_udp import StandaloneUDPNetworkServer
from easynetwork.servers.standalone_unix_datagram import StandaloneUnixDatagramServer
from easynetwork.servers.threads_helper import NetworkServerThread

Server = StandaloneUDPNetworkServer[str, str] | StandaloneUnixDatagramServer[str, str]

BACKENDS: list[dict[str, Any]] = [
    {},
    {"runner_options": {"loop_factory": asyncio.new_event_loop}},
    {"backend": "asyncio"},
    {"backend": "trio"},
]


@pytest.fixture(params=["udp", "unix"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def new_server(kind: str, path: str, handler: Handler | None = None, **options: Any) -> Server:
    if kind == "udp":
        return StandaloneUDPNetworkServer("127.0.0.1", 0, text_protocol(), handler or Handler(), **options)
    return StandaloneUnixDatagramServer(path, text_protocol(), handler or Handler(), **options)


@contextmanager
def running(server: Server) -> Iterator[NetworkServerThread]:
    thread = NetworkServerThread(server, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextmanager
def peer_of(server: Server, *, is_named: bool = True) -> Iterator[socket.socket]:
    [view] = server.get_sockets()
    address = view.getsockname()
    with socket.socket(view.family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        if view.family == socket.AF_INET:
            sock.bind(("127.0.0.1", 0))
        elif is_named:
            sock.bind(f"{address}.peer")
        sock.connect(address)
        yield sock
    if is_named and view.family != socket.AF_INET:
        os.unlink(f"{address}.peer")


def ask(sock: socket.socket, text: bytes) -> bytes:
    sock.send(text)
    return sock.recv(100)


@pytest.mark.parametrize("options", BACKENDS, ids=["default", "asyncio's loop", "asyncio", "trio"])
def test_server_in_a_thread_answers_until_it_is_shut_down_and_may_run_again(
    kind: str, path: str, options: dict[str, Any]
) -> None:
    with new_server(kind, path, **options) as server:
        for text in (b"first run", b"second run"):
            assert not server.is_serving()
            assert server.get_addresses() == server.get_sockets() == ()
            with running(server) as thread:
                assert server.is_serving()
                [address] = server.get_addresses()
                if kind == "unix":
                    assert address == UnixSocketAddress.from_pathname(path)
                else:
                    assert address.port > 0
                with peer_of(server) as sock:
                    assert ask(sock, text) == text
                with pytest.raises(ServerAlreadyRunning):
                    server.serve_forever()
                [view] = server.get_sockets()
                assert thread.is_alive()
            assert server.get_addresses() == server.get_sockets() == ()
            with pytest.raises(RuntimeError):
                view.getsockname()
            assert not os.path.lexists(path)
    with pytest.raises(ServerClosedError):
        server.serve_forever()


def test_closing_lets_a_handler_finish_and_ends_the_thread(kind: str, path: str) -> None:
    reached, go_on, done = threading.Event(), threading.Event(), threading.Event()

    class Working(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            reached.set()
            await client.backend().run_in_thread(go_on.wait, PATIENCE)
            done.set()

    server = new_server(kind, path, Working())
    with running(server) as thread:
        with peer_of(server) as sock:
            sock.send(b"work")
        assert reached.wait(PATIENCE)
        server.server_close()
        assert not server.is_serving()
        assert server.get_addresses() == ()
        assert thread.is_alive()
        go_on.set()
        assert done.wait(PATIENCE)
        threading.Thread.join(thread, PATIENCE)  # by itself, not by shutdown()
        assert not thread.is_alive()


@pytest.mark.parametrize("options", BACKENDS, ids=["default", "asyncio's loop", "asyncio", "trio"])
def test_dropped_datagrams_are_counted_over_all_runs(options: dict[str, Any]) -> None:
    class TooSlow(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            await client.backend().sleep_forever()

    counts: list[int] = []
    with new_server("udp", "", TooSlow(), **options) as server:
        assert server.dropped_datagrams == 0
        for _ in range(2):
            with running(server), peer_of(server) as sock:
                before = server.dropped_datagrams
                assert before == sum(counts[-1:])
                deadline = time.monotonic() + PATIENCE
                while server.dropped_datagrams == before:
                    assert time.monotonic() < deadline
                    sock.send(bytes(10_000))
                while (dropped := server.dropped_datagrams) != before:  # until all of them were received
                    before = dropped
            counts.append(server.dropped_datagrams)
    assert 0 < counts[0] < counts[1] == server.dropped_datagrams


def test_unix_datagrams_are_not_dropped(path: str) -> None:
    with new_server("unix", path) as server:
        with running(server), peer_of(server) as sock:
            assert ask(sock, b"hello") == b"hello"
            assert server.dropped_datagrams == 0
        assert server.dropped_datagrams == 0


@pytest.mark.parametrize("options", BACKENDS, ids=["default", "asyncio's loop", "asyncio", "trio"])
def test_handlers_may_ask_the_standalone_server_as_well(kind: str, path: str, options: dict[str, Any]) -> None:
    class Curious(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            seen.append((server.is_serving(), server.get_addresses(), len(server.get_sockets())))
            await client.send_packet(f"{server.dropped_datagrams}")

    seen: list[tuple[bool, Any, int]] = []
    with new_server(kind, path, Curious(), **options) as server, running(server), peer_of(server) as sock:
        assert ask(sock, b"?") == b"0"
        assert seen == [(True, server.get_addresses(), 1)]


def test_service_sees_the_asynchronous_server_and_its_failures_come_out(kind: str, path: str) -> None:
    class Service(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            seen.append((server.is_listening(), len(server.get_sockets())))
            raise LookupError("on purpose")

    seen: list[tuple[bool, int]] = []
    with new_server(kind, path, Service()) as server:
        for _ in range(2):
            with pytest.raises(LookupError):
                server.serve_forever()
            assert not os.path.lexists(path)
    assert seen == [(True, 1)] * 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"protocol": None}, TypeError),
        ({"request_handler": None}, TypeError),
        ({"unnamed_addresses_behavior": "other"}, ValueError),
        ({"ancillary_bufsize": 10}, ValueError),
        ({"receive_ancillary_data": True, "ancillary_bufsize": 0}, ValueError),
        ({"path": 12}, TypeError),
        ({"host": 12}, TypeError),
        ({"host": []}, OSError),
    ],
)
def test_bad_values_come_out_of_serve_forever(path: str, options: dict[str, Any], error: type[Exception]) -> None:
    common: dict[str, Any] = {"protocol": text_protocol(), "request_handler": Handler()}
    servers: list[Any] = []
    if "host" not in options:
        servers.append(StandaloneUnixDatagramServer(**{"path": path, **common, **options}))
    if options.keys() <= {"protocol", "request_handler", "host"}:
        servers.append(StandaloneUDPNetworkServer(**{"host": "127.0.0.1", "port": 0, **common, **options}))
    for server in servers:
        with pytest.raises(error):
            server.serve_forever()
        assert not server.is_serving()
    assert not os.path.lexists(path)


def test_wrong_backend_is_refused_at_once(kind: str, path: str) -> None:
    with pytest.raises(TypeError):
        new_server(kind, path, backend=12)
    with pytest.raises(NotImplementedError):
        new_server(kind, path, backend="curio")


def test_options_reach_the_udp_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    options: dict[str, Any] = {"reuse_port": True, "logger": logging.getLogger("mine")}
    with new_server("udp", "", **options) as first, running(first):
        [address] = first.get_addresses()
        second: Server = StandaloneUDPNetworkServer("127.0.0.1", address.port, text_protocol(), Handler(), **options)
        with second, running(second):
            assert second.get_addresses() == (address,)
    assert {record.name for record in caplog.records} == {"mine"}


def test_options_reach_the_unix_server(path: str, caplog: pytest.LogCaptureFixture) -> None:
    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            requests.append((yield None))
            come.set()

    requests: list[str] = []
    come = threading.Event()
    options: dict[str, Any] = {
        "mode": 0o600,
        "unnamed_addresses_behavior": "handle",
        "receive_ancillary_data": True,
        "ancillary_bufsize": 1024,
        "logger": logging.getLogger("mine"),
    }
    caplog.set_level(logging.INFO)
    with new_server("unix", path, Asking(), **options) as server, running(server):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with peer_of(server, is_named=False) as nameless:
            nameless.send(b"guess who")
        assert come.wait(PATIENCE)
    assert requests == ["guess who"]
    assert {record.name for record in caplog.records} == {"mine"}
