"""A server of datagrams with its request handler for the length of a test, and plain sockets to talk to it."""

from __future__ import annotations

__all__ = [
    "Client",
    "DatagramPeer",
    "Handler",
    "Recorder",
    "Requests",
    "Server",
    "Serving",
    "has_ipv6",
    "has_unix_datagrams",
    "run",
    "run_in_task",
    "serving",
    "text_protocol",
]

import contextlib
import socket
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeAlias

from tests.support.background import Running, background_tasks, until
from tests.support.lowlevel_stream_servers import nothing_reported
from tests.support.peers import PATIENCE

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramClient, AsyncDatagramRequestHandler

Client: TypeAlias = AsyncDatagramClient[str]
Requests: TypeAlias = AsyncGenerator[float | RecvParams | None, str]
Server: TypeAlias = BaseAsyncDatagramServer[str, str, Any]


def text_protocol() -> DatagramProtocol[str, str]:
    """One datagram is one text, in ASCII."""
    return DatagramProtocol(StringLineSerializer(encoding="ascii"))


class Handler(AsyncDatagramRequestHandler[str, str]):
    """Answers each datagram with itself."""

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))


class Recorder(Handler):
    """Answers as well, and keeps the clients and a diary."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.diary: list[str] = []

    async def handle(self, client: Client, /) -> Requests:
        self.clients.append(client)
        request = yield None
        self.diary.append(request)
        await client.send_packet(request)


class DatagramPeer:
    """A client without any of our code."""

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._backend = backend

    @property
    def address(self) -> Any:
        return self.sock.getsockname()

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sock.send(datagram)

    async def receive(self) -> bytes:
        with self._backend.timeout(PATIENCE):
            while True:
                try:
                    return self.sock.recv(1 << 16)
                except BlockingIOError:
                    await self._backend.sleep(0.0005)

    async def answers(self, count: int) -> list[bytes]:
        return [await self.receive() for _ in range(count)]

    async def ask(self, request: bytes) -> bytes:
        self.send(request)
        return await self.receive()

    def has_received(self) -> bool:
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True


class Serving:
    """A server that is up, and those who send to it."""

    def __init__(self, server: Server, task: Running[None], directory: str) -> None:
        self.server = server
        self.task = task
        self._directory = directory
        self._peers: list[DatagramPeer] = []

    def peer(self, index: int = 0, *, is_named: bool = True) -> DatagramPeer:
        """Returns a new one that is connected to the socket at *index* of the server."""
        server = self.server.get_sockets()[index]
        sock = socket.socket(server.family, socket.SOCK_DGRAM)
        peer = DatagramPeer(self.server.backend(), sock)
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
            peer.sock.close()


@contextlib.asynccontextmanager
async def run_in_task(server: BaseAsyncNetworkServer[Any, Any]) -> AsyncIterator[Running[None]]:
    """Serves until the end of the context, and closes the server."""
    backend = server.backend()
    is_up = backend.create_event()
    async with nothing_reported(), background_tasks(backend) as background:
        task = background.spawn(server.serve_forever(is_up_event=is_up))
        try:
            await until(lambda: is_up.is_set() or task.done())
            assert is_up.is_set(), task.error
            yield task
        finally:
            await server.shutdown()
            await server.server_close()
            await task.wait()
    assert task.error is None


@contextlib.asynccontextmanager
async def run(server: Server) -> AsyncIterator[Serving]:
    """Serves until the end of the context."""
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
    """Serves text over UDP on a free port of the loopback interface."""
    server: AsyncUDPNetworkServer[str, str] = AsyncUDPNetworkServer(
        host, 0, text_protocol(), handler, backend, **options
    )
    async with run(server) as it:
        yield it


def has_unix_datagrams(backend: AsyncBackend) -> bool:
    # The base class has the method only where the platform has such sockets.
    inherited = getattr(AsyncBackend, "create_unix_datagram_listener", None)
    return getattr(type(backend), "create_unix_datagram_listener", None) is not inherited


def has_ipv6() -> bool:
    """Whether the loopback interface has it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False
