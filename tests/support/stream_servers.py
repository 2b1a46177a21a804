"""A network server of streams for the length of a test, its request handlers, and plain sockets to talk to it."""

from __future__ import annotations

from tests.support.lines import line_protocol

__all__ = ["Client", "Handler", "Noting", "Requests", "Serving", "run", "serving"]

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from tests.support.background import Running
from tests.support.lowlevel_stream_servers import Requests
from tests.support.network_servers import run_in_task
from tests.support.peers import Peer

from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.servers._stream_server import BaseAsyncStreamServer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

Client: TypeAlias = AsyncStreamClient[str]
Server: TypeAlias = BaseAsyncStreamServer[Any, Any, Any]


class Handler(AsyncStreamRequestHandler[str, str]):
    """Answers each line with itself, and keeps a diary of the hooks called. ``client`` is the last one connected."""

    client: Client

    def __init__(self) -> None:
        self.diary: list[str] = []

    async def on_connection(self, client: Client, /) -> None:
        self.diary.append("connected")
        self.client = client

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))

    async def on_disconnection(self, client: Client, /) -> None:
        self.diary.append("disconnected")


class Noting(Handler):
    """Answers each line with itself, and notes in the diary what ends its generator."""

    async def handle(self, client: Client, /) -> Requests:
        try:
            while True:
                await client.send_packet((yield None))
        except BaseException as exc:
            self.diary.append(type(exc).__name__)
            raise


class Serving:
    """A server that is up, and the peers that connect to it."""

    def __init__(self, server: Server, task: Running[None]) -> None:
        self.server = server
        self.task = task
        self._peers: list[Peer] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Peer:
        [address] = self.server.get_addresses()
        is_unix = isinstance(address, UnixSocketAddress)
        sock = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = Peer(sock)
        self._peers.append(peer)
        await peer.connect(address.as_raw() if is_unix else tuple(address))
        return peer

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.close()


@contextlib.asynccontextmanager
async def run(server: Server) -> AsyncIterator[Serving]:
    """Serve until the end of the context. Nothing may be reported to the event loop as an error."""
    async with run_in_task(server) as task:
        it = Serving(server, task)
        try:
            yield it
        finally:
            await server.shutdown()  # while the peers are connected
            it.hang_up()


@contextlib.asynccontextmanager
async def serving(handler: AsyncStreamRequestHandler[str, str], **options: Any) -> AsyncIterator[Serving]:
    """Serve lines of text on a free port of the loopback interface."""
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer("127.0.0.1", 0, line_protocol(), handler, **options)
    async with run(server) as it:
        yield it
