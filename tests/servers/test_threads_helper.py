"""Servers in background threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from easynetwork.exceptions import ServerClosedError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler
from easynetwork.servers.threads_helper import NetworkServerThread

Server = StandaloneTCPNetworkServer[str, str]


class Echo(AsyncStreamRequestHandler[str, str]):
    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure

    async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
        if self.failure is not None:
            raise self.failure

    async def handle(self, client: AsyncStreamClient[str], /) -> AsyncGenerator[None, str]:
        await client.send_packet((yield).upper())


def new_server(failure: BaseException | None = None, host: str = "127.0.0.1") -> Server:
    return StandaloneTCPNetworkServer(host, 0, StreamProtocol(StringLineSerializer()), Echo(failure))


@pytest.fixture
def server() -> Iterator[Server]:
    with new_server() as server:
        yield server


def ask(server: Server) -> bytes:
    [address] = server.get_addresses()
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(b"hello\n")
        return client.recv(100)


def test_clients_are_served_once_start_has_returned(server: Server) -> None:
    thread = NetworkServerThread(server, name="a server", daemon=True)
    thread.start()
    try:
        assert thread.name == "a server"
        assert thread.daemon
        assert server.is_serving()
        assert ask(server) == b"HELLO\n"
    finally:
        thread.join()
    assert not thread.is_alive()
    assert not server.is_serving()


def test_join_may_be_called_again(server: Server) -> None:
    thread = NetworkServerThread(server)
    thread.start()
    thread.join(timeout=30)
    thread.join(timeout=0)
    thread.join()
    assert not thread.is_alive()


def test_thread_starts_only_once(server: Server) -> None:
    thread = NetworkServerThread(server)
    thread.start()
    try:
        with pytest.raises(RuntimeError):
            thread.start()
        assert ask(server) == b"HELLO\n"
    finally:
        thread.join()
    with pytest.raises(RuntimeError):
        thread.start()


def test_server_can_run_in_one_thread_after_another(server: Server) -> None:
    for _ in range(2):
        thread = NetworkServerThread(server)
        thread.start()
        assert ask(server) == b"HELLO\n"
        thread.join()


def test_join_gives_up_in_time() -> None:
    asked, allowed = threading.Event(), threading.Event()

    class Stubborn(Echo):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(allowed.wait)
            exit_stack.callback(asked.set)

    with StandaloneTCPNetworkServer("127.0.0.1", 0, StreamProtocol(StringLineSerializer()), Stubborn()) as server:
        thread = NetworkServerThread(server)
        thread.start()
        thread.join(timeout=0.05)
        assert asked.wait(30)
        assert thread.is_alive()
        allowed.set()
        thread.join()


@pytest.mark.parametrize("failure", ["service_init", "closed", "activation"])
def test_start_returns_although_the_server_has_failed(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reports.append)
    error = LookupError("on purpose")
    server = new_server(
        failure=error if failure == "service_init" else None,
        host="256.1.1.1" if failure == "activation" else "127.0.0.1",
    )
    if failure == "closed":
        server.server_close()
    thread = NetworkServerThread(server)
    thread.start()
    thread.join()
    [report] = reports
    assert report.thread is thread
    match failure:
        case "service_init":
            assert report.exc_value is error
        case "closed":
            assert report.exc_type is ServerClosedError
        case _:
            assert isinstance(report.exc_value, ExceptionGroup)
    server.server_close()
