"""A transport for stream sockets that carries control messages. The event loops' transports drop them."""

from __future__ import annotations

__all__ = ["Message", "SocketTransport"]

import asyncio
import errno
import socket as _socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.errors import error_from_errno, stream_error
from easynetwork.lowlevel._sockets.ancillary import send_message

from .poller import poller_of
from .watermarks import HIGH_WATER, LOW_WATER

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.bytes_queue import SupportsAppend

    from .protocol import AsyncioStream

_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError)


class SocketTransport(asyncio.Transport):
    """A transport that owns a non-blocking socket and watches it with a `Poller`.

    Reading starts paused, because a plain read discards the control messages of the bytes. A caller that wants control
    messages awaits `wait_readable` and reads the socket itself.

    Parameters:
        loop: the event loop.
        sock: a connected socket.
        stream: the first protocol. Its `end_writing` is called when the peer accepts no more bytes.
    """

    __slots__ = (
        "_buffered",
        "_bufsize",
        "_closing",
        "_end_due",
        "_eof_due",
        "_fd",
        "_high",
        "_loop",
        "_low",
        "_outgoing",
        "_poller",
        "_protocol",
        "_queue",
        "_reader",
        "_reading",
        "_recv",
        "_send",
        "_sock",
        "_spurious_calls",
        "_stream",
        "_watching",
        "_writing_paused",
        "is_drained",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: _socket.socket, stream: AsyncioStream) -> None:
        self._loop = loop
        self._poller = poller_of(loop)
        self._sock = sock
        self._fd = sock.fileno()
        self._recv = sock.recv
        self._send = sock.send
        self._stream = stream
        self._closing = False
        self._end_due = False  # connection_lost() has been called or scheduled

        self._reading = False
        self._watching = False  # the poller calls _readable()
        self._spurious_calls = 0  # number of _readable() calls with no reader to serve
        self._reader: asyncio.Future[bool | None] | None = None
        self._queue: SupportsAppend | None = None  # receives the bytes for the reader, at most _bufsize
        self._bufsize = 0
        self.is_drained = False
        """Whether the last read emptied the socket, which has not become readable since: a read would block."""

        self._outgoing: deque[bytes | memoryview | Message] | None = None  # None unless the peer reads too slowly
        self._buffered = 0
        self._writing_paused = False
        self._eof_due = False
        self.set_write_buffer_limits()

        stream.reading_paused = True
        self.set_protocol(stream)
        stream.connection_made(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._sock!r}>"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return self._sock
        try:
            return getattr(self._sock, f"get{name}")() if name in ("sockname", "peername") else default
        except OSError:
            return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.BufferedProtocol, protocol)  # all protocols of this package are buffered

    # ------------------------------------------------------------------------------------------------------- reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._closing:
            self._reading = True
            self._wake_reader()  # from here on, the protocol gets all the data
            self._watch()

    async def wait_readable(self) -> None:
        """Wait until the socket is readable, or this transport closes. Reading must be paused.

        Raises:
            BusyResourceError: another task is already receiving.
        """
        reader = self._new_reader()
        try:
            await reader
        finally:
            self._reader = None

    async def receive_into(self, queue: SupportsAppend, bufsize: int) -> bool | None:
        """Wait until the socket is readable, and append its bytes to *queue* in the same event loop callback.

        The rules of `wait_readable` apply. A cancelled call loses no data: the bytes are in the queue or in the socket.

        Parameters:
            queue: receives the bytes.
            bufsize: the maximum number of bytes to read.

        Returns:
            False at the end of the stream; None if this transport closes; otherwise true.

        Raises:
            BusyResourceError: another task is already receiving.
            OSError: the connection broke.
        """
        reader = self._new_reader()
        self._queue, self._bufsize = queue, bufsize
        try:
            return await reader
        finally:
            self._reader = self._queue = None

    def _new_reader(self) -> asyncio.Future[bool | None]:
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this transport")
        self._reader = reader = self._loop.create_future()
        self._watch()
        return reader

    def _watch(self) -> None:
        self._spurious_calls = 0
        if not self._watching:
            self._watching = True
            self._poller.add_reader(self._fd, self._readable)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._poller.remove_reader(self._fd)

    def _readable(self) -> None:
        if not (self._stream.reads_ahead or self._stream.closing):
            driver = self._stream.driver
            if driver is None or not driver.is_waiting():
                self._stream.pause_reading()
        if not self._reading:
            self._serve_reader()
            return
        try:
            nbytes = self._sock.recv_into(self._protocol.get_buffer(-1))
        except _WOULD_BLOCK:
            return
        except OSError as exc:
            self._fail(exc)
            return
        if nbytes:
            self._protocol.buffer_updated(nbytes)
        else:
            self._reading = False
            self._unwatch()
            if not self._protocol.eof_received():
                self.close()

    def _serve_reader(self) -> None:
        reader, queue = self._reader, self._queue
        if reader is None or reader.done():
            # The woken task usually reads the socket and waits again, but asyncio may poll once more before that task
            # runs. One or two spurious calls cost less than removing the reader and adding it again.
            self.is_drained = False
            self._spurious_calls += 1
            if self._spurious_calls > 2:
                self._unwatch()
        elif queue is None:
            reader.set_result(None)
        else:
            try:
                data = self._recv(self._bufsize)
            except _WOULD_BLOCK:
                return
            except OSError as exc:
                reader.set_exception(stream_error(exc))
                return
            self.is_drained = len(data) < self._bufsize
            if data:
                queue.append(data)
            reader.set_result(bool(data))

    # ------------------------------------------------------------------------------------------------------- writing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high
        self._low = LOW_WATER if low is None else low

    def get_write_buffer_size(self) -> int:
        return self._buffered

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._outgoing:
            if self._eof_due:
                return
            try:
                sent = self._send(data)
            except _WOULD_BLOCK:
                sent = 0
            except OSError:
                self.refuse_writing()
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
        self._enqueue(data)

    async def write_message(self, message: Message) -> None:
        """Send *message* in one call, after all earlier writes, and wait until it is sent.

        A call that is cancelled while the message waits sends none of it.

        Raises:
            OSError: ``EMSGSIZE`` if the message does not fit in one call, after a part of it may have been sent; or any
                error of :manpage:`sendmsg(2)`.
        """
        if not self._outgoing:
            try:
                message.send(self._sock)
            except _WOULD_BLOCK:
                pass
            else:
                return
        message.sent = sent = self._loop.create_future()
        self._enqueue(message)
        try:
            await sent
        except asyncio.CancelledError:
            if sent.cancelled() and self._outgoing and message in self._outgoing:
                self._outgoing.remove(message)
                self._buffered -= len(message)
                if not self._outgoing:
                    self._all_sent()
            raise

    def _enqueue(self, item: bytes | bytearray | memoryview | Message) -> None:
        if not self._outgoing:
            self._outgoing = deque()
            self._poller.add_writer(self._fd, self._writable)
        self._outgoing.append(bytes(item) if isinstance(item, bytearray) else item)
        self._buffered += len(item)
        if self._buffered > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _writable(self) -> None:
        outgoing = self._outgoing
        try:
            while outgoing:
                item = outgoing[0]
                sent = item.settle(self._sock) if isinstance(item, Message) else self._send(item)
                self._buffered -= sent
                if sent == len(item):
                    outgoing.popleft()
                else:
                    assert not isinstance(item, Message)
                    outgoing[0] = memoryview(item)[sent:]
        except _WOULD_BLOCK:
            pass
        except OSError:
            self.refuse_writing()
        if not self._outgoing:
            self._all_sent()
        if self._writing_paused and self._buffered <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()

    def _all_sent(self) -> None:
        self._outgoing = None
        self._poller.remove_writer(self._fd)
        if self._closing:
            self._end(None)
        elif self._eof_due:
            self._shut_down()

    def refuse_writing(self) -> None:
        """End the sending direction, because the peer accepts no more bytes. Received data can still be read."""
        self._drop_outgoing(error_from_errno(errno.EPIPE))
        self._eof_due = True
        self._stream.end_writing()

    def _drop_outgoing(self, exc: Exception) -> None:
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is None:
            return
        self._buffered = 0
        self._poller.remove_writer(self._fd)
        for item in outgoing:
            if isinstance(item, Message):
                item.refuse(exc)

    def detach(self) -> _socket.socket | None:
        """Release the socket and become inert. Return None if the transport still has work to do.

        No task may be waiting for this transport.
        """
        if self._closing or self._outgoing or self._eof_due:
            return None
        self._unwatch()
        self._reading = False
        self._closing = self._end_due = self._eof_due = True
        return self._sock

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not (self._closing or self._eof_due):
            self._eof_due = True
            if not self._outgoing:
                self._shut_down()

    def _shut_down(self) -> None:
        try:
            self._sock.shutdown(_socket.SHUT_WR)
        except OSError:  # the peer has already closed the connection
            pass

    # ------------------------------------------------------------------------------------------------------- closing

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._stop_reading()
            if not self._outgoing:
                self._end(None)

    def abort(self) -> None:
        self._fail(None)

    def _fail(self, exc: Exception | None) -> None:
        self._stop_reading()
        self._drop_outgoing(exc or error_from_errno(errno.ECONNABORTED))
        self._end(exc)

    def _stop_reading(self) -> None:
        self._closing = True
        self._reading = False
        self._unwatch()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _end(self, exc: Exception | None) -> None:
        if not self._end_due:
            self._end_due = True
            self._loop.call_soon(self._lose_connection, exc)

    def _lose_connection(self, exc: Exception | None) -> None:
        try:
            self._protocol.connection_lost(exc)
        finally:
            self._sock.close()


class Message:
    """Bytes and control messages that must be sent in one call. Compared by identity."""

    __slots__ = ("_ancillary_data", "_parts", "_size", "sent")

    def __init__(self, parts: Sequence[bytes | bytearray | memoryview], ancillary_data: Any) -> None:
        self._parts = parts
        self._ancillary_data = ancillary_data
        self._size = sum(memoryview(part).nbytes for part in parts)
        self.sent: asyncio.Future[None] | None = None  # set while it waits in a queue

    def __len__(self) -> int:
        return self._size

    def send(self, sock: _socket.socket) -> None:
        send_message(sock, self._parts, self._ancillary_data)

    def settle(self, sock: _socket.socket) -> int:
        """Send the message and complete its future with the outcome. Return its size.

        An error other than a full socket buffer only concerns the task that awaits the future.
        """
        assert self.sent is not None
        if not self.sent.done():
            try:
                self.send(sock)
            except _WOULD_BLOCK:
                raise
            except OSError as exc:
                self.sent.set_exception(exc)
            else:
                self.sent.set_result(None)
        return self._size

    def refuse(self, exc: Exception) -> None:
        assert self.sent is not None
        if not self.sent.done():
            self.sent.set_exception(exc)
