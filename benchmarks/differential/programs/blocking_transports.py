"""Transports and endpoints of the blocking side."""

from __future__ import annotations

import gc
import math
import selectors
import socket
import ssl
from typing import Any

from benchmarks.differential.kit import (
    buffered_lines,
    client_context,
    datagrams,
    lines,
    reset,
    server_context,
    tcp_pair,
    thread,
)
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork.lowlevel.api_sync.endpoints.datagram import (
    DatagramEndpoint,
    DatagramReceiverEndpoint,
    DatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.endpoints.stream import (
    StreamEndpoint,
    StreamReceiverEndpoint,
    StreamSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.transports.abc import (
    BaseTransport,
    DatagramReadTransport,
    DatagramTransport,
    DatagramWriteTransport,
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
)
from easynetwork.lowlevel.api_sync.transports.base_selector import (
    SelectorBaseTransport,
    SelectorDatagramReadTransport,
    SelectorDatagramTransport,
    SelectorDatagramWriteTransport,
    SelectorStreamReadTransport,
    SelectorStreamTransport,
    SelectorStreamWriteTransport,
    WouldBlockOnRead,
    WouldBlockOnWrite,
)
from easynetwork.lowlevel.api_sync.transports.composite import StapledDatagramTransport, StapledStreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import (
    SocketDatagramTransport,
    SocketStreamTransport,
    SSLStreamTransport,
)
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute, TLSAttribute

REFUSED = "sockets and transports that a constructor refuses"


def udp_pair() -> tuple[socket.socket, socket.socket]:
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (near, far):
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
    near.connect(far.getsockname())
    far.connect(near.getsockname())
    return near, far


@program()
def stream_transport(t: Transcript) -> None:
    """SocketStreamTransport: reading, writing, the end, time-outs, closing"""
    near, far = tcp_pair()
    transport = SocketStreamTransport(near, 1.0)
    t.call("nothing yet", transport.recv, 10, 0)
    far.sendall(b"abcdef")
    t.call("recv 0", transport.recv, 0, 1)
    t.call("recv -1", transport.recv, -1, 1)
    t.call("recv 3", transport.recv, 3, 1)
    buffer = bytearray(10)
    t.call("recv_into", transport.recv_into, buffer, 1)
    t.say("buffer", buffer)
    t.call("recv_into nothing", transport.recv_into, bytearray(), 0)
    t.call("send", transport.send, b"xyz", 1)
    t.call("send_all", transport.send_all, memoryview(b"123"), 1)
    t.call("send_all nothing", transport.send_all, b"", 1)
    t.call("send_all_from_iterable", transport.send_all_from_iterable, iter([b"4", b"", bytearray(b"5")]), 1)
    t.call("send_all_from_iterable nothing", transport.send_all_from_iterable, [], 1)
    t.say("received", far.recv(100))
    for timeout in (-1, math.nan, "1", None):
        t.call(f"time-out {timeout}", transport.recv, 10, timeout)
    t.call("negative send", transport.send_all, b"a", -1)
    t.call("str", transport.send_all, "abc", 1)
    t.call("recv_with_ancillary", transport.recv_with_ancillary, 10, 10, 1)
    t.call("send_all_with_ancillary", transport.send_all_with_ancillary, [b"a"], [], 1)
    t.call("send_eof", transport.send_eof)
    t.call("send_eof again", transport.send_eof)
    t.call("send after send_eof", transport.send_all, b"late", 1)
    far.sendall(b"bye")
    far.close()
    t.call("rest", transport.recv, 10, 1)
    t.call("end", transport.recv, 10, 1)
    t.call("end again", transport.recv, 10, 1)
    t.say("closed", transport.is_closed())
    attributes = transport.extra_attributes
    t.say(
        "attributes",
        sorted(
            name
            for name in ("socket", "family", "sockname", "peername")
            if getattr(SocketAttribute, name) in attributes
        ),
    )
    t.call("close", transport.close)
    t.call("close again", transport.close)
    t.say("closed", transport.is_closed())
    t.call("recv closed", transport.recv, 10, 1)
    t.call("recv 0 closed", transport.recv, 0, 1)
    t.call("send closed", transport.send_all, b"a", 1)
    t.call("send_eof closed", transport.send_eof)
    t.call("sockname closed", transport.extra, SocketAttribute.sockname)
    t.call("peername closed", transport.extra, SocketAttribute.peername)
    t.call("family closed", transport.extra, SocketAttribute.family)


@program()
def stream_transport_faults(t: Transcript) -> None:
    """SocketStreamTransport: a reset peer, a full pipe, an iterable that fails"""
    near, far = tcp_pair()
    with SocketStreamTransport(near, 0.05) as transport:
        t.call("full pipe", transport.send_all, bytes(20 << 20), 0.2)
        reset(far)
        t.call("recv", transport.recv, 10, 1)
        t.call("recv again", transport.recv, 10, 1)
        t.call("send", transport.send_all, b"a", 1)
        t.call("send again", transport.send_all, b"a", 1)
        t.call("send_eof", transport.send_eof)
        t.call("peername", transport.extra, SocketAttribute.peername)

        def chunks() -> Any:
            yield b"a"
            raise KeyError

        t.call("failing iterable", transport.send_all_from_iterable, chunks(), 1)
    near, far = tcp_pair()
    with far, SocketStreamTransport(near, 1.0) as transport:
        with t.errors("file descriptor closed behind our back"):
            near.close()
            transport.recv(1, 1)


@program(explained={"closed": REFUSED})
def transport_arguments(t: Transcript) -> None:
    """Transports refuse the wrong sockets and intervals"""
    for retry in (0, -1, math.nan, math.inf, 0.5):
        near, far = tcp_pair()
        with near, far:
            t.make(f"retry {retry}", SocketStreamTransport, near, retry)
            t.say("closed", near.fileno() == -1)
    udp, other = udp_pair()
    near, far = tcp_pair()
    with udp, other, near, far:
        t.make("UDP as a stream", SocketStreamTransport, udp, 1.0)
        t.make("TCP as datagrams", SocketDatagramTransport, near, 1.0)
        t.say("closed", (udp.fileno() == -1, near.fileno() == -1))
    for size in (0, 10):
        udp, other = udp_pair()
        with udp, other:
            t.make(f"size {size}", SocketDatagramTransport, udp, 1.0, max_datagram_size=size)
    near, far = tcp_pair()
    with far:
        wrapped = ssl.create_default_context().wrap_socket(near, server_hostname="x", do_handshake_on_connect=False)
        t.make("an SSL socket", SocketStreamTransport, wrapped, 1.0)
        wrapped.close()
    with socket.socket() as unconnected:
        t.make("not connected", SocketStreamTransport, unconnected, 1.0)
    for timeouts in ({"handshake_timeout": -1}, {"shutdown_timeout": -1}, {"handshake_timeout": math.nan}):
        near, far = tcp_pair()
        with near, far:
            t.make(
                f"{timeouts}", SSLStreamTransport, near, client_context(), 1.0, server_hostname="localhost", **timeouts
            )
            t.say("closed", near.fileno() == -1)


@program()
def datagram_transport(t: Transcript) -> None:
    """SocketDatagramTransport: empty, large and refused datagrams, closing"""
    near, far = udp_pair()
    transport = SocketDatagramTransport(near, 1.0)
    t.call("nothing yet", transport.recv, 0)
    far.send(b"abc")
    far.send(b"")
    t.call("recv", transport.recv, 1)
    t.call("recv empty", transport.recv, 1)
    t.call("send", transport.send, b"xyz", 1)
    t.call("send empty", transport.send, b"", 1)
    t.say("received", (far.recv(10), far.recv(10)))
    t.call("too large", transport.send, bytes(70000), 1)
    t.call("ancillary", transport.recv_with_ancillary, 10, 1)
    t.call("send ancillary", transport.send_with_ancillary, b"", [], 1)
    far.close()
    t.call("refused 1", transport.send, b"a", 1)
    t.call("refused 2", transport.send, b"a", 1)
    t.call("refused recv", transport.recv, 0.2)
    transport.close()
    t.call("closed", transport.recv, 1)
    t.call("closed send", transport.send, b"a", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unconnected:
        t.make("not connected", SocketDatagramTransport, unconnected, 1.0)


@program()
def unix_transports_carry_descriptors(t: Transcript) -> None:
    """Control messages through blocking Unix transports"""
    for kind, cls in ((socket.SOCK_STREAM, SocketStreamTransport), (socket.SOCK_DGRAM, SocketDatagramTransport)):
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        left: Any = cls(near, 1.0)
        right: Any = cls(far, 1.0)
        ancillary = SocketAncillary()
        ancillary.add_fds([0])
        name = kind.name
        with left, right:
            if kind is socket.SOCK_STREAM:
                t.call(f"{name} send", left.send_all_with_ancillary, iter([b"ab", b"c"]), iter(ancillary.as_raw()), 1)
                data, messages = right.recv_with_ancillary(10, 1024, 1)
                t.call(f"{name} plain", left.send_all, b"plain", 1)
                t.call(f"{name} nothing attached", right.recv_with_ancillary, 10, 1024, 1)
                t.call(f"{name} send", left.send_all_with_ancillary, [b"x"], [], 1)
                buffer = bytearray(5)
                t.call(f"{name} into", right.recv_with_ancillary_into, buffer, 1024, 1)
            else:
                t.call(f"{name} send", left.send_with_ancillary, b"abc", iter(ancillary.as_raw()), 1)
                data, messages = right.recv_with_ancillary(1024, 1)
                t.call(f"{name} too large", left.send_with_ancillary, bytes(8 << 20), [], 1)
            received = SocketAncillary()
            received.update_from_raw(messages)
            t.say(f"{name} received", (data, len(list(received.iter_fds()))))
            t.call(f"{name} nothing", right.recv_with_ancillary, *([10] if kind is socket.SOCK_STREAM else []), 1024, 0)
            t.call(f"{name} bad size", right.recv_with_ancillary, *([10] if kind is socket.SOCK_STREAM else []), -1, 1)
            if kind is socket.SOCK_STREAM:
                t.call(f"{name} too many", left.send_all_with_ancillary, [b"x"] * 5000, [], 1)
                t.call(f"{name} too large", left.send_all_with_ancillary, [bytes(8 << 20)], [], 1)
            t.call(
                f"{name} bad descriptor",
                left.send_all_with_ancillary if kind is socket.SOCK_STREAM else left.send_with_ancillary,
                [b"a"] if kind is socket.SOCK_STREAM else b"a",
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"\xff" * 4)],
                1,
            )


def _tls_echo(sock: socket.socket, clean: bool) -> None:
    with server_context().wrap_socket(sock, server_side=True) as server:
        while data := server.recv(100):
            if data == b"end":
                break
            server.sendall(data.upper())
        if clean:
            try:
                server.unwrap()
            except OSError:
                pass


@program()
def tls_transport(t: Transcript) -> None:
    """SSLStreamTransport: echo, attributes, both kinds of end"""
    for clean in (True, False):
        for compatible in (True, False):
            near, far = tcp_pair()
            name = f"clean={clean} compatible={compatible}"
            with thread(_tls_echo, far, clean):
                transport = SSLStreamTransport(
                    near, client_context(), 1.0, server_hostname="localhost", standard_compatible=compatible
                )
                t.call(f"{name} send", transport.send_all, b"abc", 5)
                t.call(f"{name} recv", transport.recv, 10, 5)
                t.call(f"{name} chunks", transport.send_all_from_iterable, [b"d", b"e"], 5)
                t.call(f"{name} recv", transport.recv, 10, 5)
                t.call(f"{name} nothing", transport.recv, 10, 0)
                t.call(f"{name} send_eof", transport.send_eof)
                t.call(f"{name} ancillary", transport.recv_with_ancillary, 1, 1, 1)
                t.say(f"{name} attribute", transport.extra(TLSAttribute.standard_compatible))
                t.say(f"{name} version", transport.extra(TLSAttribute.tls_version))
                t.say(f"{name} certificate", "subjectAltName" in transport.extra(TLSAttribute.peercert))
                t.call(f"{name} compression", transport.extra, TLSAttribute.compression)
                t.call(f"{name} end", transport.send_all, b"end", 5)
                t.call(f"{name} last", transport.recv, 10, 5)
                t.call(f"{name} last again", transport.recv, 10, 5)
                t.call(f"{name} close", transport.close)
                t.call(f"{name} closed", transport.recv, 10, 5)
                t.call(f"{name} closed send", transport.send_all, b"a", 5)


@program()
def tls_handshake_failures(t: Transcript) -> None:
    """SSLStreamTransport: an unknown authority, a wrong name, a silent peer, a peer that leaves"""
    near, far = tcp_pair()
    with thread(lambda: _quietly(_tls_echo, far, True)):
        t.make(
            "unknown authority",
            SSLStreamTransport,
            near,
            ssl.create_default_context(),
            1.0,
            server_hostname="localhost",
        )
        t.say("closed", near.fileno() == -1)
    near, far = tcp_pair()
    with thread(lambda: _quietly(_tls_echo, far, True)):
        t.make("wrong name", SSLStreamTransport, near, client_context(), 1.0, server_hostname="example.org")
    near, far = tcp_pair()
    with far:
        t.make(
            "silent",
            SSLStreamTransport,
            near,
            client_context(),
            1.0,
            server_hostname="localhost",
            handshake_timeout=0.1,
        )
        t.say("closed", near.fileno() == -1)
    near, far = tcp_pair()
    far.close()
    t.make("gone", SSLStreamTransport, near, client_context(), 1.0, server_hostname="localhost")
    near, far = tcp_pair()
    with far:
        far.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        t.make("plain text", SSLStreamTransport, near, client_context(), 1.0, server_hostname="localhost")


def _quietly(function: Any, *args: Any) -> None:
    try:
        function(*args)
    except OSError:
        pass


@program(explained={"* end *": "a stream that ends in the middle of a packet"})
def stream_endpoints(t: Transcript) -> None:
    """Blocking stream endpoints: packets, buffered bytes, errors, the end of the stream"""
    for protocol in (lines(limit=100), buffered_lines(limit=100)):
        near, far = tcp_pair()
        name = type(protocol).__name__
        endpoint: Any = StreamEndpoint(SocketStreamTransport(near, 1.0), protocol, max_recv_size=64)
        t.call(f"{name} nothing", endpoint.recv_packet, timeout=0)
        far.sendall(b"a\nb\nc")
        t.call(f"{name} 1", endpoint.recv_packet, timeout=1)
        t.call(f"{name} 2", endpoint.recv_packet, timeout=0)
        t.call(f"{name} incomplete", endpoint.recv_packet, timeout=0.05)
        far.sendall(b"d\n\xff\ne\nf\n")
        for number in range(3, 7):
            t.call(f"{name} {number}", endpoint.recv_packet, timeout=0.2)
        t.call(f"{name} bad timeout", endpoint.recv_packet, timeout=-1)
        t.call(f"{name} send", endpoint.send_packet, "out")
        t.call(f"{name} send, bad packet", endpoint.send_packet, 3)
        t.call(f"{name} send with ancillary", endpoint.send_packet_with_ancillary, "a", [])
        t.call(f"{name} recv with ancillary", endpoint.recv_packet_with_ancillary, 10, print, timeout=1)
        t.call(f"{name} send_eof", endpoint.send_eof)
        t.call(f"{name} send_eof again", endpoint.send_eof)
        t.call(f"{name} send after send_eof", endpoint.send_packet, "late")
        t.say(f"{name} received", far.recv(100))
        far.sendall(b"last\nincomplete")
        far.close()
        for number in range(3):
            t.call(f"{name} end {number}", endpoint.recv_packet, timeout=1)
        t.say(f"{name} closed", endpoint.is_closed())
        endpoint.close()
        t.call(f"{name} closed recv", endpoint.recv_packet, timeout=1)
        t.call(f"{name} closed send", endpoint.send_packet, "a")


@program(explained={"closed": REFUSED})
def one_way_endpoints(t: Transcript) -> None:
    """Endpoints that only read or only write, and wrong arguments of all endpoints"""
    near, far = tcp_pair()
    with SocketStreamTransport(near, 1.0) as one, SocketStreamTransport(far, 1.0) as other:
        sender: Any = StreamSenderEndpoint(one, lines())
        receiver: Any = StreamReceiverEndpoint(other, lines(), 100)
        t.call("send", sender.send_packet, "a")
        t.call("receive", receiver.recv_packet)
        t.say(
            "methods", (hasattr(sender, "recv_packet"), hasattr(sender, "send_eof"), hasattr(receiver, "send_packet"))
        )
        for size in (0, -1, 1.5, "1", None, True):
            t.make(f"max_recv_size {size!r}", StreamEndpoint, one, lines(), size)
        t.make("no transport", StreamEndpoint, None, lines(), 1)
        t.make("datagram protocol", StreamEndpoint, one, datagrams(), 1)
        t.make("serializer", StreamSenderEndpoint, one, None)
        t.make("stream transport for datagrams", DatagramEndpoint, one, datagrams())
        t.make("no transport to read", StreamReceiverEndpoint, 3, lines(), 1)
    udp, peer = udp_pair()
    with SocketDatagramTransport(udp, 1.0) as one, SocketDatagramTransport(peer, 1.0) as other:
        datagram_sender: Any = DatagramSenderEndpoint(one, datagrams())
        datagram_receiver: Any = DatagramReceiverEndpoint(other, datagrams())
        t.call("send a datagram", datagram_sender.send_packet, "a")
        t.call("receive a datagram", datagram_receiver.recv_packet, timeout=1)
        endpoint: Any = DatagramEndpoint(one, datagrams())
        t.call("nothing", endpoint.recv_packet, timeout=0)
        peer.send(b"\xff")
        t.call("bad", endpoint.recv_packet, timeout=1)
        peer.send(b"")
        t.call("empty", endpoint.recv_packet, timeout=1)
        t.call("bad packet", endpoint.send_packet, 3)
        t.call("ancillary", endpoint.recv_packet_with_ancillary, 10, print, timeout=1)
        t.call("negative", endpoint.recv_packet, timeout=-1)
        t.make("stream protocol", DatagramEndpoint, one, lines())
        t.say("closed", one.is_closed())


@program(explained={"* packet *": "the rest of a frame over its limit"})
def long_packets(t: Transcript) -> None:
    """A packet over the limit, in one segment or in several"""
    for protocol in (lines(limit=100), buffered_lines(limit=100)):
        name = type(protocol).__name__
        for segments in ((b"x" * 150 + b"\n",), (b"x" * 150, b"y" * 20 + b"\n")):
            near, far = tcp_pair()
            with StreamEndpoint(SocketStreamTransport(near, 1.0), protocol, max_recv_size=256) as endpoint:
                for segment in segments:
                    far.sendall(segment)
                    t.call(f"{name} packet {len(segment)}", endpoint.recv_packet, timeout=0.1)
                far.sendall(b"next\n")
                for number in range(3):
                    t.call(f"{name} packet {number}", endpoint.recv_packet, timeout=0.1)
            far.close()


class Memory(StreamTransport):
    """A user-defined transport with only the abstract methods."""

    def __init__(self, log: list[str], incoming: bytes = b"") -> None:
        self.log, self.incoming, self.closed = log, incoming, False
        self.result: int | None = None

    def recv_into(self, buffer: Any, timeout: float) -> int:
        self.log.append(f"recv_into {len(memoryview(buffer))} {timeout}")
        if self.result is not None:
            return self.result
        data, self.incoming = self.incoming[: len(buffer)], self.incoming[len(buffer) :]
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def send(self, data: Any, timeout: float) -> int:
        self.log.append(f"send {bytes(data)!r} {timeout}")
        return self.result if self.result is not None else min(2, len(data))

    def send_eof(self) -> None:
        self.log.append("send_eof")

    def close(self) -> None:
        self.log.append("close")
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed


@program(explained={"end": "a stream that ends in the middle of a packet"})
def own_blocking_transport(t: Transcript) -> None:
    """A user-defined transport: what the base classes add, and what an endpoint calls"""
    log: list[str] = []
    transport: Any = Memory(log, b"abc\n")
    t.call("recv", transport.recv, 2, 1)
    t.call("recv 0", transport.recv, 0, 1)
    t.call("recv -1", transport.recv, -1, 1)
    t.call("send_all", transport.send_all, b"abc", math.inf)
    t.call("send_all nothing", transport.send_all, b"", math.inf)
    t.call("send_all_from_iterable", transport.send_all_from_iterable, [b"a", b"b"], math.inf)
    t.call("ancillary", transport.recv_with_ancillary, 1, 1, 1)
    t.call("ancillary into", transport.recv_with_ancillary_into, bytearray(1), 1, 1)
    t.call("send ancillary", transport.send_all_with_ancillary, [b"a"], [], 1)
    transport.result = -1
    t.call("negative recv_into", transport.recv, 3, 1)
    t.call("negative send", transport.send_all, b"abc", math.inf)
    t.say("log", log)
    log.clear()
    for protocol in (lines(), buffered_lines(limit=32)):
        transport = Memory(log, b"hello\nbye")
        with StreamEndpoint(transport, protocol, max_recv_size=16) as endpoint:
            t.call("packet", endpoint.recv_packet)
            t.call("end", endpoint.recv_packet)
            t.call("send", endpoint.send_packet, "abc")
            t.call("send_eof", endpoint.send_eof)
        t.say("log", log)
        log.clear()
    t.call("extra", transport.extra, SocketAttribute.socket)
    for cls in (
        BaseTransport,
        StreamReadTransport,
        StreamWriteTransport,
        StreamTransport,
        DatagramReadTransport,
        DatagramWriteTransport,
        DatagramTransport,
    ):
        t.make(f"{cls.__name__} is abstract", cls)


@program()
def forgotten_blocking_endpoints(t: Transcript) -> None:
    """Transports and endpoints that are garbage-collected while they are open"""
    near, far = tcp_pair()
    SocketStreamTransport(near, 1.0)
    gc.collect()
    t.warned("socket transport")
    t.say("closed", far.recv(1))
    log: list[str] = []
    StreamEndpoint(Memory(log), lines(), 10)
    gc.collect()
    t.warned("endpoint of one's own transport")
    t.say("log", log)
    near, far = tcp_pair()
    StreamEndpoint(SocketStreamTransport(near, 1.0), lines(), 10)
    gc.collect()
    t.warned("endpoint")
    t.say("closed", far.recv(1))
    near, far = tcp_pair()
    StreamReceiverEndpoint(SocketStreamTransport(near, 1.0), lines(), 10).close()
    gc.collect()
    t.warned("closed endpoint")


class Polled(SelectorStreamTransport):
    def __init__(self, sock: socket.socket, retry: float, log: list[str], **options: Any) -> None:
        super().__init__(retry, **options)
        self.sock, self.log, self.blocks = sock, log, 2

    def recv_noblock_into(self, buffer: Any) -> int:
        self.log.append("recv_noblock_into")
        if self.blocks:
            self.blocks -= 1
            raise WouldBlockOnWrite(self.sock.fileno())
        return 0

    def send_noblock(self, data: Any) -> int:
        self.log.append("send_noblock")
        if self.blocks:
            self.blocks -= 1
            raise WouldBlockOnRead(self.sock.fileno())
        return len(data)

    def send_eof(self) -> None:
        pass

    def close(self) -> None:
        self.sock.close()

    def is_closed(self) -> bool:
        return self.sock.fileno() == -1


@program(explained={"closed": "closed or busy transports"})
def selector_transports(t: Transcript) -> None:
    """User-defined transports on selectors: retries, time-outs, bad descriptors"""
    near, far = tcp_pair()
    log: list[str] = []
    with near, far:
        transport: Any = Polled(near, 0.01, log)
        t.call("recv", transport.recv, 10, 1)
        t.say("log", log)
        log.clear()
        transport.blocks = 1000
        t.call("time-out", transport.send, b"a", 0)
        t.say("log", log)
        t.call("time-out of an interval", transport.send, b"a", 0.05)
        t.call("negative", transport.send, b"a", -1)
        t.call("_retry", transport._retry, lambda: 5, math.inf)
        t.call("_retry negative", transport._retry, lambda: 5, -1)
        transport.blocks = 2
        t.call("recv_noblock", transport.recv_noblock, 3)
        t.call("recv_noblock -1", transport.recv_noblock, -1)
        t.call("recv_noblock 0", transport.recv_noblock, 0)
        t.call("ancillary", transport.recv_with_ancillary, 1, 1, 1)
        t.call("send ancillary", transport.send_all_with_ancillary, [b"a"], [], 1)
        for retry in (0, -1, math.nan, "1"):
            t.make(f"retry {retry}", Polled, near, retry, log)
        used: list[str] = []

        class Selector(selectors.SelectSelector):
            def register(self, *args: Any, **kwargs: Any) -> Any:
                used.append("register")
                return super().register(*args, **kwargs)

        chosen: Any = Polled(near, 1, log, selector_factory=Selector)
        chosen.blocks = 1
        t.call("own selector", chosen.recv, 1, 1)
        t.say("used", used)
    transport.blocks = 1
    t.call("closed", transport.recv, 1, 1)
    t.say("errors", (WouldBlockOnRead(3).fileno, WouldBlockOnWrite(4).fileno, WouldBlockOnRead.__mro__[1:3]))
    for cls in (
        SelectorBaseTransport,
        SelectorStreamReadTransport,
        SelectorStreamWriteTransport,
        SelectorStreamTransport,
        SelectorDatagramReadTransport,
        SelectorDatagramWriteTransport,
        SelectorDatagramTransport,
    ):
        t.make(f"{cls.__name__} is abstract", cls, 1)


class Broken(Memory):
    def close(self) -> None:
        super().close()
        raise KeyError("close")


@program()
def stapled_blocking_transports(t: Transcript) -> None:
    """Stapled transports: delegation, closing, send_eof"""
    sending: list[str] = []
    receiving: list[str] = []
    out: Any = Memory(sending)
    inn: Any = Memory(receiving, b"abc")
    both: Any = StapledStreamTransport(out, inn)
    t.call("recv", both.recv, 10, 1)
    t.call("send_all", both.send_all, b"ab", 1)
    t.call("send_eof", both.send_eof)
    t.say("closed", both.is_closed())
    inn.closed = True
    t.say("one closed", both.is_closed())
    t.call("close", both.close)
    t.say("logs", (sending, receiving))
    broken = StapledStreamTransport(Broken(sending), Broken(receiving))
    t.call("both fail to close", broken.close)
    t.say("logs", (sending[-1], receiving[-1]))
    with t.errors("frozen"):
        both.send_transport = out
    t.say("equal", both == StapledStreamTransport(out, inn))
    t.make("subclass", lambda: type("Sub", (StapledStreamTransport,), {}))
    near, far = udp_pair()
    staple = StapledDatagramTransport(SocketDatagramTransport(near, 1.0), SocketDatagramTransport(far, 1.0))
    t.call("send datagram", staple.send, b"a", 1)
    t.call("receive datagram", staple.recv, 1)
    t.say("attributes", staple.extra(SocketAttribute.sockname) == far.getsockname())
    t.call("close datagrams", staple.close)

    class NoEof(Memory):
        def send_eof(self) -> None:
            raise NotImplementedError

    log: list[str] = []
    t.call("no send_eof", StapledStreamTransport(NoEof(log), inn).send_eof)
    t.say("log", log)
