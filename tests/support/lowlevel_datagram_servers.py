"""A server of datagrams of text for the length of a test, by either of the two drivers."""

from __future__ import annotations

__all__ = ["Client", "DatagramPeer", "Handler", "Requests", "RunningServer", "WrappedListener", "serving"]

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, NoReturn, TypeAlias

from tests.support.peers import PATIENCE

from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

Client: TypeAlias = DatagramClientContext[str, Any]
Requests: TypeAlias = AsyncGenerator[float | RecvParams | None, str]
Handler: TypeAlias = Callable[[Client], Requests]
TEXT: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer(encoding="ascii"))


class DatagramPeer:
    """A client without any of our code."""

    def __init__(self, sock: socket.socket, server: Any) -> None:
        sock.connect(server)
        sock.setblocking(False)
        self.sock = sock

    @property
    def address(self) -> Any:
        return self.sock.getsockname()

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sock.send(datagram)

    async def receive(self) -> bytes:
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.sock.fileno(), readable.set)
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        return self.sock.recv(1 << 16)
                    except BlockingIOError:
                        readable.clear()
                        await readable.wait()
        finally:
            asyncio.get_running_loop().remove_reader(self.sock.fileno())

    async def ask(self, request: bytes) -> bytes:
        self.send(request)
        return await self.receive()

    async def answers(self, count: int) -> list[bytes]:
        return [await self.receive() for _ in range(count)]


class WrappedListener(AsyncDatagramListener[Any]):
    """A listener as a user may write it: it does only what the abstract class asks for."""

    def __init__(self, listener: AsyncDatagramListener[Any]) -> None:
        self._listener = listener

    async def serve(
        self, handler: Callable[[bytes, Any], Coroutine[Any, Any, None]], task_group: TaskGroup | None = None
    ) -> NoReturn:
        await self._listener.serve(handler, task_group)

    async def serve_with_ancillary(
        self,
        handler: Callable[[bytes, Any | None, Any], Coroutine[Any, Any, None]],
        ancillary_bufsize: int,
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        await self._listener.serve_with_ancillary(handler, ancillary_bufsize, task_group)

    async def send_to(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        await self._listener.send_to(data, address)

    async def send_with_ancillary_to(
        self, data: bytes | bytearray | memoryview, ancillary_data: Any, address: Any
    ) -> None:
        await self._listener.send_with_ancillary_to(data, ancillary_data, address)

    @property
    def dropped_datagrams(self) -> int:
        return self._listener.dropped_datagrams

    def is_closing(self) -> bool:
        return self._listener.is_closing()

    async def aclose(self) -> None:
        await self._listener.aclose()

    def backend(self) -> AsyncBackend:
        return self._listener.backend()

    @property
    def extra_attributes(self) -> Any:
        return self._listener.extra_attributes


class RunningServer:
    """A server with the peers that talk to it."""

    def __init__(self, server: AsyncDatagramServer[str, str, Any], task: asyncio.Task[NoReturn]) -> None:
        self.server = server
        self.task = task
        self.address = server.extra(SocketAttribute.sockname)
        self._peers: list[DatagramPeer] = []

    def peer(self) -> DatagramPeer:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        peer = DatagramPeer(sock, self.address)
        self._peers.append(peer)
        return peer

    async def stop(self) -> None:
        """Cancels ``serve()``, and waits until all handlers have ended."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=PATIENCE)
        assert self.task.done()

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.sock.close()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    driver: str = "inline",
    *,
    protocol: DatagramProtocol[str, str] = TEXT,
    task_group: TaskGroup | None = None,
) -> AsyncIterator[RunningServer]:
    """Serves *handler* on a loopback port. At the end, nothing may have been reported to the event loop as an error.

    Parameters:
        handler: the request handler.
        driver: ``"inline"`` for the backend's own listener, ``"pull"`` for one written by a user.
        protocol: ASCII text by default.
        task_group: given to ``serve()``.
    """
    [listener] = await AsyncIOBackend().create_udp_listeners("127.0.0.1", 0)
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    server: AsyncDatagramServer[str, str, Any] = AsyncDatagramServer(
        WrappedListener(listener) if driver == "pull" else listener, protocol
    )
    async with server:
        running = RunningServer(server, asyncio.create_task(server.serve(handler, task_group)))
        try:
            await asyncio.sleep(0)
            yield running
        finally:
            is_stopped_by_the_test = server.is_closing() or running.task.done()
            await running.stop()
            running.hang_up()
    assert running.task.cancelled() or (is_stopped_by_the_test and running.task.exception() is not None)
    assert reported == []
