"""Stream transports on trio."""

from __future__ import annotations

__all__ = ["TrioStreamTransport"]

import errno
import math
import socket as _socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.errors import error_from_errno, stream_error
from easynetwork.lowlevel._sockets.lingering import LINGER_BYTES, LINGER_TIMEOUT, has_unread_input, reset_on_close
from easynetwork.lowlevel.api_async.backend._trio.owner import SocketOwner
from easynetwork.lowlevel.api_async.backend._trio.sockets import SocketReader, close_socket
from easynetwork.lowlevel.api_async.transports._closing import CLOSE_TIMEOUT
from easynetwork.lowlevel.api_async.transports._hooks import ChunkReceiver, WriteBatch, receive_chunk
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

from .driver import BatchingDriver
from .writer import StreamWriter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T = TypeVar("_T")


class TrioStreamTransport(SocketOwner, AsyncStreamTransport):
    """A connected stream socket. Nothing is read until a task asks."""

    __slots__ = ("_error", "_expects_input", "_is_drained", "_lingering", "_reader", "_writer")

    def __init__(self, backend: AsyncBackend, sock: _socket.socket) -> None:
        super().__init__(backend, sock)
        self._reader = SocketReader(sock)
        self._writer = StreamWriter(sock)
        self._is_drained = False  # whether the last read emptied the socket
        self._expects_input = False  # whether a close must linger even if the socket is empty
        self._lingering: trio.Event | None = None  # set when a close has discarded the input
        self._error: Exception | None = None  # kept, because the system reports it only once

    async def recv(self, bufsize: int) -> bytes:
        if bufsize <= 0:
            return await super().recv(bufsize)
        data = await self._receive(partial(self._socket.recv, bufsize))
        self._is_drained = 0 < len(data) < bufsize
        return data

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer) as view:
            if not view.nbytes:
                return 0
            nbytes = await self._receive(partial(self._socket.recv_into, view))
            self._is_drained = 0 < nbytes < view.nbytes
            return nbytes

    async def _receive(self, call: Callable[[], _T]) -> _T:
        """Return the result of *call*, which receives data, as soon as the socket is readable."""
        if self._writer.closing:
            raise error_from_errno(errno.EBADF)
        if self._error is not None:
            raise self._error
        is_drained, self._is_drained = self._is_drained, False
        try:
            result = await self._reader.read(call, wait_first=is_drained)
            if not result and isinstance(self._writer.error, ConnectionResetError):
                raise self._writer.error  # the system reports a reset once, and a call that sends has met it
            return result
        except OSError as exc:
            if self._writer.closing:
                raise
            self._error = stream_error(exc)
            raise self._error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._writer.write(data)

    async def send_eof(self) -> None:
        self._writer.end()

    def is_closing(self) -> bool:
        return self._writer.closing

    async def aclose(self) -> None:
        writer = self._writer
        if not writer.closing:
            trio.lowlevel.notify_closing(self._socket)  # wake tasks that receive, although the output may take long
        writer.closing = True
        try:
            if self._lingering is not None:
                await self._lingering.wait()
            elif self._must_linger():
                await self._linger()
            elif not writer.is_idle():
                with trio.move_on_after(CLOSE_TIMEOUT), suppress(OSError):
                    await writer.wait_sent()
                if self._must_linger():  # input arrived meanwhile
                    await self._linger()
        finally:
            is_cut = trio.current_effective_deadline() == -math.inf
            if writer.is_torn() or (is_cut and writer.unsent):
                reset_on_close(self._socket)
            close_socket(self._socket)
        await trio.lowlevel.checkpoint()

    def _hook_expect_input(self) -> None:
        self._expects_input = True

    def _hook_abort(self) -> None:
        self._writer.drop()
        reset_on_close(self._socket)
        close_socket(self._socket)

    def _hook_buffered_bytes(self) -> tuple[int, int]:
        return 0, self._writer.unsent

    def _end_input(self) -> None:
        """Wake the task that receives: with the bytes that have arrived, or else with the end of the stream."""
        if has_unread_input(self._socket.fileno()):
            return  # it wakes anyway, and may need more bytes
        with suppress(OSError):  # the connection is lost or closed
            self._socket.shutdown(_socket.SHUT_RD)

    def _must_linger(self) -> bool:
        """Return whether there is unread input.

        Closing the socket would then reset the connection, and the peer would lose sent data.
        """
        fd = self._socket.fileno()
        return fd >= 0 and self._error is None and (self._expects_input or has_unread_input(fd))

    async def _linger(self) -> None:
        """Send the rest and the end of the stream, and discard input.

        Discarding ends when the peer ends its direction, at least `LINGER_TIMEOUT` seconds after the output is sent, or
        after `LINGER_BYTES` bytes.
        """
        writer, reader, left = self._writer, SocketReader(self._socket), LINGER_BYTES
        self._lingering = trio.Event()
        try:
            writer.end()
            # Discard at once, not after sending: the peer may not receive anything until it has sent everything.
            with trio.move_on_after(CLOSE_TIMEOUT), suppress(OSError, BusyResourceError):
                has_flushed = False
                while left > 0 and not has_flushed:
                    has_flushed = writer.is_idle()
                    with trio.move_on_after(LINGER_TIMEOUT):
                        left = await self._discard_input(reader, left)
                await writer.wait_sent()
        finally:
            self._lingering.set()

    async def _discard_input(self, reader: SocketReader, left: int) -> int:
        """Discard input until *left* bytes were read or the stream ends. Return 0."""
        receive = partial(self._socket.recv, 1 << 16)
        while left > 0 and (data := await reader.read(receive)):
            left -= len(data)
        return 0

    def _hook_write_batch(self) -> WriteBatch:
        return self._writer

    def _hook_chunk_receiver(self) -> ChunkReceiver:
        return partial(receive_chunk, self)

    def _hook_driver(self, dispatcher: StreamDispatcher[Any]) -> Driver:
        return BatchingDriver(self, self._writer, dispatcher, self._end_input)
