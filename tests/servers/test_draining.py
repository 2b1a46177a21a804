"""Draining: what was received is answered, what is idle is closed, and the rest is cut at the deadline."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background import new_event, settle, sleep, spawn, until
from tests.support.certificates import Certificates
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE, Peer
from tests.support.stream_servers import Client, Handler, Requests, Serving, serving
from tests.support.tls_servers import connect

from easynetwork.servers import AsyncTCPNetworkServer, DrainReport, StandaloneTCPNetworkServer

EVERY_BACKEND = True


class Slow(Handler):
    """Answers each line when it is told to go on. Looks whether the server is draining."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = new_event()

    async def handle(self, client: Client, /) -> Requests:
        line = yield None
        self.diary.append(line)
        await self.go_on.wait()
        await client.send_packet(f"{line} {client.is_draining()}")


@contextlib.asynccontextmanager
async def serving_a_busy_client() -> AsyncIterator[tuple[Serving, Peer]]:
    """Serve a peer whose request is being handled, and will not be answered."""
    handler = Slow()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        await until(lambda: "a" in handler.diary)
        yield it, peer


async def test_idle_connections_are_closed() -> None:
    handler = Handler()
    async with serving(handler) as it:
        silent, quiet = await it.connect(), await it.connect()
        assert await quiet.ask(b"a") == b"a"
        await until(lambda: handler.diary.count("connected") == 2)
        draining = spawn(it.server.drain(PATIENCE))
        assert await silent.rest() == await quiet.rest() == b""
        silent.close()
        quiet.close()
        assert await draining.result() == DrainReport(finished=0, idle=2, cut=0)
        await it.task.wait()
        assert not it.server.is_serving()
    assert handler.diary.count("disconnected") == 2


async def test_received_requests_are_answered_first() -> None:
    handler = Slow()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\nc\n")
        await until(lambda: handler.diary[1:] == ["a"])
        draining = spawn(it.server.drain(PATIENCE))
        await until(it.server.is_draining)
        await peer.send(b"d\n")  # in the system's buffer, when the others are answered
        handler.go_on.set()
        assert await peer.rest() == b"a True\nb True\nc True\nd True\n"
        peer.close()
        assert await draining.result() == DrainReport(finished=1, idle=0, cut=0)


async def test_request_in_the_buffer_of_the_system_is_handled() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peers = [await it.connect() for _ in range(20)]
        for peer in peers:
            assert await peer.ask(b"a") == b"a"
        for peer in peers:
            peer.sock.send(b"b\n")  # without a turn for the server
        draining = spawn(it.server.drain(PATIENCE))
        for peer in peers:
            assert await peer.rest() == b"b\n"
            peer.close()
        report = await draining.result()
        assert (report.finished + report.idle, report.cut) == (20, 0)


