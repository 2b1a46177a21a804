"""What standalone servers tell a service manager. A datagram socket of the test stands in for the manager."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.certificates import the_certificates
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE
from tests.support.standalone_servers import serving_in_thread
from tests.support.stream_servers import Handler

from easynetwork.servers._notifier import Notifier
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer

Server = StandaloneTCPNetworkServer[str, str]


class Manager:
    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(PATIENCE)
        self.sock.bind(self.path)

    def next(self) -> str:
        return self.sock.recv(1000).decode()

    def forget(self) -> None:
        """Drop what has arrived."""
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sock.recv(1000)
        self.sock.settimeout(PATIENCE)

    def has_none(self, seconds: float = 0.0) -> bool:
        self.sock.settimeout(seconds)
        try:
            message = self.sock.recv(1000)
        except (BlockingIOError, TimeoutError):
            return True
        finally:
            self.sock.settimeout(PATIENCE)
        raise AssertionError(message)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    with manager.sock:
        for variable in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
        yield manager


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Blocking(Handler):
    """Blocks the event loop until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.go_on = threading.Event()

    async def handle(self, client: Any, /) -> Any:
        request = yield None
        self.has_begun.set()
        assert self.go_on.wait(PATIENCE)
        await client.send_packet(request)


def new_server(backend: Any, handler: Any = None, **options: Any) -> Server:
    return StandaloneTCPNetworkServer("127.0.0.1", 0, line_protocol(), handler or Handler(), backend, **options)


def connect(server: Server) -> socket.socket:
    [address] = server.get_addresses()
    return socket.create_connection((address.host, address.port), timeout=PATIENCE)


def ask(sock: socket.socket, text: bytes = b"hello") -> bytes:
    sock.sendall(text + b"\n")
    return sock.recv(100)


def test_the_manager_hears_when_the_server_is_up_and_when_it_stops(backend: Any, manager: Manager) -> None:
    with new_server(backend) as server:
        for _ in range(2):
            with serving_in_thread(server):
                assert manager.next() == "READY=1"
                assert manager.has_none()
            assert manager.next() == "STOPPING=1"
            assert manager.has_none()


def test_the_manager_hears_that_the_server_drains_before_it_has_drained(backend: Any, manager: Manager) -> None:
    with new_server(backend) as server, serving_in_thread(server), connect(server) as client:
        assert manager.next() == "READY=1"
        assert ask(client, b"go") == b"go\n"
        client.sendall(b"hel")
        draining = threading.Thread(target=server.drain)
        draining.start()
        assert manager.next() == "STOPPING=1"
        client.sendall(b"lo\n")
        assert client.recv(100) == b"hello\n"
        client.close()
        draining.join(PATIENCE)
        assert manager.has_none()


def test_closing_the_server_is_stopping(backend: Any, manager: Manager) -> None:
    with new_server(backend) as server, serving_in_thread(server), connect(server) as client:
        assert manager.next() == "READY=1"
        ask(client)
        server.server_close()
        assert manager.next() == "STOPPING=1"
        assert ask(client) == b"hello\n"


def test_a_server_that_never_was_ready_does_not_stop(backend: Any, manager: Manager) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        host, port = taken.getsockname()
        server: Server = StandaloneTCPNetworkServer(host, port, line_protocol(), Handler(), backend)
        with server, pytest.raises(ExceptionGroup):
            server.serve_forever()
    assert manager.has_none()


