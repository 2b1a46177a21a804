"""A server of lines of text for the length of a test, by either of the two drivers."""

from __future__ import annotations

__all__ = ["Client", "Handler", "Requests", "RunningServer", "nothing_reported", "serving"]

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Any, NoReturn, TypeAlias

import sniffio
from tests.lowlevel.api_async.servers.pulling import PullingListener
from tests.support.background import Running, background_tasks
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

    def __init__(self, server: AsyncStreamServer[str, str], address: tuple[str, int], task: Running[NoReturn]) -> None:
        self.server = server
        self.address = address
        self.task = task
        self._peers: list[Peer] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Peer:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = Peer(sock)
        self._peers.append(peer)
        await peer.connect(self.address)
        return peer

    def connect_and_send(self, data: bytes) -> Peer:
        """Connects and sends *data* before the server can accept the connection."""
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
    """Serves *handler* on a loopback port. At the end, nothing may have been reported to the event loop as an error.

    Parameters:
        handler: the request handler.
        driver: ``"inline"`` for the backend's own transport, ``"pull"`` for one written by a user.
        protocol: lines of text by default.
        max_recv_size: of the server.
        options: keyword arguments of ``serve()``.
    """
    backend = ensure_backend(None)
    listener, address = await _listen(driver)
    server: AsyncStreamServer[str, str] = AsyncStreamServer(
        listener, protocol or StreamProtocol(StringLineSerializer()), max_recv_size
    )
    async with nothing_reported(), server, background_tasks(backend) as background:
        task = await background.start(partial(server.serve, handler, **options))
        running = RunningServer(server, address, task)
        try:
            await backend.coro_yield()
            yield running
        finally:
            is_closed_by_the_test = server.is_closing()
            task.cancel()
            await task.wait()
            running.hang_up()
    assert task.cancelled() or (is_closed_by_the_test and isinstance(task.error, OSError))


@contextlib.asynccontextmanager
async def nothing_reported() -> AsyncIterator[None]:
    """Checks that nothing is reported to the event loop as an error. (Trio has nothing to report to.)"""
    if sniffio.current_async_library() != "asyncio":
        yield
        return
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    yield
    assert reported == []


async def _listen(driver: str) -> tuple[AsyncListener[AsyncStreamTransport], tuple[str, int]]:
    if driver == "pull":
        pulling = PullingListener()
        return pulling, pulling.address
    [listener] = await ensure_backend(None).create_tcp_listeners("127.0.0.1", 0, 128)
    host, port = listener.extra(SocketAttribute.sockname)[:2]
    return listener, (host, port)
