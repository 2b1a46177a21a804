"""The TCP server that brings its own event loop, in a thread and in a process."""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.certificates import Certificates
from tests.support.datagram_servers import Handler as DatagramHandler
from tests.support.lines import line_protocol, text_protocol
from tests.support.peers import PATIENCE
from tests.support.standalone_servers import serving_in_thread
from tests.support.stream_servers import Handler

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import BusyResourceError, ServerAlreadyRunning, ServerClosedError
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer
from easynetwork.servers.standalone_udp import StandaloneUDPNetworkServer

Server = StandaloneTCPNetworkServer[str, str]


class LoopHandler(Handler):
    """Notes the event loop it runs in."""

    loop: asyncio.AbstractEventLoop

    async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
        self.loop = asyncio.get_running_loop()


@pytest.fixture(params=["asyncio", "trio"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """For `new_server`: on which backend it runs."""
    return {"backend": request.param}


def new_server(handler: Handler | None = None, **options: Any) -> Server:
    return StandaloneTCPNetworkServer("127.0.0.1", 0, line_protocol(), handler or Handler(), **options)


def connect(server: Server) -> socket.socket:
    [address] = server.get_addresses()
    return socket.create_connection((address.host, address.port), timeout=PATIENCE)


def ask(sock: socket.socket, text: bytes) -> bytes:
    sock.sendall(text + b"\n")
    return sock.recv(100)


def test_server_in_a_thread_answers_until_it_is_shut_down(options: dict[str, Any]) -> None:
    with new_server(**options) as server:
        assert not server.is_serving()
        assert server.get_addresses() == ()
        assert server.get_sockets() == ()
        with serving_in_thread(server), connect(server) as sock:
            assert server.is_serving()
            assert ask(sock, b"a") == b"a\n"
            [address] = server.get_addresses()
            server.shutdown()
            assert not server.is_serving()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address.host, address.port))
        assert server.get_addresses() == ()


@pytest.mark.parametrize("ours", [True, False], ids=["our client", "another client"])
def test_server_in_a_thread_does_tls(options: dict[str, Any], certificates: Certificates, ours: bool) -> None:
    async def ask_as_a_client(port: int) -> str:
        async with AsyncTCPNetworkClient(
            ("localhost", port), line_protocol(), ssl=certificates.client_context()
        ) as client:
            await client.send_packet("a")
            return await client.recv_packet()

    with new_server(ssl=certificates.server_context(), **options) as server, serving_in_thread(server):
        if ours:
            [address] = server.get_addresses()
            assert asyncio.run(ask_as_a_client(address.port)) == "a"
        else:
            with certificates.client_context().wrap_socket(
                connect(server), server_hostname="localhost", suppress_ragged_eofs=False
            ) as tls:
                assert ask(tls, b"a") == b"a\n"
                with tls.unwrap() as plain:
                    assert plain.recv(1) == b""


def test_each_run_has_new_sockets(options: dict[str, Any]) -> None:
    with new_server(**options) as server:
        for text in (b"a", b"b", b"c"):
            with serving_in_thread(server), connect(server) as sock:
                assert ask(sock, text) == text + b"\n"


def test_second_call_while_running_is_refused(options: dict[str, Any]) -> None:
    with new_server(**options) as server, serving_in_thread(server):
        with pytest.raises(ServerAlreadyRunning):
            server.serve_forever()
        assert server.is_serving()


def test_closed_server_does_not_run_again(options: dict[str, Any]) -> None:
    server = new_server(**options)
    server.server_close()
    server.server_close()
    with pytest.raises(ServerClosedError):
        server.serve_forever()


def test_closing_lets_connected_clients_finish(options: dict[str, Any]) -> None:
    server = new_server(**options)
    with serving_in_thread(server) as thread:
        with connect(server) as sock:
            assert ask(sock, b"a") == b"a\n"
            server.server_close()
            assert not server.is_serving()
            assert server.get_addresses() == ()
            assert ask(sock, b"b") == b"b\n"
            assert thread.is_alive()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    with pytest.raises(ServerClosedError):
        server.serve_forever()


