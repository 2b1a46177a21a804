"""Connected Unix datagram sockets as transports, on asyncio."""

from __future__ import annotations

__all__ = ["AsyncioUnixDatagramTransport"]

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


class AsyncioUnixDatagramTransport(AsyncDatagramTransport):
    """A connected socket that carries ancillary data. The transport has no queue of its own.

    Ancillary data stays with its datagram in the socket until a call receives it. `recv` makes the system discard it.
    """

    __slots__ = ("_backend", "_readiness", "_recv", "_send", "_unread")

    def __init__(self, backend: AsyncBackend, sock: socket.socket) -> None:
        self._backend = backend
        self._readiness = Readiness(asyncio.get_running_loop(), sock)
        self._recv: Callable[[], bytes] = partial(sock.recv, MAX_DATAGRAM_BUFSIZE)
        self._send = sock.send
        self._unread: bytes | None = None  # a datagram whose control messages were truncated

    def __del__(self) -> None:
        readiness = getattr(self, "_readiness", None)
        if readiness is not None and not readiness.closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            readiness.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(getattr(self, '_readiness', None), 'sock', None)!r}>"

    async def recv(self) -> bytes:
        return await self._readiness.read(self._recv)

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

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        if not self._readiness.try_write(self._send, data):
            await self._readiness.write(partial(self._send, data))

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        send = partial(self._readiness.sock.sendmsg, [data], list(ancillary_data))
        if not self._readiness.try_write(send):
            await self._readiness.write(send)

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
