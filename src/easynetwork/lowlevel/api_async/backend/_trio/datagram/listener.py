"""Datagram listeners on trio: UDP and Unix sockets."""

from __future__ import annotations

__all__ = ["TrioDatagramListener", "TrioUnixDatagramListener"]

import logging
import socket as _socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel._sockets.ancillary import RECVMSG_FLAGS, whole_messages
from easynetwork.lowlevel._sockets.calls import ERROR_DELAY, count_dropped_datagrams
from easynetwork.lowlevel._sockets.unix_address import check_destination
from easynetwork.lowlevel.api_async.backend._resolving import resolve_peer
from easynetwork.lowlevel.api_async.backend._trio.owner import SocketOwner
from easynetwork.lowlevel.api_async.backend._trio.sockets import SocketReader
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.constants import CLOSED_SOCKET_ERRNOS, MAX_DATAGRAM_BUFSIZE

from .sender import DatagramSender

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_logger = logging.getLogger(__name__)


class TrioDatagramListener(SocketOwner, AsyncDatagramListener[Any]):
    """A socket that is read only while it is served. Until then, datagrams wait in the queue of the system."""

    __slots__ = ("_dropped", "_guard", "_reader", "_sender")

    KIND = "listener"

    def __init__(self, backend: AsyncBackend, sock: _socket.socket) -> None:
        super().__init__(backend, sock)
        self._guard = ResourceGuard("Another task is serving this listener")
        self._reader = SocketReader(sock)
        self._sender = DatagramSender(sock)
        self._dropped = 0

    async def serve(
        self,
        handler: Callable[[bytes, Any], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        await self._serve(partial(self._socket.recvfrom, MAX_DATAGRAM_BUFSIZE), handler, task_group)

    async def _serve(
        self,
        receive: Callable[[], tuple[Any, ...]],
        handler: Callable[..., Coroutine[Any, Any, None]],
        task_group: TaskGroup | None,
    ) -> NoReturn:
        """Call *handler* with each result of *receive*, each time in a new task."""
        with self._guard:
            if task_group is None:
                async with self._backend.create_task_group() as task_group:
                    await self._receive_all(receive, partial(task_group.start_soon, handler))
            await self._receive_all(receive, partial(task_group.start_soon, handler))

    async def _receive_all(self, receive: Callable[[], tuple[Any, ...]], start: Callable[..., None]) -> NoReturn:
        errors_in_a_row = 0
        while True:
            try:
                datagram = await self._reader.read(receive)
            except OSError as exc:
                if exc.errno in CLOSED_SOCKET_ERRNOS:
                    raise
                log(_logger, logging.WARNING, "Error while receiving on %r: %s", self, exc)
                errors_in_a_row += 1
                if errors_in_a_row > 1:
                    await trio.sleep(ERROR_DELAY)
            else:
                errors_in_a_row = 0
                start(*datagram)
                # Trio runs tasks that were started in the same iteration in random order.
                await trio.lowlevel.checkpoint()

    @property
    def dropped_datagrams(self) -> int:
        if not self.is_closing():
            self._dropped = count_dropped_datagrams(self._socket)
        return self._dropped

    async def send_to(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        address = await resolve_peer(self._backend, address, self._socket.family)
        await self._sender.send(partial(self._socket.sendto, data, address))

    async def aclose(self) -> None:
        self._dropped = self.dropped_datagrams
        await super().aclose()


class TrioUnixDatagramListener(TrioDatagramListener):
    """A Unix socket that carries ancillary data."""

    __slots__ = ()

    async def serve_with_ancillary(
        self,
        handler: Callable[[bytes, Any | None, Any], Coroutine[Any, Any, None]],
        ancillary_bufsize: int,
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        def receive() -> tuple[Any, ...]:
            data, messages, flags, address = self._socket.recvmsg(
                MAX_DATAGRAM_BUFSIZE, ancillary_bufsize, RECVMSG_FLAGS
            )
            return data, whole_messages(messages, flags), address

        await self._serve(receive, handler, task_group)

    async def send_to(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        check_destination(address)
        await self._sender.send(partial(self._socket.sendto, data, address), address)

    async def send_with_ancillary_to(
        self, data: bytes | bytearray | memoryview, ancillary_data: Any, address: Any
    ) -> None:
        check_destination(address)
        send = partial(self._socket.sendmsg, [data], list(ancillary_data), 0, address)
        await self._sender.send(send, address)
