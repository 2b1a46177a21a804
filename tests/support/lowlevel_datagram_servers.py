"""A low-level server of datagrams of text, for the length of a test, stepped by either of the two drivers."""

from __future__ import annotations

__all__ = ["TEXT", "Client", "Handler", "Requests", "RunningServer", "WrappedListener", "run", "serving"]

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, NoReturn, TypeAlias

from tests.support.background import Running, running_task
from tests.support.loop_errors import nothing_reported
from tests.support.peers import DatagramPeer
from tests.support.sockets import udp_socket

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
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


class WrappedListener(AsyncDatagramListener[Any]):
    """A listener as a user may write it: it has only what the abstract class asks for."""

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

    def __init__(self, server: AsyncDatagramServer[str, str, Any], task: Running[NoReturn]) -> None:
        self.server = server
        self.task = task
        self.address = server.extra(SocketAttribute.sockname)
        self._peers: list[DatagramPeer] = []

    def peer(self) -> DatagramPeer:
        """Return a new one, for a server of UDP."""
        sock = udp_socket()
        sock.connect(self.address)
        peer = DatagramPeer(sock)
        self._peers.append(peer)
        return peer

    async def stop(self) -> None:
        """Cancel ``serve()``, and wait until all handlers have ended."""
        self.task.cancel()
        await self.task.wait()

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.close()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    driver: str = "inline",
    *,
    protocol: DatagramProtocol[str, str] = TEXT,
    task_group: TaskGroup | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve *handler* on a loopback port. Nothing may be reported to the event loop as an error.

    Parameters:
        handler: the request handler.
        driver: ``"inline"`` for the backend's own listener, ``"pull"`` for one written by a user.
        protocol: ASCII text by default.
        task_group: given to ``serve()``.
    """
    [listener] = await ensure_backend(None).create_udp_listeners("127.0.0.1", 0)
    server: AsyncDatagramServer[str, str, Any] = AsyncDatagramServer(
        WrappedListener(listener) if driver == "pull" else listener, protocol
    )
    async with run(server, partial(server.serve, handler, task_group)) as running:
        yield running


@contextlib.asynccontextmanager
async def run(
    server: AsyncDatagramServer[str, str, Any], serve: Callable[[], Coroutine[Any, Any, NoReturn]]
) -> AsyncIterator[RunningServer]:
    """Await ``serve()`` during the block, and close *server*. Nothing may be reported as an error."""
    async with nothing_reported(), server:
        async with running_task(server.backend(), serve) as task:
            running = RunningServer(server, task)
            try:
                await server.backend().coro_yield()
                yield running
            finally:
                is_stopped_by_the_test = server.is_closing() or running.task.done()
                await running.stop()
                running.hang_up()
    assert running.task.cancelled() or (is_stopped_by_the_test and running.task.error is not None)
