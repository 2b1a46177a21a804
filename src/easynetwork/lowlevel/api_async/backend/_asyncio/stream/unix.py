"""Unix stream sockets on asyncio: the transport with ancillary data, the listener, and functions to open both."""

from __future__ import annotations

__all__ = [
    "AsyncioUnixStreamListener",
    "AsyncioUnixStreamTransport",
    "connect",
    "new_listener",
    "open_listener",
    "wrap_stream_socket",
]

import asyncio
import errno
import socket as _socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.errors import error_from_errno, raise_stream_error
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._sockets.ancillary import MSG_CTRUNC, RECVMSG_FLAGS, truncation_error
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel.api_async.backend._unix_sockets import open_connected_socket, open_listening_socket
from easynetwork.lowlevel.api_async.transports._hooks import ChunkReceiver, receive_chunk

from .acceptor import Acceptor
from .driver import UnixOwnBufferDriver, UnixSharedBufferDriver
from .listener import AsyncioStreamListener
from .poller import poller_of
from .protocol import AsyncioStream
from .transport import AsyncioStreamTransport
from .unix_acceptor import UnixAcceptor
from .unix_loop_transport import Message, SocketTransport
from .unix_protocol import AsyncioUnixStream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel._core.bytes_queue import SupportsAppend
    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel._core.tls_engine import TLSEngine
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class AsyncioUnixStreamTransport(AsyncioStreamTransport):
    """A stream transport on top of `AsyncioUnixStream`.

    Each receiving call reads the socket itself, with or without ancillary data. Until then, ancillary data stays in the
    socket with its bytes. Callbacks deliver only bytes that a handler requests without ancillary data. For these, a
    loop that reads faster than Python code (uvloop) gets the socket. With TLS, callbacks deliver all bytes, without
    ancillary data.
    """

    __slots__ = ("_reads",)

    _stream: AsyncioUnixStream
    _driver_types = (UnixSharedBufferDriver, UnixOwnBufferDriver)

    def __init__(self, backend: AsyncBackend, stream: AsyncioUnixStream) -> None:
        super().__init__(backend, stream)
        self._reads = 0  # number of reads since the last wait

    async def recv(self, bufsize: int) -> bytes:
        stream = self._stream
        lower = stream.lower
        if bufsize <= 0 or stream.received.nbytes or lower is None:
            return await super().recv(bufsize)
        data: bytes = await self._read("recv", bufsize)
        lower.is_drained = len(data) < bufsize
        return data

    async def _receive_chunk(self, queue: SupportsAppend, bufsize: int) -> bool:
        lower = self._stream.lower
        if lower is None or self._stream.received.nbytes or not lower.is_drained:
            return await receive_chunk(self, queue, bufsize)
        while True:
            self._check_receivable()
            is_more = await lower.receive_into(queue, bufsize)
            if is_more is not None:
                self._stream.wrote_alone = False
                return is_more

    def _hook_chunk_receiver(self) -> ChunkReceiver:
        return self._stream.receive_into if self._stream.has_tls else self._receive_chunk

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            if not len(view) or self._stream.received.nbytes or self._stream.lower is None:
                return await super().recv_into(view)
            nbytes: int = await self._read("recv_into", view)
            return nbytes

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        self._check_ancillary()
        if bufsize <= 0 or self._stream.received.nbytes:
            return await self.recv(bufsize), []
        await self._begin_with_ancillary()
        data, ancillary_data, flags, _ = await self._read("recvmsg", bufsize, ancillary_bufsize, RECVMSG_FLAGS)
        if flags & MSG_CTRUNC:
            self._keep_unread(data)
            raise truncation_error(ancillary_data)
        return data, ancillary_data

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        self._check_ancillary()
        with memoryview(buffer).cast("B") as view:
            if not len(view) or self._stream.received.nbytes:
                return await self.recv_into(view), []
            await self._begin_with_ancillary()
            nbytes, ancillary_data, flags, _ = await self._read(
                "recvmsg_into", [view], ancillary_bufsize, RECVMSG_FLAGS
            )
            if flags & MSG_CTRUNC:
                self._keep_unread(bytes(view[:nbytes]))
                raise truncation_error(ancillary_data)
            return nbytes, ancillary_data

    def _check_ancillary(self) -> None:
        if self._stream.has_tls:
            raise UnsupportedOperation("A TLS connection carries no ancillary data")

    async def _begin_with_ancillary(self) -> None:
        stream = self._stream
        stream.hands_over = False  # a handler that asks for ancillary data once will probably ask again
        if stream.is_changing:
            await stream.wait_changed()

    def _keep_unread(self, data: bytes) -> None:
        """Keep bytes for the next call that receives. Their control messages are lost."""
        self._stream.reads_ahead = False  # later bytes may have control messages
        self._stream.keep(data)

    async def _read(self, method: str, *args: Any) -> Any:
        """Wait until the socket is readable, then call *method* of the socket and return its result.

        A cancelled call loses no data.
        """
        stream = self._stream
        stream.pause_reading()
        self._reads += 1
        if self._reads >= STEPS_PER_TURN:
            self._reads = 0
            await asyncio.sleep(0)
        while True:
            self._check_receivable()
            try:
                result = getattr(stream.sock, method)(*args)  # each wait may replace the socket
            except (BlockingIOError, InterruptedError):
                self._reads = 0
                await stream.wait_for_bytes()
            except OSError as exc:
                raise_stream_error(exc)
            else:
                stream.wrote_alone = False
                return result

    def _check_receivable(self) -> None:
        stream = self._stream
        if stream.closing:
            raise error_from_errno(errno.EBADF)
        if stream.transport.is_closing():
            raise stream.error or error_from_errno(errno.ECONNABORTED)

    async def send_eof(self) -> None:
        if self._stream.is_changing:
            await self._stream.wait_changed()
        await super().send_eof()

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        self._check_ancillary()
        parts = list(iterable_of_data)
        stream = self._stream
        if stream.is_changing:
            await stream.wait_changed()
        if not stream.writable:
            stream.check_sendable()
        if stream.parts:
            stream.flush()
        message = Message(parts, list(ancillary_data))
        if stream.lower is None:
            await self._write_past_loop(message)
        else:
            await stream.lower.write_message(message)

    async def _write_past_loop(self, message: Message) -> None:
        """Send *message* in one call, after the loop has sent all earlier writes."""
        stream = self._stream
        while True:
            stream.check_sendable()
            if not stream.transport.get_write_buffer_size():
                try:
                    message.send(stream.sock)
                    return
                except (BlockingIOError, InterruptedError):
                    pass
            await self._wait_writable()

    async def _wait_writable(self) -> None:
        loop, fd = self._stream.loop, self._stream.sock.fileno()
        poller, writable = poller_of(loop), loop.create_future()
        poller.add_writer(fd, partial(_set, writable))
        try:
            await writable
        finally:
            poller.remove_writer(fd)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        # Ask the socket: a peer may bind its socket to a name later, but loops keep the empty name.
        return socket_attributes(lambda: self._stream.sock)

    async def _hook_start_tls(self, engine: TLSEngine, shutdown_timeout: float, received: bytes) -> bool:
        await self._stream.prepare_tls()
        return await super()._hook_start_tls(engine, shutdown_timeout, received)

    def _hook_driver(self, dispatcher: StreamDispatcher[Any]) -> Driver:
        stream = self._stream
        # Do not read ahead if the handler may ask for ancillary data next: a plain read would discard it.
        stream.reads_ahead = dispatcher.ancillary_bufsize is None
        stream.hands_over = not isinstance(stream.loop, asyncio.SelectorEventLoop)
        return super()._hook_driver(dispatcher)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class AsyncioUnixStreamListener(AsyncioStreamListener):
    """A listener whose transports carry ancillary data."""

    __slots__ = ()

    _stream_type = AsyncioUnixStream
    _transport_type = AsyncioUnixStreamTransport

    def _start(
        self, sock: _socket.socket, new_stream: Callable[[], AsyncioStream], failed: Callable[[Exception], None]
    ) -> Acceptor:
        loop = asyncio.get_running_loop()
        return UnixAcceptor(loop, sock, lambda connection: SocketTransport(loop, connection, new_stream()), failed)


