"""Unix stream sockets on trio: transports with ancillary data, connections and listeners."""

from __future__ import annotations

__all__ = ["TrioUnixStreamTransport", "connect", "new_listener", "open_listener"]

import socket as _socket
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._sockets.ancillary import MSG_CTRUNC, RECVMSG_FLAGS, truncation_error
from easynetwork.lowlevel.api_async.backend._unix_sockets import open_connected_socket, open_listening_socket

from .listener import TrioStreamListener
from .transport import TrioStreamTransport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class TrioUnixStreamTransport(TrioStreamTransport):
    """A connected Unix socket that carries ancillary data."""

    __slots__ = ("_unread",)

    def __init__(self, backend: AsyncBackend, sock: _socket.socket) -> None:
        super().__init__(backend, sock)
        self._unread = b""  # bytes whose control messages were truncated

    async def recv(self, bufsize: int) -> bytes:
        if self._unread and bufsize > 0 and not self.is_closing():
            return self._take_unread(bufsize)
        return await super().recv(bufsize)

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        if self._unread and not self.is_closing():
            with memoryview(buffer).cast("B") as view:
                data = self._take_unread(len(view))
                view[: len(data)] = data
                return len(data)
        return await super().recv_into(buffer)

    def _take_unread(self, size: int) -> bytes:
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        if bufsize <= 0 or self._unread:
            return await self.recv(bufsize), []
        data, messages, flags, _ = await self._receive(
            partial(self._socket.recvmsg, bufsize, ancillary_bufsize, RECVMSG_FLAGS)
        )
        if flags & MSG_CTRUNC:
            self._unread = data
            raise truncation_error(messages)
        return data, messages

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        if self._unread:
            return await self.recv_into(buffer), []
        with memoryview(buffer).cast("B") as view:
            if not view.nbytes:
                return 0, []
            receive = partial(self._socket.recvmsg_into, [view], ancillary_bufsize, RECVMSG_FLAGS)
            nbytes, messages, flags, _ = await self._receive(receive)
            if flags & MSG_CTRUNC:
                self._unread = bytes(view[:nbytes])
                raise truncation_error(messages)
            return nbytes, messages

    _hook_chunk_receiver = TrioStreamTransport._hook_chunk_receiver
    _hook_driver = TrioStreamTransport._hook_driver

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        await self._writer.write_message(list(iterable_of_data), list(ancillary_data))


async def connect(backend: AsyncBackend, path: str | bytes, local_path: str | bytes | None) -> TrioUnixStreamTransport:
    """Connect to *path*. See `AsyncBackend.create_unix_stream_connection`."""
    sock = await open_connected_socket(backend, _socket.SOCK_STREAM, path, local_path)
    return TrioUnixStreamTransport(backend, sock)


async def open_listener(backend: AsyncBackend, path: str | bytes, backlog: int, mode: int | None) -> TrioStreamListener:
    """Open a listening socket. See `AsyncBackend.create_unix_stream_listener`."""
    return new_listener(backend, open_listening_socket(path, backlog, mode))


def new_listener(backend: AsyncBackend, sock: _socket.socket) -> TrioStreamListener:
    """Create a listener for *sock*, which listens. The listener owns it."""
    return TrioStreamListener(backend, sock, partial(TrioUnixStreamTransport, backend))
