"""Accepting connections."""

from __future__ import annotations

__all__ = ["TrioStreamListener"]

import socket as _socket
import warnings
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from easynetwork.lowlevel._accepting import accept_connections
from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel._socket_attributes import socket_attributes
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

from .sockets import close_socket, wait_readable

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup


class TrioStreamListener(AsyncListener[AsyncStreamTransport]):
    """A listening socket.

    Parameters:
        backend: runs the tasks of the connections.
        sock: the socket.
        new_transport: makes a transport of the socket of a connection, and owns it.
    """

    __slots__ = ("_backend", "_guard", "_new_transport", "_socket")

    def __init__(
        self,
        backend: AsyncBackend,
        sock: _socket.socket,
        new_transport: Callable[[_socket.socket], AsyncStreamTransport],
    ) -> None:
        self._backend = backend
        self._new_transport = new_transport
        self._guard = ResourceGuard("Another task is serving this listener")
        sock.setblocking(False)
        self._socket = sock

    def __del__(self) -> None:
        if hasattr(self, "_socket") and not self.is_closing():
            warnings.warn(f"unclosed listener {self!r}", ResourceWarning, stacklevel=2, source=self)
            close_socket(self._socket)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_socket', None)!r}>"

    async def serve(
        self,
        handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        with self._guard:
            if task_group is None:
                async with self._backend.create_task_group() as task_group:
                    await self._serve(handler, task_group)
            await self._serve(handler, task_group)

    async def _serve(
        self, handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]], task_group: TaskGroup
    ) -> NoReturn:
        accepted: list[AsyncStreamTransport] = []

        def connected(sock: _socket.socket) -> None:
            accepted.append(self._new_transport(sock))

        try:
            while True:
                await wait_readable(self._socket)
                delay = accept_connections(self._socket, connected)
                while accepted:
                    task_group.start_soon(handler, accepted[0])
                    del accepted[0]
                if delay:
                    await trio.sleep(delay)
        finally:
            for transport in accepted:  # the group has ended, for example
                await aclose_forcefully(transport)

    def is_closing(self) -> bool:
        return self._socket.fileno() < 0

    async def aclose(self) -> None:
        close_socket(self._socket)
        await trio.lowlevel.checkpoint()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return socket_attributes(lambda: self._socket)
