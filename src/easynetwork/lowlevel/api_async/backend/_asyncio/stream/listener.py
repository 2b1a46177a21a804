"""Listen for stream connections on asyncio."""

from __future__ import annotations

__all__ = ["AsyncioStreamListener"]

import asyncio
import errno
import socket
import warnings
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel.api_async.transports._admission import Admission
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport

from .acceptor import Acceptor, LoopAcceptor
from .protocol import AsyncioStream
from .transport import AsyncioStreamTransport

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup


class AsyncioStreamListener(AsyncListener[AsyncStreamTransport]):
    """A listener that owns a socket on which `listen` was called.

    Each `serve` accepts from a duplicate of the socket: event loops close the socket that they accept from, but a
    listener can be served again.
    """

    __slots__ = ("_admission", "_backend", "_backlog", "_closed", "_socket", "_stopped")

    _stream_type: ClassVar[type[AsyncioStream]] = AsyncioStream
    _transport_type: ClassVar[Any] = AsyncioStreamTransport

    def __init__(self, backend: AsyncBackend, sock: socket.socket, backlog: int) -> None:
        self._backend = backend
        self._socket = sock
        self._backlog = backlog
        self._admission: Admission | None = None
        self._closed = False
        self._stopped: asyncio.Future[None] | None = None  # set while serving

    def __del__(self) -> None:
        sock: socket.socket | None = getattr(self, "_socket", None)
        if sock is not None and not self._closed:
            warnings.warn(f"unclosed listener {self!r}", ResourceWarning, stacklevel=2, source=self)
            sock.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_socket', None)!r}>"

    async def serve(
        self,
        handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        if task_group is None:
            async with self._backend.create_task_group() as task_group:
                await self._serve(handler, task_group)
        await self._serve(handler, task_group)

    async def _serve(
        self, handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]], task_group: TaskGroup
    ) -> NoReturn:
        if self._closed:
            raise error_from_errno(errno.EBADF)
        if self._stopped is not None:
            raise BusyResourceError("Another task is serving this listener")
        loop = asyncio.get_running_loop()
        stopped = self._stopped = loop.create_future()

        def fail(exc: Exception) -> None:
            if not stopped.done():
                stopped.set_exception(exc)

        admission = self._admission
        if admission is not None:
            handler = admission.around(handler)

        def on_connection(stream: AsyncioStream) -> None:
            if stopped.done():
                stream.abort()
                return
            transport = self._transport_type(self._backend, stream)
            if admission is not None and not admission.admit(transport):
                stream.abort()
                return
            try:
                task_group.start_soon(handler, transport)
            except Exception as exc:  # the group has ended, for example
                stream.abort()
                fail(exc)

        try:
            acceptor = self._start(self._socket.dup(), partial(self._stream_type, loop, on_connection), fail)
            try:
                await stopped
            except asyncio.CancelledError:
                acceptor.close()
                # asyncio starts a task for each connection. If the loop ends before its first step, nothing closes the
                # socket.
                await asyncio.sleep(0)
                raise
            finally:
                stopped.cancel()
                acceptor.close()
        finally:
            self._stopped = None
        raise error_from_errno(errno.EBADF)

    def _start(
        self, sock: socket.socket, new_stream: Callable[[], AsyncioStream], failed: Callable[[Exception], None]
    ) -> Acceptor:
        """Start to accept connections from *sock*, and own it. *failed* gets the error that ends accepting."""
        return LoopAcceptor(asyncio.get_running_loop(), sock, self._backlog, new_stream, failed)

    def _hook_set_admission(self, admission: Admission) -> bool:
        self._admission = admission
        return True

    def is_closing(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._socket.close()
            if self._stopped is not None and not self._stopped.done():
                self._stopped.set_result(None)
        await self._backend.coro_yield()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return socket_attributes(lambda: self._socket)
