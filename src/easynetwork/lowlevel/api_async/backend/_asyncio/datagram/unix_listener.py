"""Bound Unix datagram sockets as listeners, on asyncio."""

from __future__ import annotations

__all__ = ["AsyncioUnixDatagramListener"]

import asyncio
import errno
import logging
import socket
import warnings
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.ancillary import RECVMSG_FLAGS, close_descriptors, whole_messages
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel._sockets.calls import ERROR_DELAY, count_dropped_datagrams
from easynetwork.lowlevel._sockets.unix_address import check_destination
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.constants import CLOSED_SOCKET_ERRNOS, MAX_DATAGRAM_BUFSIZE

from .driver import run_conversations
from .readiness import Readiness

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.datagram_dispatch import DatagramDispatcher
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup


_logger = logging.getLogger(__name__)


class AsyncioUnixDatagramListener(AsyncDatagramListener[Any]):
    """A listener with ancillary data. It reads its socket only while it serves: until then, the senders wait."""

    __slots__ = ("_backend", "_dropped", "_readiness", "_recvfrom", "_sendto", "_stopped")

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        self._backend = backend
        self._readiness = Readiness(asyncio.get_running_loop(), sock)
        self._recvfrom = partial(sock.recvfrom, MAX_DATAGRAM_BUFSIZE)
        self._sendto = sock.sendto
        self._stopped: asyncio.Future[Exception] | None = None  # set while serving
        self._dropped = 0

    def __del__(self) -> None:
        readiness = getattr(self, "_readiness", None)
        if readiness is not None and not readiness.closed:
            warnings.warn(f"unclosed listener {self!r}", ResourceWarning, stacklevel=2, source=self)
            readiness.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(getattr(self, '_readiness', None), 'sock', None)!r}>"

    # ----------------------------------------------------------------------------------------------------- receiving

    async def serve(
        self,
        handler: Callable[[bytes, Any], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        if task_group is None:
            async with self._backend.create_task_group() as task_group:
                await self.serve(handler, task_group)
        start_soon: Callable[..., None] = task_group.start_soon
        await self._receive_all(self._recvfrom, partial(start_soon, handler))

    async def serve_with_ancillary(
        self,
        handler: Callable[[bytes, Any | None, Any], Coroutine[Any, Any, None]],
        ancillary_bufsize: int,
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        if task_group is None:
            async with self._backend.create_task_group() as task_group:
                await self.serve_with_ancillary(handler, ancillary_bufsize, task_group)
        start_soon: Callable[..., None] = task_group.start_soon

        def deliver(received: tuple[bytes, Any], address: Any) -> None:
            data, messages = received
            try:
                start_soon(handler, data, messages, address)
            except BaseException:
                close_descriptors(messages)
                raise

        await self._receive_all(self._receiver(ancillary_bufsize), deliver)

    async def _hook_run_conversations(
        self, dispatcher: DatagramDispatcher[Any], task_group: TaskGroup | None
    ) -> NoReturn:
        receive_all = partial(self._receive_all, self._receiver(dispatcher.ancillary_bufsize))
        await run_conversations(receive_all, dispatcher, self._backend, task_group)

    def _receiver(self, ancillary_bufsize: int | None) -> Callable[[], tuple[Any, Any]]:
        """Return a function that receives one datagram, and returns it with its sender.

        With *ancillary_bufsize*, the first item is the pair of the datagram and its ancillary data.
        """
        if ancillary_bufsize is None:
            return self._recvfrom
        recvmsg = partial(self._readiness.sock.recvmsg, MAX_DATAGRAM_BUFSIZE, ancillary_bufsize, RECVMSG_FLAGS)

        def receive() -> tuple[tuple[bytes, Any], Any]:
            data, messages, flags, address = recvmsg()
            return (data, whole_messages(messages, flags)), address

        return receive

    async def _receive_all(
        self, receive: Callable[[], tuple[Any, Any]], deliver: Callable[[Any, Any], object]
    ) -> NoReturn:
        """Call *deliver* with each result of *receive* while the socket is readable.

        Errors of the socket are logged. Any other exception ends this method. The callbacks run in a copy of the
        current context.
        """
        readiness = self._readiness
        if readiness.closed:
            raise error_from_errno(errno.EBADF)
        if self._stopped is not None:
            raise BusyResourceError("Another task is serving this listener")
        stopped = self._stopped = readiness.loop.create_future()
        errors_in_a_row = 0

        def on_readable() -> None:
            nonlocal errors_in_a_row
            received = 0
            try:
                while received < STEPS_PER_TURN:
                    deliver(*receive())
                    received += 1
            except BlockingIOError:
                if not received:
                    readiness.refresh()
            except Exception as exc:
                if not isinstance(exc, OSError) or exc.errno in CLOSED_SOCKET_ERRNOS:
                    self._stop(exc)
                    return
                log(_logger, logging.WARNING, "Error while receiving on %r: %s", self, exc)
                errors_in_a_row = 1 if received else errors_in_a_row + 1
                if errors_in_a_row > 1:
                    readiness.unwatch()
                    readiness.loop.call_later(ERROR_DELAY, read_on)
                else:
                    readiness.refresh()
                return
            errors_in_a_row = 0

        def read_on() -> None:
            if self._stopped is stopped and not stopped.done():
                readiness.watch(on_readable)

        read_on()
        try:
            raise await stopped
        finally:
            readiness.unwatch()
            self._stopped = None

    def _stop(self, reason: Exception) -> None:
        self._readiness.unwatch()
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(reason)

    @property
    def dropped_datagrams(self) -> int:
        if not self._readiness.closed:
            self._dropped = count_dropped_datagrams(self._readiness.sock)
        return self._dropped

    # ------------------------------------------------------------------------------------------------------- sending

    async def send_to(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        if not self._send_nowait(data, address):
            await self._readiness.write(partial(self._sendto, data, address))

    def _send_nowait(self, data: bytes | bytearray | memoryview, address: Any) -> bool:
        if self._readiness.closed:
            return False
        check_destination(address)
        return self._readiness.try_write(self._sendto, data, address)

    _hook_send_nowait = _send_nowait

    async def send_with_ancillary_to(
        self, data: bytes | bytearray | memoryview, ancillary_data: Any, address: Any
    ) -> None:
        check_destination(address)
        send = partial(self._readiness.sock.sendmsg, [data], list(ancillary_data), 0, address)
        if not self._readiness.try_write(send):
            await self._readiness.write(send)

    # ------------------------------------------------------------------------------------------------------- closing

    def is_closing(self) -> bool:
        return self._readiness.closed

    async def aclose(self) -> None:
        if not self._readiness.closed:
            self._dropped = self.dropped_datagrams
            self._stop(error_from_errno(errno.EBADF))
            self._readiness.close()
        await self._backend.coro_yield()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        sock = self._readiness.sock
        return socket_attributes(lambda: sock)
