"""Closing a client while the server is still sending, or has sent what nothing has read: it gets all that was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.blocking import PATIENCE, InThread
from tests.support.certificates import the_certificates
from tests.support.lines import line_protocol
from tests.support.sockets import stream_pair

from easynetwork.clients import AsyncTCPNetworkClient, TCPNetworkClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

UPLOAD = "x" * 1_000_000
UNREAD = b"never read\n" * 1000


class Server:
    """A server in a thread. It receives nothing before it is told to, then everything."""

    def __init__(self, sock: socket.socket, wrap: Callable[[socket.socket], socket.socket], unread: bytes) -> None:
        self._sock = sock
        self._wrap = wrap
        self._unread = unread
        self._thread = InThread(self._run)

    def _run(self) -> int:
        with self._wrap(self._sock) as peer:
            if self._unread:
                peer.sendall(self._unread)
            received = 0
            time.sleep(0.2)  # everything has been sent, and closed, before the first byte is read
            while data := peer.recv(1000):
                received += len(data)
            return received

    def received(self) -> int:
        return self._thread.result()


@contextlib.contextmanager
def served(kind: str) -> Iterator[tuple[Server, socket.socket, dict[str, Any]]]:
    """Give a server, the socket of its client, and the options of that."""
    ours, peer = stream_pair(socket.AF_UNIX if kind == "Unix" else socket.AF_INET)
    if kind in ("plain", "Unix"):
        peer.sendall(UNREAD)  # before the client can close
        yield Server(peer, lambda sock: sock, b""), ours, {}
        return
    server_context, client_context = the_certificates().server_context(), the_certificates().client_context()

    def wrap(sock: socket.socket) -> ssl.SSLSocket:
        return server_context.wrap_socket(sock, server_side=True)

    # Session tickets are enough.
    server = Server(peer, wrap, b"" if kind == "TLS, tickets" else UNREAD)
    yield (
        server,
        ours,
        {"ssl": client_context, "server_hostname": "localhost", "ssl_standard_compatible": kind == "TLS"},
    )


every_kind = pytest.mark.parametrize("kind", ["plain", "Unix", "TLS", "TLS, not standard", "TLS, tickets"])


@every_kind
def test_server_of_a_blocking_client_gets_everything(kind: str) -> None:
    with served(kind) as (server, sock, options):
        cls: Any = UnixStreamClient if kind == "Unix" else TCPNetworkClient
        with cls(sock, line_protocol(), **options) as client:
            client.send_packet(UPLOAD, timeout=PATIENCE)
        assert server.received() == len(UPLOAD) + 1


@every_kind
async def test_server_of_an_asynchronous_client_gets_everything(kind: str, backend: AsyncBackend) -> None:
    with served(kind) as (server, sock, options):
        cls: Any = AsyncUnixStreamClient if kind == "Unix" else AsyncTCPNetworkClient
        with backend.timeout(PATIENCE):
            async with cls(sock, line_protocol(), backend, **options) as client:
                await client.send_packet(UPLOAD)
            assert await backend.run_in_thread(server.received) == len(UPLOAD) + 1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_blocking_client_waits_for_nobody_without_need(family: socket.AddressFamily) -> None:
    ours, peer = stream_pair(family)
    cls: Any = UnixStreamClient if family == socket.AF_UNIX else TCPNetworkClient
    with peer, cls(ours, line_protocol()) as client:
        client.send_packet("last words")
        closing = InThread(client.close)
        assert closing.result() is None
        assert peer.recv(100) == b"last words\n"
        assert peer.recv(100) == b""


def test_blocking_client_waits_for_a_server_that_stays_not_for_long() -> None:
    ours, peer = stream_pair(socket.AF_INET)
    with peer:
        client = TCPNetworkClient(ours, StreamProtocol[str, str](StringLineSerializer()))
        peer.sendall(UNREAD)
        client.send_packet("last words")
        InThread(client.close).result()
        assert peer.recv(100) == b"last words\n"
        assert peer.recv(100) == b""


def test_blocking_client_cuts_a_server_that_floods() -> None:
    ours, peer = stream_pair(socket.AF_INET)

    def flood() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                peer.sendall(UNREAD)

    with peer:
        client = TCPNetworkClient(ours, StreamProtocol[str, str](StringLineSerializer()))
        flooding = InThread(flood)
        InThread(client.close).result()
        flooding.result()


async def test_cancelled_close_does_not_wait(backend: AsyncBackend) -> None:
    ours, peer = stream_pair(socket.AF_INET)
    with peer:
        client = AsyncTCPNetworkClient(ours, StreamProtocol[str, str](StringLineSerializer()), backend)
        await client.wait_connected()
        peer.sendall(UNREAD)
        await backend.sleep(0.01)
        with backend.move_on_after(0.01) as scope:
            await client.aclose()
        assert scope.cancelled_caught()
        assert client.is_closing()
        peer.setblocking(True)
        with contextlib.suppress(ConnectionResetError):
            assert await backend.run_in_thread(peer.recv, 100) == b""
