"""Another TLS context for a standalone server: from another thread, and at SIGHUP."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Certificates, the_certificates
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE
from tests.support.programs import SECONDS_TO_END, Program, running
from tests.support.standalone_servers import serving_in_thread
from tests.support.stream_servers import Handler

from easynetwork.exceptions import ServerClosedError
from easynetwork.servers._signals import reloading_at_hangup
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer

Server = StandaloneTCPNetworkServer[str, str]

OLD = the_certificates().server_certificate()
NEW = the_certificates().server_certificate(renewed=True)

needs_hangup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")


@pytest.fixture(params=["asyncio", "trio"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """For `new_server`: on which backend it runs."""
    return {"backend": request.param}


def new_server(handler: Handler | None = None, **options: Any) -> Server:
    options.setdefault("ssl", the_certificates().server_context())
    return StandaloneTCPNetworkServer("127.0.0.1", 0, line_protocol(), handler or Handler(), **options)


@contextlib.contextmanager
def serving(server: Server) -> Iterator[int]:
    """Serve in a thread until the end of the context. Give the port."""
    with serving_in_thread(server):
        yield server.get_addresses()[0].port


def connect(port: int) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    try:
        return the_certificates().client_context().wrap_socket(sock, server_hostname="localhost")
    except BaseException:
        sock.close()
        raise


def ask(connection: ssl.SSLSocket, text: bytes) -> bytes:
    connection.sendall(text + b"\n")
    received = b""
    while not received.endswith(b"\n"):
        data = connection.recv(100)
        assert data, "the server has closed the connection"
        received += data
    return received[:-1]


def shown_at(port: int) -> bytes | None:
    """Connect, exchange a line, and return the certificate of the server."""
    with connect(port) as connection:
        assert ask(connection, b"a") == b"a"
        return connection.getpeercert(binary_form=True)


# ------------------------------------------------------------------------------------------------------------ threads


def test_from_another_thread_and_between_the_runs(options: dict[str, Any], certificates: Certificates) -> None:
    with new_server(**options) as server:
        with serving(server) as port:
            with connect(port) as before:
                assert ask(before, b"a") == b"a"
                server.reload_tls(certificates.server_context(renewed=True))
                assert shown_at(port) == NEW
                assert ask(before, b"b") == b"b"
                assert before.getpeercert(binary_form=True) == OLD
        with serving(server) as port:
            assert shown_at(port) == NEW
        server.reload_tls(certificates.server_context())
        with serving(server) as port:
            assert shown_at(port) == OLD


def test_from_a_handler_while_the_server_is_being_set_up(options: dict[str, Any], certificates: Certificates) -> None:
    class Reloading(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            standalone.reload_tls(certificates.server_context(renewed=True))

    with new_server(Reloading(), **options) as standalone, serving(standalone) as port:
        assert shown_at(port) == NEW


def test_what_is_set_while_the_server_is_being_made_is_not_lost(
    options: dict[str, Any], certificates: Certificates
) -> None:
    with new_server(**options) as server:
        new_async_server = server._new_server

        reloading = threading.Thread(target=server.reload_tls, args=(certificates.server_context(renewed=True),))

        def reload_meanwhile(**arguments: Any) -> Any:
            made = new_async_server(**arguments)
            reloading.start()  # it waits until the server is made
            return made

        server._new_server = reload_meanwhile
        with serving(server) as port:
            reloading.join(PATIENCE)
            assert not reloading.is_alive()
            assert shown_at(port) == NEW


def test_threads_may_reload_at_once(options: dict[str, Any], certificates: Certificates) -> None:
    contexts = [certificates.server_context(), certificates.server_context(renewed=True)]

    def reload_often(context: ssl.SSLContext) -> None:
        for _ in range(20):
            server.reload_tls(context)

    with new_server(**options) as server, serving(server) as port:
        threads = [threading.Thread(target=reload_often, args=(context,)) for context in contexts]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert shown_at(port) in (OLD, NEW)
        assert (shown_at(port) == NEW) == (server._ssl is contexts[1])
        server.reload_tls(contexts[1])
        assert shown_at(port) == NEW


def test_what_is_refused_changes_nothing(options: dict[str, Any], certificates: Certificates) -> None:
    def try_all() -> None:
        with pytest.raises(TypeError):
            server.reload_tls(None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="for clients only"):
            server.reload_tls(certificates.client_context())
        with pytest.raises(ValueError, match="has no certificate"):
            server.reload_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    with new_server(**options) as server:
        try_all()
        with serving(server) as port:
            try_all()
            assert shown_at(port) == OLD
    with pytest.raises(ServerClosedError):
        server.reload_tls(certificates.server_context())
    with new_server(ssl=None, **options) as plain:
        with pytest.raises(RuntimeError, match="does not use TLS"):
            plain.reload_tls(certificates.server_context())


def test_a_server_that_drains_takes_a_context(options: dict[str, Any], certificates: Certificates) -> None:
    with new_server(**options) as server, serving(server) as port:
        with connect(port) as connection:
            connection.sendall(b"not comp")
            drain = threading.Thread(target=server.drain)
            drain.start()
            while not server.is_draining():
                pass
            server.reload_tls(certificates.server_context(renewed=True))
            assert ask(connection, b"lete") == b"not complete"
        drain.join(PATIENCE)


# --------------------------------------------------------------------------------------------------------- arguments


def test_the_function_needs_tls_and_has_to_be_one() -> None:
    with pytest.raises(ValueError, match="'ssl_reload' needs 'ssl'"):
        new_server(ssl=None, ssl_reload=the_certificates().server_context)
    with pytest.raises(TypeError, match="must be a function or None"):
        new_server(ssl_reload=the_certificates().server_context())


@needs_hangup
def test_one_signal_cannot_both_stop_and_reload() -> None:
    with pytest.raises(ValueError, match="SIGHUP"):
        new_server(ssl_reload=the_certificates().server_context, stop_signals=iter([signal.SIGTERM, signal.SIGHUP]))
    with new_server(ssl_reload=the_certificates().server_context, stop_signals=iter([signal.SIGTERM])) as server:
        assert server._stop_signals == (signal.SIGTERM,)
    new_server(stop_signals=[signal.SIGHUP]).server_close()


@needs_hangup
def test_in_another_thread_no_signal_is_handled(options: dict[str, Any]) -> None:
    before = signal.getsignal(signal.SIGHUP)
    with new_server(ssl_reload=the_certificates().server_context, **options) as server, serving(server) as port:
        assert signal.getsignal(signal.SIGHUP) is before
        assert shown_at(port) == OLD


# ------------------------------------------------------------------------------------------------------------- SIGHUP


@needs_hangup
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="only the main thread handles signals"
)
def test_signals_in_a_row_do_not_overlap_and_the_last_one_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
    threads: set[threading.Thread] = set()

    def reload() -> None:
        threads.add(threading.current_thread())
        begun.release()
        assert go_on.acquire(timeout=PATIENCE)

    before = signal.getsignal(signal.SIGHUP)
    with reloading_at_hangup(reload, logging.getLogger("its own")):
        signal.raise_signal(signal.SIGHUP)
        assert begun.acquire(timeout=PATIENCE)
        for _ in range(5):  # while the first call is in progress
            signal.raise_signal(signal.SIGHUP)
        assert not begun.acquire(timeout=0.05)
        go_on.release()
        assert begun.acquire(timeout=PATIENCE)
        go_on.release()
        assert not begun.acquire(timeout=0.05)
    assert signal.getsignal(signal.SIGHUP) is before
    [thread] = threads
    assert thread is not threading.main_thread()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]


PROGRAM = """
import asyncio, logging, signal, ssl, sys, threading
from contextlib import suppress
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler

