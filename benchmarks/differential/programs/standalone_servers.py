"""Standalone servers, threads that run them, and their behaviour on signals and errors."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from benchmarks.differential.kit import datagrams, folder, lines
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork.clients import TCPNetworkClient, UDPNetworkClient
from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.servers import StandaloneTCPNetworkServer, StandaloneUDPNetworkServer
from easynetwork.servers.abc import AbstractNetworkServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler
from easynetwork.servers.standalone_unix_datagram import StandaloneUnixDatagramServer
from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer
from easynetwork.servers.threads_helper import NetworkServerThread


class Echo(AsyncStreamRequestHandler[Any, Any]):
    failing = False

    async def service_init(self, exit_stack: Any, server: Any) -> None:
        if self.failing:
            raise KeyError

    async def handle(self, client: Any) -> Any:
        request = yield
        await client.send_packet(request.upper())


class EchoDatagrams(AsyncDatagramRequestHandler[Any, Any]):
    async def handle(self, client: Any) -> Any:
        request = yield
        await client.send_packet(request.upper())


class Failing(Echo):
    failing = True


@program()
def tcp_life_cycle(t: Transcript) -> None:
    """StandaloneTCPNetworkServer in a thread: state, clients, shutdown, again, closing"""
    for backend in (None, "asyncio", "trio"):
        server: Any = StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), backend)
        t.say("new", (server.is_serving(), server.get_addresses(), server.get_sockets()))
        t.call("shutdown before", server.shutdown)
        for _ in range(2):
            worker = NetworkServerThread(server)
            t.call("start", worker.start)
            t.say("serving", (server.is_serving(), len(server.get_addresses())))
            t.call("serve twice", server.serve_forever)
            with TCPNetworkClient(tuple(server.get_addresses()[0])[:2], lines()) as client:
                client.send_packet("hello")
                t.say("answer", client.recv_packet(timeout=5))
            proxy = server.get_sockets()[0]
            t.say("socket", proxy.getsockname() == tuple(server.get_addresses()[0]))
            t.call("shutdown", server.shutdown, timeout=5)
            t.call("join", worker.join)
            t.say("after", (server.is_serving(), server.get_addresses(), worker.is_alive()))
            t.call("socket afterwards", proxy.getsockname)
        t.call("close", server.server_close)
        t.call("close again", server.server_close)
        t.call("serve closed", server.serve_forever)
        t.logs()


@program()
def closed_while_serving(t: Transcript) -> None:
    """server_close() from another thread, with and without clients"""
    server: Any = StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo())
    worker = NetworkServerThread(server)
    worker.start()
    with TCPNetworkClient(tuple(server.get_addresses()[0])[:2], lines()) as client:
        client.send_packet("a")
        t.say("answer", client.recv_packet(timeout=5))
        t.call("close", server.server_close)
        client.send_packet("b")
        t.say("still served", client.recv_packet(timeout=5))
    threading.Thread.join(worker, 5)
    t.say("ended by itself", not worker.is_alive())
    t.call("join", worker.join)
    t.call("serve", server.serve_forever)


@program(
    explained={
        "ssl True*": "`ssl=True` on a server",
        "service_init, serving": "an error in `service_init()` of a standalone server",
    }
)
def arguments(t: Transcript) -> None:
    """Standalone servers: wrong arguments, refused at once or when serving"""
    cases: dict[str, Any] = {
        "backend": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), "nothing"),
        "backend int": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), 3),
        "protocol": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, datagrams(), Echo()),
        "handler": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), None),
        "max_recv_size": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), max_recv_size=0),
        "unknown": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), nothing=1),
        "handshake without ssl": lambda: StandaloneTCPNetworkServer(
            "127.0.0.1", 0, lines(), Echo(), ssl_handshake_timeout=1
        ),
        "ssl True": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), ssl=True),
        "runner options": lambda: StandaloneTCPNetworkServer(
            "127.0.0.1", 0, lines(), Echo(), runner_options={"nothing": 1}
        ),
        "service_init": lambda: StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Failing()),
        "foreign host": lambda: StandaloneTCPNetworkServer("192.0.2.1", 0, lines(), Echo()),
        "host int": lambda: StandaloneTCPNetworkServer(3, 0, lines(), Echo()),
        "UDP protocol": lambda: StandaloneUDPNetworkServer("127.0.0.1", 0, lines(), EchoDatagrams()),
        "Unix path": lambda: StandaloneUnixStreamServer(3, lines(), Echo()),
        "abstract": AbstractNetworkServer,
    }
    for name, make in cases.items():
        server = t.make(name, make)
        if server is not None:
            timer = threading.Timer(1, server.shutdown)
            timer.start()
            t.call(f"{name}, serving", server.serve_forever)
            timer.cancel()
            t.call(f"{name}, closing", server.server_close)


@program(explained={"start of a server that fails": "a server thread whose server fails before it is up"})
def server_threads(t: Transcript) -> None:
    """NetworkServerThread: errors, names, joining"""
    server: Any = StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Failing())
    worker = NetworkServerThread(server, name="named", daemon=True)
    t.say("thread", (worker.name, worker.daemon))
    hooked: list[str] = []
    before, threading.excepthook = threading.excepthook, lambda args: hooked.append(type(args.exc_value).__name__)
    try:
        t.call("start of a server that fails", worker.start)
        t.call("join", worker.join)
        t.call("join again", worker.join, 1)
        t.say("start of a server that fails", hooked)
    finally:
        threading.excepthook = before
    t.call("start twice", worker.start)
    server = StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo())
    worker = NetworkServerThread(server)
    t.call("join before", worker.join)
    worker.start()
    t.call("start again", worker.start)
    t.say("alive", worker.is_alive())
    t.call("join with a time-out", worker.join, timeout=5)
    t.say("alive", worker.is_alive())
    t.make("no server", NetworkServerThread, None)


@program()
def other_servers(t: Transcript) -> None:
    """UDP, Unix stream and Unix datagram standalone servers"""
    with folder() as path:
        made: list[tuple[Any, Any]] = [
            (StandaloneUDPNetworkServer("127.0.0.1", 0, datagrams(), EchoDatagrams()), UDPNetworkClient),
            (StandaloneUnixStreamServer(path / "stream", lines(), Echo()), UnixStreamClient),
            (StandaloneUnixDatagramServer(path / "datagram", datagrams(), EchoDatagrams()), UnixDatagramClient),
        ]
        for server, cls in made:
            name = type(server).__name__
            worker = NetworkServerThread(server)
            t.call(f"{name} start", worker.start)
            address: Any = server.get_addresses()[0]
            target = tuple(address)[:2] if cls is UDPNetworkClient else address
            with cls(target, lines() if cls is UnixStreamClient else datagrams()) as client:
                client.send_packet("hello")
                t.say(f"{name} answer", client.recv_packet(timeout=5))
            t.call(f"{name} join", worker.join)
            t.call(f"{name} close", server.server_close)
            t.say(f"{name} files", sorted(file.name for file in path.iterdir()))
        t.logs()


@program()
def bootstrap_calls(t: Transcript) -> None:
    """How a standalone server calls AsyncBackend.bootstrap"""
    backend: Any = new_builtin_backend("asyncio")
    cls = type(backend)

    class Spy(cls):
        def bootstrap(self, coro_func: Any, *args: Any, runner_options: Any = None) -> Any:
            t.say("bootstrap", (len(args), runner_options and sorted(runner_options.items())))
            return super().bootstrap(coro_func, *args, runner_options=runner_options)

    for constructor, serving in (
        (None, None),
        ({"debug": True}, None),
        (None, {"debug": True}),
        ({"debug": True}, {"debug": False}),
    ):
        server: Any = StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), Spy(), runner_options=constructor)
        timer = threading.Timer(0.2, server.shutdown)
        timer.start()
        t.call("serve", server.serve_forever, **({"runner_options": serving} if serving else {}))
        timer.join()
        server.server_close()


@program()
def interrupts(t: Transcript) -> None:
    """Ctrl-C in serve_forever()"""
    import os
    import signal

    for backend in ("asyncio", "trio"):
        server: Any = StandaloneTCPNetworkServer("127.0.0.1", 0, lines(), Echo(), backend)
        up = threading.Event()

        def interrupt(up: threading.Event = up) -> None:
            up.wait(5)
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        worker = threading.Thread(target=interrupt)
        worker.start()
        t.call(f"{backend} serve", server.serve_forever, is_up_event=up)
        worker.join()
        t.say(f"{backend} after", (server.is_serving(), server.get_addresses()))
        server.server_close()
    t.logs()
    with socket.socket() as sock:
        t.say("sockets", sock.fileno() >= 0)