@pytest.mark.parametrize("in_flight", [2, 40])
async def test_client_that_always_has_requests_in_flight_is_finished(in_flight: int) -> None:
    class Working(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await sleep(0.001)
            await client.send_packet(request)

    async with serving(Working()) as it:
        peer = await it.connect()
        await peer.send(b"a\n" * in_flight)
        draining = None
        try:
            for number in range(10_000):
                assert await peer.line() == b"a"
                await peer.send(b"a\n")
                if number == in_flight:
                    draining = spawn(it.server.drain(PATIENCE))
        except (EOFError, ConnectionError):
            pass
        peer.close()
        assert draining is not None
        assert await draining.result() == DrainReport(finished=1, idle=0, cut=0)


async def test_request_that_has_begun_is_awaited() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await peer.send(b"beg")
        await sleep(0.05)
        draining = spawn(it.server.drain(PATIENCE))
        await until(it.server.is_draining)
        await sleep(0.05)
        assert not draining.done()
        assert await peer.ask(b"un") == b"begun"
        assert await peer.rest() == b""
        peer.close()
        assert await draining.result() == DrainReport(finished=1, idle=0, cut=0)


async def test_what_remains_is_cut_at_the_deadline() -> None:
    handler = Slow()
    async with serving(handler) as it:
        busy, begun = await it.connect(), await it.connect()
        await busy.send(b"a\n")
        await begun.send(b"beg")
        await until(lambda: "a" in handler.diary)
        await sleep(0.05)
        assert await it.server.drain(0.05) == DrainReport(finished=0, idle=0, cut=2)
        assert await busy.gone()
        assert await begun.gone()
    assert handler.diary.count("disconnected") == 2


async def test_what_the_end_of_the_servers_task_ends_is_cut() -> None:
    async with serving_a_busy_client() as (it, peer):
        draining = spawn(it.server.drain())
        await until(it.server.is_draining)
        it.task.cancel()
        assert await draining.result() == DrainReport(finished=0, idle=0, cut=1)
        assert await peer.gone()


async def test_answer_that_cannot_be_sent_is_a_reset_at_the_deadline() -> None:
    class Large(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            await client.send_packet("x" * 20_000_000)

    handler = Large()
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        await sleep(0.05)
        assert (await it.server.drain(0.1)).cut == 1
        with pytest.raises(ConnectionResetError):
            await peer.rest()


async def test_handler_that_received_by_a_call_sees_the_end() -> None:
    class Receiving(Handler):
        async def handle(self, client: Client, /) -> Requests:
            while True:
                try:
                    await client.send_packet(await client.recv_packet())
                except ConnectionAbortedError:
                    await client.send_packet("bye")
                    raise
            yield None

    async with serving(Receiving()) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        draining = spawn(it.server.drain(PATIENCE))
        assert await peer.rest() == b"bye\n"
        peer.close()
        assert (await draining.result()).idle == 1


async def test_waits_with_a_timeout_end_too() -> None:
    class Patient(Handler):
        async def handle(self, client: Client, /) -> Requests:
            while True:
                try:
                    await client.send_packet((yield 3600))
                except TimeoutError:
                    self.diary.append("late")

    handler = Patient()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        draining = spawn(it.server.drain(PATIENCE))
        assert await peer.rest() == b""
        peer.close()
        assert await draining.result() == DrainReport(finished=0, idle=1, cut=0)
    assert "late" not in handler.diary


async def test_over_tls(certificates: Certificates) -> None:
    handler = Handler()
    async with serving(handler, ssl=certificates.server_context()) as it:
        client, other = await connect(it), await connect(it)
        assert await client.ask(b"a") == b"a"
        assert await other.ask(b"a") == b"a"
        await client.send(b"b\n")
        draining = spawn(it.server.drain(PATIENCE))
        assert await client.line() == b"b"
        await client.leave()
        await other.leave()
        report = await draining.result()
        assert report.cut == 0
        assert report.finished + report.idle == 2


async def test_connections_in_the_backlog_are_accepted() -> None:
    handler = Handler()
    async with serving(handler) as it:
        [address] = it.server.get_addresses()
        socks = []
        for number in range(10):
            sock = socket.create_connection((address.host, address.port), PATIENCE)
            sock.sendall(b"%d\n" % number)
            socks.append(sock)
        draining = spawn(it.server.drain(PATIENCE))
        await sleep(0.05)
        for number, sock in enumerate(socks):
            sock.setblocking(False)
            received = b""
            while not received:
                try:
                    received = sock.recv(100)
                except BlockingIOError:
                    await sleep(0.005)
            assert received == b"%d\n" % number
            sock.close()
        assert (await draining.result()).cut == 0
        with pytest.raises(OSError):  # noqa: PT011, RUF100  # refused
            socket.create_connection((address.host, address.port), 0.5)


async def test_a_later_call_brings_the_deadline_forward() -> None:
    async with serving_a_busy_client() as (it, _):
        patient = spawn(it.server.drain())
        await until(it.server.is_draining)
        assert (await it.server.drain(0.01)).cut == 1
        assert (await patient.result()).cut == 1


async def test_wrong_timeouts() -> None:
    async with serving(Handler()) as it:
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                await it.server.drain(wrong)
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"


async def test_a_server_that_does_not_run_is_closed() -> None:
    server: AsyncTCPNetworkServer[Any, Any] = AsyncTCPNetworkServer("127.0.0.1", 0, line_protocol(), Handler())
    await server.server_activate()
    assert await server.drain(1) == DrainReport(0, 0, 0)
    assert not server.is_listening()


async def test_nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with serving(Handler()) as it:
            peers = [await it.connect() for _ in range(5)]
            for peer in peers:
                assert await peer.ask(b"a") == b"a"
            draining = spawn(it.server.drain(PATIENCE))
            for peer in peers:
                await peer.rest()
                peer.close()
            await draining.wait()
    assert not caplog.records


def test_standalone_server_drains_from_another_thread() -> None:
    handler = Handler()
    server: StandaloneTCPNetworkServer[Any, Any] = StandaloneTCPNetworkServer(
        "127.0.0.1",
        0,
        line_protocol(),
        handler,
    )
    is_up = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"is_up_event": is_up})
    thread.start()
    assert is_up.wait(PATIENCE)
    [address] = server.get_addresses()
    with socket.create_connection((address.host, address.port), PATIENCE) as sock:
        sock.sendall(b"a\n")
        assert sock.recv(10) == b"a\n"
        assert not server.is_draining()
        reports: list[DrainReport] = []
        drainer = threading.Thread(target=lambda: reports.append(server.drain(PATIENCE)))
        drainer.start()
        assert sock.recv(10) == b""
    drainer.join(PATIENCE)
    thread.join(PATIENCE)
    assert reports == [DrainReport(0, 1, 0)]
    assert not server.is_draining()
    server.server_close()


