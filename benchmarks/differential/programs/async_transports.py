"""Asynchronous transports, listeners, endpoints and low-level servers."""

from __future__ import annotations

import contextlib
import gc
import math
import socket
from collections.abc import Mapping
from typing import Any

from benchmarks.differential.kit import (
    Peer,
    buffered_lines,
    client_context,
    datagrams,
    folder,
    lines,
    server_context,
    tcp_pair,
    until,
)
from benchmarks.differential.table import LOOPS, program
from benchmarks.differential.transcript import Transcript
from easynetwork.lowlevel.api_async.endpoints.datagram import (
    AsyncDatagramEndpoint,
    AsyncDatagramReceiverEndpoint,
    AsyncDatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_async.endpoints.stream import (
    AsyncStreamEndpoint,
    AsyncStreamReceiverEndpoint,
    AsyncStreamSenderEndpoint,
)
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramListener,
    AsyncDatagramReadTransport,
    AsyncDatagramTransport,
    AsyncDatagramWriteTransport,
    AsyncListener,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.lowlevel.api_async.transports.composite import (
    AsyncStapledDatagramTransport,
    AsyncStapledStreamTransport,
)
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener, AsyncTLSStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute, TLSAttribute
from easynetwork.servers.handlers import AsyncStreamRequestHandler
from easynetwork.servers.misc import build_lowlevel_datagram_server_handler, build_lowlevel_stream_server_handler

CLOSED = "closed or busy transports"


async def stream_pair(backend: Any) -> tuple[Any, Peer]:
    near, far = tcp_pair()
    return await backend.wrap_stream_socket(near), Peer(backend, far)


@program(
    *LOOPS,
    explained={
        "recv 0": CLOSED,
        "recv closed": CLOSED,
        "send closed": CLOSED,
        "second reader": CLOSED,
        "reader of a closed transport": CLOSED,
        "send_eof closed": CLOSED,
    },
)
async def tcp_transport(t: Transcript, backend: Any) -> None:
    """A TCP transport: reading, writing, the end, misuse, closing"""
    transport, peer = await stream_pair(backend)
    t.say("kind", (isinstance(transport, AsyncStreamTransport), transport.is_closing(), transport.backend() is backend))
    await peer.send(b"abcdef")
    await t.wait("recv 3", transport.recv(3))
    buffer = bytearray(10)
    await t.wait("recv_into", transport.recv_into(buffer))
    t.say("buffer", buffer)
    await t.wait("recv 0", transport.recv(0))
    await t.wait("recv_into nothing", transport.recv_into(bytearray()))
    await t.wait("recv -1", transport.recv(-1))
    for data in (b"ab", bytearray(b"cd"), memoryview(b"ef"), b""):
        await t.wait(f"send_all {type(data).__name__}", transport.send_all(data))
    await t.wait("send_all_from_iterable", transport.send_all_from_iterable(iter([b"g", b"", b"h"])))
    await t.wait("send_all_from_iterable nothing", transport.send_all_from_iterable([]))
    t.say("received", await peer.receive())
    await t.wait("ancillary", transport.recv_with_ancillary(1, 1))
    await t.wait("send ancillary", transport.send_all_with_ancillary([b"a"], []))

    async def reader(label: str) -> None:
        await t.wait(label, transport.recv(10))

    async with backend.create_task_group() as group:
        await group.start(reader, "first reader")
        await backend.sleep(0.01)
        await t.wait("second reader", transport.recv(10))
        await peer.send(b"for the first")
    with backend.move_on_after(0.02):
        await transport.recv(10)
    await peer.send(b"after a cancellation")
    await t.wait("recv", transport.recv(100))
    await t.wait("send_eof", transport.send_eof())
    await t.wait("send_eof again", transport.send_eof())
    t.say("end", await peer.end())
    peer.close()
    await t.wait("recv at the end", transport.recv(10))
    await t.wait("recv at the end again", transport.recv(10))
    t.say("sockname", type(transport.extra(SocketAttribute.sockname)))
    t.call("TLS", transport.extra, TLSAttribute.cipher)
    await t.wait("close", transport.aclose())
    await t.wait("close again", transport.aclose())
    t.say("closing", transport.is_closing())
    await t.wait("recv closed", transport.recv(10))
    await t.wait("send closed", transport.send_all(b"a"))
    await t.wait("send_eof closed", transport.send_eof())
    t.call("sockname closed", transport.extra, SocketAttribute.sockname)
    transport, peer = await stream_pair(backend)
    async with backend.create_task_group() as group:
        await group.start(reader, "reader of a closed transport")
        await backend.sleep(0.01)
        await transport.aclose()
    t.say("end", await peer.end())


@program(*LOOPS, explained={"uvloop/send after a reset *": "sending after a reset on uvloop"})
async def slow_readers(t: Transcript, backend: Any) -> None:
    """A peer that does not read: sending waits, can be cancelled, and what was sent arrives"""
    transport, peer = await stream_pair(backend)
    with backend.move_on_after(0.05) as scope:
        await transport.send_all(bytes(30 << 20))
    t.say("sending waits", scope.cancelled_caught())
    await aclose_forcefully(transport)
    t.say("closing", transport.is_closing())
    peer.close()
    transport, peer = await stream_pair(backend)
    total = 0

    async def read_all() -> None:
        nonlocal total
        while data := await peer.receive(1 << 20):
            total += len(data)

    async with backend.create_task_group() as group:
        await group.start(read_all)
        await transport.send_all(bytes(3 << 20))
        await transport.aclose()
    t.say("arrived", total)
    transport, peer = await stream_pair(backend)
    peer.reset()
    await t.wait("recv after a reset", transport.recv(10))
    for attempt in range(3):
        await t.wait(f"send after a reset {min(attempt, 1)}", transport.send_all(b"a"))
        await backend.sleep(0.01)
    await t.wait("close after a reset", transport.aclose())


class Memory(AsyncStreamTransport):
    """A user-defined transport with only the abstract methods."""

    def __init__(self, backend: Any, log: list[str], incoming: bytes = b"") -> None:
        self._backend, self.log, self.incoming, self.closed = backend, log, incoming, False

    async def recv_into(self, buffer: Any) -> int:
        self.log.append(f"recv_into {len(memoryview(buffer))}")
        await self._backend.coro_yield()
        data, self.incoming = self.incoming[: len(buffer)], self.incoming[len(buffer) :]
        memoryview(buffer)[: len(data)] = data
        return len(data)

    async def send_all(self, data: Any) -> None:
        self.log.append(f"send_all {bytes(data)!r}")

    async def send_eof(self) -> None:
        self.log.append("send_eof")

    async def aclose(self) -> None:
        self.log.append("aclose")
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def backend(self) -> Any:
        return self._backend


class Chunks(Memory):
    """Also implement the methods that have a default."""

    async def recv(self, bufsize: int) -> bytes:
        self.log.append(f"recv {bufsize}")
        data, self.incoming = self.incoming[:bufsize], self.incoming[bufsize:]
        return data

    async def send_all_from_iterable(self, iterable_of_data: Any) -> None:
        self.log.append(f"send_all_from_iterable {[bytes(data) for data in iterable_of_data]!r}")

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> Any:
        self.log.append(f"recv_with_ancillary {bufsize} {ancillary_bufsize}")
        return b"with\n", ["ancillary"]

    async def recv_with_ancillary_into(self, buffer: Any, ancillary_bufsize: int) -> Any:
        self.log.append(f"recv_with_ancillary_into {len(memoryview(buffer))} {ancillary_bufsize}")
        memoryview(buffer)[:5] = b"into\n"
        return 5, ["ancillary"]

    async def send_all_with_ancillary(self, iterable_of_data: Any, ancillary_data: Any) -> None:
        self.log.append(f"send_all_with_ancillary {[bytes(data) for data in iterable_of_data]!r} {ancillary_data}")


@program(
    *LOOPS,
    explained={
        "* end": "a stream that ends in the middle of a packet",
        "* end again": "a stream that ends in the middle of a packet",
    },
)
async def own_transport(t: Transcript, backend: Any) -> None:
    """A user-defined transport: what the base classes add, and what an endpoint calls"""
    for cls in (Memory, Chunks):
        log: list[str] = []
        transport: Any = cls(backend, log, b"abc")
        for size in (2, 0, -1):
            await t.wait(f"{cls.__name__} recv {size}", transport.recv(size))
        await t.wait("iterable", transport.send_all_from_iterable([b"a", b"b"]))
        for protocol in (lines(), buffered_lines(limit=32)):
            name = f"{cls.__name__} {type(protocol).__name__}"
            log.clear()
            transport = cls(backend, log, b"hello\nbye")
            endpoint: Any = AsyncStreamEndpoint(transport, protocol, max_recv_size=16)
            await t.wait(f"{name} packet", endpoint.recv_packet())
            await t.wait(f"{name} end", endpoint.recv_packet())
            await t.wait(f"{name} end again", endpoint.recv_packet())
            await t.wait(f"{name} send", endpoint.send_packet("abc"))
            await t.wait(f"{name} send with ancillary", endpoint.send_packet_with_ancillary("abc", ["raw"]))
            endpoint_2: Any = AsyncStreamEndpoint(cls(backend, log), protocol, max_recv_size=16)
            got: list[Any] = []
            await t.wait(f"{name} receive with ancillary", endpoint_2.recv_packet_with_ancillary(100, got.append))
            t.say("got", got)
            await t.wait(f"{name} send_eof", endpoint.send_eof())
            await t.wait(f"{name} send after that", endpoint.send_packet("late"))
            await t.wait(f"{name} aclose", endpoint.aclose())
            t.say(f"{name} log", log)
    for abstract in (
        AsyncBaseTransport,
        AsyncStreamReadTransport,
        AsyncStreamWriteTransport,
        AsyncStreamTransport,
        AsyncDatagramReadTransport,
        AsyncDatagramWriteTransport,
        AsyncDatagramTransport,
        AsyncListener,
        AsyncDatagramListener,
    ):
        t.make(f"{abstract.__name__} is abstract", abstract)


@program(*LOOPS)
async def stream_endpoints(t: Transcript, backend: Any) -> None:
    """Asynchronous stream endpoints: packets, guards, errors, the end"""
    for protocol in (lines(limit=100), buffered_lines(limit=100)):
        transport, peer = await stream_pair(backend)
        name = type(protocol).__name__
        endpoint: Any = AsyncStreamEndpoint(transport, protocol, max_recv_size=64)
        await peer.send(b"a\nb\nc")
        await t.wait(f"{name} 1", endpoint.recv_packet())
        await t.wait(f"{name} 2", endpoint.recv_packet())
        with backend.move_on_after(0.02) as scope:
            await endpoint.recv_packet()
        t.say(f"{name} incomplete", scope.cancelled_caught())
        await peer.send(b"d\ne\n")
        await t.wait(f"{name} 3", endpoint.recv_packet())
        await t.wait(f"{name} ancillary", endpoint.recv_packet_with_ancillary(10, print))
        await t.wait(f"{name} ancillary unsupported", endpoint.recv_packet_with_ancillary(10, print))
        await t.wait(f"{name} bad packet", endpoint.send_packet(3))

        async def reader(label: str, endpoint: Any = endpoint) -> None:
            await t.wait(label, endpoint.recv_packet())

        async with backend.create_task_group() as group:
            await group.start(reader, f"{name} first reader")
            await backend.sleep(0.01)
            await t.wait(f"{name} second reader", endpoint.recv_packet())
            await t.wait(f"{name} sender", endpoint.send_packet("x"))
            await peer.send(b"f\n")

        async def sender(endpoint: Any = endpoint) -> None:
            await endpoint.send_packet("x" * (30 << 20))

        async with backend.create_task_group() as group:
            task = await group.start(sender)
            await backend.sleep(0.1)
            await t.wait(f"{name} second sender", endpoint.send_packet("a"))
            await t.wait(f"{name} send_eof meanwhile", endpoint.send_eof())
            await t.wait(f"{name} close meanwhile", endpoint.aclose())
            task.cancel()
        t.say(f"{name} closing", endpoint.is_closing())
        await aclose_forcefully(endpoint)
        t.say(f"{name} closing", endpoint.is_closing())
        peer.close()


@program(*LOOPS, explained={"asyncio/send closed": CLOSED})
async def endpoint_arguments(t: Transcript, backend: Any) -> None:
    """Endpoints and low-level servers: wrong arguments, one-way endpoints"""
    transport, peer = await stream_pair(backend)
    for size in (0, -1, 1.5, "1", None):
        t.make(f"max_recv_size {size!r}", AsyncStreamEndpoint, transport, lines(), size)
    t.make("no transport", AsyncStreamEndpoint, None, lines(), 1)
    t.make("datagram protocol", AsyncStreamEndpoint, transport, datagrams(), 1)
    t.make("stream for datagrams", AsyncDatagramEndpoint, transport, datagrams())
    t.make("no protocol", AsyncStreamSenderEndpoint, transport, None)
    t.make("listener", AsyncStreamServer, transport, lines(), 1)
    t.make("datagram listener", AsyncDatagramServer, transport, datagrams())
    t.make("client", ConnectedStreamClient)
    with t.errors("still open"):
        sender: Any = AsyncStreamSenderEndpoint(transport, lines())
        receiver: Any = AsyncStreamReceiverEndpoint(transport, lines(), 10)
        await t.wait("send", sender.send_packet("a"))
        t.say("received", await peer.line())
        await peer.send(b"b\n")
        await t.wait("receive", receiver.recv_packet())
        t.say(
            "methods", (hasattr(sender, "send_eof"), hasattr(sender, "recv_packet"), hasattr(receiver, "send_packet"))
        )
    await transport.aclose()
    peer.close()
    listeners = await backend.create_tcp_listeners("127.0.0.1", 0, 1)
    t.make("server size", AsyncStreamServer, listeners[0], lines(), 0)
    t.make("server protocol", AsyncStreamServer, listeners[0], datagrams(), 1)
    server: Any = AsyncStreamServer(listeners[0], lines(), 10)

    async def handler(client: Any) -> Any:
        yield

    for size in (0, -1, 1.5):
        await t.wait(f"ancillary {size}", server.serve(handler, ancillary_bufsize=size))
    await server.aclose()
    await t.wait("closed", server.serve(handler))
    udp = await backend.create_udp_listeners("127.0.0.1", 0)
    datagram_server: Any = AsyncDatagramServer(udp[0], datagrams())
    for size in (0, -1, 1.5):
        await t.wait(f"datagram ancillary {size}", datagram_server.serve_with_ancillary(handler, size))
    await t.wait("bad packet", datagram_server.send_packet_to(3, ("127.0.0.1", 9)))
    await datagram_server.aclose()
    t.say("closing", (server.is_closing(), datagram_server.is_closing()))
    await t.wait("send closed", datagram_server.send_packet_to("a", ("127.0.0.1", 9)))
    context: Any = DatagramClientContext(("a", 1), datagram_server)
    t.say("context", (context == DatagramClientContext(("a", 1), datagram_server), type(context.backend())))


@program(*LOOPS)
async def datagram_endpoints(t: Transcript, backend: Any) -> None:
    """Asynchronous datagram transports and endpoints"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        peer = Peer(backend, sock)
        transport: Any = await backend.create_udp_endpoint(*sock.getsockname())
        sock.connect(transport.extra(SocketAttribute.sockname))
        endpoint: Any = AsyncDatagramEndpoint(transport, datagrams())
        for datagram in (b"a", b"", b"\xff"):
            await peer.send(datagram)
            await t.wait(f"{datagram!r}", endpoint.recv_packet())
        await t.wait("send", endpoint.send_packet("b"))
        t.say("received", await peer.receive())
        await t.wait("bad packet", endpoint.send_packet(3))
        await t.wait("ancillary", endpoint.recv_packet_with_ancillary(10, print))
        await t.wait("send ancillary", endpoint.send_packet_with_ancillary("a", []))
        sender: Any = AsyncDatagramSenderEndpoint(transport, datagrams())
        receiver: Any = AsyncDatagramReceiverEndpoint(transport, datagrams())
        await t.wait("sender", sender.send_packet("c"))
        t.say("received", await peer.receive())
        await peer.send(b"d")
        await t.wait("receiver", receiver.recv_packet())

        async def reader(label: str) -> None:
            await t.wait(label, endpoint.recv_packet())

        async with backend.create_task_group() as group:
            await group.start(reader, "first reader")
            await backend.sleep(0.01)
            await t.wait("second reader", endpoint.recv_packet())
            await peer.send(b"e")
        await t.wait("close", endpoint.aclose())
        await t.wait("closed recv", endpoint.recv_packet())
        await t.wait("closed send", endpoint.send_packet("a"))


@program(*LOOPS)
async def unix_transports(t: Transcript, backend: Any) -> None:
    """Control messages through asynchronous Unix transports and endpoints"""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    left, right = await backend.wrap_stream_socket(near), await backend.wrap_stream_socket(far)
    ancillary = SocketAncillary()
    ancillary.add_fds([0])
    await t.wait("send", left.send_all_with_ancillary(iter([b"ab", b"c"]), iter(ancillary.as_raw())))
    received = SocketAncillary()
    data, messages = await right.recv_with_ancillary(10, 1024)
    received.update_from_raw(messages)
    t.say("received", (data, len(list(received.iter_fds()))))
    await left.send_all(b"plain")
    await t.wait("nothing attached", right.recv_with_ancillary(10, 1024))
    await left.send_all(b"plain")
    await t.wait("into", right.recv_with_ancillary_into(bytearray(5), 1024))
    await t.wait("too large", left.send_all_with_ancillary([bytes(8 << 20)], []))
    await t.wait("bad descriptor", left.send_all_with_ancillary([b"a"], [(1, 1, b"\xff" * 4)]))
    await left.aclose()
    with t.errors("end"):
        while (await right.recv(1 << 20)) != b"":
            pass
        t.say("end", await right.recv_with_ancillary(10, 1024))
    await t.wait("send to nobody", right.send_all(b"a"))
    await right.aclose()
    await t.wait("closed", right.recv_with_ancillary(10, 1024))
    for protocol in (lines(), buffered_lines()):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        peer = Peer(backend, far)
        endpoint: Any = AsyncStreamEndpoint(await backend.wrap_stream_socket(near), protocol, max_recv_size=100)
        got: list[Any] = []
        await peer.send(b"a\nb\nc")
        await t.wait("one", endpoint.recv_packet_with_ancillary(100, got.append))
        await t.wait("kept", endpoint.recv_packet_with_ancillary(100, got.append))
        await peer.send(b"d")
        await t.wait("incomplete", endpoint.recv_packet_with_ancillary(100, got.append))
        await peer.send(b"\n")
        await t.wait("complete", endpoint.recv_packet_with_ancillary(100, got.append))
        t.say("calls", got)

        def fails(_: object) -> None:
            raise KeyError

        await peer.send(b"e\n")
        await t.wait("callback fails", endpoint.recv_packet_with_ancillary(100, fails))
        await peer.send(b"f\n")
        await t.wait("afterwards", endpoint.recv_packet_with_ancillary(100, got.append))
        peer.close()
        await t.wait("end", endpoint.recv_packet_with_ancillary(100, got.append))
        await endpoint.aclose()


@program(*LOOPS)
async def listeners(t: Transcript, backend: Any) -> None:
    """Listeners: serving, serving twice, closed, handlers that fail"""
    (listener,) = await backend.create_tcp_listeners("127.0.0.1", 0, 5)
    address = listener.extra(SocketAttribute.sockname)
    t.call("peername", listener.extra, SocketAttribute.peername)
    t.say("kind", (isinstance(listener, AsyncListener), listener.is_closing(), listener.backend() is backend))

    async def handler(transport: Any) -> None:
        async with transport:
            t.say("handler", await transport.recv(10))
            await transport.send_all(b"bye")

    async def serve(label: str, listener: Any = listener, handler: Any = handler) -> None:
        await t.wait(label, listener.serve(handler))

    async with backend.create_task_group() as group:
        await group.start(serve, "closed while serving")
        await backend.sleep(0.01)
        await t.wait("serve twice", listener.serve(handler))
        peer = await Peer.connect(backend, address)
        await peer.send(b"hello")
        t.say("answer", await peer.receive())
        await listener.aclose()
    await t.wait("serve closed", listener.serve(handler))
    (listener,) = await backend.create_tcp_listeners("127.0.0.1", 0, 5)

    async def failing(transport: Any) -> None:
        raise KeyError

    async with backend.create_task_group() as group:
        await group.start(serve, "handler fails", listener, failing)
        peer = await Peer.connect(backend, listener.extra(SocketAttribute.sockname))
    await listener.aclose()


@program(
    *LOOPS,
    explained={
        "closed while serving": CLOSED,
        "serve closed": CLOSED,
        "send_to closed": CLOSED,
        "(the program)": CLOSED,
    },
)
async def datagram_listeners(t: Transcript, backend: Any) -> None:
    """Datagram listeners: serving, closing"""
    (udp,) = await backend.create_udp_listeners("127.0.0.1", 0)
    got: list[bytes] = []

    async def received(data: bytes, address: Any) -> None:
        got.append(data)
        await udp.send_to(data.upper(), address)

    async def serve() -> None:
        await t.wait("closed while serving", udp.serve(received))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(udp.extra(SocketAttribute.sockname))
        sock.send(b"before")
        async with backend.create_task_group() as group:
            await group.start(serve)
            sock.send(b"after")
            await until(backend, lambda: len(got) == 2)
            t.say("datagrams", got)
            await t.wait("ancillary", udp.serve_with_ancillary(received, 10))
            await udp.aclose()
        await t.wait("serve closed", udp.serve(received))
        await t.wait("send_to closed", udp.send_to(b"a", sock.getsockname()))
    t.logs()


@program(*LOOPS)
async def tls_transports(t: Transcript, backend: Any) -> None:
    """AsyncTLSStreamTransport and AsyncTLSListener"""
    (plain,) = await backend.create_tcp_listeners("127.0.0.1", 0, 5)
    failures: list[str] = []
    listener: Any = AsyncTLSListener(
        plain,
        server_context(),
        handshake_timeout=0.3,
        handshake_error_handler=lambda error: failures.append(type(error).__name__),
    )
    address = plain.extra(SocketAttribute.sockname)
    t.say(
        "attributes",
        (listener.extra(TLSAttribute.standard_compatible), listener.extra(SocketAttribute.sockname) == address),
    )

    async def handler(transport: Any) -> None:
        with contextlib.suppress(OSError):
            async with transport:
                while data := await transport.recv(100):
                    await transport.send_all(data.upper())

    async def serve() -> None:
        await listener.serve(handler)

    with contextlib.suppress(BaseExceptionGroup):
        async with backend.create_task_group() as group:
            server_task = await group.start(serve)
            transport: Any = await AsyncTLSStreamTransport.wrap(
                await backend.create_tcp_connection(*address), client_context(), server_hostname="localhost"
            )
            await t.wait("send", transport.send_all(b"abc"))
            await t.wait("recv", transport.recv(100))
            await t.wait("recv 0", transport.recv(0))
            await t.wait("iterable", transport.send_all_from_iterable([b"d", b"e"]))
            t.say("recv", b"".join([await transport.recv(1), await transport.recv(1)]))
            await t.wait("send_eof", transport.send_eof())
            await t.wait("ancillary", transport.recv_with_ancillary(1, 1))
            t.say("version", transport.extra(TLSAttribute.tls_version))
            t.say("certificate", "subjectAltName" in transport.extra(TLSAttribute.peercert))
            t.call("compression", transport.extra, TLSAttribute.compression)
            await t.wait("close", transport.aclose())
            await t.wait("recv closed", transport.recv(10))
            await t.wait("send closed", transport.send_all(b"a"))
            t.say("closing", transport.is_closing())
            for options in (
                {"server_hostname": "example.org"},
                {"server_hostname": "localhost", "handshake_timeout": 5},
            ):
                with t.errors(f"{options}"):
                    connection = await backend.create_tcp_connection(*address)
                    transport = await AsyncTLSStreamTransport.wrap(connection, client_context(), **options)
                    t.say(f"{options}", "made")
                    await transport.aclose()
                t.say("wrapped one", connection.is_closing())
            peer = await Peer.connect(backend, address)
            await peer.send(b"GET / HTTP/1.0\r\n\r\n")
            await peer.end()
            await until(backend, lambda: "SSLError" in failures)
            t.say("failures", "SSLError" in failures)
            server_task.cancel()
    await listener.aclose()
    t.say("closed", (listener.is_closing(), plain.is_closing()))
    near, far = tcp_pair()
    peer = Peer(backend, far)
    with t.errors("silent"):
        await AsyncTLSStreamTransport.wrap(
            await backend.wrap_stream_socket(near),
            client_context(),
            server_hostname="localhost",
            handshake_timeout=0.05,
        )
    peer.close()


@program(*LOOPS)
async def stapled_transports(t: Transcript, backend: Any) -> None:
    """Stapled asynchronous transports"""
    sending: list[str] = []
    receiving: list[str] = []
    out, inn = Memory(backend, sending), Memory(backend, receiving, b"abc")
    both: Any = AsyncStapledStreamTransport(out, inn)
    await t.wait("recv", both.recv(10))
    await t.wait("send_all", both.send_all(b"ab"))
    await t.wait("send_eof", both.send_eof())
    t.say("closing", both.is_closing())
    await t.wait("close", both.aclose())
    t.say("closing", both.is_closing())
    t.say("logs", (sending, receiving))

    class Broken(Memory):
        async def aclose(self) -> None:
            await super().aclose()
            raise KeyError

    await t.wait(
        "both fail to close", AsyncStapledStreamTransport(Broken(backend, sending), Broken(backend, receiving)).aclose()
    )
    t.say("logs", (sending[-1], receiving[-1]))
    from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

    other = new_builtin_backend("asyncio")
    t.make("two backends", AsyncStapledStreamTransport, out, Memory(other, []))
    t.make("datagrams", AsyncStapledDatagramTransport, out, inn)
    t.make("subclass", lambda: type("Sub", (AsyncStapledStreamTransport,), {}))


@program(*LOOPS, explained={"warnings": "`yield 2.5` in a handler"})
async def lowlevel_stream_server(t: Transcript, backend: Any) -> None:
    """AsyncStreamServer: yields, errors, guards, ends"""
    (listener,) = await backend.create_tcp_listeners("127.0.0.1", 0, 5)
    server: Any = AsyncStreamServer(listener, lines(limit=50), 100)
    address = server.extra(SocketAttribute.sockname)
    mode = ""
    ended = 0

    async def handler(client: Any) -> Any:
        nonlocal ended
        t.say("client", (isinstance(client, ConnectedStreamClient), client.is_closing(), client.backend() is backend))
        try:
            if mode == "returns":
                return
            if mode == "fails":
                raise KeyError
            while True:
                try:
                    request = yield {"number": 5, "params": RecvParams(timeout=5), "nonsense": "x"}.get(mode)
                except GeneratorExit:
                    t.say("GeneratorExit")
                    raise
                except Exception as error:
                    t.failed("yield", error)
                    if mode == "nonsense":
                        return
                    continue
                if request == "close":
                    await client.aclose()
                elif request == "bad":
                    await t.wait("bad packet", client.send_packet(3))
                elif request == "raise":
                    raise ArithmeticError
                else:
                    await client.send_packet(request.upper())
        finally:
            ended += 1

    async def serve() -> None:
        await t.wait("serve", server.serve(handler))

    async with backend.create_task_group() as group:
        task = await group.start(serve)
        for name, data, answers in (
            ("plain", b"a\nb\n\xff\nc\nbad\nd\n", 4),
            ("number", b"a\n", 1),
            ("params", b"a\n", 1),
            ("nonsense", b"", 0),
            ("returns", b"", 0),
            ("fails", b"", 0),
            ("close", b"close\na\n", 0),
            ("raise", b"raise\na\n", 0),
        ):
            mode, ended = name, 0
            t.say("mode", mode)
            peer = await Peer.connect(backend, address)
            if data:
                await peer.send(data)
            for _ in range(answers):
                t.say("answer", await peer.line())
            if answers:
                peer.half_close()
            await peer.end()
            t.say("ends", await until(backend, lambda: ended))  # noqa: B023 - awaited here
            peer.close()
            await backend.sleep(0.02)
            t.logs()
        await t.wait("serve twice", server.serve(handler))
        task.cancel()
    await server.aclose()
    t.warned()


@program(*LOOPS, explained={"time-out": "`TimeoutError` at a `yield`", "ancillary": "`TimeoutError` at a `yield`"})
async def lowlevel_datagram_server(t: Transcript, backend: Any) -> None:
    """AsyncDatagramServer: one generator for each sender, order, errors"""
    (listener,) = await backend.create_udp_listeners("127.0.0.1", 0)
    server: Any = AsyncDatagramServer(listener, datagrams())

    async def handler(client: Any) -> Any:
        try:
            request = yield
        except Exception as error:
            t.failed("yield", error)
            await server.send_packet_to("bad", client.address)
            return
        if request == "raise":
            raise ArithmeticError
        if request == "two":
            second = yield
            with t.errors("time-out"):
                yield RecvParams(timeout=0.01)
            with t.errors("ancillary"):
                yield RecvParams(timeout=0.01, recv_with_ancillary=RecvAncillaryDataParams(len))
            request = f"two {second}"
        await client.server.send_packet_to(request, client.address)

    async def serve() -> None:
        await t.wait("serve", server.serve(handler))

    async with backend.create_task_group() as group:
        task = await group.start(serve)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(server.extra(SocketAttribute.sockname))
            peer = Peer(backend, sock)
            await peer.send(b"a")
            t.say("answer", await peer.receive())
            await peer.send(b"\xff")
            t.say("answer", await peer.receive())
            await peer.send(b"two")
            await peer.send(b"b")
            t.say("answer", await peer.receive())
            await peer.send(b"raise")
            await peer.send(b"c")
            t.say("answer", await peer.receive())
        await t.wait("serve twice", server.serve(handler))
        task.cancel()
    await server.aclose()
    t.logs()


@program(*LOOPS)
async def lowlevel_handlers(t: Transcript, backend: Any) -> None:
    """build_lowlevel_stream_server_handler: initializers and hooks"""
    log: list[str] = []

    class Handler(AsyncStreamRequestHandler[Any, Any]):
        async def on_connection(self, client: Any) -> None:
            log.append("on_connection")

        async def handle(self, client: Any) -> Any:
            log.append("handle")
            log.append(f"got {(yield)}")

        async def on_disconnection(self, client: Any) -> None:
            log.append("on_disconnection")

    class Client:
        def __init__(self) -> None:
            self.closing = False

        def is_closing(self) -> bool:
            return self.closing

        def backend(self) -> Any:
            return backend

        @property
        def extra_attributes(self) -> Mapping[Any, Any]:
            return {}

    client = Client()

    @contextlib.asynccontextmanager
    async def initializer(lowlevel_client: Any, value: Any) -> Any:
        log.append(f"enter {value}")
        try:
            yield client if value else None
        finally:
            log.append("leave")

    for value in (1, 0):
        log.clear()
        make: Any = build_lowlevel_stream_server_handler(initializer, Handler(), value)
        generator = make(object())
        with t.errors(f"{value} start"):
            t.say(f"{value} yields", await anext(generator))
        with t.errors(f"{value} send"):
            t.say(f"{value} yields", await generator.asend("request"))
        client.closing = True
        with t.errors(f"{value} last"):
            await generator.asend("last")
        await generator.aclose()
        client.closing = False
        t.say(f"{value} log", log)
    for build in (build_lowlevel_stream_server_handler, build_lowlevel_datagram_server_handler):
        function: Any = build
        t.call("not a handler", lambda function=function: callable(function(initializer, None)))


@program(*LOOPS)
async def forgotten_transports(t: Transcript, backend: Any) -> None:
    """Asynchronous transports, endpoints and servers that are garbage-collected while they are open"""
    transport, peer = await stream_pair(backend)
    del transport
    gc.collect()
    await backend.coro_yield()
    t.warned("transport")
    t.say("peer", await peer.end())
    transport, peer = await stream_pair(backend)
    AsyncStreamEndpoint(transport, lines(), 10)
    gc.collect()
    t.warned("endpoint")
    await transport.aclose()
    peer.close()
    (listener,) = await backend.create_tcp_listeners("127.0.0.1", 0, 5)
    AsyncStreamServer(listener, lines(), 10)
    gc.collect()
    t.warned("server")
    tls: Any = AsyncTLSListener(listener, server_context())
    del tls
    gc.collect()
    t.warned("TLS listener")
    await listener.aclose()
    with folder() as path:
        t.say("folder", path.exists())
    t.say("inf", math.inf)
