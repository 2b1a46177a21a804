"""Connected datagram transports on asyncio: UDP and Unix sockets."""

from __future__ import annotations

__all__ = ["AsyncioDatagramTransport", "AsyncioUnixDatagramTransport"]

import asyncio
import socket
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._sockets.ancillary import MSG_CTRUNC, RECVMSG_FLAGS, truncation_error
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport
from easynetwork.lowlevel.constants import MAX_DATAGRAM_BUFSIZE

from .readiness import Readiness

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class AsyncioDatagramTransport(AsyncDatagramTransport):
    """A connected socket. The transport has no queue of its own.

    It does not use ``loop.create_datagram_endpoint``: on uvloop that transport cannot stop reading, on asyncio it does
    not send empty datagrams before Python 3.12, and both are slower.
    """

    __slots__ = ("_backend", "_readiness", "_recv", "_send")

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        self._backend = backend
        self._readiness = Readiness(asyncio.get_running_loop(), sock)
        self._recv: Callable[[], bytes] = partial(sock.recv, MAX_DATAGRAM_BUFSIZE)
        self._send = sock.send

    def __del__(self) -> None:
        readiness = getattr(self, "_readiness", None)
        if readiness is not None and not readiness.closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            readiness.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(getattr(self, '_readiness', None), 'sock', None)!r}>"

    async def recv(self) -> bytes:
        return await self._readiness.read(self._recv)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        if not self._readiness.try_write(self._send, data):
            await self._readiness.write(partial(self._send, data))

    def is_closing(self) -> bool:
        return self._readiness.closed

    async def aclose(self) -> None:
        self._readiness.close()
        await self._backend.coro_yield()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        sock = self._readiness.sock
        return socket_attributes(lambda: sock)


class AsyncioUnixDatagramTransport(AsyncioDatagramTransport):
    """A connected Unix socket that carries ancillary data.

    Ancillary data stays with its datagram in the socket until a call receives it. `recv` makes the system discard it.
    """

    __slots__ = ("_unread",)

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        super().__init__(backend, sock)
        self._unread: bytes | None = None  # a datagram whose control messages were truncated

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        if self._unread is not None:
            return await self.recv(), []
        receive = partial(self._readiness.sock.recvmsg, MAX_DATAGRAM_BUFSIZE, ancillary_bufsize, RECVMSG_FLAGS)
        data, messages, flags, _ = await self._readiness.read(receive)
        if flags & MSG_CTRUNC:
            self._unread, self._recv = data, self._recv_unread
            raise truncation_error(messages)
        return data, messages

    def _recv_unread(self) -> bytes:
        """Return the stored datagram. This method replaces `_recv` for one call."""
        self._recv = partial(self._readiness.sock.recv, MAX_DATAGRAM_BUFSIZE)
        datagram, self._unread = self._unread, None
        return self._recv() if datagram is None or self.is_closing() else datagram

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        send = partial(self._readiness.sock.sendmsg, [data], list(ancillary_data))
        if not self._readiness.try_write(send):
            await self._readiness.write(send)
