"""The protocol of one byte stream: it stores what the event loop reports and batches what is written."""

from __future__ import annotations

__all__ = ["AsyncioStream", "AttachedDriver"]

import asyncio
import errno
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.bytes_queue import BytesQueue, SupportsAppend
from easynetwork.lowlevel._core.errors import error_from_errno, stream_error
from easynetwork.lowlevel._sockets.lingering import has_unread_input, reset_on_close
from easynetwork.lowlevel.api_async.transports._hooks import WriteBatch
from easynetwork.lowlevel.constants import NOT_CONNECTED_SOCKET_ERRNOS

from .lingering import linger
from .shared_buffer import SharedBufferProtocol
from .watermarks import HIGH_WATER, LOW_WATER

_EMPTY: Final = BytesQueue()
"""Shared empty queue for connections with nothing buffered. A connection gets its own when it first keeps bytes."""


class AttachedDriver(asyncio.BaseProtocol):
    """A driver that takes the bytes of a stream in the callback that delivers them."""

    __slots__ = ()

    @abstractmethod
    def wake(self) -> None:
        """Check `AsyncioStream` again: it has kept bytes, or the stream has ended."""

    @abstractmethod
    def is_waiting(self) -> bool:
        """Return whether the driver takes bytes now. Otherwise it keeps them for later."""

    @abstractmethod
    def take_early(self) -> bytes:
        """Return the bytes that the driver itself has kept, and forget them. They precede those in `AsyncioStream`."""


