"""Connected UDP sockets as transports, on asyncio."""

from __future__ import annotations

__all__ = ["AsyncioUDPTransport", "wrap_udp_socket"]

import asyncio
import errno
import socket
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.datagram_dispatch import Backlog
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel._sockets.calls import count_dropped_datagrams
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport

from .udp_protocol import UDPProtocol

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


async def wrap_udp_socket(backend: AsyncBackend, sock: socket.socket) -> AsyncioUDPTransport:
    """Create a transport for *sock*, which is connected and non-blocking. The transport owns it."""
    received = _ReceivedDatagrams(asyncio.get_running_loop(), sock)
    await received.open(sock)
    return AsyncioUDPTransport(backend, received)


class AsyncioUDPTransport(AsyncDatagramTransport):
    """The coroutines of a connected socket.

    The event loop receives datagrams whether or not a task waits for them. Those that no task takes are kept, up to
    the limit of a `Backlog` for one sender. Further datagrams are dropped.
    """

    __slots__ = ("_backend", "_received", "_send")

    def __init__(self, backend: AsyncBackend, received: _ReceivedDatagrams) -> None:
        self._backend = backend
        self._received = received
        self._send = received.sock.send

    def __del__(self) -> None:
        received = getattr(self, "_received", None)
        if received is not None and not received.closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            received.close()

    def __repr__(self) -> str:
        received = getattr(self, "_received", None)
        return f"<{type(self).__name__} {None if received is None else received.sock!r}>"

    async def recv(self) -> bytes:
        return await self._received.take()

    @property
    def dropped_datagrams(self) -> int:
        return self._received.count_dropped()

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        received = self._received
        if received.error is not None:
            received.raise_error()
        if received.is_full:
            await received.send_later(self._send, data)
            return
        try:
            self._send(data)
        except BlockingIOError:
            await received.send_later(self._send, data)

    def is_closing(self) -> bool:
        return self._received.closed

    async def aclose(self) -> None:
        self._received.close()
        await self._backend.coro_yield()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        sock = self._received.sock
        return socket_attributes(lambda: sock)


class _ReceivedDatagrams(UDPProtocol):
    """The protocol of a connected socket. It keeps datagrams until a task takes them.

    The network reports an error, such as a refused datagram, to the next call, as the system does: to one that sends or
    to one that receives, and before older datagrams.
    """

    __slots__ = ("_datagrams", "_dropped", "_reader", "_size", "_taken", "error")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self._datagrams: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._taken = 0  # number of datagrams taken since the last wait
        self._reader: asyncio.Future[None] | None = None
        self.error: Exception | None = None
        """An error that no call has raised yet."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        drains = self.drains and self._reader is None  # a task that waits usually gets a single answer
        self._keep(data, addr)
        if drains:
            self.drain(self._keep)

    def _keep(self, datagram: bytes, address: Any) -> None:
        size = self._size + len(datagram) + Backlog.EXTRA
        if size > Backlog.OF_ONE_SENDER:
            self._dropped += 1
            return
        self._size = size
        self._datagrams.append(datagram)
        self._wake_reader()

    def fail(self, exc: Exception) -> None:
        self.error = exc
        self._wake_reader()

    def raise_error(self) -> None:
        """Raise the error that the network reported, once."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # avoid a reference cycle with the traceback

    async def take(self) -> bytes:
        """Return the next datagram. A cancelled call loses none.

        Raises:
            BusyResourceError: another task is waiting.
            OSError: the network reported an error; ``EBADF`` once the socket is closed.
        """
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this socket")
        if self._taken >= STEPS_PER_TURN:
            self.loop.call_soon(self._wake_reader)
            await self._wait()
        while True:
            if self.closed:
                raise error_from_errno(errno.EBADF)
            if self.error is not None:
                self.raise_error()
            if self._datagrams:
                datagram = self._datagrams.popleft()
                self._size -= len(datagram) + Backlog.EXTRA
                self._taken += 1
                return datagram
            await self._wait()

    async def _wait(self) -> None:
        self._taken = 0
        self._reader = self.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def count_dropped(self) -> int:
        """Return the number of datagrams dropped, by the system or here. The number stays after closing."""
        if self.closed:
            return self._dropped
        return self._dropped + count_dropped_datagrams(self.sock)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.close()

    def close(self) -> None:
        if not self.closed:
            with suppress(OSError):  # other code has closed the socket
                self._dropped = self.count_dropped()
            self._datagrams.clear()
            self.error = None
            super().close()
            self._wake_reader()