def test_shutdown_of_what_does_not_run_returns_at_once(options: dict[str, Any]) -> None:
    server = new_server(**options)
    server.shutdown()
    server.shutdown(timeout=0)
    with serving_in_thread(server):
        pass
    server.shutdown()


def test_shutdown_waits_no_longer_than_it_is_told(options: dict[str, Any]) -> None:
    release = threading.Event()

    class Slow(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(release.wait, PATIENCE)

    server = new_server(Slow(), **options)
    with serving_in_thread(server) as thread:
        server.shutdown(timeout=0.01)
        assert thread.is_alive()
        release.set()


@pytest.mark.parametrize("ask_to_stop", ["shutdown", "server_close"])
def test_server_that_is_stopped_before_it_is_up_never_gets_up(ask_to_stop: str) -> None:
    server = new_server()
    is_up = threading.Event()
    stopping: list[threading.Thread] = []

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Ask the server to stop before any code of the library runs in the loop."""
        stopping.append(threading.Thread(target=getattr(server, ask_to_stop)))
        stopping[0].start()
        stopping[0].join(0.05)
        return asyncio.new_event_loop()

    server.serve_forever(is_up_event=is_up, runner_options={"loop_factory": new_event_loop})
    stopping[0].join(PATIENCE)
    assert not stopping[0].is_alive()
    assert not is_up.is_set()


def test_shutdown_during_the_set_up_ends_it(options: dict[str, Any]) -> None:
    reached = threading.Event()

    class Hanging(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            reached.set()
            await server.backend().sleep_forever()

    server = new_server(Hanging(), **options)
    is_up = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"is_up_event": is_up})
    thread.start()
    assert reached.wait(PATIENCE)
    server.shutdown(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not is_up.is_set()


def test_closing_is_refused_in_the_set_up(options: dict[str, Any]) -> None:
    reached, go_on = threading.Event(), threading.Event()

    class Hanging(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            reached.set()
            await server.backend().run_in_thread(go_on.wait, PATIENCE)

    server = new_server(Hanging(), **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert reached.wait(PATIENCE)
        with pytest.raises(BusyResourceError):
            server.server_close()
    finally:
        go_on.set()
        server.shutdown(PATIENCE)
        thread.join(PATIENCE)
    assert not thread.is_alive()


def test_bad_values_and_failures_come_out_of_serve_forever() -> None:
    class Failing(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            raise LookupError("on purpose")

    with pytest.raises(ValueError):
        new_server(max_recv_size=0).serve_forever()
    with pytest.raises(LookupError):
        new_server(Failing()).serve_forever()
    with pytest.raises(TypeError):
        StandaloneTCPNetworkServer("127.0.0.1", 0, 12, Handler()).serve_forever()  # type: ignore[arg-type] # tested
    with pytest.raises(TypeError):
        new_server(backend=12)
    with socket.create_server(("127.0.0.1", 0)) as other:
        server: Server = StandaloneTCPNetworkServer("127.0.0.1", other.getsockname()[1], line_protocol(), Handler())
        for _ in range(2):
            with pytest.raises(ExceptionGroup):
                server.serve_forever()


def test_uvloop_runs_unless_the_options_say_otherwise() -> None:
    uvloop = pytest.importorskip("uvloop")
    handler = LoopHandler()
    plain = {"loop_factory": asyncio.SelectorEventLoop}
    with serving_in_thread(new_server(handler)):
        assert isinstance(handler.loop, uvloop.Loop)
    with serving_in_thread(new_server(handler), runner_options=plain):
        assert isinstance(handler.loop, asyncio.SelectorEventLoop)
    with serving_in_thread(new_server(handler, runner_options=plain)):
        assert isinstance(handler.loop, asyncio.SelectorEventLoop)


def test_options_of_a_run_come_before_those_of_the_constructor() -> None:
    uvloop = pytest.importorskip("uvloop")
    handler = LoopHandler()
    server = new_server(handler, runner_options={"loop_factory": asyncio.SelectorEventLoop, "debug": True})
    with serving_in_thread(server, runner_options={"loop_factory": uvloop.new_event_loop}):
        assert isinstance(handler.loop, uvloop.Loop)
        assert handler.loop.get_debug()


OURS: Any = {"loop_factory": asyncio.new_event_loop, "debug": True}
THEIRS: Any = {"debug": False}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (None, None, None),
        (OURS, None, OURS),
        (None, THEIRS, THEIRS),
        (OURS, THEIRS, {**OURS, **THEIRS}),
        ({}, {}, None),
    ],
)
@pytest.mark.parametrize("kind", [StandaloneTCPNetworkServer, StandaloneUDPNetworkServer])
def test_a_backend_gets_one_function_without_parameters_and_the_options(
    kind: Any, ours: Any, theirs: Any, expected: Any
) -> None:
    calls: list[tuple[Any, ...]] = []

    class Recording(AsyncIOBackend):
        __slots__ = ()

        def bootstrap(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]  # takes all there is
            calls.append((*args, options))
            [function] = args
            return super().bootstrap(function)

    is_tcp = kind is StandaloneTCPNetworkServer
    protocol, handler = (line_protocol(), Handler()) if is_tcp else (text_protocol(), DatagramHandler())
    server: Any = kind("127.0.0.1", 0, protocol, handler, Recording(), runner_options=ours)
    with serving_in_thread(server, **({} if theirs is None else {"runner_options": theirs})):
        assert server.is_serving()
    [(function, options)] = calls
    assert options == {"runner_options": expected}
    assert not inspect.signature(function).parameters


def test_views_of_the_sockets_work_in_the_loop_and_end_with_it(options: dict[str, Any]) -> None:
    server = new_server(**options)
    with serving_in_thread(server):
        [sock] = server.get_sockets()
        [address] = server.get_addresses()
        assert sock.getsockname() == tuple(address)
    with pytest.raises(RuntimeError):
        sock.getsockname()
    assert server.get_sockets() == ()


PROGRAM = """
import sys
import threading
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.handlers import AsyncStreamRequestHandler
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer
from easynetwork.servers.standalone_udp import StandaloneUDPNetworkServer
from easynetwork.servers.threads_helper import NetworkServerThread

class Handler(AsyncStreamRequestHandler):
    async def service_init(self, exit_stack, server):
        exit_stack.callback(print, "unwound", flush=True)
    async def handle(self, client):
        await client.send_packet((yield))
    async def on_disconnection(self, client):
        print("disconnected", flush=True)

class Event:
    def set(self):
        threading.Thread(target=lambda: print(server.get_addresses()[0].port, flush=True)).start()

loop, thread = sys.argv[1:]
if loop == "trio":
    options = {"backend": "trio"}
else:
    options = {"runner_options": {"loop_factory": __import__(loop).new_event_loop}}
with StandaloneTCPNetworkServer("127.0.0.1", 0, StreamProtocol(StringLineSerializer()), Handler(), **options) as server:
    try:
        if thread == "main":
            server.serve_forever(is_up_event=Event())
        else:
            serving = NetworkServerThread(server)
            serving.start()
            try:
                Event().set()
                threading.Event().wait()
            finally:
                serving.join()
    except KeyboardInterrupt:
        print("interrupted")
    print("serving:", server.is_serving())
"""


@pytest.mark.parametrize("thread", ["main", "other"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_keyboard_interrupt_ends_a_process_cleanly(loop: str, thread: str) -> None:
    pytest.importorskip(loop)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, loop, thread], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
                assert ask(sock, b"a") == b"a\n"
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert errors == ""
    assert process.returncode == 0
    assert output.splitlines() == ["disconnected", "unwound", "interrupted", "serving: False"]
