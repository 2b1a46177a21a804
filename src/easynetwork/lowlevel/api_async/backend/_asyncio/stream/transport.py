"""The stream transport with coroutines, on top of `AsyncioStream`."""

from __future__ import annotations

__all__ = ["AsyncioStreamTransport"]

import asyncio
import errno
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel.api_async.transports._closing import CLOSE_TIMEOUT
from easynetwork.lowlevel.api_async.transports._hooks import ChunkReceiver, WriteBatch, read_names
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

from .driver import InlineDriver, OwnBufferDriver, SharedBufferDriver
from .protocol import AsyncioStream
from .tls import TLSFilter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel._core.tls_engine import TLSEngine
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class AsyncioStreamTransport(AsyncStreamTransport):
    """A stream transport on top of `AsyncioStream`.

    The loop refers only to the `AsyncioStream`. A program that drops the last reference to an open transport gets a
    `ResourceWarning`, and the connection is aborted.
    """

    __slots__ = ("_backend", "_close_timeout", "_stream")

    _driver_types: tuple[type[InlineDriver], type[InlineDriver]] = (SharedBufferDriver, OwnBufferDriver)

    def __init__(self, backend: AsyncBackend, stream: AsyncioStream) -> None:
        self._backend = backend
        self._stream = stream
        self._close_timeout = CLOSE_TIMEOUT

    def __del__(self) -> None:
        try:
            stream = self._stream
        except AttributeError:
            return
        if stream.closing or stream.lost:
            return
        warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
        if not stream.loop.is_closed():
            stream.abort()

    def __repr__(self) -> str:
        transport = getattr(getattr(self, "_stream", None), "transport", None)
        return f"<{type(self).__name__} {transport!r}>"

    async def recv(self, bufsize: int) -> bytes:
        if bufsize <= 0:
            return await super().recv(bufsize)
        stream = self._stream
        if (stream.closing or not stream.received.nbytes) and not await stream.wait_readable():
            return b""
        return stream.take_received(bufsize)

    def _hook_chunk_receiver(self) -> ChunkReceiver:
        return self._stream.receive_into

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            data = await self.recv(len(view))
            view[: len(data)] = data
            return len(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.write(bytes(data))

    async def send_eof(self) -> None:
        self._stream.write_eof()

    def is_closing(self) -> bool:
        return self._stream.closing

    async def aclose(self) -> None:
        stream = self._stream
        deadline = None
        try:
            if self._close_unless_busy():
                await asyncio.sleep(0)
            if stream.lost:
                return
            if stream.transport.get_write_buffer_size():
                deadline = stream.loop.call_later(self._close_timeout, stream.abort)
            await stream.wait_lost()
        except BaseException:
            stream.abort()
            raise
        finally:
            if deadline is not None:
                deadline.cancel()

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        stream = self._stream

        def get_address(name: str) -> Any:
            if stream.lost:
                raise error_from_errno(errno.EBADF)
            return stream.transport.get_extra_info(name)

        return socket_attributes(lambda: stream.transport.get_extra_info("socket"), get_address)

    def _close_unless_busy(self) -> bool:
        """Start to close. Return whether the close completes in the next turn of the event loop."""
        stream = self._stream
        transport = stream.transport
        stream.close()
        # If no data is left to send and no TLS close is pending, connection_lost() is scheduled for the next turn.
        return stream.lost or (transport.is_closing() and not transport.get_write_buffer_size())

    _hook_close_soon = _close_unless_busy

    def _hook_expect_input(self) -> None:
        self._stream.expects_input = True

    def _hook_abort(self) -> None:
        self._stream.abort(reset=True)

    def _hook_buffered_bytes(self) -> tuple[int, int]:
        stream = self._stream
        return stream.received.nbytes, stream.transport.get_write_buffer_size()

    def _hook_keep_names(self) -> Callable[[AsyncioStreamTransport], tuple[Any, Any]]:
        stream = self._stream
        if stream.lost or stream.transport.get_extra_info("peername") is None:
            return read_names(self)  # raises the error
        return AsyncioStreamTransport._names

    def _names(self) -> tuple[Any, Any]:
        transport = self._stream.transport  # loops keep the addresses after a close
        return transport.get_extra_info("sockname"), transport.get_extra_info("peername")

    async def _hook_start_tls(self, engine: TLSEngine, shutdown_timeout: float, received: bytes) -> bool:
        self._close_timeout = CLOSE_TIMEOUT + shutdown_timeout
        await TLSFilter(self._stream, engine, shutdown_timeout).handshake(received)
        return True

    def _hook_write_batch(self) -> WriteBatch:
        return self._stream

    def _hook_driver(self, dispatcher: StreamDispatcher[Any]) -> Driver:
        driver_type = self._driver_types[dispatcher.buffered is not None]
        return driver_type(self, self._stream, dispatcher)
