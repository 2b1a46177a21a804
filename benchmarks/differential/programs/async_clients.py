"""The asynchronous clients: TCP, TLS, UDP, Unix streams and datagrams."""

from __future__ import annotations

import gc
import math
import os
import socket
import ssl
import struct
from typing import Any

from benchmarks.differential.kit import (
    Peer,
    buffered_lines,
    client_context,
    datagrams,
    folder,
    lines,
    refuse_port,
    server_context,
    tcp_pair,
    thread,
)
from benchmarks.differential.table import LOOPS, program
from benchmarks.differential.transcript import Transcript
from easynetwork.clients import AsyncTCPNetworkClient, AsyncUDPNetworkClient
from easynetwork.clients.abc import AbstractAsyncNetworkClient
from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.converter import AbstractPacketConverter
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAncillary
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer


async def tcp_client(backend: Any, protocol: Any, **options: Any) -> tuple[Any, Peer]:
    near, far = tcp_pair()
    client: Any = AsyncTCPNetworkClient(near, protocol, backend, **options)
    await client.wait_connected()
    return client, Peer(backend, far)


async def receive(t: Transcript, backend: Any, label: str, client: Any, timeout: float = 5, **options: Any) -> None:
    with t.errors(label):
        with backend.timeout(timeout):
            t.say(label, await client.recv_packet(**options))


@program(*LOOPS)
async def tcp_packets(t: Transcript, backend: Any) -> None:
    """AsyncTCPNetworkClient: packets, buffered bytes, cancellations, the end of the stream, closing"""
    for protocol in (lines(limit=50), buffered_lines(limit=50)):
        client, peer = await tcp_client(backend, protocol)
        name = type(protocol).__name__
        t.say(f"{name} state", (client.is_connected(), client.is_closing(), type(client.backend())))
        await receive(t, backend, f"{name} nothing", client, 0.02)
        await peer.send(b"a\nb\nc")
        await receive(t, backend, f"{name} 1", client)
        await receive(t, backend, f"{name} 2", client)
        await receive(t, backend, f"{name} incomplete", client, 0.02)
        await peer.send(b"d\n\xff\ne\n")
        for number in range(3, 6):
            await receive(t, backend, f"{name} {number}", client)
        await t.wait(f"{name} send", client.send_packet("out"))
        await t.wait(f"{name} send, bad packet", client.send_packet(3))
        t.say(f"{name} received", await peer.line())
        await t.wait(f"{name} send_eof", client.send_eof())
        await t.wait(f"{name} send_eof again", client.send_eof())
        await t.wait(f"{name} send after that", client.send_packet("late"))
        t.say(f"{name} peer sees", await peer.end())
        await peer.send(b"last\n")
        peer.close()
        for number in range(3):
            await receive(t, backend, f"{name} end {number}", client)
        t.say(f"{name} state", (client.is_connected(), client.is_closing()))
        proxy = client.socket
        t.say(f"{name} same proxy", proxy is client.socket)
        await t.wait(f"{name} close", client.aclose())
        await t.wait(f"{name} close again", client.aclose())
        t.say(f"{name} state", (client.is_connected(), client.is_closing(), proxy.fileno()))
        await t.wait(f"{name} closed recv", client.recv_packet())
        await t.wait(f"{name} closed send", client.send_packet("a"))
        await t.wait(f"{name} closed send_eof", client.send_eof())
        await t.wait(f"{name} closed connect", client.wait_connected())
        t.call(f"{name} closed local", client.get_local_address)
        t.call(f"{name} closed remote", client.get_remote_address)
        with t.errors(f"{name} closed iterator"):
            t.say(f"{name} closed iterator", [packet async for packet in client.iter_received_packets()])


@program(
    *LOOPS,
    explained={
        "incomplete": "a stream that ends in the middle of a packet",
        "again": "a stream that ends in the middle of a packet",
        "uvloop/send *": "sending after a reset on uvloop",
        "trio/reset again": "reading again after a reset on trio",
    },
)
async def tcp_ends(t: Transcript, backend: Any) -> None:
    """AsyncTCPNetworkClient: the stream ends inside a packet, or with a reset"""
    client, peer = await tcp_client(backend, lines())
    await peer.send(b"one\nincompl")
    peer.close()
    await receive(t, backend, "packet", client)
    await receive(t, backend, "incomplete", client)
    await receive(t, backend, "again", client)
    await client.aclose()
    client, peer = await tcp_client(backend, lines())
    peer.reset()
    await receive(t, backend, "reset", client)
    await receive(t, backend, "reset again", client)
    for attempt in range(2):
        await t.wait(f"send {attempt}", client.send_packet("a"))
    t.call("local", lambda: client.get_local_address()[0])
    t.call("remote", lambda: client.get_remote_address()[0])
    t.say("state", client.is_closing())
    await t.wait("close", client.aclose())


