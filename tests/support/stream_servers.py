"""A server with its request handler for the length of a test, and plain sockets to talk to it."""

from __future__ import annotations

__all__ = ["Client", "Handler", "Requests", "Serving", "line_protocol", "run", "serving", "until"]

import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, TypeAlias

from tests.support.background import Running, background_tasks, until
from tests.support.lowlevel_stream_servers import Requests, nothing_reported
from tests.support.peers import PATIENCE, Peer

from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers._stream_server import BaseAsyncStreamServer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

Client: TypeAlias = AsyncStreamClient[str]
Server: TypeAlias = BaseAsyncStreamServer[str, str, Any]


def line_protocol() -> StreamProtocol[str, str]:
    return StreamProtocol(StringLineSerializer())


class Handler(AsyncStreamRequestHandler[str, str]):
    """Answers each line with itself, and keeps a diary of what was called. ``client`` is the last that came."""

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


class Serving:
    """A server that is up, and those who connect to it."""

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
    """Serves until the end of the context. Nothing may have been reported to the event loop as an error."""
    backend = server.backend()
    is_up = backend.create_event()
    async with nothing_reported(), background_tasks(backend) as background:
        task = await background.start(partial(server.serve_forever, is_up_event=is_up))
        serving = Serving(server, task)
        try:
            with backend.timeout(PATIENCE):
                await until(lambda: is_up.is_set() or task.done())
            assert not task.done()
            yield serving
        finally:
            await server.shutdown()
            serving.hang_up()
            await server.server_close()
            await task.wait()
    assert task.cancelled() or task.error is None


@contextlib.asynccontextmanager
async def serving(handler: AsyncStreamRequestHandler[str, str], **options: Any) -> AsyncIterator[Serving]:
    """Serves lines of text on a free port of the loopback interface."""
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer("127.0.0.1", 0, line_protocol(), handler, **options)
    async with run(server) as it:
        yield it
