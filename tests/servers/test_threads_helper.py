"""Servers in background threads."""

from __future__ import annotations

import gc
import socket
import threading
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.lines import line_protocol

from easynetwork.exceptions import ServerClosedError
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


def new_server(
    failure: BaseException | None = None, host: str = "127.0.0.1", port: int = 0, handler: Echo | None = None
) -> Server:
    return StandaloneTCPNetworkServer(host, port, line_protocol(), handler or Echo(failure))


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

    with StandaloneTCPNetworkServer("127.0.0.1", 0, line_protocol(), Stubborn()) as server:
        thread = NetworkServerThread(server)
        thread.start()
        thread.join(timeout=0.05)
        assert asked.wait(30)
        assert thread.is_alive()
        allowed.set()
        thread.join()


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.fixture(autouse=True)
def hooked(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    """What went to `threading.excepthook`."""
    reports: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reports.append)
    return reports


class Failing(Echo):
    """Ends the server at the first request."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.late_failure = failure

    async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
        def fail() -> None:
            raise self.late_failure

        exit_stack.callback(fail)
        self.server = server

    async def handle(self, client: AsyncStreamClient[str], /) -> AsyncGenerator[None, str]:
        yield
        await self.server.server_close()
        await client.aclose()


def run_to_its_failure(server: Server) -> NetworkServerThread:
    """Start a server with a `Failing` handler, and wait for its end, but not by `NetworkServerThread.join`."""
    thread = NetworkServerThread(server, name="a server")
    thread.start()
    assert ask(server) == b""
    threading.Thread.join(thread, 30)
    assert not thread.is_alive()
    return thread


@pytest.mark.parametrize("failure", ["service_init", "closed", "unknown host", "port taken"])
def test_start_raises_what_kept_the_server_from_starting(
    failure: str, hooked: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    error = LookupError("on purpose")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = new_server(
            failure=error if failure == "service_init" else None,
            host="256.1.1.1" if failure == "unknown host" else "127.0.0.1",
            port=taken.getsockname()[1] if failure == "port taken" else 0,
        )
        with server:
            if failure == "closed":
                server.server_close()
            thread = NetworkServerThread(server)
            with pytest.raises(BaseException) as caught:  # which one is checked below
                thread.start()
            assert not thread.is_alive()
            thread.join()
    match failure:
        case "service_init":
            assert caught.value is error
        case "closed":
            assert caught.type is ServerClosedError
        case "port taken":
            assert caught.group_contains(OSError, match="in use")
        case _:
            assert caught.group_contains(socket.gaierror)
    assert hooked == []
    assert [record for record in caplog.records if record.name == "easynetwork.servers.threads_helper"] == []


@pytest.mark.parametrize("error", [LookupError("on purpose"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_early_failures_of_all_kinds_come_out_of_start(error: BaseException, hooked: list[Any]) -> None:
    with new_server(failure=error) as server:
        with pytest.raises(type(error)) as caught:
            NetworkServerThread(server).start()
    assert caught.value is error
    assert hooked == []


@pytest.mark.parametrize("error", [LookupError("on purpose"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_late_failure_comes_out_of_join_once(
    error: BaseException, hooked: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with new_server(handler=Failing(error)) as server:
        thread = run_to_its_failure(server)
        with pytest.raises(type(error)) as caught:
            thread.join(timeout=30)
        assert caught.value is error
        thread.join()
        thread.join(timeout=0)
    assert hooked == []
    [record] = [record for record in caplog.records if record.name == "easynetwork.servers.threads_helper"]
    assert record.levelname == "ERROR"
    assert record.exc_info is None  # the traceback is that of join()
    assert record.getMessage() == f"a server: the server failed, join() raises the error: {error!r}"


def test_one_of_many_joins_gets_the_error() -> None:
    error = LookupError("on purpose")
    caught: list[BaseException] = []

    def join() -> None:
        try:
            thread.join()
        except LookupError as exc:
            caught.append(exc)

    with new_server(handler=Failing(error)) as server:
        thread = run_to_its_failure(server)
        joining = [threading.Thread(target=join) for _ in range(8)]
        for other in joining:
            other.start()
        for other in joining:
            other.join()
    assert caught == [error]


def test_join_that_gives_up_leaves_the_error_to_the_next_one() -> None:
    allowed = threading.Event()

    class Stubborn(Echo):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            def fail() -> None:
                allowed.wait()
                raise LookupError("on purpose")

            exit_stack.callback(fail)

    with new_server(handler=Stubborn()) as server:
        thread = NetworkServerThread(server)
        thread.start()
        thread.join(timeout=0.05)
        assert thread.is_alive()
        allowed.set()
        with pytest.raises(LookupError):
            thread.join()
        thread.join()


def test_start_returns_if_the_server_is_shut_down_before_it_is_up(hooked: list[Any]) -> None:
    class ShutDown(Echo):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            other = threading.Thread(target=standalone.shutdown)
            other.start()
            exit_stack.callback(other.join, 0)
            await server.backend().sleep_forever()

    with new_server(handler=ShutDown()) as standalone:
        thread = NetworkServerThread(standalone)
        thread.start()
        thread.join()
        assert not thread.is_alive()
    assert hooked == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_run_of_a_subclass_may_fail_as_well(when: str, server: Server, hooked: list[Any]) -> None:
    class Thread(NetworkServerThread):
        def run(self) -> None:
            if when == "after":
                super().run()
            raise LookupError("on purpose")

    thread = Thread(server)
    if when == "before":
        with pytest.raises(LookupError):
            thread.start()
    else:
        thread.start()
        with pytest.raises(LookupError):
            thread.join()
    thread.join()
    assert not thread.is_alive()
    assert hooked == []


def test_run_called_directly_raises_in_the_calling_thread() -> None:
    with new_server(failure=LookupError("on purpose")) as server:
        with pytest.raises(LookupError):
            NetworkServerThread(server).run()


def test_a_thread_that_has_ended_is_freed_at_once(server: Server) -> None:
    gc.disable()
    try:
        thread = NetworkServerThread(server)
        thread.start()
        with pytest.raises(RuntimeError):
            thread.start()
        thread.join()
        is_gone = weakref.ref(thread)
        del thread
        assert is_gone() is None
    finally:
        gc.enable()
