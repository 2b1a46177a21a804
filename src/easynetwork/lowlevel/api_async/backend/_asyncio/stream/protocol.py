"""What the loop tells about one byte stream, and what is written to it."""

from __future__ import annotations

__all__ = ["StreamCallbacks", "StreamReceiver"]

import asyncio
import errno
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.bytes_queue import BytesQueue, SupportsAppend
from easynetwork.lowlevel._core.errors import error_from_errno, stream_error
from easynetwork.lowlevel._sockets.lingering import has_unread_input
from easynetwork.lowlevel.api_async.transports._hooks import WriteBatch

from .lingering import linger
from .shared_buffer import SharedBufferProtocol
from .watermarks import HIGH_WATER, LOW_WATER

_EMPTY: Final = BytesQueue()
"""The queue of all who have received nothing that waits: most connections of a server, most of the time."""


class StreamReceiver(asyncio.BaseProtocol):
    """Who gets the bytes of a stream in the very callback that delivers them."""

    __slots__ = ()

    @abstractmethod
    def wake(self) -> None:
        """Something else has come: bytes that were kept, the end of the stream."""

    @abstractmethod
    def is_waiting(self) -> bool:
        """Whether bytes would be taken now, and not be kept for later."""


class StreamCallbacks(WriteBatch, SharedBufferProtocol):
    """What the loop tells about one stream, kept until a coroutine asks or a receiver takes it; and its write batch."""

    __slots__ = (
        "_closers",
        "_on_connection",
        "_queue",
        "_reader",
        "_writers",
        "_wrote_alone",
        "closing",
        "ended",
        "eof_sent",
        "error",
        "expects_input",
        "loop",
        "lost",
        "reading_paused",
        "received",
        "receiver",
        "transport",
        "writable",
    )

    transport: asyncio.Transport

    reads_ahead: bool = True
    """Whether bytes are read for a receiver that is busy, which may want those of a Unix socket with ancillary data."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_connection: Callable[[StreamCallbacks], object] | None = None
    ) -> None:
        self.loop = loop
        self._on_connection = on_connection

        self.received = _EMPTY
        self.receiver: StreamReceiver | None = None
        self._reader: asyncio.Future[bool] | None = None  # true: its queue has got something
        self._queue: SupportsAppend | None = None  # takes the next chunk in its callback
        self.reading_paused = False
        self.ended = False
        """Nothing more will be received, for whatever reason."""
        self.expects_input = False
        """Whether a close has to reckon with more input, although there may be none in the socket."""

        super().__init__()
        self.writable = False
        """Whether the batch takes anything. It has room only while somebody is going to flush it in this turn."""
        self._wrote_alone = False  # a packet has left without a batch, and the loop has not called since
        self._writers: deque[tuple[asyncio.Future[bool], bytes]] | None = None  # what waits to be written, in order
        self._closers: list[asyncio.Future[None]] | None = None  # who waits until the connection is lost
        self.eof_sent = False

        self.closing = False
        self.lost = False
        self.error: Exception | None = None
        """Why the connection was lost; None if it ended in an orderly way."""

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
        queue, self._queue = self._queue, None
        if queue is None:
            self.keep(data)
            self._wake_reader()
            return
        queue.append(data)
        self._wrote_alone = False
        if (reader := self._reader) is not None and not reader.done():
            reader.set_result(True)

    def eof_received(self) -> bool:
        self.ended = True
        self._wake_reader()
        return True  # a peer that half-closes still wants its answers

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.error = None if exc is None else stream_error(exc)
        self.parts.clear()
        if not self.closing:
            self._stop()
        self.receiver = None  # so that both are freed at once, not when cycles are collected
        closers, self._closers = self._closers, None
        for waiter in closers or ():
            if not waiter.done():
                waiter.set_result(None)

    def pause_writing(self) -> None:
        self.writable = False
        self.room = 0
        # Not at the beginning: most connections never get here. Until then, the default of all loops is as good.
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def resume_writing(self) -> None:
        self.writable = not (self.closing or self.lost or self.eof_sent)
        # Those who wait come before all others, in the order in which they came.
        while self._writers and self.writable:
            waiter, data = self._writers.popleft()
            if not waiter.done():
                if data:
                    self._take(data)
                waiter.set_result(True)

    # ------------------------------------------------------------------------------------------------------- reading

    def keep(self, data: bytes) -> None:
        """Keep received bytes for the next call that receives."""
        if self.received is _EMPTY:
            self.received = BytesQueue()
        self.received.append(data)
        self._wrote_alone = False
        if self.received.nbytes > HIGH_WATER:
            self.pause_reading()

    def deliver_to(self, receiver: StreamReceiver) -> None:
        """Has the loop call *receiver* from now on, as the protocol of the transport.

        While the loop is reading already, uvloop stops and starts again, which takes two system calls.
        """
        if not self.lost:
            self.receiver = receiver
            self.transport.set_protocol(receiver)

    def pause_reading(self) -> None:
        if not self.reading_paused and not self.transport.is_closing():
            self.reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.reading_paused and not self.transport.is_closing():
            self.reading_paused = False
            self.transport.resume_reading()

    def take_received(self, size: int | None = None) -> bytes:
        """Returns at most *size* bytes of what was received; all of it for None."""
        data = self.received.take_all() if size is None else self.received.take(size)
        if self.reading_paused and self.received.nbytes <= LOW_WATER:
            self.resume_reading()
        return data

    async def wait_readable(self) -> bool:
        """Wait for received bytes. Return false at the end of the stream.

        The bytes are not taken: a cancelled call loses none.
        """
        while True:
            self._check_receivable()
            if self.received.nbytes or self.ended:
                return bool(self.received.nbytes)
            self._reader = self.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    async def receive_into(self, queue: SupportsAppend) -> bool:
        """Append received bytes to *queue*, in the callback that brings them. Return false at the end of the stream.

        A cancelled call loses no bytes: they are kept, or in the queue.
        """
        while True:
            if self.ended or self._reader is not None:
                self._check_receivable()
            if self.received.nbytes:
                queue.append(self.take_received())
                return True
            if self.ended:
                return False
            self._reader, self._queue = self.loop.create_future(), queue
            try:
                if await self._reader:
                    return True
            finally:
                self._reader = self._queue = None

    def _check_receivable(self) -> None:
        """Raise the error for a task that receives now.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: this side has closed the stream, or the connection was lost and no received bytes are left.
        """
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this transport")
        if self.closing:
            raise error_from_errno(errno.EBADF)
        if self.error is not None and not self.received.nbytes:
            raise self.error

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(False)
        if self.receiver is not None:
            self.receiver.wake()

    # ------------------------------------------------------------------------------------------------------- writing

    def write_nowait(self, data: bytes) -> bool:
        """Takes *data* into the batch of this turn; returns false, without taking it, if one may have to wait.

        That is so for all that is above the high-water mark: what is taken counts as sent, and a close waits for that
        only so long.
        """
        if not self.writable or len(data) > HIGH_WATER:
            return False
        if not self.room and not self._wrote_alone:  # a question, probably: nothing more until the answer has come
            self._wrote_alone = True
            if data:
                self.transport.write(data)
        else:
            self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        if not self.room:
            self.room = HIGH_WATER
            self.loop.call_soon(self.uncork)
        self.parts.append(data)
        self.room -= len(data)
        if self.room <= 0:
            self.room = HIGH_WATER
            self.flush()

    async def write(self, data: bytes) -> None:
        """Takes *data* into the batch as soon as the peer has read enough, and waits until little of it is left.

        If cancelled before it is taken, nothing of it is sent; after that, all of it.

        Raises:
            OSError: nothing can be sent any more.
        """
        if self.writable:
            self._take(data)
        else:
            await self._wait_for_turn(data)
        if not self.writable and not self.eof_sent:
            await self._wait_for_turn(b"")

    async def _wait_for_turn(self, data: bytes) -> None:
        """Waits until *data* was taken. If there is none, until what was taken before has been sent."""
        self.check_sendable()
        if self._writers is None:
            self._writers = deque()
        waiter = self.loop.create_future()
        entry = (waiter, data)
        self._writers.append(entry)
        try:
            taken = await waiter
        except asyncio.CancelledError:
            if waiter.cancelled() and entry in self._writers:
                self._writers.remove(entry)
            raise
        if not taken and (data or not self.eof_sent):
            self.check_sendable()

    def check_sendable(self) -> None:
        """Raises the `OSError` for what is sent now, unless it only has to wait."""
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
        self.transport.write_eof()

    def end_writing(self) -> None:
        """Sends the batch, and takes no more."""
        self.uncork()
        self.eof_sent = True
        self.writable = False
        self.room = 0
        self._refuse_writers()

    def uncork(self) -> None:
        """Ends the turn of the loop in which the batch could grow."""
        self._wrote_alone = False
        self.room = 0
        if self.parts:
            self.flush()

    def flush(self) -> None:
        """Gives the batch to the loop in one write.

        As ``bytes``: since 3.12, asyncio keeps mutable buffers as they are.
        """
        parts = self.parts
        if len(parts) == 1:
            data = parts.pop()
        else:
            data = b"".join(parts)
            parts.clear()
        if self.transport.is_closing():  # uvloop raises there, asyncio is silent
            # The connection is lost, and the loop is about to say so: a task that goes on sending has to wait for that.
            self.writable = False
            self.room = 0
        elif data:
            self.transport.write(data)

    # ------------------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Send what was written, then close. `connection_lost` tells the end of it."""
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
        """Return whether the peer would lose what was sent, because there is input that nothing is going to read."""
        if self.transport.is_closing():
            return False
        if not self.transport.can_write_eof():  # TLS that is to be closed reads until the peer has closed it
            return False
        if self.expects_input or self.received.nbytes:
            return True
        sock = self.transport.get_extra_info("socket")
        return sock is not None and has_unread_input(sock.fileno())

    def abort(self) -> None:
        """Closes now; what was written and is not sent is lost."""
        self.parts.clear()
        self.closing = True
        self._stop()
        if not self.lost:  # asyncio's transport fails if it was closed with something to send, which it has sent
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
        """Has nobody wait any more: nothing can be received, nothing sent."""
        self.ended = True
        self.writable = False
        self.room = 0
        self._wake_reader()
        if self._writers:
            self._refuse_writers()

    def _refuse_writers(self) -> None:
        while self._writers:
            waiter, _ = self._writers.popleft()
            if not waiter.done():
                waiter.set_result(False)