PROGRAM = """
import logging, signal, sys
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler

class Slow(AsyncStreamRequestHandler):
    async def handle(self, client):
        line = yield
        print("got", line, flush=True)
        await client.backend().sleep(float(line))
        await client.send_packet("slept")

class Up:
    def set(self):
        print(server.get_addresses()[0].port, flush=True)

logging.basicConfig(level=logging.INFO)
signal.signal(signal.SIGINT, signal.SIG_IGN)
protocol = StreamProtocol(StringLineSerializer())
with StandaloneTCPNetworkServer(
    "127.0.0.1", 0, protocol, Slow(), sys.argv[1], stop_signals=[signal.SIGTERM, signal.SIGINT], drain_timeout=60
) as server:
    server.serve_forever(is_up_event=Up())
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
print("stopped cleanly", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_drain_a_standalone_server(library: str, name: str) -> None:
    number = signal.Signals[name]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, library], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline())), PATIENCE) as sock:
            sock.sendall(b"0.2\n")
            assert process.stdout.readline() == "got 0.2\n"
            process.send_signal(number)
            assert sock.recv(100) == b"slept\n"
            assert sock.recv(100) == b""
        output, errors = process.communicate(timeout=PATIENCE)
    assert output == "stopped cleanly\n"
    assert f"Draining after {name}" in errors
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_second_signal_cuts(library: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, library], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        port = next(int(line) for line in lines if line.strip().isdigit())
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            sock.sendall(b"3600\n")
            assert any("got 3600" in line for line in lines)
            process.send_signal(signal.SIGTERM)
            assert any("Draining after SIGTERM" in line for line in lines)
            process.send_signal(signal.SIGTERM)
            assert any("stopped cleanly" in line for line in lines)
    assert process.returncode == 0


async def test_all_requests_in_the_buffer_of_the_system_are_answered() -> None:
    handler = Slow()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        await until(lambda: handler.diary[1:] == ["a"])
        lines = [b"%d" % number * 100 for number in range(200)]  # more than one read takes
        await peer.send(b"\n".join(lines) + b"\n")
        draining = spawn(it.server.drain(PATIENCE))
        await until(it.server.is_draining)
        handler.go_on.set()
        assert await peer.rest() == b"".join(line + b" True\n" for line in [b"a", *lines])
        peer.close()
        assert await draining.result() == DrainReport(finished=1, idle=0, cut=0)


class Impatient(Handler):
    """Does not wait for a line for long, but again and again."""

    async def handle(self, client: Client, /) -> Requests:
        self.diary.append("waits")
        line: str | None = None
        with client.backend().move_on_after(0.01):
            line = yield None
        if line is None:
            self.diary.append("cancelled")
            try:
                line = yield 0.01
            except TimeoutError:
                self.diary.append("late")
                line = yield None
        await client.send_packet(line)


@pytest.mark.parametrize("is_seen", [False, True])
async def test_request_that_has_begun_is_awaited_by_each_wait_of_its_handler(is_seen: bool) -> None:
    handler = Impatient()
    async with serving(handler) as it:
        peer = await it.connect()
        await until(lambda: handler.diary[1:] == ["waits"])
        await peer.send(b"beg")
        if is_seen:
            await settle()
        draining = spawn(it.server.drain(PATIENCE))
        await until(lambda: handler.diary[1:] == ["waits", "cancelled", "late"])
        assert await peer.ask(b"un") == b"begun"
        assert await peer.rest() == b""
        peer.close()
        assert await draining.result() == DrainReport(finished=1, idle=0, cut=0)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_connection_whose_request_arrives_unseen_is_not_idle(tls: bool, certificates: Certificates) -> None:
    options: dict[str, Any] = {"ssl": certificates.server_context()} if tls else {}
    async with serving(Handler(), **options) as it:
        peer = await connect(it) if tls else await it.connect()
        assert await peer.ask(b"a") == b"a"

        async def send_and_drain(peer: Peer = peer) -> DrainReport:
            await peer.send(b"b\n")  # which gives the server no turn
            return await it.server.drain(PATIENCE)

        draining = spawn(send_and_drain())
        assert await peer.line() == b"b"
        await peer.gone()
        peer.close()
        assert await draining.result() == DrainReport(finished=1, idle=0, cut=0)


async def test_client_that_always_has_requests_in_flight_is_closed_too() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        received = 0
        sent = 0
        draining = None
        while True:
            try:
                await peer.send(b"%d\n" * 10 % tuple(range(sent, sent + 10)))
                sent += 10
                for number in range(received, received + 10):
                    assert await peer.line() == b"%d" % number
                    received += 1
            except (EOFError, OSError):
                break
            if received == 100:
                draining = spawn(it.server.drain(PATIENCE))
        peer.close()
        assert draining is not None
        assert (await draining.result()).cut == 0
    assert received >= 100