@program(
    *LOOPS,
    explained={"reader of a client that is closed": "a client that is closed while another task or thread reads"},
)
async def tcp_many_tasks(t: Transcript, backend: Any) -> None:
    """Several tasks read, send and close one client"""
    client, peer = await tcp_client(backend, lines())
    got: list[Any] = []

    async def reader() -> None:
        got.append(await client.recv_packet())

    async with backend.create_task_group() as group:
        for _ in range(3):
            await group.start(reader)
        await backend.sleep(0.01)
        await peer.send(b"a\nb\nc\n")
    t.say("readers", got)

    async def closed_reader(label: str) -> None:
        await t.wait(label, client.recv_packet())

    async with backend.create_task_group() as group:
        await group.start(closed_reader, "reader of a client that is closed")
        await backend.sleep(0.02)
        await client.aclose()
    t.say("peer", await peer.end())
    client, peer = await tcp_client(backend, lines())
    sent: list[int] = []

    async def sender(number: int) -> None:
        await client.send_packet(f"{number}" * 10)
        sent.append(number)

    async with backend.create_task_group() as group:
        for number in range(5):
            await group.start(sender, number)
    t.say("senders", sent)
    t.say("received", [(await peer.line())[:1] for _ in range(5)])
    with backend.move_on_after(0.05) as scope:
        await client.send_packet("x" * (30 << 20))
    t.say("sending cancelled", scope.cancelled_caught())
    with t.errors("close forcefully"):
        await aclose_forcefully(client)
    t.say("closing", client.is_closing())
    peer.close()


@program(*LOOPS, explained={"time-out -1": "wrong arguments"})
async def tcp_iterator(t: Transcript, backend: Any) -> None:
    """iter_received_packets of an asynchronous client"""
    client, peer = await tcp_client(backend, lines())
    t.say("nothing", [packet async for packet in client.iter_received_packets()])
    await peer.send(b"a\nb\n\xff\nc\n")
    iterator = client.iter_received_packets(timeout=2)
    for number in range(4):
        await t.wait(f"packet {number}", anext(iterator))
    short = client.iter_received_packets(timeout=0.02)
    await t.wait("time-out", anext(short))
    t.say("own iterator", aiter(short) is short)
    for value in (-1, math.nan):
        with t.errors(f"time-out {value}"):
            t.say(f"time-out {value}", [packet async for packet in client.iter_received_packets(timeout=value)])
    peer.close()
    await t.wait("end", anext(client.iter_received_packets(timeout=None)))
    await client.aclose()
    t.say("closed", [packet async for packet in client.iter_received_packets(timeout=None)])


