"""The blocking clients: TCP, TLS, UDP, Unix streams and datagrams."""

from __future__ import annotations

import gc
import math
import os
import socket
import ssl
import threading
import time
from typing import Any

from benchmarks.differential.kit import (
    buffered_lines,
    client_context,
    datagrams,
    folder,
    lines,
    refuse_port,
    reset,
    server_context,
    tcp_pair,
    thread,
)
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork.clients import TCPNetworkClient, UDPNetworkClient
from easynetwork.clients.abc import AbstractNetworkClient
from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.converter import AbstractPacketConverter
from easynetwork.lowlevel.socket import SocketAncillary, UnixSocketAddress
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer


@program()
def tcp_packets(t: Transcript) -> None:
    """TCPNetworkClient: packets both ways, buffered bytes, time-outs, errors, the end of the stream"""
    for protocol in (lines(limit=50), buffered_lines(limit=50)):
        near, far = tcp_pair()
        name = type(protocol).__name__
        client: Any = TCPNetworkClient(near, protocol)
        t.say(f"{name} closed", client.is_closed())
        t.call(f"{name} nothing", client.recv_packet, timeout=0)
        far.sendall(b"a\nb\nc")
        t.call(f"{name} 1", client.recv_packet, timeout=1)
        t.call(f"{name} 2", client.recv_packet, timeout=0)
        t.call(f"{name} incomplete", client.recv_packet, timeout=0.05)
        far.sendall(b"d\n\xff\ne\n")
        for number in range(3, 6):
            t.call(f"{name} {number}", client.recv_packet, timeout=1)
        for timeout in (-1, math.nan):
            t.call(f"{name} time-out {timeout}", client.recv_packet, timeout=timeout)
            t.call(f"{name} send time-out {timeout}", client.send_packet, "x", timeout=timeout)
        t.call(f"{name} send", client.send_packet, "out")
        t.call(f"{name} send, bad packet", client.send_packet, 3)
        t.say(f"{name} received", far.recv(100))
        t.call(f"{name} send_eof", client.send_eof)
        t.call(f"{name} send_eof again", client.send_eof)
        t.call(f"{name} send after send_eof", client.send_packet, "late")
        t.say(f"{name} peer sees", far.recv(100))
        far.sendall(b"last\n")
        far.close()
        for number in range(3):
            t.call(f"{name} end {number}", client.recv_packet, timeout=1)
        t.say(f"{name} closed", client.is_closed())
        proxy = client.socket
        t.say(f"{name} same proxy", proxy is client.socket)
        client.close()
        client.close()
        t.say(f"{name} closed", (client.is_closed(), client.fileno(), proxy.fileno()))
        t.call(f"{name} closed recv", client.recv_packet, timeout=1)
        t.call(f"{name} closed send", client.send_packet, "a")
        t.call(f"{name} closed send_eof", client.send_eof)
        t.call(f"{name} closed local", client.get_local_address)
        t.call(f"{name} closed remote", client.get_remote_address)
        t.call(f"{name} closed iterator", lambda c=client: list(c.iter_received_packets()))


@program(
    explained={
        "incomplete": "a stream that ends in the middle of a packet",
        "again": "a stream that ends in the middle of a packet",
    }
)
def tcp_ends(t: Transcript) -> None:
    """TCPNetworkClient: the stream ends inside a packet, or with a reset"""
    near, far = tcp_pair()
    with TCPNetworkClient(near, lines()) as client:
        far.sendall(b"one\nincompl")
        far.close()
        t.call("packet", client.recv_packet, timeout=1)
        t.call("incomplete", client.recv_packet, timeout=1)
        t.call("again", client.recv_packet, timeout=1)
    near, far = tcp_pair()
    with TCPNetworkClient(near, lines()) as client:
        reset(far)
        t.call("reset", client.recv_packet, timeout=1)
        t.call("reset again", client.recv_packet, timeout=1)
        t.call("send", client.send_packet, "a")
        t.call("send again", client.send_packet, "a")
        t.call("local", lambda: client.get_local_address()[0])
        t.call("remote", client.get_remote_address)
        t.say("closed", client.is_closed())
    near, far = tcp_pair()
    with TCPNetworkClient(near, lines()) as client:
        near_fd = client.fileno()
        os.close(near_fd)
        t.call("closed behind our back, recv", client.recv_packet, timeout=1)
        t.call("closed behind our back, send", client.send_packet, "a")
        dup = os.dup(far.fileno())
        if dup != near_fd:
            os.dup2(dup, near_fd)
            os.close(dup)
    far.close()


