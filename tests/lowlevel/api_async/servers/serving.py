"""A server of lines of text for the length of a test, by either of the two drivers."""

from __future__ import annotations

__all__ = ["Client", "Handler", "Requests", "RunningServer", "serving"]

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeAlias

from tests.lowlevel.api_async.servers.peers import PATIENCE, Peer
from tests.lowlevel.api_async.servers.pulling import PullingListener

from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.backend._asyncio.listener import AsyncioStreamListener
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import AnyStreamProtocolType, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

Client: TypeAlias = ConnectedStreamClient[str]
Requests: TypeAlias = AsyncGenerator[float | RecvParams | None, str]
Handler: TypeAlias = Callable[[Client], Requests]


class RunningServer:
    """A server with the peers that have connected to it."""

    def __init__(self, server: AsyncStreamServer[str, str], address: tuple[str, int]) -> None:
        self.server = server
        self.address = address
        self._peers: list[Peer] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Peer:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = Peer(sock)
        self._peers.append(peer)
        await asyncio.get_running_loop().sock_connect(sock, self.address)
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
    listener, address = await _listen(driver)
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    server: AsyncStreamServer[str, str] = AsyncStreamServer(
        listener, protocol or StreamProtocol(StringLineSerializer()), max_recv_size
    )
    running = RunningServer(server, address)
    async with server:
        task = asyncio.create_task(server.serve(handler, **options))
        try:
            await asyncio.sleep(0)
            yield running
        finally:
            is_closed_by_the_test = server.is_closing()
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)
            running.hang_up()
    assert task.cancelled() or (is_closed_by_the_test and isinstance(task.exception(), OSError))
    assert reported == []


async def _listen(driver: str) -> tuple[AsyncioStreamListener | PullingListener, tuple[str, int]]:
    if driver == "pull":
        pulling = PullingListener()
        return pulling, pulling.address
    [listener] = await AsyncIOBackend().create_tcp_listeners("127.0.0.1", 0, 128)
    assert isinstance(listener, AsyncioStreamListener)
    host, port = listener.extra(SocketAttribute.sockname)[:2]
    return listener, (host, port)
