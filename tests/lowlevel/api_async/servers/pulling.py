"""A transport and a listener as a user may write them: they do only what the abstract classes ask for."""

from __future__ import annotations

__all__ = ["PullingListener", "PullingTransport"]

import errno
import os
import socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

from tests.support.socket_calls import socket_calls

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PullingTransport(AsyncStreamTransport):
    """A stream on nothing but waiting for its socket."""

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._backend = backend
        self._socket = sock
        self._closing = False

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        self._check_open()
        return await socket_calls().receive_into(self._socket, buffer)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check_open()
        await socket_calls().send_all(self._socket, data)

    async def send_eof(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def is_closing(self) -> bool:
        return self._closing

    async def aclose(self) -> None:
        self._closing = True
        try:
            await self._backend.coro_yield()
        finally:
            self._socket.close()

    def backend(self) -> AsyncBackend:
        return self._backend

    def _check_open(self) -> None:
        if self._closing:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class PullingListener(AsyncListener[AsyncStreamTransport]):
    """Accepts the connections of a socket."""

    def __init__(self) -> None:
        self._backend = ensure_backend(None)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._socket.setblocking(False)
        self._closed = False

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._socket.getsockname()
        return host, port

    async def serve(
        self,
        handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        async with self._backend.create_task_group() as private_group:
            while True:
                connection = await socket_calls().accept(self._socket)
                (task_group or private_group).start_soon(handler, PullingTransport(self._backend, connection))
        raise AssertionError("unreachable")

    def is_closing(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        self._closed = True
        self._socket.close()

    def backend(self) -> AsyncBackend:
        return self._backend