class Echo(AsyncStreamRequestHandler):
    async def handle(self, client):
        await client.send_packet((yield))

def make_context():
    assert threading.current_thread() is not threading.main_thread() or not is_up.is_set()
    with open("mode") as file:
        mode = file.read()
    if mode == "exit":
        sys.exit("the function exits")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if mode != "no certificate":
        context.load_cert_chain("server.pem")
    return context

backend, options = {
    "asyncio": ("asyncio", {"loop_factory": asyncio.new_event_loop}),
    "uvloop": ("asyncio", {}),
    "trio": ("trio", {}),
}[sys.argv[1]]
logging.basicConfig(level=logging.INFO)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.default_int_handler)
is_up = threading.Event()
with StandaloneTCPNetworkServer(
    "127.0.0.1", 0, StreamProtocol(StringLineSerializer()), Echo(), backend, runner_options=options,
    ssl=make_context(), ssl_reload=make_context, log_client_connection=False,
) as server, suppress(KeyboardInterrupt):
    server.serve_forever(is_up_event=is_up)
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
print("stopped cleanly", flush=True)
"""


class Reloaded:
    """A server in a process of its own, and the files that it makes its context of."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.port = int(program.wait_for(r"Start serving at .*, (\d+)\)")[0][1])
        self._folder = folder
        self._reloads = 0
        self._failures = 0

    def hang_up(self) -> None:
        self.program.process.send_signal(signal.SIGHUP)

    def reload(self, *, renewed: bool) -> None:
        """Put another certificate into the file, and wait until the server has it."""
        put(self._folder / "server.pem", the_certificates().server_pem(renewed=renewed))
        self.hang_up()
        self._reloads += 1
        self.program.wait_for("new connections use the new TLS context", self._reloads)

    def fail_to_reload(self) -> None:
        self.hang_up()
        self._failures += 1
        self.program.wait_for(r"ERROR:easynetwork\.servers\.async_tcp:SIGHUP: .*\nTraceback", self._failures)


