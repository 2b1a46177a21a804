"""A network server of datagrams for the length of a test, its request handlers, and plain sockets to talk to it."""

from __future__ import annotations

from tests.support.lines import text_protocol

__all__ = [
    "Client",
    "Handler",
    "Recorder",
    "Requests",
    "Server",
    "Serving",
    "has_ipv6",
    "has_unix_datagrams",
    "run",
    "serving",
]

import contextlib
import socket
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeAlias

from tests.support.background import Running
from tests.support.network_servers import run_in_task
from tests.support.peers import DatagramPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramClient, AsyncDatagramRequestHandler

Client: TypeAlias = AsyncDatagramClient[str]
Requests: TypeAlias = AsyncGenerator[float | RecvParams | None, str]
Server: TypeAlias = BaseAsyncDatagramServer[str, str, Any]


class Handler(AsyncDatagramRequestHandler[str, str]):
    """Answers each datagram with itself."""

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))


class Recorder(Handler):
    """Answers each datagram with itself, and keeps the clients and a diary of the requests."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.diary: list[str] = []

    async def handle(self, client: Client, /) -> Requests:
        self.clients.append(client)
        request = yield None
        self.diary.append(request)
        await client.send_packet(request)


class Serving:
    """A server that is up, and the peers that send to it."""

    def __init__(self, server: Server, task: Running[None], directory: str) -> None:
        self.server = server
        self.task = task
        self._directory = directory
        self._peers: list[DatagramPeer] = []

    def peer(self, index: int = 0, *, is_named: bool = True) -> DatagramPeer:
        """Return a new one that is connected to the socket at *index* of the server."""
        server = self.server.get_sockets()[index]
        sock = socket.socket(server.family, socket.SOCK_DGRAM)
        peer = DatagramPeer(sock)
        self._peers.append(peer)
        address = server.getsockname()
        if server.family in (socket.AF_INET, socket.AF_INET6):
            sock.bind((address[0], 0))
        elif is_named:
            sock.bind(f"{self._directory}/{len(self._peers)}")
        sock.connect(address)
        return peer

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.close()


@contextlib.asynccontextmanager
async def run(server: Server) -> AsyncIterator[Serving]:
    """Serve until the end of the context."""
    with tempfile.TemporaryDirectory() as directory:
        async with run_in_task(server) as task:
            it = Serving(server, task, directory)
            try:
                yield it
            finally:
                it.hang_up()


@contextlib.asynccontextmanager
async def serving(
    backend: AsyncBackend, handler: AsyncDatagramRequestHandler[str, str], host: Any = "127.0.0.1", **options: Any
) -> AsyncIterator[Serving]:
    """Serve text over UDP on a free port of the loopback interface."""
    server: AsyncUDPNetworkServer[str, str] = AsyncUDPNetworkServer(
        host, 0, text_protocol(), handler, backend, **options
    )
    async with run(server) as it:
        yield it


def has_unix_datagrams(backend: AsyncBackend) -> bool:
    """Return whether *backend* has Unix datagram sockets."""
    # The base class has the method only where the platform has such sockets.
    inherited = getattr(AsyncBackend, "create_unix_datagram_listener", None)
    return getattr(type(backend), "create_unix_datagram_listener", None) is not inherited


def has_ipv6() -> bool:
    """Return whether the loopback interface has IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False