@program()
def tcp_iterator(t: Transcript) -> None:
    """iter_received_packets of a blocking client"""
    near, far = tcp_pair()
    with TCPNetworkClient(near, lines()) as client:
        t.say("nothing", list(client.iter_received_packets()))
        far.sendall(b"a\nb\n\xff\nc\n")
        time.sleep(0.05)
        iterator = client.iter_received_packets(timeout=1)
        for number in range(4):
            t.call(f"packet {number}", next, iterator)
        short = client.iter_received_packets(timeout=0.05)
        t.call("time-out", next, short)
        t.say("own iterator", iter(short) is short)
        far.sendall(b"d\n")
        time.sleep(0.05)
        t.call("again", next, short)
        t.call("negative", lambda: list(client.iter_received_packets(timeout=-1)))
        far.close()
        t.call("end", next, client.iter_received_packets(timeout=None))
        t.say("list", list(client.iter_received_packets(timeout=None)))


@program(explained={"time-out of zero": "`connect_timeout=0`"})
def tcp_connecting(t: Transcript) -> None:
    """TCPNetworkClient with an address: refused, unknown, timed out, local address"""
    with refuse_port() as port:
        t.make("refused", TCPNetworkClient, ("127.0.0.1", port), lines())
        t.make("refused in time", TCPNetworkClient, ("127.0.0.1", port), lines(), connect_timeout=1)
        t.make("localhost refused", TCPNetworkClient, ("127.0.0.1", port), lines(), local_address=("127.0.0.1", 0))
    t.make("unknown", TCPNetworkClient, ("does-not-exist.invalid", 80), lines())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        client: Any = TCPNetworkClient(address, lines(), local_address=("127.0.0.1", 0))
        t.say("addresses", (client.get_local_address(), client.get_remote_address()))
        t.say("nodelay", bool(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        t.say("keepalive", bool(client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
        client.close()
        t.make("local address taken", TCPNetworkClient, address, lines(), local_address=address)
        t.make("bad local address", TCPNetworkClient, address, lines(), local_address=("192.0.2.1", 0))
        t.make("time-out of zero", TCPNetworkClient, address, lines(), connect_timeout=0)
        t.make("negative time-out", TCPNetworkClient, address, lines(), connect_timeout=-1)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "max_recv_size 0": {"max_recv_size": 0},
    "max_recv_size -1": {"max_recv_size": -1},
    "max_recv_size 1.5": {"max_recv_size": 1.5},
    "max_recv_size str": {"max_recv_size": "1"},
    "retry 0": {"retry_interval": 0},
    "retry nan": {"retry_interval": math.nan},
    "hostname without ssl": {"server_hostname": "a"},
    "handshake without ssl": {"ssl_handshake_timeout": 1},
    "shutdown without ssl": {"ssl_shutdown_timeout": 1},
    "compatible without ssl": {"ssl_standard_compatible": False},
    "ssl without hostname": {"ssl": True},
    "ssl without hostname, context": {"ssl": ssl.create_default_context()},
    "negative handshake": {"ssl": True, "server_hostname": "a", "ssl_handshake_timeout": -1},
    "local_address": {"local_address": ("127.0.0.1", 0)},
    "connect_timeout": {"connect_timeout": 1},
    "unknown": {"nothing": 1},
}


@program(explained={"address ('127.0.0.1', 70000)": "wrong arguments"})
def tcp_arguments(t: Transcript) -> None:
    """TCPNetworkClient: wrong arguments, and whether the socket stays open"""
    for name, options in ARGUMENTS.items():
        near, far = tcp_pair()
        with near, far:
            t.make(name, TCPNetworkClient, near, lines(), **options)
            t.say(f"{name}, socket open", near.fileno() != -1)
    for protocol in (datagrams(), None, StringLineSerializer(), StreamProtocol):
        near, far = tcp_pair()
        with near, far:
            t.make(f"protocol {type(protocol).__name__}", TCPNetworkClient, near, protocol)
    for address in (
        None,
        ("h",),
        ("h", 1, 2),
        ("127.0.0.1", "1"),
        "localhost",
        3,
        ("127.0.0.1", 70000),
        ("127.0.0.1", -1),
    ):
        t.make(f"address {address!r}", TCPNetworkClient, address, lines())
    t.make("empty host with ssl", TCPNetworkClient, ("", 1), lines(), ssl=True)


@program(explained={"* client, * socket": "wrong arguments"})
def refused_sockets(t: Transcript) -> None:
    """Clients with sockets of the wrong kind, and whether the sockets are closed"""
    kinds = {
        "TCP": (socket.AF_INET, socket.SOCK_STREAM),
        "UDP": (socket.AF_INET, socket.SOCK_DGRAM),
        "Unix stream": (socket.AF_UNIX, socket.SOCK_STREAM),
        "Unix datagram": (socket.AF_UNIX, socket.SOCK_DGRAM),
    }
    clients: dict[str, tuple[Any, Any]] = {
        "TCP": (TCPNetworkClient, lines()),
        "UDP": (UDPNetworkClient, datagrams()),
        "Unix stream": (UnixStreamClient, lines()),
        "Unix datagram": (UnixDatagramClient, datagrams()),
    }
    for client, (cls, protocol) in clients.items():
        for kind, (family, type_) in kinds.items():
            with socket.socket(family, type_) as sock:
                t.make(f"{client} client, {kind} socket", cls, sock, protocol)
                t.say("open", sock.fileno() != -1)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        t.make("unnamed Unix datagram", UnixDatagramClient, near, datagrams())
    near, far = tcp_pair()
    with far:
        wrapped = ssl.create_default_context().wrap_socket(near, server_hostname="x", do_handshake_on_connect=False)
        t.make("SSL socket", TCPNetworkClient, wrapped, lines())
        t.say("open", wrapped.fileno() != -1)
        wrapped.close()
    closed = socket.socket()
    closed.close()
    t.make("closed", TCPNetworkClient, closed, lines())


class Moody(AbstractPacketConverter[Any, Any]):
    def create_from_dto_packet(self, packet: Any, /) -> Any:
        if packet == "fail":
            raise ArithmeticError("fail")
        return packet

    def convert_to_dto_packet(self, obj: Any, /) -> Any:
        if obj == "fail":
            raise ArithmeticError("fail")
        return obj


@program(explained={"after a crash": "a bug in a converter or in `deserialize()`"})
def tcp_crashes(t: Transcript) -> None:
    """A converter that fails, when sending and when receiving"""
    near, far = tcp_pair()
    with TCPNetworkClient(near, StreamProtocol(StringLineSerializer(), Moody())) as client:
        t.call("send", client.send_packet, "fail")
        t.call("send good", client.send_packet, "good")
        t.say("received", far.recv(100))
        far.sendall(b"a\nfail\nb\n")
        t.call("first", client.recv_packet, timeout=1)
        t.call("crash", client.recv_packet, timeout=1)
        t.call("after a crash", client.recv_packet, timeout=0.1)
        far.sendall(b"c\n")
        t.call("later", client.recv_packet, timeout=1)
    far.close()


@program(explained={"reader": "a client that is closed while another task or thread reads"})
def tcp_threads(t: Transcript) -> None:
    """A blocking client used by several threads: closing and time-outs while another thread reads"""
    near, far = tcp_pair()
    client: Any = TCPNetworkClient(near, lines(), retry_interval=0.05)
    with thread(lambda: t.call("reader", client.recv_packet)):
        time.sleep(0.1)
        t.call("second reader", client.recv_packet, timeout=0.05)
        t.call("sender", client.send_packet, "a")
        client.close()
    far.close()
    near, far = tcp_pair()
    client = TCPNetworkClient(near, lines())
    lock_is_taken = threading.Event()

    def send_much() -> None:
        lock_is_taken.set()
        t.call("long send", client.send_packet, "x" * (30 << 20), timeout=1)

    with thread(send_much):
        lock_is_taken.wait()
        time.sleep(0.1)
        t.call("second sender", client.send_packet, "a", timeout=0.05)
    client.close()
    far.close()


@program()
def tcp_forgotten(t: Transcript) -> None:
    """Clients that are garbage-collected, used in a `with` statement, subclassed"""
    near, far = tcp_pair()
    TCPNetworkClient(near, lines())
    gc.collect()
    t.warned()
    t.say("closed", far.recv(1))

    class Sub(TCPNetworkClient[Any, Any]):
        pass

    near, far = tcp_pair()
    with Sub(near, lines()) as client:
        client.anything = 3
    t.say("closed", client.is_closed())
    t.say("slots", hasattr(TCPNetworkClient, "__dict__") and "__slots__" in vars(TCPNetworkClient))
    t.make("abstract", AbstractNetworkClient)

    class Own(AbstractNetworkClient[Any, Any]):
        packets = [1, 2]  # noqa: RUF012

        def is_closed(self) -> bool:
            return not self.packets

        def close(self) -> None:
            t.say("own close")

        def send_packet(self, packet: Any, *, timeout: float | None = None) -> None: ...

        def recv_packet(self, *, timeout: float | None = None) -> Any:
            t.say("own recv", timeout if timeout is None else timeout <= 3)
            if not self.packets:
                raise ConnectionAbortedError
            return self.packets.pop()

        def fileno(self) -> int:
            return -1

    with Own() as own:
        t.say("own packets", list(own.iter_received_packets(timeout=3)))
        t.call("own end", next, own.iter_received_packets(timeout=None))


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


@program()
def tls_packets(t: Transcript) -> None:
    """TCPNetworkClient over TLS: packets, the end with and without an alert, send_eof"""
    for clean in (True, False):
        for compatible in (True, False):
            near, far = tcp_pair()
            name = f"clean={clean} compatible={compatible}"
            with thread(_tls_server, far, clean):
                client: Any = TCPNetworkClient(
                    near, lines(), ssl=client_context(), server_hostname="localhost", ssl_standard_compatible=compatible
                )
                t.call(f"{name} send", client.send_packet, "abc")
                t.call(f"{name} recv", client.recv_packet, timeout=5)
                t.call(f"{name} send_eof", client.send_eof)
                t.call(f"{name} send after that", client.send_packet, "def")
                t.call(f"{name} recv after that", client.recv_packet, timeout=5)
                t.call(f"{name} last", client.send_packet, "end")
                t.call(f"{name} end", client.recv_packet, timeout=5)
                t.call(f"{name} end again", client.recv_packet, timeout=5)
                t.call(f"{name} close", client.close)
                t.call(f"{name} closed", client.recv_packet, timeout=5)


@program()
def tls_failures(t: Transcript) -> None:
    """TCPNetworkClient over TLS: certificates, names, silence, plain text"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def accept(function: Any) -> None:
            sock, _ = listener.accept()
            with sock:
                function(sock)

        cases: dict[str, tuple[Any, dict[str, Any]]] = {
            "unknown authority": (lambda s: _tls_server(s, True), {"ssl": True}),
            "wrong name": (lambda s: _tls_server(s, True), {"ssl": client_context(), "server_hostname": "example.org"}),
            "no name": (lambda s: _tls_server(s, True), {"ssl": client_context(), "server_hostname": ""}),
            "silent": (lambda s: time.sleep(0.5), {"ssl": client_context(), "ssl_handshake_timeout": 0.1}),
            "gone": (lambda s: (s.recv(65536), s.close()), {"ssl": client_context()}),
            "reset": (lambda s: (s.recv(65536), reset(s)), {"ssl": client_context()}),
            "plain text": (lambda s: (s.sendall(b"HTTP/1.0 400\r\n\r\n"), s.recv(1000)), {"ssl": client_context()}),
        }
        for name, (behave, options) in cases.items():
            with thread(accept, behave):
                client = t.make(name, TCPNetworkClient, address, lines(), **options)
                if client is not None:
                    client.close()


@program()
def udp_packets(t: Transcript) -> None:
    """UDPNetworkClient: packets, empty and bad ones, refused, closed"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(5)
        client: Any = UDPNetworkClient(peer.getsockname(), datagrams())
        t.say("remote", client.get_remote_address())
        t.call("send", client.send_packet, "hello")
        data, address = peer.recvfrom(100)
        t.say("received", data)
        t.say("local", client.get_local_address() == address)
        t.call("nothing", client.recv_packet, timeout=0)
        for datagram in (b"a", b"", b"\xff", b"b\n"):
            peer.sendto(datagram, address)
            t.call(f"{datagram!r}", client.recv_packet, timeout=1)
        t.call("bad packet", client.send_packet, 3)
        t.call("too large", client.send_packet, "x" * 70000)
        t.call("empty packet", client.send_packet, "")
        t.say("received", peer.recv(10))
        t.say("iterator", list(client.iter_received_packets()))
    t.call("refused", client.send_packet, "a")
    t.call("refused again", client.send_packet, "a")
    t.call("refused recv", client.recv_packet, timeout=0.1)
    t.say("closed", client.is_closed())
    t.say("no send_eof", hasattr(client, "send_eof"))
    client.close()
    t.call("closed send", client.send_packet, "a")
    t.call("closed recv", client.recv_packet)
    t.call("closed address", client.get_local_address)
    t.say("fileno", client.fileno())


@program()
def udp_arguments(t: Transcript) -> None:
    """UDPNetworkClient: wrong arguments"""
    address = ("127.0.0.1", 9)
    for name, options in {
        "family Unix": {"family": socket.AF_UNIX},
        "family 12345": {"family": 12345},
        "family IPv6": {"family": socket.AF_INET6},
        "retry": {"retry_interval": 0},
        "local": {"local_address": ("192.0.2.1", 0)},
        "unknown": {"nothing": 1},
        "max_recv_size": {"max_recv_size": 1},
    }.items():
        made = t.make(name, UDPNetworkClient, address, datagrams(), **options)
        if made is not None:
            made.close()
    t.make("stream protocol", UDPNetworkClient, address, lines())
    for bad in (None, ("h",), "h", ("127.0.0.1", "9")):
        t.make(f"address {bad!r}", UDPNetworkClient, bad, datagrams())
    t.make("unknown host", UDPNetworkClient, ("does-not-exist.invalid", 9), datagrams())
    for options in ({"family": socket.AF_INET}, {"local_address": ("127.0.0.1", 0)}):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(address)
            t.make(f"socket with {sorted(options)}", UDPNetworkClient, sock, datagrams(), **options)
            t.say("open", sock.fileno() != -1)


@program(explained={"too long": "an `OSError` that the library creates", "bufsize 0": "wrong arguments"})
def unix_stream_packets(t: Transcript) -> None:
    """UnixStreamClient: names, credentials, descriptors, errors"""
    with folder() as path:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path / "server"))
            listener.listen()
            client: Any = UnixStreamClient(path / "server", lines())
            far, _ = listener.accept()
            far.settimeout(5)
            t.say("names", (str(client.get_local_name()), str(client.get_peer_name())))
            credentials = client.get_peer_credentials()
            t.say("credentials", (credentials.pid == os.getpid(), credentials.uid == os.getuid()))
            t.say("cached", credentials is client.get_peer_credentials())
            ancillary = SocketAncillary()
            ancillary.add_fds([0, 1])
            t.call("send", client.send_packet, "abc", ancillary_data=ancillary)
            t.say("still there", len(list(ancillary.iter_fds())))
            data, descriptors, *_ = socket.recv_fds(far, 100, 10)
            t.say("received", (data, len(descriptors)))
            socket.send_fds(far, [b"x\ny\nz"], descriptors)
            received = SocketAncillary()
            t.call("recv", client.recv_packet, ancillary_data=received, timeout=1)
            t.say("descriptors", len(list(received.iter_fds())))
            t.call("recv kept", client.recv_packet, ancillary_data=SocketAncillary(), timeout=1)
            t.call("recv incomplete", client.recv_packet, ancillary_data=SocketAncillary(), timeout=0.1)
            far.sendall(b"z")
            t.call("recv still incomplete", client.recv_packet, ancillary_data=SocketAncillary(), timeout=1)
            far.sendall(b"\n")
            t.call("recv complete", client.recv_packet, ancillary_data=SocketAncillary(), timeout=1)
            t.call("bufsize alone", client.recv_packet, ancillary_bufsize=100)
            t.call("bufsize 0", client.recv_packet, ancillary_data=SocketAncillary(), ancillary_bufsize=0, timeout=0)
            t.call("bufsize -1", client.recv_packet, ancillary_data=SocketAncillary(), ancillary_bufsize=-1, timeout=0)
            t.call("not ancillary", client.send_packet, "a", ancillary_data=[])
            t.call("too large", client.send_packet, "x" * (8 << 20), ancillary_data=ancillary)
            far.close()
            t.call("gone", client.send_packet, "a")
            t.call("gone recv", client.recv_packet, timeout=1)
            client.close()
            t.call("closed credentials", client.get_peer_credentials)
            t.call("closed name", client.get_local_name)
            client = UnixStreamClient(str(path / "server"), lines(), local_path=path / "client")
            t.say("local", str(client.get_local_name()))
            client.close()
            t.say("file stays", (path / "client").exists())
            t.make("taken", UnixStreamClient, path / "server", lines(), local_path=path / "client")
            client = UnixStreamClient(UnixSocketAddress.from_pathname(path / "server"), lines(), local_path="")
            t.say("automatic", client.get_local_name().as_abstract_name() is not None)
            client.close()
        t.make("refused", UnixStreamClient, path / "server", lines())
        t.make("missing", UnixStreamClient, path / "nothing", lines())
        t.make("no folder", UnixStreamClient, path / "a" / "b", lines())
        t.make("too long", UnixStreamClient, "/" + "x" * 200, lines())
        t.make("int", UnixStreamClient, 3, lines())
        t.make("NUL", UnixStreamClient, "a\0b", lines())
        t.make("empty", UnixStreamClient, "", lines())
        t.make("protocol", UnixStreamClient, path / "server", datagrams())
        t.make("max_recv_size", UnixStreamClient, path / "server", lines(), max_recv_size=0)
    for options in ({"local_path": "x"}, {"connect_timeout": 1}):
        near, far = socket.socketpair()
        with near, far:
            t.make(f"socket with {sorted(options)}", UnixStreamClient, near, lines(), **options)
            t.say("open", near.fileno() != -1)


@program()
def unix_datagram_packets(t: Transcript) -> None:
    """UnixDatagramClient: names, descriptors, errors"""
    with folder() as path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind(str(path / "peer"))
            peer.settimeout(5)
            client: Any = UnixDatagramClient(path / "peer", datagrams())
            t.say("automatic name", client.get_local_name().as_abstract_name() is not None)
            t.say("peer", str(client.get_peer_name()))
            ancillary = SocketAncillary()
            ancillary.add_fds([0])
            t.call("send", client.send_packet, "abc", ancillary_data=ancillary)
            data, descriptors, _, address = socket.recv_fds(peer, 100, 10)
            t.say("received", (data, len(descriptors)))
            for datagram in (b"a", b"", b"\xff"):
                peer.sendto(datagram, address)
                received = SocketAncillary()
                t.call(f"{datagram!r}", client.recv_packet, timeout=1, ancillary_data=received)
                t.say("descriptors", len(list(received.iter_fds())))
            t.call("nothing", client.recv_packet, timeout=0)
            t.call("too large", client.send_packet, "x" * (1 << 20))
            t.call("bufsize alone", client.recv_packet, ancillary_bufsize=100)
            client.close()
            t.call("closed", client.send_packet, "a")
            t.make("protocol", UnixDatagramClient, path / "peer", lines())
            client = UnixDatagramClient(path / "peer", datagrams(), local_path=path / "client")
            t.say("local", str(client.get_local_name()))
        t.call("gone", client.send_packet, "a")
        t.call("gone again", client.send_packet, "a")
        client.close()
        t.make("refused", UnixDatagramClient, path / "peer", datagrams())
        t.make("missing", UnixDatagramClient, path / "nothing", datagrams())
        t.make("int", UnixDatagramClient, 3, datagrams())
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with near, far:
            t.make("socket with local_path", UnixDatagramClient, near, datagrams(), local_path="x")
            t.say("open", near.fileno() != -1)
