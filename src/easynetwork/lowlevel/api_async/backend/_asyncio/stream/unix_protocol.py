"""What the loop tells about one Unix stream, whose transport changes while it is served."""

from __future__ import annotations

__all__ = ["UnixStreamCallbacks"]

import asyncio
import socket as _socket
from collections.abc import Callable

from easynetwork.exceptions import BusyResourceError

from .acceptor import run_detached
from .poller import poller_of
from .protocol import StreamCallbacks
from .unix_loop_transport import SocketTransport


class UnixStreamCallbacks(StreamCallbacks):
    """The callbacks of a Unix stream, which begins on a `SocketTransport`.

    The loop's own transport reads faster, but drops the control messages of what it reads. So it gets the socket only
    when a receiver asks for plain bytes, and reads only while one does.
    """

    __slots__ = ("_change", "_closes_after_change", "hands_over", "lower", "reads_ahead", "sock")

    lower: SocketTransport | None
    """None once the loop has the socket."""
    sock: _socket.socket

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_connection: Callable[[StreamCallbacks], object] | None = None
    ) -> None:
        super().__init__(loop, on_connection)
        self.reads_ahead = True
        self.hands_over = False
        """Whether the loop gets the socket as soon as plain bytes are asked for."""
        self._change: asyncio.Future[None] | None = None  # while the loop makes its transport
        self._closes_after_change = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, SocketTransport):
            self.lower, self.sock = transport, transport.get_extra_info("socket")
            super().connection_made(transport)
        else:
            self._end_change(transport)  # type: ignore[arg-type]  # uvloop's do not derive from asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lower is None and self.reading_paused and (lower := self._take_back()) is not None:
            # The peer takes no more bytes. What it has sent is still in the socket, since reading was paused.
            lower.refuse_writing()
            if self.receiver is not None and self.receiver.is_waiting():  # it could not resume what was about to close
                self.resume_reading()
        else:
            super().connection_lost(exc)

    # ------------------------------------------------------------------------------------------------------- reading

    def pause_reading(self) -> None:
        if self._change is None:
            super().pause_reading()
        else:
            self.reading_paused = True

    def resume_reading(self) -> None:
        if self._change is not None:
            self.reading_paused = False
        elif self.closing or not (self.reading_paused and self.hands_over and self._hand_over()):
            super().resume_reading()

    async def wait_for_bytes(self) -> None:
        """Wait until the socket has something to read, or the connection ends. Reading must be paused.

        Raises:
            BusyResourceError: another task is waiting.
            OSError: there are no file descriptors left.
        """
        if self.lower is not None:
            await self.lower.wait_readable()
            return
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this transport")
        poller = poller_of(self.loop)
        # A duplicate: uvloop refuses to watch the descriptor of a transport, and closes it at any time.
        with self.sock.dup() as duplicate:
            self._reader = self.loop.create_future()
            poller.add_reader(duplicate.fileno(), self._wake_reader)
            try:
                await self._reader
            finally:
                self._reader = None
                poller.remove_reader(duplicate.fileno())

    # ------------------------------------------------------------------------------------------------------- writing

    def write_nowait(self, data: bytes) -> bool:
        # If the peer has gone, which a Unix socket tells at once, the error is raised where packets are sent slowly.
        return super().write_nowait(data) and not self.eof_sent

    async def write(self, data: bytes) -> None:
        await super().write(data)
        if self.lower is not None and self.parts:
            self.uncork()
            if self.eof_sent:
                self.check_sendable()

    # --------------------------------------------------------------------------------------- changing the transport

    def _hand_over(self) -> bool:
        """Give the socket to the loop, which reads it from the next turn on. Packets sent meanwhile wait.

        Return whether that was possible: not while bytes wait to be sent.
        """
        if self.lower is None or self.closing:
            return False
        self.uncork()  # or the batch would be lost
        if (sock := self.lower.detach()) is None:
            return False
        self.lower = None
        self.writable = self.reading_paused = False
        self._change = self.loop.create_future()
        run_detached(self.loop.connect_accepted_socket(lambda: self, sock), self._fail_change)
        return True

    def _fail_change(self, exc: Exception) -> None:
        """Go on with the socket, of which the loop could not make a transport."""
        if self._change is None:
            return
        change, self._change = self._change, None
        self.hands_over = False
        if self.sock.fileno() >= 0:
            SocketTransport(self.loop, self.sock, self)
            if self.receiver is not None:
                self.deliver_to(self.receiver)
                self.resume_reading()
            self.resume_writing()
        else:  # the loop has closed it
            super().connection_lost(exc)
        change.set_result(None)

    def _end_change(self, transport: asyncio.Transport) -> None:
        assert self._change is not None
        change, self._change = self._change, None
        if self._closes_after_change:
            self.transport = transport
        elif self.reading_paused and self._take_back() is not None:
            transport.set_protocol(asyncio.Protocol())
            transport.abort()
        else:
            super().connection_made(transport)
            if self.receiver is not None:
                self.deliver_to(self.receiver)
            if self.reading_paused and not self.closing:
                self.abort()  # rather than lose what is read: uvloop begins to read behind this callback in any case
        self.resume_writing()
        change.set_result(None)

    def _take_back(self) -> SocketTransport | None:
        """Go on with a duplicate of the socket, which the loop is going to close.

        Return what watches it; None if the connection is being closed, or there are no file descriptors left.
        """
        if self.closing:
            return None
        try:
            sock = self.sock.dup()
        except OSError:
            return None
        self.hands_over = False
        lower = SocketTransport(self.loop, sock, self)
        if self.receiver is not None:
            self.deliver_to(self.receiver)
        return lower

    # ------------------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        if self._change is None or self.closing:
            super().close()
            return
        # The loop has the socket, and has not made a transport yet that could be closed.
        self._closes_after_change = self.closing = True
        self._stop()
        self._change.add_done_callback(self._close_changed)

    def _close_changed(self, _: asyncio.Future[None]) -> None:
        if self._closes_after_change:
            self._closes_after_change = self.closing = self.ended = False
            super().close()

    def abort(self) -> None:
        self._closes_after_change = False
        super().abort()

    @property
    def is_changing(self) -> bool:
        """Whether the socket is on its way to the loop."""
        return self._change is not None

    async def wait_changed(self) -> None:
        """Wait until it is known which transport has the socket."""
        if self._change is not None:
            await asyncio.shield(self._change)