class AsyncioStream(WriteBatch, SharedBufferProtocol):
    """The state of one stream, as reported by the event loop, and its write batch.

    Received bytes are kept until a coroutine or the driver takes them. The flags have these values:

    ===============  ========  =========  ====  =====  =========  =======================================
    state            writable  closing    lost  ended  eof_sent   entered by
    ===============  ========  =========  ====  =====  =========  =======================================
    opening          no        no         no    no     no         the constructor
    open             yes       no         no    no     no         `connection_made`
    peer has ended   yes       no         no    yes    no         `eof_received` (or the driver's)
    half-closed      no        no         no    no     yes        `write_eof`, `end_writing`
    both have ended  no        no         no    yes    yes        both of the above, in either order
    closing          no        yes        no    yes    unchanged  `close`, `abort`
    lost             no        unchanged  yes   yes    unchanged  `connection_lost`
    ===============  ========  =========  ====  =====  =========  =======================================

    * *writable* is also false while the peer reads too slowly (`pause_writing`), while a Unix socket changes its
      transport, during a TLS handshake, and between a `flush` that finds the transport closing and `connection_lost`.
    * *closing* after a loss: true if this side closed first, or has closed since.
    * *error* is set only when the connection is lost, and stays None if the connection ended in an orderly way.
    * *reading_paused* does not depend on the state. It is set when more than `HIGH_WATER` bytes are kept, until at most
      `LOW_WATER` bytes are left, and while `reads_ahead` is false and the driver is busy. A Unix stream starts with
      the flag set, and sets it to read the socket itself. `close` resets it to discard input.
    """

    __slots__ = (
        "_closers",
        "_on_connection",
        "_queue",
        "_reader",
        "_writers",
        "closing",
        "driver",
        "ended",
        "eof_sent",
        "error",
        "expects_input",
        "loop",
        "lost",
        "reading_paused",
        "received",
        "transport",
        "writable",
        "wrote_alone",
    )

    transport: asyncio.Transport

    reads_ahead: bool = True
    """Whether to read while the driver is busy. False if the driver may ask for ancillary data of a Unix socket."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_connection: Callable[[AsyncioStream], object] | None = None
    ) -> None:
        self.loop = loop
        self._on_connection = on_connection

        self.received = _EMPTY
        self.driver: AttachedDriver | None = None
        # Awaited by the receiving task; true if its queue got a chunk. Once cancelled, no task receives.
        self._reader: asyncio.Future[bool] | None = None
        self._queue: SupportsAppend | None = None  # takes the next chunk in the callback that delivers it
        self.reading_paused = False
        self.ended = False
        """Whether nothing more will be received, for any reason."""
        self.expects_input = False
        """Whether a close must expect more input, even if the socket holds none."""

        super().__init__()
        self.writable = False
        """Whether the batch accepts data. `capacity` is positive only while a flush is due in this turn of the loop."""
        self.wrote_alone = False
        """Whether a packet was written without a batch since the last received chunk or flush."""
        self._writers: deque[tuple[asyncio.Future[bool], bytes]] | None = None  # writes that wait, in order
        self._closers: list[asyncio.Future[None]] | None = None  # the tasks in wait_lost()
        self.eof_sent = False

        self.closing = False
        self.lost = False
        self.error: Exception | None = None
        """The error that ended the connection. None if it ended in an orderly way."""

    # --------------------------------------------------------------------------------------- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's do not derive from asyncio.Transport
        if self.closing:
            self.transport.abort()
        else:
            self.writable = True
        on_connection, self._on_connection = self._on_connection, None
        if on_connection is not None:
            on_connection(self)

    def data_received(self, data: bytes) -> None:
        reader, queue = self._reader, self._queue
        if reader is None or queue is None or reader.done():
            self.keep(data)
            self._wake_reader()
        else:
            self._reader = self._queue = None
            queue.append(data)
            self.wrote_alone = False
            reader.set_result(True)

    def eof_received(self) -> bool:
        self.ended = True
        self._wake_reader()
        return True  # keep the sending direction open: a peer that half-closes still expects its responses

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.error = None if exc is None else stream_error(exc)
        self.parts.clear()
        if not self.closing:
            self._stop()
        self.driver = None  # breaks the reference cycle, so that both are freed without the garbage collector
        closers, self._closers = self._closers, None
        for waiter in closers or ():
            if not waiter.done():
                waiter.set_result(None)

    def pause_writing(self) -> None:
        self.writable = False
        self.capacity = 0
        # Set here rather than in connection_made(): most connections never fill the buffer, and the loops' default
        # high-water mark is the same.
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def resume_writing(self) -> None:
        self.writable = not (self.closing or self.lost or self.eof_sent)
        # Waiting writes precede later writes, and keep the order of their calls.
        while self._writers and self.writable:
            waiter, data = self._writers.popleft()
            if not waiter.done():
                if data:
                    self._take(data)
                waiter.set_result(True)

    # ------------------------------------------------------------------------------------------------------- reading

    def keep(self, data: bytes) -> None:
        """Keep received bytes for the next call that receives. Pause reading above the high-water mark."""
        if self.received is _EMPTY:
            self.received = BytesQueue()
        self.received.append(data)
        self.wrote_alone = False
        if self.received.nbytes > HIGH_WATER:
            self.pause_reading()

    def attach(self, driver: AttachedDriver) -> None:
        """Make *driver* the protocol of the transport, so that the loop calls it directly.

        If the transport is already reading, uvloop stops and restarts the read, which costs two system calls.
        """
        if not self.lost:
            self.driver = driver
            self.transport.set_protocol(driver)

    def pause_reading(self) -> None:
        if not self.reading_paused and not self.transport.is_closing():
            self.reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.reading_paused and not self.transport.is_closing():
            self.reading_paused = False
            self.transport.resume_reading()

    def take_received(self, size: int | None = None) -> bytes:
        """Return at most *size* received bytes, or all of them if *size* is None."""
        data = self.received.take_all() if size is None else self.received.take(size)
        if self.reading_paused and self.received.nbytes <= LOW_WATER:
            self.resume_reading()
        return data

    async def wait_readable(self) -> bool:
        """Wait for received bytes. Return false at the end of the stream.

        The call does not take the bytes. If it is cancelled, no bytes are lost.
        """
        while True:
            self._check_receivable()
            if self.received.nbytes or self.ended:
                return bool(self.received.nbytes)
            self._reader = reader = self.loop.create_future()
            self._queue = None
            try:
                await reader
            finally:
                if self._reader is reader:  # a cancelled task may find the next one waiting already
                    self._reader = None

    def receive_into(self, queue: SupportsAppend, bufsize: int) -> Awaitable[bool]:
        """Append received bytes to *queue*, in the callback that delivers them. The result is false at the end.

        This is a `ChunkReceiver` that ignores *bufsize*, and costs no coroutine while it waits.
        """
        if self.ended or self.received.nbytes or (self._reader is not None and not self._reader.cancelled()):
            return self._receive_kept(queue)
        self._queue = queue
        self._reader = reader = self.loop.create_future()
        return reader

    async def _receive_kept(self, queue: SupportsAppend) -> bool:
        self._check_receivable()
        if self.received.nbytes:
            queue.append(self.take_received())
            return True
        return False

    def _check_receivable(self) -> None:
        """Raise an error if a task cannot receive now.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: this side has closed the stream, or the connection was lost and no received bytes are left.
        """
        if self._reader is not None and not self._reader.cancelled():
            raise BusyResourceError("Another task is receiving from this transport")
        if (error := self._receiving_error()) is not None:
            raise error

    def _receiving_error(self) -> Exception | None:
        if self.closing:
            return error_from_errno(errno.EBADF)
        return None if self.received.nbytes else self.error

    def _wake_reader(self) -> None:
        """Wake the receiving task and the driver: bytes were kept, or the stream has ended."""
        if (reader := self._reader) is not None and not reader.done():
            if self._queue is None:
                reader.set_result(False)
            else:
                self._reader = self._queue = None
                if (error := self._receiving_error()) is None:
                    reader.set_result(False)
                else:
                    reader.set_exception(error)
        if self.driver is not None:
            self.driver.wake()

    # ------------------------------------------------------------------------------------------------------- writing

    def write_nowait(self, data: bytes) -> bool:
        """Add *data* to the batch of this turn. Return false, without taking it, if the caller may have to wait.

        *data* above the high-water mark always has to wait. The caller treats accepted data as sent, but a close sends
        it only within a time limit.
        """
        if not self.writable or len(data) > HIGH_WATER:
            return False
        if not self.capacity and not self.wrote_alone:  # probably a single request: write it now, without a batch
            self.wrote_alone = True
            if data:
                self.transport.write(data)
        else:
            self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        if not self.capacity:
            self.capacity = HIGH_WATER
            self.loop.call_soon(self.uncork)
        self.parts.append(data)
        self.capacity -= len(data)
        if self.capacity <= 0:
            self.capacity = HIGH_WATER
            self.flush()

    async def write(self, data: bytes) -> None:
        """Add *data* to the batch once the peer has read enough. Wait while the loop's buffer is too full.

        If the call is cancelled before *data* is in the batch, none of it is sent. Afterwards, all of it is sent.

        Raises:
            OSError: no more data can be sent.
        """
        if self.writable:
            self._take(data)
        else:
            await self._wait_for_turn(data)
        if not self.writable and not self.eof_sent:
            await self._wait_for_turn(b"")

    async def _wait_for_turn(self, data: bytes) -> None:
        """Wait until *data* is in the batch. If *data* is empty, wait until the loop accepts more writes."""
        self.check_sendable()
        if self._writers is None:
            self._writers = deque()
        waiter = self.loop.create_future()
        entry = (waiter, data)
        self._writers.append(entry)
        try:
            taken = await waiter
        except asyncio.CancelledError:
            if entry in self._writers:  # otherwise its bytes would stay until writing resumes
                self._writers.remove(entry)
            raise
        if not taken and (data or not self.eof_sent):
            self.check_sendable()

    def check_sendable(self) -> None:
        """Raise an `OSError` if no data can be sent any more. Do nothing if a send only has to wait."""
        if self.error is not None:
            raise self.error
        if self.closing:
            raise error_from_errno(errno.EBADF)
        if self.lost:
            raise error_from_errno(errno.ECONNABORTED)
        if self.eof_sent:
            raise error_from_errno(errno.EPIPE)

    def write_eof(self) -> None:
        if self.eof_sent or self.transport.is_closing():
            return
        self.end_writing()
        try:
            self.transport.write_eof()
        except OSError as exc:  # asyncio raises ENOTCONN after a reset, which the next read reports
            if exc.errno not in NOT_CONNECTED_SOCKET_ERRNOS:
                raise

    def end_writing(self) -> None:
        """Send the batch and accept no more data."""
        self.uncork()
        self.eof_sent = True
        self.writable = False
        self._refuse_writers()

    def uncork(self) -> None:
        """Flush the batch, and close it until the next write."""
        self.wrote_alone = False
        self.capacity = 0
        if self.parts:
            self.flush()

    def flush(self) -> None:
        """Write the batch to the loop's transport in one call.

        The data must be ``bytes``: since Python 3.12, asyncio does not copy mutable buffers.
        """
        parts = self.parts
        if len(parts) == 1:
            data = parts.pop()
        else:
            data = b"".join(parts)
            parts.clear()
        if self.transport.is_closing():  # uvloop's write() raises here, asyncio's discards the data
            # The connection is lost, and connection_lost() is scheduled. Make senders wait for it: a task that keeps
            # sending without a wait would never let it run.
            self.writable = False
            self.capacity = 0
        elif data:
            self.transport.write(data)

    # ------------------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Send the batch and the loop's buffer, then close. `connection_lost` reports the end."""
        if self.closing:
            return
        if self.parts:
            self.flush()
        self.closing = True
        if not self.ended and self._must_linger():
            self._stop()
            self.received.clear()
            self.resume_reading()
            linger(self.loop, self.transport, self.connection_lost, eof_sent=self.eof_sent)
        else:
            self._stop()
            self.transport.close()

    def _must_linger(self) -> bool:
        """Return whether to discard input before the close. Unread input makes the system reset the connection.

        The peer of a reset connection can lose data that was sent to it.
        """
        if self.transport.is_closing():
            return False
        if not self.transport.can_write_eof():  # a TLS close already reads until the peer's closing alert
            return False
        if self.expects_input or self.received.nbytes:
            return True
        sock = self.transport.get_extra_info("socket")
        return sock is not None and has_unread_input(sock.fileno())

    def abort(self, *, reset: bool = False) -> None:
        """Close now. Written data that is not sent yet is lost. In that case, or with *reset*, reset the connection."""
        reset = reset or bool(self.parts)
        self.parts.clear()
        self.closing = True
        self._stop()
        # asyncio's abort() fails after connection_lost() if close() was called with data in the write buffer.
        if not self.lost:
            sock = self.transport.get_extra_info("socket")
            if sock is not None and (reset or self.transport.get_write_buffer_size()):
                reset_on_close(sock)
            self.transport.abort()

    async def wait_lost(self) -> None:
        if self.lost:
            return
        if self._closers is None:
            self._closers = []
        waiter = self.loop.create_future()
        self._closers.append(waiter)
        await waiter

    def _stop(self) -> None:
        """End all waits, because no more data can be received or sent."""
        self.ended = True
        self.writable = False
        self.capacity = 0
        self._wake_reader()
        self._refuse_writers()

    def _refuse_writers(self) -> None:
        while self._writers:
            waiter, _ = self._writers.popleft()
            if not waiter.done():
                waiter.set_result(False)