def test_without_a_manager_the_event_of_the_caller_is_set_as_ever(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET")
    with new_server(backend) as server, serving_in_thread(server):
        pass
    assert manager.has_none()


@pytest.mark.parametrize("address", ["vsock:2:1", "/nowhere/at/all"])
def test_a_manager_that_cannot_be_reached_costs_one_warning(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    with new_server(backend) as server, serving_in_thread(server), connect(server) as client:
        time.sleep(0.05)
        assert ask(client) == b"hello\n"
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.levelno == logging.WARNING
    assert "The service manager cannot be notified" in warning.getMessage()


# ------------------------------------------------------------------------------------------------------------ watchdog


@pytest.mark.parametrize("pid", [None, "", "ours"])
def test_the_event_loop_gives_signs_of_life_but_not_while_it_is_blocked(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch, pid: str | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid else "")
    handler = Blocking()
    with new_server(backend, handler) as server, serving_in_thread(server), connect(server) as client:
        messages = {manager.next() for _ in range(4)}
        assert messages >= {"READY=1", "WATCHDOG=1"}
        client.sendall(b"hello\n")
        assert handler.has_begun.wait(PATIENCE)
        manager.forget()
        assert manager.has_none(0.1)
        handler.go_on.set()
        assert client.recv(100) == b"hello\n"
        assert manager.next() == "WATCHDOG=1"


def test_the_event_loop_does_not_wait_for_a_manager_that_does_not_read(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200")
    with new_server(backend) as server, serving_in_thread(server), connect(server) as client:
        while not any("cannot be notified" in record.getMessage() for record in caplog.records):
            time.sleep(0.001)
        begin = time.monotonic()
        for _ in range(20):
            assert ask(client) == b"hello\n"
        assert time.monotonic() - begin < 10  # each message would cost a second
        manager.forget()
        assert manager.next() == "WATCHDOG=1"
    problems = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(problems) == 1


@pytest.mark.parametrize("usec", ["", "0", "x", "-1", "1e6"])
def test_a_useless_time_is_no_watchdog(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, usec: str
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    with new_server(backend) as server, serving_in_thread(server):
        assert manager.next() == "READY=1"
        assert manager.has_none(0.02)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ([f"WATCHDOG_USEC is not a number of microseconds: {usec!r}"] if usec else [])


def test_the_watchdog_of_another_process_gets_nothing(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    with new_server(backend) as server, serving_in_thread(server):
        assert manager.next() == "READY=1"
        assert manager.has_none(0.05)


@pytest.mark.parametrize("error", [OSError("no service"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_errors_of_the_server_are_the_same_with_a_watchdog(
    backend: Any, manager: Manager, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    class Failing(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            raise error

    def failure() -> str:
        with new_server(backend, Failing()) as server, pytest.raises(BaseException) as caught:
            server.serve_forever()
        return repr(caught.value)

    without = failure()
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    assert failure() == without


# ----------------------------------------------------------------------------------------------------------- reloading


def test_reloading_is_told_with_its_time_and_ends_with_ready(manager: Manager) -> None:
    notifier = Notifier(logging.getLogger("test"))
    notifier.ready()
    assert manager.next() == "READY=1"
    before = time.monotonic_ns() // 1000
    with notifier.reloading():
        state, _, usec = manager.next().partition("\nMONOTONIC_USEC=")
        assert state == "RELOADING=1"
        assert before <= int(usec) <= time.monotonic_ns() // 1000
        assert manager.has_none()
    assert manager.next() == "READY=1"


def test_a_failed_reload_leaves_a_ready_server(manager: Manager) -> None:
    notifier = Notifier(logging.getLogger("test"))
    notifier.ready()
    with pytest.raises(KeyError), notifier.reloading():
        raise KeyError
    assert [manager.next().split("\n")[0] for _ in range(3)] == ["READY=1", "RELOADING=1", "READY=1"]


def test_a_server_that_stops_while_it_reloads_is_not_ready_again(manager: Manager) -> None:
    notifier = Notifier(logging.getLogger("test"))
    notifier.ready()
    with notifier.reloading():
        notifier.stopping()
    with notifier.reloading():
        pass
    assert [manager.next().split("\n")[0] for _ in range(3)] == ["READY=1", "RELOADING=1", "STOPPING=1"]
    assert manager.has_none()


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="only the main thread handles signals"
)
def test_reload_at_hangup_is_told(manager: Manager) -> None:
    new_context = the_certificates().server_context
    server: Any = StandaloneTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), Handler(), ssl=new_context(), ssl_reload=new_context
    )
    notifier = Notifier(logging.getLogger("its own"))
    notifier.ready()
    assert manager.next() == "READY=1"
    with server._handling_signals(SimpleNamespace(logger=logging.getLogger("its own")), notifier):
        signal.raise_signal(signal.SIGHUP)
        assert manager.next().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert manager.next() == "READY=1"
