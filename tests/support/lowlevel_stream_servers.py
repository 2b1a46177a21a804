"""A low-level server of lines of text, for the length of a test, stepped by either of the two drivers."""

from __future__ import annotations

__all__ = ["Client", "Handler", "Requests", "RunningServer", "run", "serving"]

import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Any, NoReturn, TypeAlias

from tests.lowlevel.api_async.servers.pulling import PullingListener
from tests.support.background import Running, running_task
from tests.support.loop_errors import nothing_reported
from tests.support.peers import Peer

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import AnyStreamProtocolType, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

Client: TypeAlias = ConnectedStreamClient[str]
Requests: TypeAlias = AsyncGenerator[float | RecvParams | None, str]
Handler: TypeAlias = Callable[[Client], Requests]


class RunningServer:
    """A server with the peers that have connected to it."""

    def __init__(self, server: AsyncStreamServer[str, str], address: Any, task: Running[NoReturn]) -> None:
        self.server = server
        self.address = address
        self.task = task
        self._peers: list[Peer] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Peer:
        sock = socket.socket(socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = Peer(sock)
        self._peers.append(peer)
        await peer.connect(self.address)
        return peer

    def connect_and_send(self, data: bytes) -> Peer:
        """Connect and send *data* before the server can accept the connection."""
        peer = Peer(socket.create_connection(self.address))
        self._peers.append(peer)
        peer.sock.sendall(data)
        return peer

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.close()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    driver: str = "inline",
    *,
    protocol: AnyStreamProtocolType[str, str] | None = None,
    max_recv_size: int = 1 << 16,
    **options: Any,
) -> AsyncIterator[RunningServer]:
    """Serve *handler* on a loopback port. Nothing may be reported to the event loop as an error.

    Parameters:
        handler: the request handler.
        driver: ``"inline"`` for the backend's own transport, ``"pull"`` for one written by a user.
        protocol: lines of text by default.
        max_recv_size: of the server.
        options: keyword arguments of ``serve()``.
    """
    listener, address = await _listen(driver)
    server: AsyncStreamServer[str, str] = AsyncStreamServer(
        listener, protocol or StreamProtocol(StringLineSerializer()), max_recv_size
    )
    async with run(server, address, handler, **options) as running:
        yield running


@contextlib.asynccontextmanager
async def run(
    server: AsyncStreamServer[str, str], address: Any, handler: Handler, **options: Any
) -> AsyncIterator[RunningServer]:
    """Serve *handler* with *server*, which listens at *address*, and close it. Nothing may be reported as an error.

    Parameters:
        server: owned by the context.
        address: for the peers that connect.
        handler: the request handler.
        options: keyword arguments of ``serve()``.
    """
    async with nothing_reported(), server:
        async with running_task(server.backend(), partial(server.serve, handler, **options)) as task:
            running = RunningServer(server, address, task)
            try:
                await server.backend().coro_yield()
                yield running
            finally:
                is_closed_by_the_test = server.is_closing()
                task.cancel()
                await task.wait()
                running.hang_up()
    assert task.cancelled() or (is_closed_by_the_test and isinstance(task.error, OSError))


async def _listen(driver: str) -> tuple[AsyncListener[AsyncStreamTransport], tuple[str, int]]:
    if driver == "pull":
        pulling = PullingListener()
        return pulling, pulling.address
    [listener] = await ensure_backend(None).create_tcp_listeners("127.0.0.1", 0, 128)
    host, port = listener.extra(SocketAttribute.sockname)[:2]
    return listener, (host, port)