@program(
    *LOOPS,
    explained={
        "*happy_eyeballs_delay*": "wrong arguments",
        "again": "`wait_connected()` after a failure",
        "send after*": "`wait_connected()` after a failure",
    },
)
async def tcp_connecting(t: Transcript, backend: Any) -> None:
    """AsyncTCPNetworkClient with an address: before the connection, refused, unknown, cancelled"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        client: Any = AsyncTCPNetworkClient(address, lines(), backend, local_address=("127.0.0.1", 0))
        t.say("before", (client.is_connected(), client.is_closing()))
        t.call("address before", client.get_local_address)
        with t.errors("socket before"):
            t.say("socket before", client.socket)
        await t.wait("connect", client.wait_connected())
        await t.wait("connect again", client.wait_connected())
        t.say("connected", (client.is_connected(), client.get_remote_address() == address))
        t.say("nodelay", bool(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        t.say("keepalive", bool(client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
        await client.aclose()
        async with AsyncTCPNetworkClient(address, lines(), backend) as client:
            t.say("in a block", client.is_connected())
        t.say("after the block", client.is_closing())
        client = AsyncTCPNetworkClient(address, lines(), backend)
        await t.wait("implicit", client.send_packet("a"))
        t.say("connected", client.is_connected())
        await client.aclose()
        client = AsyncTCPNetworkClient(address, lines(), backend)
        await client.aclose()
        t.say("closed before", (client.is_connected(), client.is_closing()))
        await t.wait("connect after closing", client.wait_connected())
        await t.wait("receive after closing", client.recv_packet())
        client = AsyncTCPNetworkClient(address, lines(), backend)
        with t.errors("closed socket never asked"):
            await client.aclose()
            t.say("socket", client.socket)
        for options in ({"local_address": address}, {"local_address": ("192.0.2.1", 0)}, {"happy_eyeballs_delay": -1}):
            with t.errors(f"{list(options)}"):
                client = AsyncTCPNetworkClient(address, lines(), backend, **options)
                await t.wait(f"{list(options)}", client.wait_connected())
            await client.aclose()
    with refuse_port() as port:
        client = AsyncTCPNetworkClient(("127.0.0.1", port), lines(), backend)
        await t.wait("refused", client.wait_connected())
        t.say("state", (client.is_connected(), client.is_closing()))
        await t.wait("again", client.wait_connected())
        await t.wait("send after a failure", client.send_packet("a"))
        await client.aclose()
        client = AsyncTCPNetworkClient(("127.0.0.1", port), lines(), backend)
        await t.wait("send, refused", client.send_packet("a"))
        await client.aclose()
        with t.errors("block, refused"):
            async with AsyncTCPNetworkClient(("127.0.0.1", port), lines(), backend):
                t.say("entered")
    client = AsyncTCPNetworkClient(("does-not-exist.invalid", 80), lines(), backend)
    await t.wait("unknown", client.wait_connected())
    await client.aclose()


@program(*LOOPS)
async def tcp_connecting_is_cancelled(t: Transcript, backend: Any) -> None:
    """A connection attempt that hangs: cancelled, or the client is closed meanwhile"""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        client: Any = AsyncTCPNetworkClient(listener.getsockname(), lines(), backend)
        with t.errors("time-out"):
            with backend.timeout(0.05):
                await client.wait_connected()
        t.say("state", (client.is_connected(), client.is_closing()))
        await client.aclose()
        client = AsyncTCPNetworkClient(listener.getsockname(), lines(), backend)

        async def connect() -> None:
            await t.wait("closed meanwhile", client.wait_connected())

        async with backend.create_task_group() as group:
            await group.start(connect)
            await backend.sleep(0.05)
            await client.aclose()
        t.say("state", (client.is_connected(), client.is_closing()))
        for filler in fillers:
            filler.close()


@program(*LOOPS, explained={"* SOCK_STREAM": "wrong arguments", "* SOCK_DGRAM": "wrong arguments"})
async def client_arguments(t: Transcript, backend: Any) -> None:
    """Asynchronous clients: wrong arguments, and whether the socket stays open"""
    cases: dict[str, dict[str, Any]] = {
        "max_recv_size 0": {"max_recv_size": 0},
        "max_recv_size 1.5": {"max_recv_size": 1.5},
        "hostname without ssl": {"server_hostname": "a"},
        "handshake without ssl": {"ssl_handshake_timeout": 1},
        "compatible without ssl": {"ssl_standard_compatible": False},
        "ssl without hostname": {"ssl": True},
        "local_address": {"local_address": ("127.0.0.1", 0)},
        "happy_eyeballs_delay": {"happy_eyeballs_delay": 1},
        "unknown": {"nothing": 1},
    }
    for name, options in cases.items():
        near, far = tcp_pair()
        with near, far:
            with t.errors(name):
                client: Any = AsyncTCPNetworkClient(near, lines(), backend, **options)
                await client.wait_connected()
                t.say(name, "connected")
                await client.aclose()
    for address in (None, ("h",), ("127.0.0.1", "1"), "localhost", 3):
        t.make(f"address {address!r}", AsyncTCPNetworkClient, address, lines(), backend)
        t.make(f"UDP address {address!r}", AsyncUDPNetworkClient, address, datagrams(), backend)
    for protocol in (datagrams(), None, StringLineSerializer()):
        t.make(f"protocol {type(protocol).__name__}", AsyncTCPNetworkClient, ("127.0.0.1", 1), protocol, backend)
        if protocol is None:
            t.make("UDP protocol", AsyncUDPNetworkClient, ("127.0.0.1", 1), protocol, backend)
    for value in ("nothing", 3):
        t.make(f"backend {value!r}", AsyncTCPNetworkClient, ("127.0.0.1", 1), lines(), value)
    t.make("backend found", AsyncTCPNetworkClient, ("127.0.0.1", 1), lines())
    t.make("UDP family", AsyncUDPNetworkClient, ("127.0.0.1", 1), datagrams(), backend, family=socket.AF_UNIX)
    t.make("Unix int", AsyncUnixStreamClient, 3, lines(), backend)
    t.make("Unix NUL", AsyncUnixStreamClient, "a\0b", lines(), backend)
    t.make("Unix datagram int", AsyncUnixDatagramClient, 3, datagrams(), backend)
    t.make("Unix protocol", AsyncUnixStreamClient, "a", datagrams(), backend)
    t.make("Unix datagram protocol", AsyncUnixDatagramClient, "a", lines(), backend)
    t.make("abstract", AbstractAsyncNetworkClient)
    kinds = (
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
    )
    for family, type_ in kinds:
        for cls, protocol in ((AsyncTCPNetworkClient, lines()), (AsyncUDPNetworkClient, datagrams())):
            with socket.socket(family, type_) as sock, t.errors(f"{cls.__name__} {family.name} {type_.name}"):
                made: Any = cls(sock, protocol, backend)
                await made.wait_connected()
    wrapped = ssl.create_default_context().wrap_socket(
        tcp_pair()[0], server_hostname="x", do_handshake_on_connect=False
    )
    t.make("SSL socket", AsyncTCPNetworkClient, wrapped, lines(), backend)
    wrapped.close()


@program()
def clients_outside_of_a_loop(t: Transcript) -> None:
    """Asynchronous clients and servers created without a backend outside of an event loop"""
    t.make("TCP", AsyncTCPNetworkClient, ("127.0.0.1", 1), lines())
    t.make("UDP", AsyncUDPNetworkClient, ("127.0.0.1", 1), datagrams())
    t.make("Unix stream", AsyncUnixStreamClient, "a", lines())
    t.make("Unix datagram", AsyncUnixDatagramClient, "a", datagrams())
    t.make("TCP with a name", AsyncTCPNetworkClient, ("127.0.0.1", 1), lines(), "asyncio")


class Moody(AbstractPacketConverter[Any, Any]):
    def create_from_dto_packet(self, packet: Any, /) -> Any:
        if packet == "fail":
            raise ArithmeticError("fail")
        return packet

    def convert_to_dto_packet(self, obj: Any, /) -> Any:
        if obj == "fail":
            raise ArithmeticError("fail")
        return obj


@program(*LOOPS, explained={"after a crash": "a bug in a converter or in `deserialize()`"})
async def tcp_crashes(t: Transcript, backend: Any) -> None:
    """A converter that fails, when sending and when receiving"""
    client, peer = await tcp_client(backend, StreamProtocol(StringLineSerializer(), Moody()))
    await t.wait("send", client.send_packet("fail"))
    await t.wait("send good", client.send_packet("good"))
    t.say("received", await peer.line())
    await peer.send(b"a\nfail\nb\n")
    await receive(t, backend, "first", client)
    await receive(t, backend, "crash", client)
    await receive(t, backend, "after a crash", client, 0.05)
    await peer.send(b"c\n")
    await receive(t, backend, "later", client)
    await client.aclose()
    peer.close()


def _tls_server(sock: socket.socket, clean: bool) -> None:
    try:
        with server_context().wrap_socket(sock, server_side=True) as server:
            while data := server.recv(100):
                if data == b"end\n":
                    break
                server.sendall(data.upper())
            if clean:
                server.unwrap()
    except OSError:
        pass


@program(*LOOPS)
async def tls_packets(t: Transcript, backend: Any) -> None:
    """AsyncTCPNetworkClient over TLS: packets, both kinds of end, send_eof"""
    for clean in (True, False):
        for compatible in (True, False):
            near, far = tcp_pair()
            name = f"clean={clean} compatible={compatible}"
            with thread(_tls_server, far, clean):
                client: Any = AsyncTCPNetworkClient(
                    near,
                    lines(),
                    backend,
                    ssl=client_context(),
                    server_hostname="localhost",
                    ssl_standard_compatible=compatible,
                )
                await t.wait(f"{name} connect", client.wait_connected())
                await t.wait(f"{name} send", client.send_packet("abc"))
                await receive(t, backend, f"{name} recv", client)
                await t.wait(f"{name} send_eof", client.send_eof())
                await t.wait(f"{name} send after that", client.send_packet("def"))
                await receive(t, backend, f"{name} recv after that", client)
                await t.wait(f"{name} last", client.send_packet("end"))
                await receive(t, backend, f"{name} end", client)
                await receive(t, backend, f"{name} end again", client)
                await t.wait(f"{name} close", client.aclose())
                await t.wait(f"{name} closed", client.recv_packet())


@program(*LOOPS)
async def tls_failures(t: Transcript, backend: Any) -> None:
    """AsyncTCPNetworkClient over TLS: certificates, names, silence, plain text"""
    import time

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def accept(function: Any) -> None:
            sock, _ = listener.accept()
            with sock:
                function(sock)

        def reset(sock: socket.socket) -> None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

        cases: dict[str, tuple[Any, dict[str, Any]]] = {
            "unknown authority": (lambda s: _tls_server(s, True), {"ssl": True}),
            "wrong name": (lambda s: _tls_server(s, True), {"ssl": client_context(), "server_hostname": "example.org"}),
            "silent": (lambda s: time.sleep(0.5), {"ssl": client_context(), "ssl_handshake_timeout": 0.1}),
            "gone": (lambda s: (s.recv(65536), s.close()), {"ssl": client_context()}),
            "reset": (lambda s: (s.recv(65536), reset(s)), {"ssl": client_context()}),
            "plain text": (lambda s: (s.sendall(b"HTTP/1.0 400\r\n\r\n"), s.recv(1000)), {"ssl": client_context()}),
        }
        for name, (behave, options) in cases.items():
            with thread(accept, behave):
                with t.errors(name):
                    client: Any = AsyncTCPNetworkClient(address, lines(), backend, **options)
                    await client.wait_connected()
                    t.say(name, "connected")
                await client.aclose()


@program(
    *LOOPS,
    explained={
        "asyncio/too large": "a datagram that is too large, on asyncio",
        "uvloop/too large": "a datagram that is too large, on asyncio",
    },
)
async def udp_packets(t: Transcript, backend: Any) -> None:
    """AsyncUDPNetworkClient: packets, empty and bad ones, refused, closed"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        peer = Peer(backend, sock)
        client: Any = AsyncUDPNetworkClient(sock.getsockname(), datagrams(), backend)
        t.say("before", (client.is_connected(), client.is_closing()))
        t.call("address before", client.get_local_address)
        await t.wait("connect", client.wait_connected())
        t.say("remote", client.get_remote_address())
        await t.wait("send", client.send_packet("hello"))
        t.say("received", await peer.receive())
        address = client.get_local_address()
        await receive(t, backend, "nothing", client, 0.02)
        for datagram in (b"a", b"", b"\xff", b"b\n"):
            sock.sendto(datagram, address)
            await receive(t, backend, f"{datagram!r}", client)
        await t.wait("bad packet", client.send_packet(3))
        await t.wait("too large", client.send_packet("x" * 70000))
        t.say("iterator", [packet async for packet in client.iter_received_packets()])
    await t.wait("refused", client.send_packet("a"))
    await t.wait("refused again", client.send_packet("a"))
    t.say("closing", client.is_closing())

    async def reader() -> None:
        for attempt in range(3):
            try:
                await client.recv_packet()
            except ConnectionRefusedError:
                continue  # the error of the last send may also be raised here
            except BaseException as error:
                t.failed("reader of a client that is closed", error)
                if not isinstance(error, Exception):
                    raise
                return
            t.say("attempts", attempt)

    async with backend.create_task_group() as group:
        await group.start(reader)
        await backend.sleep(0.05)
        await client.aclose()
    await t.wait("closed send", client.send_packet("a"))
    await t.wait("closed recv", client.recv_packet())
    t.call("closed address", client.get_local_address)
    client = AsyncUDPNetworkClient(("does-not-exist.invalid", 1), datagrams(), backend)
    await t.wait("unknown", client.wait_connected())
    await client.aclose()
    client = AsyncUDPNetworkClient(("127.0.0.1", 9), datagrams(), backend, local_address=("192.0.2.1", 0))
    await t.wait("local address", client.wait_connected())
    await client.aclose()


