"""Listen for stream connections on trio."""

from __future__ import annotations

__all__ = ["TrioStreamListener"]

import socket as _socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel._sockets.accepting import ConnectionSource
from easynetwork.lowlevel.api_async.backend._trio.owner import SocketOwner
from easynetwork.lowlevel.api_async.backend._trio.sockets import wait_readable
from easynetwork.lowlevel.api_async.transports._admission import Admission
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup


class TrioStreamListener(SocketOwner, AsyncListener[AsyncStreamTransport]):
    """A listening socket.

    Parameters:
        backend: runs the tasks of the connections.
        sock: the listening socket. The listener owns it.
        new_transport: creates the transport for the socket of a connection, and owns that socket.
    """

    __slots__ = ("_admission", "_guard", "_new_transport")

    KIND = "listener"

    def __init__(
        self,
        backend: AsyncBackend,
        sock: _socket.socket,
        new_transport: Callable[[_socket.socket], AsyncStreamTransport],
    ) -> None:
        sock.setblocking(False)
        super().__init__(backend, sock)
        self._guard = ResourceGuard("Another task is serving this listener")
        self._new_transport = new_transport
        self._admission: Admission | None = None

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

        source = ConnectionSource(self._socket, connected)
        admission = self._admission
        if admission is not None:
            handler = admission.around(handler)
        try:
            while True:
                await wait_readable(self._socket)
                delay = source.accept()
                while accepted:
                    if admission is None or admission.admit(accepted[0]):
                        task_group.start_soon(handler, accepted[0])
                    else:
                        await aclose_forcefully(accepted[0])
                    del accepted[0]
                if delay:
                    await trio.sleep(delay)
        finally:
            for transport in accepted:  # the group has ended, for example
                await aclose_forcefully(transport)

    def _hook_set_admission(self, admission: Admission) -> bool:
        self._admission = admission
        return True
