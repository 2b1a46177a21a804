"""The asynchronous servers and their handlers."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import math
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from benchmarks.differential.kit import (
    Peer,
    buffered_lines,
    client_context,
    datagrams,
    folder,
    lines,
    server_context,
    serving,
    until,
)
from benchmarks.differential.table import LOOPS, program
from benchmarks.differential.transcript import Transcript
from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import ClientClosedError, StreamProtocolParseError
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute, TLSAttribute
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer
from easynetwork.servers.abc import AbstractAsyncNetworkServer, SupportsEventSet
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import (
    AsyncBaseClientInterface,
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
    INETClientAttribute,
    UNIXClientAttribute,
)

ELSEWHERE = "a `ConnectionError` from elsewhere"
BASE = "a `BaseException` raised by a handler"
HANDSHAKE = "a failed TLS handshake"
LOGGED = "an error in a handler"
ENDS = "a connection whose handler failed, on trio"
TIMEOUT = "`TimeoutError` at a `yield`"
LIMIT = "the rest of a frame over its limit"
ARGUMENTS = "wrong arguments"
ERRNO = "an `OSError` that the library creates"


class Handler(AsyncStreamRequestHandler[Any, Any]):
    """Record the calls, and execute the first word of each request as a command."""

    def __init__(self, t: Transcript) -> None:
        self.t = t
        self.clients: list[Any] = []
        self.events: list[str] = []

    def note(self, text: str, value: object = "") -> None:
        self.events.append(text)
        self.t.say(f"handler {text}", value)

    async def service_init(self, exit_stack: contextlib.AsyncExitStack, server: Any) -> None:
        self.backend = server.backend()
        self.note("service_init", (server.is_listening(), server.is_serving()))
        exit_stack.callback(self.note, "service ends")

    async def on_connection(self, client: Any) -> Any:
        self.clients.append(client)
        self.note("on_connection", (client.is_closing(), isinstance(client, AsyncStreamClient)))

    async def on_disconnection(self, client: Any) -> None:
        self.note("on_disconnection", client.is_closing())

    async def handle(self, client: Any) -> Any:
        self.note("handle")
        try:
            request = yield
        except GeneratorExit:
            self.note("left")
            raise
        except self.backend.get_cancelled_exc_class() as error:
            self.note("cancelled", type(error))
            raise
        except Exception as error:
            self.t.failed("handler yield", error)
            return
        await self.obey(client, request)

    async def obey(self, client: Any, request: str) -> None:
        match request.split():
            case ["close"]:
                await client.aclose()
                await self.t.wait("handler sends after closing", client.send_packet("late"))
            case ["raise", name]:
                raise ERRORS[name]()
            case ["send", _]:
                await self.t.wait("handler sends a bad packet", client.send_packet(3))
            case _:
                await client.send_packet(request.upper())


class OwnBaseException(BaseException):
    pass


ERRORS: dict[str, Callable[[], BaseException]] = {
    "KeyError": KeyError,
    "ConnectionResetError": ConnectionResetError,
    "ClientClosedError": ClientClosedError,
    "OSError": lambda: OSError(5, "five"),
    "group": lambda: ExceptionGroup("both", [KeyError(), ConnectionResetError()]),
    "closed-group": lambda: ExceptionGroup("closed", [ClientClosedError(), ClientClosedError()]),
    "parse": lambda: StreamProtocolParseError(b"", StringLineError()),
    "BaseException": OwnBaseException,
}


def StringLineError() -> Any:
    from easynetwork.exceptions import DeserializeError

    return DeserializeError("bad")


def tcp(handler: Any, protocol: Any, backend: Any, **options: Any) -> Any:
    return AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler, backend, **options)


async def connected(backend: Any, server: Any) -> Peer:
    return await Peer.connect(backend, tuple(server.get_addresses()[0])[:2])


@program(*LOOPS)
async def life_cycle(t: Transcript, backend: Any) -> None:
    """AsyncTCPNetworkServer: activation, serving, shutdown, serving again, closing"""
    handler = Handler(t)
    server = tcp(handler, lines(), backend)
    t.say("new", (server.is_listening(), server.is_serving(), server.get_addresses(), server.get_sockets()))
    t.say("backend", server.backend() is backend)
    await t.wait("shutdown before", server.shutdown())
    await t.wait("activate", server.server_activate())
    await t.wait("activate again", server.server_activate())
    t.say(
        "active", (server.is_listening(), server.is_serving(), len(server.get_addresses()), len(server.get_sockets()))
    )
    for _ in range(2):
        async with serving(server, close=False):
            t.say("serving", (server.is_listening(), server.is_serving()))
            await t.wait("serve twice", server.serve_forever())
            peer = await connected(backend, server)
            await peer.send(b"hello\n")
            t.say("answer", await peer.line())
            peer.close()
            await until(backend, lambda: "on_disconnection" in handler.events)
            handler.events.clear()
        t.say("after", (server.is_listening(), server.is_serving(), len(server.get_addresses())))
    await t.wait("close", server.server_close())
    await t.wait("close again", server.server_close())
    t.say("closed", (server.is_listening(), server.is_serving(), server.get_addresses(), server.get_sockets()))
    await t.wait("activate closed", server.server_activate())
    await t.wait("serve closed", server.serve_forever())
    await t.wait("shutdown closed", server.shutdown())
    with t.errors("block"):
        async with tcp(handler, lines(), backend) as other:
            t.say("in a block", (other is not None, other.is_listening()))
        t.say("after the block", other.is_listening())
    t.count_logs("logs")


@program(
    *LOOPS,
    explained={
        "negative handshake": ARGUMENTS,
        "port too large": ARGUMENTS,
        "no hosts": ERRNO,
    },
)
async def server_arguments(t: Transcript, backend: Any) -> None:
    """Servers: wrong arguments, refused at once or at activation"""
    handler = Handler(t)

    class Datagrams(AsyncDatagramRequestHandler[Any, Any]):
        async def handle(self, client: Any) -> Any:
            yield

    cases: dict[str, Callable[[], Any]] = {
        "datagram protocol": lambda: tcp(handler, datagrams(), backend),
        "no protocol": lambda: tcp(handler, None, backend),
        "no handler": lambda: tcp(None, lines(), backend),
        "datagram handler": lambda: tcp(Datagrams(), lines(), backend),
        "handler class": lambda: tcp(Handler, lines(), backend),
        "backend": lambda: tcp(handler, lines(), "nothing"),
        "backend int": lambda: tcp(handler, lines(), 3),
        "max_recv_size 0": lambda: tcp(handler, lines(), backend, max_recv_size=0),
        "max_recv_size 1.5": lambda: tcp(handler, lines(), backend, max_recv_size=1.5),
        "handshake without ssl": lambda: tcp(handler, lines(), backend, ssl_handshake_timeout=1),
        "shutdown without ssl": lambda: tcp(handler, lines(), backend, ssl_shutdown_timeout=1),
        "compatible without ssl": lambda: tcp(handler, lines(), backend, ssl_standard_compatible=False),
        "negative handshake": lambda: tcp(handler, lines(), backend, ssl=server_context(), ssl_handshake_timeout=-1),
        "unknown": lambda: tcp(handler, lines(), backend, nothing=1),
        "logger": lambda: tcp(handler, lines(), backend, logger=logging.getLogger("program")),
        "UDP stream protocol": lambda: AsyncUDPNetworkServer("127.0.0.1", 0, lines(), Datagrams(), backend),
        "UDP stream handler": lambda: AsyncUDPNetworkServer("127.0.0.1", 0, datagrams(), handler, backend),
        "Unix int": lambda: AsyncUnixStreamServer(3, lines(), handler, backend),
        "Unix NUL": lambda: AsyncUnixStreamServer("a\0b", lines(), handler, backend),
        "Unix ancillary 0": lambda: AsyncUnixStreamServer("a", lines(), handler, backend, ancillary_bufsize=0),
        "Unix ancillary 1.5": lambda: AsyncUnixStreamServer("a", lines(), handler, backend, ancillary_bufsize=1.5),
        "Unix datagram ancillary": lambda: AsyncUnixDatagramServer(
            "a", datagrams(), Datagrams(), backend, ancillary_bufsize=10
        ),
        "Unix datagram ancillary 0": lambda: AsyncUnixDatagramServer(
            "a", datagrams(), Datagrams(), backend, receive_ancillary_data=True, ancillary_bufsize=0
        ),
        "Unix unnamed": lambda: AsyncUnixDatagramServer(
            "a", datagrams(), Datagrams(), backend, unnamed_addresses_behavior="x"
        ),
        "abstract": AbstractAsyncNetworkServer,
        "abstract handler": AsyncStreamRequestHandler,
        "abstract client": AsyncBaseClientInterface,
        "abstract datagram client": AsyncDatagramClient,
    }
    for name, make in cases.items():
        t.make(name, make)
    for name, arguments in {
        "host int": (3, 0),
        "hosts int": ([3], 0),
        "no hosts": ([], 0),
        "unknown host": ("does-not-exist.invalid", 0),
        "foreign host": ("192.0.2.1", 0),
        "two hosts": (["127.0.0.1", "127.0.0.1"], 0),
        "port too large": ("127.0.0.1", 70000),
    }.items():
        with t.errors(name):
            server: Any = AsyncTCPNetworkServer(*arguments, lines(), handler, backend)
            await server.server_activate()
            t.say(name, len(server.get_addresses()))
            await server.server_close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with t.errors("taken"):
            server = AsyncTCPNetworkServer(*taken.getsockname(), lines(), handler, backend)
            await server.server_activate()
        t.say("still new", (server.is_listening(), server.get_addresses()))
        await server.server_close()
    t.say("events", issubclass(SupportsEventSet, object))


@program(*LOOPS)
async def requests(t: Transcript, backend: Any) -> None:
    """Stream handlers: answers, bad packets, closing, the end of the stream, hooks in order"""
    for protocol in (lines(limit=100), buffered_lines(limit=100)):
        handler = Handler(t)
        async with serving(tcp(handler, protocol, backend)) as server:
            peer = await connected(backend, server)
            await peer.send(b"a\nb\n")
            t.say("answers", (await peer.line(), await peer.line()))
            await peer.send(b"\xff\nc\n")
            t.say("answer", await peer.line())
            await peer.send(b"send bad\ne\n")
            t.say("answer", await peer.line())
            await peer.send(b"close\nnever\n")
            end = await peer.end()
            await until(backend, lambda handler=handler: "on_disconnection" in handler.events)
            t.say("end", end)
            handler.events.clear()
            peer = await connected(backend, server)
            await peer.send(b"f\n")
            t.say("answer", await peer.line())
            peer.close()
            await until(backend, lambda handler=handler: "on_disconnection" in handler.events)
            t.logs()


@program(
    "asyncio",
    "uvloop",
    "trio",
    explained={
        "trio/answers": "a peer that has sent its last packet and still reads",
        "trio/end": "a peer that has sent its last packet and still reads",
    },
)
async def half_closed_peers(t: Transcript, backend: Any) -> None:
    """Peers that half-close, leave inside a packet, or reset"""
    handler = Handler(t)
    async with serving(tcp(handler, lines(), backend)) as server:
        peer = await connected(backend, server)
        await peer.send(b"a\nb\n")
        peer.half_close()
        t.say("answers", (await peer.line(), await peer.line(), await peer.end()))
        await until(backend, lambda: "on_disconnection" in handler.events)
        handler.events.clear()
        peer = await connected(backend, server)
        await peer.send(b"incomplete")
        peer.half_close()
        t.say("end", await peer.end())
        await until(backend, lambda: "on_disconnection" in handler.events)
        handler.events.clear()
        peer = await connected(backend, server)
        await peer.send(b"a\n")
        await peer.line()
        peer.reset()
        await until(backend, lambda: "on_disconnection" in handler.events)
        t.logs(at_least=logging.WARNING)


@program(
    *LOOPS,
    explained={
        "trio/handler raises *: end": ENDS,
        "handler raises ConnectionResetError, log": ELSEWHERE,
        "handler raises group, log": ELSEWHERE,
        "handler raises parse, log": "an invalid packet that the handler does not catch",
        "handler raises *, log": LOGGED,
    },
)
async def handlers_that_fail(t: Transcript, backend: Any) -> None:
    """Errors of handlers: the log records and the end of the connection"""
    for name in ERRORS:
        if name == "BaseException":
            continue
        handler = QuietHandler(t)
        async with serving(tcp(handler, lines(), backend)) as server:
            peer = await connected(backend, server)
            await peer.send(f"raise {name}\n".encode())
            t.say(f"handler raises {name}: end", await peer.end())
            t.say(f"handler raises {name}, disconnected", await until(backend, lambda h=handler: h.gone))
            await backend.sleep(0.02)
            t.logs(f"handler raises {name}, log")


class QuietHandler(Handler):
    """Do the same without recording."""

    gone = 0

    def note(self, text: str, value: object = "") -> None:
        self.gone += text == "on_disconnection"


@program(*LOOPS, explained={"*": BASE})
async def base_exceptions(t: Transcript, backend: Any) -> None:
    """A handler that raises its own BaseException"""
    handler = QuietHandler(t)
    with t.errors("serve_forever"):
        async with serving(tcp(handler, lines(), backend)) as server:
            peer = await connected(backend, server)
            await peer.send(b"raise BaseException\n")
            t.say("end", await peer.end())
            await backend.sleep(0.02)
    t.logs()


@program(*LOOPS, explained={"*": LIMIT})
async def long_requests(t: Transcript, backend: Any) -> None:
    """A request over the limit, in one segment or in several"""
    for protocol in (lines(limit=100), buffered_lines(limit=100)):
        handler = Handler(t)
        async with serving(tcp(handler, protocol, backend, max_recv_size=256)) as server:
            for segments in ((b"x" * 150 + b"\n",), (b"x" * 150, b"y" * 20 + b"\n"), (b"x" * 1000, b"y" * 10 + b"\n")):
                peer = await connected(backend, server)
                for segment in segments:
                    await peer.send(segment)
                    await backend.sleep(0.05)
                await peer.send(b"close\n")
                await peer.end()
                await until(backend, lambda handler=handler: "on_disconnection" in handler.events)
                handler.events.clear()


class Hooks(AsyncStreamRequestHandler[Any, Any]):
    """Fail, or do something special, in one hook."""

    def __init__(self, t: Transcript, mode: str) -> None:
        self.t, self.mode, self.done, self.handled = t, mode, 0, 0

    async def on_connection(self, client: Any) -> None:
        self.client = client
        self.t.say(f"{self.mode}: on_connection")
        if self.mode == "on_connection fails":
            raise KeyError
        if self.mode == "on_connection closes":
            await client.aclose()

    async def handle(self, client: Any) -> Any:
        self.handled += 1
        if self.handled > 1:
            self.t.say(f"{self.mode}: handle again")
            yield
        self.t.say(f"{self.mode}: handle")
        if self.mode == "returns at once":
            return
        if self.mode == "fails at once":
            raise KeyError
        if self.mode == "yields nonsense":
            with self.t.errors(f"{self.mode}: str"):
                yield "nonsense"
            with self.t.errors(f"{self.mode}: negative"):
                yield RecvParams(timeout=-1)
            with self.t.errors(f"{self.mode}: nan"):
                yield RecvParams(timeout=math.nan)
            with self.t.errors(f"{self.mode}: bool"):
                yield RecvParams(timeout=0)
        if self.mode == "times out":
            with self.t.errors(f"{self.mode}: yield"):
                yield RecvParams(timeout=0.02)
        if self.mode == "ancillary":
            with self.t.errors(f"{self.mode}: yield"):
                yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(lambda _: None))
        request = yield
        self.t.say(f"{self.mode}: request", request)
        await client.send_packet(request)
        if self.mode == "disconnection fails after an error":
            raise KeyError

    async def on_disconnection(self, client: Any) -> None:
        self.t.say(f"{self.mode}: on_disconnection", client.is_closing())
        self.done = 1
        if self.mode == "disconnection sends":
            await self.t.wait(f"{self.mode}: send", client.send_packet("bye"))
        if "disconnection fails" in self.mode:
            raise KeyError
        if self.mode == "disconnection is a ConnectionError":
            raise ConnectionResetError


@program(
    *LOOPS,
    explained={
        "disconnection is a ConnectionError, log": ELSEWHERE,
        "yields nonsense: bool": TIMEOUT,
        "times out: yield": TIMEOUT,
        "*, log": LOGGED,
    },
)
async def hooks(t: Transcript, backend: Any) -> None:
    """Hooks that fail, return at once, time out, or yield a wrong object"""
    for mode in (
        "plain",
        "on_connection fails",
        "on_connection closes",
        "returns at once",
        "fails at once",
        "yields nonsense",
        "times out",
        "ancillary",
        "disconnection sends",
        "disconnection fails",
        "disconnection fails after an error",
        "disconnection is a ConnectionError",
    ):
        handler = Hooks(t, mode)
        async with serving(tcp(handler, lines(), backend)) as server:
            peer = await connected(backend, server)
            if mode in ("on_connection fails", "on_connection closes", "returns at once", "fails at once"):
                await peer.end()
                await until(backend, lambda handler=handler: handler.done) if mode != "on_connection fails" else None
                t.say(f"{mode}: the connection ends")
            else:
                if mode in ("times out", "ancillary", "yields nonsense"):
                    await backend.sleep(0.1)
                await peer.send(b"a\n")
                t.say(f"{mode}: answer", await peer.line())
                await until(backend, lambda handler=handler: handler.handled > 1 or handler.done)
            if mode != "disconnection fails after an error":
                peer.half_close() if mode == "disconnection sends" else peer.close()
            if mode == "disconnection sends":
                await until(backend, lambda handler=handler: handler.done)
                t.say(f"{mode}: rest", await peer.line())
            await until(backend, lambda handler=handler: handler.done) if mode != "on_connection fails" else None
            await backend.sleep(0.05)
            t.logs(f"{mode}, log")


class Generator(AsyncStreamRequestHandler[Any, Any]):
    """A handler whose on_connection is a generator."""

    def __init__(self, t: Transcript) -> None:
        self.t, self.gone = t, 0

    async def on_connection(self, client: Any) -> Any:
        try:
            name = yield
        except GeneratorExit:
            self.t.say("left in on_connection")
            self.gone = 1
            raise
        except Exception as error:
            self.t.failed("on_connection yield", error)
            return
        self.t.say("name", name)
        if name == "nobody":
            raise KeyError
        if name == "secret":
            self.t.say("second", (yield))

    async def handle(self, client: Any) -> Any:
        while True:
            request = yield RecvParams(timeout=None)
            await client.send_packet(request)

    async def on_disconnection(self, client: Any) -> None:
        self.t.say("on_disconnection")
        self.gone = 1


@program(*LOOPS, explained={"trio/end": ENDS, "log": LOGGED})
async def connection_generators(t: Transcript, backend: Any) -> None:
    """on_connection as a generator, and a looping handler"""
    handler = Generator(t)
    async with serving(tcp(handler, lines(), backend)) as server:
        for data in (b"me\na\nb\n", b"secret\nsesame\nc\n", b"", b"nobody\n", b"\xff\nd\n"):
            handler.gone = 0
            peer = await connected(backend, server)
            await peer.send(data)
            if data.startswith(b"nobody"):
                t.say("end", await peer.end())
                await backend.sleep(0.02)
            else:
                if data:
                    t.say("answer", await peer.line())
                await backend.sleep(0.02)
                peer.close()
                t.say("noticed", await until(backend, lambda: handler.gone))
            t.logs()


@program(*LOOPS)
async def shutdown_with_clients(t: Transcript, backend: Any) -> None:
    """Shutdown and closing while clients are connected"""
    handler = Handler(t)
    server = tcp(handler, lines(), backend)
    async with serving(server, close=False):
        peer = await connected(backend, server)
        await peer.send(b"a\n")
        await peer.line()
        await until(backend, lambda: handler.events.count("handle") > 1)
    t.say("peer", (await peer.end()) in ("EOF", "ConnectionResetError"))
    t.say("client", handler.clients[0].is_closing())
    await t.wait("client sends", handler.clients[0].send_packet("a"))
    handler = Handler(t)
    server = tcp(handler, lines(), backend)
    async with backend.create_task_group() as group:
        up = backend.create_event()

        async def serve() -> None:
            await t.wait("serve_forever", server.serve_forever(is_up_event=up))

        await group.start(serve)
        await up.wait()
        peer = await connected(backend, server)
        await peer.send(b"a\n")
        await peer.line()
        await server.server_close()
        t.say("closed", (server.is_listening(), server.is_serving(), server.get_addresses()))
        await peer.send(b"b\n")
        t.say("still served", await peer.line())
        peer.close()
    with backend.move_on_after(0.05) as scope:
        await tcp(handler, lines(), backend).serve_forever()
    t.say("cancelled", scope.cancelled_caught())
    t.logs()


@program(*LOOPS)
async def service(t: Transcript, backend: Any) -> None:
    """service_init: failures, tasks, context variables, the exit stack, shutdown meanwhile"""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("service", default="unset")

    class Service(Hooks):
        async def service_init(self, exit_stack: Any, server: Any) -> None:
            t.say("server is a proxy", type(server))
            variable.set("service")
            if self.mode == "fails":
                raise KeyError
            if self.mode == "closes":
                await t.wait("server_close", server.server_close())
            if self.mode == "slow":
                await backend.sleep(5)
            exit_stack.callback(t.say, "callback")

            async def unwinding() -> None:
                t.say("asynchronous callback")
                await backend.ignore_cancellation(backend.sleep(0.01))
                t.say("shielded")

            exit_stack.push_async_callback(unwinding)

        async def handle(self, client: Any) -> Any:
            request = yield
            await client.send_packet(f"{request} {variable.get()}")

    server = tcp(Service(t, "fails"), lines(), backend)
    await t.wait("fails", server.serve_forever())
    t.say("listening", server.is_listening())
    await server.server_close()
    async with serving(tcp(Service(t, "closes"), lines(), backend)) as server:
        pass
    async with serving(tcp(Service(t, "plain"), lines(), backend)) as server:
        peer = await connected(backend, server)
        await peer.send(b"a\n")
        t.say("context", await peer.line())
        peer.close()
        await backend.sleep(0.02)
    server = tcp(Service(t, "slow"), lines(), backend)
    up = backend.create_event()
    async with backend.create_task_group() as group:

        async def serve() -> None:
            await t.wait("serve_forever", server.serve_forever(is_up_event=up))

        await group.start(serve)
        await backend.sleep(0.1)
        await t.wait("shutdown meanwhile", server.shutdown())
    t.say("up", up.is_set())
    await server.server_close()


@program(*LOOPS)
async def shutdown_during_the_setup(t: Transcript, backend: Any) -> None:
    """shutdown() called in the same loop iteration in which serve_forever() was started"""
    from functools import partial

    handler = QuietHandler(t)
    server = tcp(handler, lines(), backend)
    up = backend.create_event()
    async with backend.create_task_group() as group:
        await group.start(partial(server.serve_forever, is_up_event=up))
        t.say("up", up.is_set())
        await server.shutdown()
        t.say("up", up.is_set())
    await server.server_close()


class Attributes(AsyncStreamRequestHandler[Any, Any]):
    def __init__(self, t: Transcript) -> None:
        self.t, self.gone = t, 0

    async def handle(self, client: Any) -> Any:
        request = yield
        self.t.say("family", client.extra(SocketAttribute.family))
        self.t.say("local", client.extra(INETClientAttribute.local_address))
        self.t.say("remote", type(client.extra(INETClientAttribute.remote_address)))
        self.t.call("unknown", client.extra, TLSAttribute.sslcontext)
        self.t.call("default", client.extra, TLSAttribute.sslcontext, None)
        sock = client.extra(INETClientAttribute.socket)
        self.t.say("nodelay", bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        self.t.say("keepalive", bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
        self.t.say("no close", hasattr(sock, "close"))
        self.t.say("equal", (client == client, {client: 1}[client]))
        await self.t.wait("ancillary", client.send_packet_with_ancillary("a", []))
        self.t.say("backend", type(client.backend()))
        await client.send_packet(request)

    async def on_disconnection(self, client: Any) -> None:
        self.t.say("remote at the end", type(client.extra(INETClientAttribute.remote_address)))
        self.gone = 1


@program(*LOOPS)
async def client_attributes(t: Transcript, backend: Any) -> None:
    """The attributes of a stream client"""
    handler = Attributes(t)
    async with serving(tcp(handler, lines(), backend)) as server:
        peer = await connected(backend, server)
        await peer.send(b"a\n")
        await peer.line()
        peer.close()
        await until(backend, lambda: handler.gone)


@program(*LOOPS)
async def logging_of_connections(t: Transcript, backend: Any) -> None:
    """Log records of connections, by level, and a custom logger"""
    for options in ({}, {"log_client_connection": False}, {"logger": logging.getLogger("program")}):
        handler = QuietHandler(t)
        async with serving(tcp(handler, lines(), backend, **options)) as server:
            peer = await connected(backend, server)
            await peer.send(b"a\n")
            await peer.line()
            t.logs(f"{sorted(options)} connected", at_least=logging.INFO)
            peer.close()
            await until(backend, lambda handler=handler: handler.gone)
            await backend.sleep(0.02)
            t.logs(f"{sorted(options)} disconnected", at_least=logging.INFO)
        t.logs(f"{sorted(options)} closed", at_least=logging.INFO)


@program(
    *LOOPS,
    explained={
        "plain text, log": HANDSHAKE,
        "gone, log": HANDSHAKE,
        "silent, log": HANDSHAKE,
        "unknown authority, log": HANDSHAKE,
        "reset, log": HANDSHAKE,
    },
)
async def tls_server(t: Transcript, backend: Any) -> None:
    """A TLS server: clients, ends with and without an alert, handshakes that fail"""
    for compatible in (True, False):
        handler = Handler(t)
        server = tcp(
            handler,
            lines(),
            backend,
            ssl=server_context(),
            ssl_standard_compatible=compatible,
            ssl_handshake_timeout=0.3,
        )
        async with serving(server):
            address = tuple(server.get_addresses()[0])[:2]
            for end in ("graceful", "forceful"):
                client: Any = AsyncTCPNetworkClient(address, lines(), backend, ssl=client_context())
                await client.send_packet("a")
                t.say("answer", await client.recv_packet())
                handler.events.clear()
                await (client.aclose() if end == "graceful" else aclose_forcefully(client))
                t.say("noticed", await until(backend, lambda handler=handler: "on_disconnection" in handler.events))
                await backend.sleep(0.02)
                t.logs(f"{end}, log")
            client = AsyncTCPNetworkClient(address, lines(), backend, ssl=client_context())
            await client.send_packet("close")
            handler.events.clear()
            try:
                await client.recv_packet()
            except ConnectionAbortedError as error:
                await until(backend, lambda handler=handler: "on_disconnection" in handler.events)
                t.failed("closed by the server", error)
            await client.aclose()
            await backend.sleep(0.02)
            t.logs()
    handler = Handler(t)
    server = tcp(handler, lines(), backend, ssl=server_context(), ssl_handshake_timeout=0.2)
    async with serving(server):
        peer = await connected(backend, server)
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        await peer.end()
        await backend.sleep(0.05)
        t.logs("plain text, log")
        peer = await connected(backend, server)
        peer.close()
        await backend.sleep(0.05)
        t.logs("gone, log")
        peer = await connected(backend, server)
        peer.reset()
        await backend.sleep(0.05)
        t.logs("reset, log")
        peer = await connected(backend, server)
        t.say("silent", await peer.end())
        await backend.sleep(0.05)
        t.logs("silent, log")
        with t.errors("unknown authority"):
            client = AsyncTCPNetworkClient(tuple(server.get_addresses()[0])[:2], lines(), backend, ssl=True)
            await client.wait_connected()
        await client.aclose()
        await backend.sleep(0.05)
        t.count_logs("unknown authority, log")


class Moody(AbstractPacketConverter[Any, Any]):
    def create_from_dto_packet(self, packet: Any, /) -> Any:
        if packet == "fail":
            raise ArithmeticError("fail")
        return packet

    def convert_to_dto_packet(self, obj: Any, /) -> Any:
        return obj


@program(*LOOPS)
async def protocols_that_fail(t: Transcript, backend: Any) -> None:
    """A converter that fails in a server: what the handler sees"""
    handler = Handler(t)
    async with serving(tcp(handler, StreamProtocol(StringLineSerializer(), Moody()), backend)) as server:
        peer = await connected(backend, server)
        await peer.send(b"a\n")
        t.say("answer", await peer.line())
        await peer.send(b"fail\n")
        await until(backend, lambda: handler.events.count("handle") > 2)
        await peer.send(b"b\n")
        t.say("answer", await peer.line())
        peer.close()
        await until(backend, lambda: "on_disconnection" in handler.events)
        t.logs()


class UnixHandler(AsyncStreamRequestHandler[Any, Any]):
    def __init__(self, t: Transcript) -> None:
        self.t, self.gone = t, 0

    async def handle(self, client: Any) -> Any:
        self.t.say(
            "names",
            (str(client.extra(UNIXClientAttribute.local_name)), str(client.extra(UNIXClientAttribute.peer_name))),
        )
        credentials = client.extra(UNIXClientAttribute.peer_credentials)
        self.t.say("credentials", (credentials.pid == os.getpid(), credentials.uid == os.getuid()))
        self.t.say("plain", (yield))
        await client.send_packet("ok")
        for label in ("with descriptors", "without", "kept"):
            received = SocketAncillary()
            try:
                request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(received.update_from_raw))
            except Exception as error:
                self.t.failed(label, error)
                return
            self.t.say(label, (request, len(list(received.iter_fds()))))
            for fd in received.iter_fds():
                os.close(fd)
            if label != "without":
                await client.send_packet("ok")

        def fails(_: Any) -> None:
            raise KeyError

        with self.t.errors("a callback that fails"):
            self.t.say("a callback that fails", (yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(fails))))
        ancillary = SocketAncillary()
        ancillary.add_fds([0])
        await client.send_packet_with_ancillary("here", ancillary.as_raw())

    async def on_disconnection(self, client: Any) -> None:
        self.gone = 1


@program(*LOOPS, explained={"path taken by a dead server": "a Unix server at the path of a dead server"})
async def unix_stream_server(t: Transcript, backend: Any) -> None:
    """AsyncUnixStreamServer: names, credentials, descriptors, the file of the socket"""
    with folder() as path:
        handler = UnixHandler(t)
        server: Any = AsyncUnixStreamServer(path / "server", lines(), handler, backend, mode=0o600)
        async with serving(server, close=False):
            t.say("addresses", [str(address) for address in server.get_addresses()])
            t.say("mode", oct((path / "server").stat().st_mode & 0o777))
            peer = await Peer.connect(backend, str(path / "server"), socket.AF_UNIX)
            await peer.send(b"a\n")
            t.say("answer", await peer.line())
            socket.send_fds(peer.socket, [b"b\n"], [0, 1])
            t.say("answer", await peer.line())
            await peer.send(b"c\nd\n")
            t.say("answer", await peer.line())
            await peer.send(b"e\n")
            data, descriptors, *_ = socket.recv_fds(peer.socket, 100, 5)
            t.say("answer", (data, len(descriptors)))
            peer.close()
            await until(backend, lambda: handler.gone)
        other: Any = AsyncUnixStreamServer(path / "server", lines(), handler, backend)
        await t.wait("path taken", other.server_activate())
        await other.server_close()
        t.say("exists", (path / "server").exists())
        await server.server_close()
        t.say("removed", not (path / "server").exists())
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path / "dead"))
        other = AsyncUnixStreamServer(path / "dead", lines(), handler, backend)
        await t.wait("path taken by a dead server", other.server_activate())
        await other.server_close()
        (path / "file").write_text("x")
        other = AsyncUnixStreamServer(path / "file", lines(), handler, backend)
        await t.wait("path taken by a file", other.server_activate())
        await other.server_close()
        t.say("file", (path / "file").exists())
        other = AsyncUnixStreamServer(path / "a" / "b", lines(), handler, backend)
        await t.wait("no folder", other.server_activate())
        await other.server_close()
        other = AsyncUnixStreamServer(path / "gone", lines(), handler, backend)
        await other.server_activate()
        (path / "gone").unlink()
        await t.wait("close without the file", other.server_close())
        other = AsyncUnixStreamServer("", lines(), handler, backend)
        await t.wait("automatic", other.server_activate())
        t.say("abstract", other.get_addresses()[0].as_abstract_name() is not None)
        await other.server_close()
        t.logs()


class DatagramHandler(AsyncDatagramRequestHandler[Any, Any]):
    def __init__(self, t: Transcript) -> None:
        self.t = t
        self.clients: list[Any] = []

    async def service_init(self, exit_stack: Any, server: Any) -> None:
        self.t.say("service_init", (server.is_listening(), server.is_serving()))

        def closing() -> None:
            self.t.say("closing", [client.is_closing() for client in self.clients[:1]])

        exit_stack.callback(closing)

    async def handle(self, client: Any) -> Any:
        self.clients.append(client)
        try:
            request = yield
        except Exception as error:
            self.t.failed("handler yield", error)
            await client.send_packet("bad")
            return
        match request.split():
            case ["raise", name]:
                raise ERRORS[name]()
            case ["two"]:
                second = yield RecvParams(timeout=5)
                await client.send_packet(f"two {second}")
            case ["wait"]:
                with self.t.errors("time-out"):
                    yield 0.02
                await client.send_packet("waited")
            case ["nonsense"]:
                with self.t.errors("nonsense"):
                    yield "nonsense"
                await client.send_packet("nonsense")
            case ["bad"]:
                await self.t.wait("bad packet", client.send_packet(3))
                await self.t.wait("too large", client.send_packet("x" * 70000))
                await self.t.wait("ancillary", client.send_packet_with_ancillary("a", []))
                await client.send_packet("bad")
            case _:
                await client.send_packet(request.upper())


@program(
    *LOOPS,
    explained={
        "asyncio/too large": "a datagram that is too large, on asyncio",
        "uvloop/too large": "a datagram that is too large, on asyncio",
        "asyncio/log": "a datagram that is too large, on asyncio",
        "uvloop/log": "a datagram that is too large, on asyncio",
        "time-out warnings": "`yield 2.5` in a handler",
        "time-out": TIMEOUT,
        "*Error, log": LOGGED,
    },
)
async def udp_server(t: Transcript, backend: Any) -> None:
    """AsyncUDPNetworkServer: answers, conversations, bad datagrams, errors, shutdown"""
    handler = DatagramHandler(t)
    server: Any = AsyncUDPNetworkServer("127.0.0.1", 0, datagrams(), handler, backend)
    t.say("new", (server.is_listening(), server.get_addresses()))
    async with serving(server, close=False):
        address = tuple(server.get_addresses()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.connect(address)
            peer = Peer(backend, sock)
            for datagram in (b"a", b"\xff", b"wait", b"nonsense", b"bad"):
                await peer.send(datagram)
                t.say(f"answer to {datagram!r}", await peer.receive())
            t.warned("time-out warnings")
            await peer.send(b"two")
            await peer.send(b"three")
            t.say("answer to two", await peer.receive())
            t.say("same client", len(set(handler.clients)))
            client = handler.clients[0]
            t.say(
                "client",
                (client.is_closing(), client.extra(SocketAttribute.family), isinstance(client, AsyncDatagramClient)),
            )
            t.say(
                "addresses",
                (
                    client.extra(INETClientAttribute.local_address) == address,
                    client.extra(INETClientAttribute.remote_address) == sock.getsockname(),
                ),
            )
            await t.wait("later", client.send_packet("later"))
            t.say("received", await peer.receive())
            t.logs()
            for name in ("KeyError", "ConnectionResetError", "ClientClosedError", "closed-group"):
                await peer.send(f"raise {name}".encode())
                await peer.send(b"next")
                t.say(f"after {name}", await peer.receive())
                t.logs(f"{name}, log")
    t.say("closing", client.is_closing())
    await t.wait("after shutdown", client.send_packet("late"))
    await server.server_close()
    t.say("closed", (client.is_closing(), server.get_addresses()))
    t.logs()


@program("asyncio", "uvloop", "trio", explained={"*": "an empty datagram on asyncio"})
async def empty_datagrams(t: Transcript, backend: Any) -> None:
    """A UDP server that answers with an empty datagram"""
    async with serving(AsyncUDPNetworkServer("127.0.0.1", 0, datagrams(), DatagramHandler(t), backend)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(tuple(server.get_addresses()[0]))
            peer = Peer(backend, sock)
            sock.settimeout(0.5)
            await peer.send(b"")
            await t.wait("answer", peer.receive())


@program(*LOOPS, explained={"handle, log": "an answer to a Unix sender without a name"})
async def unix_datagram_server(t: Transcript, backend: Any) -> None:
    """AsyncUnixDatagramServer: unnamed senders, descriptors, names"""
    with folder() as path:
        for behavior in (None, "ignore", "warn", "handle"):
            handler = DatagramHandler(t)
            server: Any = AsyncUnixDatagramServer(
                path / "server",
                datagrams(),
                handler,
                backend,
                unnamed_addresses_behavior=behavior,
            )
            async with serving(server):
                with (
                    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed,
                    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as named,
                ):
                    unnamed.connect(str(path / "server"))
                    named.bind(str(path / f"client {behavior}"))
                    named.connect(str(path / "server"))
                    unnamed.send(b"a")
                    peer = Peer(backend, named)
                    await peer.send(b"b")
                    t.say(f"{behavior} answer", await peer.receive())
                    await backend.sleep(0.02)
                    t.say(f"{behavior} clients", [str(c.extra(UNIXClientAttribute.peer_name)) for c in handler.clients])
                    t.logs(f"{behavior}, log")
        for receive in (False, True):
            got: list[Any] = []

            class Ancillary(AsyncDatagramRequestHandler[Any, Any]):
                def __init__(self, got: list[Any]) -> None:
                    self.got = got

                async def handle(self, client: Any) -> Any:
                    received = SocketAncillary()
                    with t.errors("ancillary"):
                        request = yield RecvParams(
                            recv_with_ancillary=RecvAncillaryDataParams(received.update_from_raw)
                        )
                        t.say("ancillary", (request, len(list(received.iter_fds()))))
                    self.got.append(1)
                    for fd in received.iter_fds():
                        os.close(fd)

            server = AsyncUnixDatagramServer(
                path / "other", datagrams(), Ancillary(got), backend, receive_ancillary_data=receive
            )
            async with serving(server):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as named:
                    named.bind(str(path / f"sender {receive}"))
                    named.connect(str(path / "other"))
                    socket.send_fds(named, [b"x"], [0])
                    t.say(f"{receive} handled", await until(backend, lambda got=got: got))
                    t.logs()
        t.say("removed", not (path / "server").exists())


@program(*LOOPS, explained={"ssl bool": "`ssl=True` on a server", "ssl *": "`ssl=True` on a server"})
async def tls_context_is_checked(t: Transcript, backend: Any) -> None:
    """Servers with an object that is not a TLS context"""
    for value in (True, False, "context", ssl.create_default_context()):
        with t.errors(f"ssl {type(value).__name__}"):
            server = tcp(QuietHandler(t), lines(), backend, ssl=value)
            await server.server_activate()
            t.say(f"ssl {type(value).__name__}", "activated")
            await server.server_close()