@program(*LOOPS, explained={"bufsize 0": "wrong arguments"})
async def unix_stream_packets(t: Transcript, backend: Any) -> None:
    """AsyncUnixStreamClient: names, credentials, descriptors, errors"""
    with folder() as path:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path / "server"))
            listener.listen()
            client: Any = AsyncUnixStreamClient(path / "server", lines(), backend)
            t.call("name before", client.get_local_name)
            t.call("credentials before", client.get_peer_credentials)
            await t.wait("connect", client.wait_connected())
            far, _ = listener.accept()
            peer = Peer(backend, far)
            t.say("names", (str(client.get_local_name()), str(client.get_peer_name())))
            credentials = client.get_peer_credentials()
            t.say("credentials", (credentials.pid == os.getpid(), credentials.uid == os.getuid()))
            t.say("cached", credentials is client.get_peer_credentials())
            ancillary = SocketAncillary()
            ancillary.add_fds([0, 1])
            await t.wait("send", client.send_packet("abc", ancillary_data=ancillary))
            data, descriptors, *_ = socket.recv_fds(far, 100, 10)
            t.say("received", (data, len(descriptors)))
            socket.send_fds(far, [b"x\ny\nz"], descriptors)
            received = SocketAncillary()
            await receive(t, backend, "recv", client, ancillary_data=received)
            t.say("descriptors", len(list(received.iter_fds())))
            await receive(t, backend, "recv kept", client, ancillary_data=SocketAncillary())
            await peer.send(b"z")
            await receive(t, backend, "recv incomplete", client, ancillary_data=SocketAncillary())
            await peer.send(b"\n")
            await receive(t, backend, "recv complete", client, ancillary_data=SocketAncillary())
            await receive(t, backend, "bufsize alone", client, ancillary_bufsize=100)
            await receive(t, backend, "bufsize 0", client, 0.02, ancillary_data=SocketAncillary(), ancillary_bufsize=0)
            await receive(
                t, backend, "bufsize -1", client, 0.02, ancillary_data=SocketAncillary(), ancillary_bufsize=-1
            )
            await t.wait("too large", client.send_packet("x" * (8 << 20), ancillary_data=ancillary))
            peer.close()
            await receive(t, backend, "gone", client)
            await t.wait("gone send", client.send_packet("a"))
            await client.aclose()
            t.call("closed credentials", client.get_peer_credentials)
            client = AsyncUnixStreamClient(path / "server", lines(), backend, local_path=path / "client")
            await client.wait_connected()
            t.say("local", str(client.get_local_name()))
            await client.aclose()
            t.say("file stays", (path / "client").exists())
        for name, target in (("refused", path / "server"), ("missing", path / "nothing"), ("empty", "")):
            client = AsyncUnixStreamClient(target, lines(), backend)
            await t.wait(name, client.wait_connected())
            await client.aclose()


