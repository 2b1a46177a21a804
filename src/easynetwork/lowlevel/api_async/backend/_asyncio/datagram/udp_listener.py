"""Bound UDP sockets as listeners, on asyncio."""

from __future__ import annotations

__all__ = ["AsyncioUDPListener"]

import asyncio
import errno
import logging
import socket
import warnings
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from easynetwork._acceleration import with_shortcut
from easynetwork.exceptions import BusyResourceError, UnsupportedOperation
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel._sockets.calls import ERROR_DELAY, count_dropped_datagrams
from easynetwork.lowlevel._sockets.inet import is_numeric_host
from easynetwork.lowlevel.api_async.backend._resolving import resolve_peer
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.constants import CLOSED_SOCKET_ERRNOS

from .driver import run_conversations
from .udp_protocol import UDPProtocol

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.datagram_dispatch import DatagramDispatcher
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_logger = logging.getLogger(__name__)


class AsyncioUDPListener(AsyncDatagramListener[Any]):
    """A listener that receives only while it serves. Until then, datagrams wait in the queue of the system.

    The event loop receives from a duplicate of the socket: it cannot pause, and it closes the socket that it receives
    from. But a listener can be served again.
    """

    __slots__ = ("_backend", "_dropped", "_protocol", "_sendto", "_socket")

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        self._backend = backend
        self._socket = sock
        self._protocol = _ListenerProtocol(asyncio.get_running_loop(), sock)
        self._sendto = sock.sendto
        self._dropped = 0  # number of datagrams that the system had dropped when the listener was closed

    def __del__(self) -> None:
        protocol = getattr(self, "_protocol", None)
        if protocol is not None and not protocol.closed:
            warnings.warn(f"unclosed listener {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._socket.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_socket', None)!r}>"

    # ------------------------------------------------------------------------------------------------------- receiving

    async def serve(
        self,
        handler: Callable[[bytes, Any], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        if task_group is None:
            async with self._backend.create_task_group() as task_group:
                await self.serve(handler, task_group)
        start_soon: Callable[..., None] = task_group.start_soon
        await self._receive_all(partial(start_soon, handler))

    async def _hook_run_conversations(
        self, dispatcher: DatagramDispatcher[Any], task_group: TaskGroup | None
    ) -> NoReturn:
        if dispatcher.ancillary_bufsize is not None:
            raise UnsupportedOperation("This listener does not support receiving ancillary data")
        await run_conversations(self._receive_all, dispatcher, self._backend, task_group)

    async def _receive_all(self, deliver: Callable[[bytes, Any], object]) -> NoReturn:
        """Call *deliver* with each datagram and its sender. The callbacks run in a copy of the current context.

        Errors of the network are logged. An exception of *deliver* ends this method.
        """
        protocol = self._protocol
        if protocol.closed:
            raise error_from_errno(errno.EBADF)
        if protocol.stopped is not None:
            raise BusyResourceError("Another task is serving this listener")
        has_paused = False
        try:
            while True:
                stopped = protocol.begin(deliver)
                try:
                    await protocol.open(self._socket.dup())
                except OSError as exc:
                    if exc.errno in CLOSED_SOCKET_ERRNOS or not has_paused:
                        raise
                    protocol.fail(exc)  # no descriptor is left, for example
                else:
                    if (reason := await stopped) is not None:
                        try:
                            raise reason
                        finally:
                            del reason  # avoid a reference cycle with the traceback
                has_paused = True
                await asyncio.wait([protocol.begin(deliver)], timeout=ERROR_DELAY)  # until closed, at most
        finally:
            protocol.end()

    @property
    def dropped_datagrams(self) -> int:
        if not self._protocol.closed:
            self._dropped = count_dropped_datagrams(self._socket)
        return self._dropped

    # --------------------------------------------------------------------------------------------------------- sending

    async def send_to(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        address = await resolve_peer(self._backend, address, self._socket.family)
        if not self._send_nowait(data, address):
            await self._protocol.send_later(self._sendto, data, address)

    @with_shortcut
    def _send_nowait(self, data: bytes | bytearray | memoryview, address: Any) -> bool:
        # With a host name, sendto() would query DNS and block the event loop.
        if self._protocol.is_full or not is_numeric_host(address[0]):
            return False
        try:
            self._sendto(data, address)
        except BlockingIOError:
            return False
        return True

    _hook_send_nowait = _send_nowait

    # --------------------------------------------------------------------------------------------------------- closing

    def is_closing(self) -> bool:
        return self._protocol.closed

    async def aclose(self) -> None:
        if not self._protocol.closed:
            self._dropped = self.dropped_datagrams
            self._protocol.close()
            self._socket.close()
        await self._backend.coro_yield()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return socket_attributes(lambda: self._socket)


class _ListenerProtocol(UDPProtocol):
    """The protocol of a listener, for each `serve` anew."""

    __slots__ = ("_deliver", "_errors_in_a_row", "stopped")

    _deliver: Callable[[bytes, Any], object]
    """Takes the datagrams. Set while serving."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self._errors_in_a_row = 0
        self.stopped: asyncio.Future[Exception | None] | None = None
        """Set while serving. Its result is why receiving has stopped: None for a pause after errors."""

    def begin(self, deliver: Callable[[bytes, Any], object]) -> asyncio.Future[Exception | None]:
        """Call *deliver* with the datagrams received from now on."""
        self._deliver = deliver
        self._errors_in_a_row = 0
        self.stopped = self.loop.create_future()
        return self.stopped

    def end(self) -> None:
        """End serving."""
        self.stop()
        self.stopped = None
        del self._deliver

    @with_shortcut
    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._errors_in_a_row = 0
        try:
            self._deliver(data, addr)
            if self.drains:
                self.drain(self._deliver)
        except Exception as exc:
            self._stop_with(exc)

    def fail(self, exc: Exception) -> None:
        log(_logger, logging.WARNING, "Error while receiving on %r: %s", self.sock, exc)
        self._errors_in_a_row += 1
        if self._errors_in_a_row > 1:
            self._stop_with(None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.transport is not None and self.transport.is_closing():
            self._stop_with(exc or error_from_errno(errno.EBADF))

    def close(self) -> None:
        super().close()
        self._stop_with(error_from_errno(errno.EBADF))

    def _stop_with(self, reason: Exception | None) -> None:
        self.stop()
        if self.stopped is not None and not self.stopped.done():
            self.stopped.set_result(reason)