def wrap_stream_socket(backend: AsyncBackend, sock: _socket.socket) -> AsyncioUnixStreamTransport:
    """Return a transport that owns *sock*, a connected non-blocking socket."""
    stream = AsyncioUnixStream(asyncio.get_running_loop())
    SocketTransport(stream.loop, sock, stream)
    return AsyncioUnixStreamTransport(backend, stream)


async def connect(
    backend: AsyncBackend, path: str | bytes, local_path: str | bytes | None
) -> AsyncioUnixStreamTransport:
    """Connect to *path*. See `AsyncBackend.create_unix_stream_connection`."""
    sock = await open_connected_socket(backend, _socket.SOCK_STREAM, path, local_path)
    try:
        return wrap_stream_socket(backend, sock)
    except BaseException:
        sock.close()
        raise


async def open_listener(
    backend: AsyncBackend, path: str | bytes, backlog: int, mode: int | None
) -> AsyncioUnixStreamListener:
    """Open a listening socket. See `AsyncBackend.create_unix_stream_listener`."""
    return new_listener(backend, open_listening_socket(path, backlog, mode), backlog)


def new_listener(backend: AsyncBackend, sock: _socket.socket, backlog: int) -> AsyncioUnixStreamListener:
    """Create a listener for *sock*, which listens. The listener owns it."""
    return AsyncioUnixStreamListener(backend, sock, backlog)
