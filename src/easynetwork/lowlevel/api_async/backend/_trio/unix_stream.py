"""Unix stream sockets on trio: transports with ancillary data, connecting, listening."""

from __future__ import annotations

__all__ = ["TrioUnixStreamTransport", "connect", "open_listener"]

import socket as _socket
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._ancillary import RECVMSG_FLAGS
from easynetwork.lowlevel.api_async.backend._unix_sockets import open_connected_socket, open_listening_socket

from .listener import TrioStreamListener
from .stream import TrioStreamTransport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class TrioUnixStreamTransport(TrioStreamTransport):
    """A connected Unix socket."""

    __slots__ = ()

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        if bufsize <= 0:
            return await self.recv(bufsize), []
        data, messages, *_ = await self._receive(
            partial(self._socket.recvmsg, bufsize, ancillary_bufsize, RECVMSG_FLAGS)
        )
        return data, messages

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        with memoryview(buffer) as view:
            if not view.nbytes:
                return 0, []
            receive = partial(self._socket.recvmsg_into, [view], ancillary_bufsize, RECVMSG_FLAGS)
            nbytes, messages, *_ = await self._receive(receive)
            return nbytes, messages

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        await self._writer.write_message(list(iterable_of_data), list(ancillary_data))


async def connect(backend: AsyncBackend, path: str | bytes, local_path: str | bytes | None) -> TrioUnixStreamTransport:
    """Connects to *path*. See `AsyncBackend.create_unix_stream_connection`."""
    sock = await open_connected_socket(backend, _socket.SOCK_STREAM, path, local_path)
    return TrioUnixStreamTransport(backend, sock)


async def open_listener(backend: AsyncBackend, path: str | bytes, backlog: int, mode: int | None) -> TrioStreamListener:
    """Opens a listening socket. See `AsyncBackend.create_unix_stream_listener`."""
    sock = await open_listening_socket(backend, path, backlog, mode)
    return TrioStreamListener(backend, sock, partial(TrioUnixStreamTransport, backend))