@program(*LOOPS)
async def unix_datagram_packets(t: Transcript, backend: Any) -> None:
    """AsyncUnixDatagramClient: names, descriptors, errors"""
    with folder() as path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(path / "peer"))
            sock.settimeout(5)
            client: Any = AsyncUnixDatagramClient(path / "peer", datagrams(), backend)
            await t.wait("connect", client.wait_connected())
            t.say("automatic name", client.get_local_name().as_abstract_name() is not None)
            t.say("peer", str(client.get_peer_name()))
            ancillary = SocketAncillary()
            ancillary.add_fds([0])
            await t.wait("send", client.send_packet("abc", ancillary_data=ancillary))
            data, descriptors, _, address = socket.recv_fds(sock, 100, 10)
            t.say("received", (data, len(descriptors)))
            for datagram in (b"a", b"", b"\xff"):
                sock.sendto(datagram, address)
                await receive(t, backend, f"{datagram!r}", client, ancillary_data=SocketAncillary())
            await t.wait("too large", client.send_packet("x" * (1 << 20)))
            await receive(t, backend, "bufsize alone", client, ancillary_bufsize=100)
        await t.wait("gone", client.send_packet("a"))
        await t.wait("gone again", client.send_packet("a"))
        await client.aclose()
        await t.wait("closed", client.send_packet("a"))
        for name, target in (("refused", path / "peer"), ("missing", path / "nothing")):
            client = AsyncUnixDatagramClient(target, datagrams(), backend)
            await t.wait(name, client.wait_connected())
            await client.aclose()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        t.make("unnamed", AsyncUnixDatagramClient, near, datagrams(), backend)


@program(*LOOPS)
async def forgotten_clients(t: Transcript, backend: Any) -> None:
    """Asynchronous clients that are garbage-collected while they are open"""
    client, peer = await tcp_client(backend, lines())
    del client
    gc.collect()
    await backend.coro_yield()
    gc.collect()
    t.warned()
    t.say("peer", await peer.end())
    client = AsyncTCPNetworkClient(("127.0.0.1", 1), lines(), backend)
    del client
    gc.collect()
    t.warned("never connected")