def put(file: Path, content: bytes) -> None:
    """Replace *file* in one step, as programs that renew certificates should."""
    file.with_suffix(".tmp").write_bytes(content)
    os.replace(file.with_suffix(".tmp"), file)


@contextlib.contextmanager
def reloaded(loop: str, folder: Path) -> Iterator[Reloaded]:
    pytest.importorskip(loop)
    put(folder / "server.pem", the_certificates().server_pem())
    put(folder / "mode", b"")
    with running([sys.executable, "-u", "-c", PROGRAM, loop], folder) as program:
        yield Reloaded(program, folder)
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(SECONDS_TO_END) == 0, program.output
        assert program.output.endswith("stopped cleanly\n")


@needs_hangup
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_what_fails_is_logged_and_the_old_context_stays(loop: str, tmp_path: Path) -> None:
    with reloaded(loop, tmp_path) as server, connect(server.port) as before:
        put(tmp_path / "server.pem", b"half of a certifi")
        server.fail_to_reload()
        assert shown_at(server.port) == OLD
        put(tmp_path / "mode", b"no certificate")
        server.fail_to_reload()
        assert "has no certificate" in server.program.output
        put(tmp_path / "mode", b"exit")
        server.fail_to_reload()
        assert "the function exits" in server.program.output
        (tmp_path / "mode").unlink()
        server.fail_to_reload()
        assert shown_at(server.port) == OLD
        put(tmp_path / "mode", b"")
        server.reload(renewed=True)
        assert shown_at(server.port) == NEW
        assert ask(before, b"still here") == b"still here"


class Crowd:
    """Clients in threads, which connect again and again."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._connect) for _ in range(size)]
        self.shown: Counter[bytes | None] = Counter()
        self.errors: list[Exception] = []

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _connect(self) -> None:
        while not self._ended.is_set():
            try:
                certificate = shown_at(self._port)
            except Exception as exc:
                self.errors.append(exc)
            else:
                with self._lock:
                    self.shown[certificate] += 1


@needs_hangup
@pytest.mark.parametrize("reloads", [50, pytest.param(500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_no_handshake_fails_while_certificates_change_under_load(loop: str, reloads: int, tmp_path: Path) -> None:
    with reloaded(loop, tmp_path) as server, connect(server.port) as before:
        with Crowd(server.port, 5) as crowd:
            for number in range(1, reloads + 1):
                enough = crowd.shown.total() + 5
                server.reload(renewed=number % 2 == 1)
                assert ask(before, b"%d" % number) == b"%d" % number
                while crowd.shown.total() < enough and not crowd.errors:
                    threading.Event().wait(0.002)
        assert crowd.errors == []
        assert "handshake failed" not in server.program.output
        assert crowd.shown.keys() == {OLD, NEW}
        assert before.getpeercert(binary_form=True) == OLD
        shown = crowd.shown.total(), crowd.shown[OLD], crowd.shown[NEW]
        logging.getLogger(__name__).info("%s: %d reloads, %d handshakes = %d + %d", loop, reloads, *shown)
