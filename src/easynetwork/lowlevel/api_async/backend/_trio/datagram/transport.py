"""Connected datagram transports on trio: UDP and Unix sockets."""

from __future__ import annotations

__all__ = ["TrioDatagramTransport", "TrioUnixDatagramTransport"]

import socket as _socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._sockets.ancillary import MSG_CTRUNC, RECVMSG_FLAGS, truncation_error
from easynetwork.lowlevel._sockets.calls import count_dropped_datagrams
from easynetwork.lowlevel.api_async.backend._trio.owner import SocketOwner
from easynetwork.lowlevel.api_async.backend._trio.sockets import SocketReader
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport
from easynetwork.lowlevel.constants import MAX_DATAGRAM_BUFSIZE

from .sender import DatagramSender

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class TrioDatagramTransport(SocketOwner, AsyncDatagramTransport):
    """A connected socket without a queue of its own."""

    __slots__ = ("_dropped", "_reader", "_recv", "_sender")

    def __init__(self, backend: AsyncBackend, sock: _socket.socket) -> None:
        super().__init__(backend, sock)
        self._reader = SocketReader(sock)
        self._recv: Callable[[], bytes] = partial(sock.recv, MAX_DATAGRAM_BUFSIZE)
        self._sender = DatagramSender(sock)
        self._dropped = 0  # number of datagrams that the system had dropped when the transport was closed

    @property
    def dropped_datagrams(self) -> int:
        if not self.is_closing():
            self._dropped = count_dropped_datagrams(self._socket)
        return self._dropped

    async def aclose(self) -> None:
        self._dropped = self.dropped_datagrams
        await super().aclose()

    async def recv(self) -> bytes:
        return await self._reader.read(self._recv)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        await self._sender.send(partial(self._socket.send, data))


class TrioUnixDatagramTransport(TrioDatagramTransport):
    """A connected Unix socket that carries ancillary data."""

    __slots__ = ("_unread",)

    def __init__(self, backend: AsyncBackend, sock: _socket.socket) -> None:
        super().__init__(backend, sock)
        self._unread: bytes | None = None  # a datagram whose control messages were truncated

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        if self._unread is not None:
            return await self.recv(), []
        receive = partial(self._socket.recvmsg, MAX_DATAGRAM_BUFSIZE, ancillary_bufsize, RECVMSG_FLAGS)
        data, messages, flags, _ = await self._reader.read(receive)
        if flags & MSG_CTRUNC:
            self._unread, self._recv = data, self._recv_unread
            raise truncation_error(messages)
        return data, messages

    def _recv_unread(self) -> bytes:
        """Return the stored datagram. This method replaces `_recv` for one call."""
        self._recv = partial(self._socket.recv, MAX_DATAGRAM_BUFSIZE)
        datagram, self._unread = self._unread, None
        return self._recv() if datagram is None or self.is_closing() else datagram

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        await self._sender.send(partial(self._socket.sendmsg, [data], list(ancillary_data)))
