"""The protocol of one Unix stream, which moves between two transports."""

from __future__ import annotations

__all__ = ["AsyncioUnixStream"]

import asyncio
import socket as _socket
from collections.abc import Callable

from easynetwork.exceptions import BusyResourceError

from .acceptor import run_detached
from .poller import poller_of
from .protocol import AsyncioStream
from .unix_loop_transport import SocketTransport


class AsyncioUnixStream(AsyncioStream):
    """The callbacks of a Unix stream, which starts on a `SocketTransport`.

    The loop's own transport reads faster, but drops the control messages of the bytes. Therefore it gets the socket
    only when a driver asks for plain bytes, and reads only while a driver asks for them.
    """

    __slots__ = ("_change", "_closes_after_change", "hands_over", "has_tls", "lower", "reads_ahead", "sock")

    lower: SocketTransport | None
    """The `SocketTransport`; None while the loop has the socket, and with TLS."""
    sock: _socket.socket

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_connection: Callable[[AsyncioStream], object] | None = None
    ) -> None:
        super().__init__(loop, on_connection)
        self.reads_ahead = True
        self.hands_over = False
        """Whether the loop gets the socket when a driver asks for plain bytes."""
        self.has_tls = False
        """Whether a TLS filter reads from the transport. The transport does not change any more."""
        self._change: asyncio.Future[None] | None = None  # set while the loop creates its transport
        self._closes_after_change = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, SocketTransport):
            self.lower, self.sock = transport, transport.get_extra_info("socket")
            super().connection_made(transport)
        else:
            self._end_change(transport)  # type: ignore[arg-type]  # uvloop's do not derive from asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        is_with_loop = self.lower is None and not self.has_tls
        if is_with_loop and self.reading_paused and (lower := self._take_back()) is not None:
            # A write failed: the peer accepts no more bytes. Reading was paused, so the peer's bytes are still in the
            # socket.
            lower.refuse_writing()
            # A waiting driver could not resume the loop's transport, because that was already closing.
            if self.driver is not None and self.driver.is_waiting():
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
        """Wait until the socket is readable or the connection ends. Reading must be paused.

        Raises:
            BusyResourceError: another task is already waiting.
            OSError: no file descriptors are left.
        """
        if self.lower is not None:
            await self.lower.wait_readable()
            return
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this transport")
        poller = poller_of(self.loop)
        # Watch a duplicate: uvloop refuses to watch the descriptor of a transport, and may close it at any time.
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
        # A write to a Unix socket fails at once if the peer has closed it. `eof_sent` is set then. Return false, so
        # that the caller awaits `write`, which raises the error.
        return super().write_nowait(data) and not self.eof_sent

    async def write(self, data: bytes) -> None:
        await super().write(data)
        if self.lower is not None and self.parts:
            self.uncork()
            if self.eof_sent:
                self.check_sendable()

    # --------------------------------------------------------------------------------------- changing the transport

    def _hand_over(self) -> bool:
        """Give the socket to the loop, which reads it from the next turn on. Packets sent until then wait.

        Return false if that is not possible: the loop already has the socket, bytes wait to be sent, this side has
        closed, or the sending direction has ended.
        """
        if self.lower is None or self.closing:
            return False
        self.uncork()  # otherwise the batch would be lost
        if (sock := self.lower.detach()) is None:
            return False
        self.lower = None
        self.writable = self.reading_paused = False
        self._change = self.loop.create_future()
        run_detached(self.loop.connect_accepted_socket(lambda: self, sock), self._fail_change)
        return True

    def _fail_change(self, exc: Exception) -> None:
        """Return the socket to a `SocketTransport`, because the loop failed to create a transport for it."""
        if self._change is None:
            return
        change, self._change = self._change, None
        if self.sock.fileno() >= 0:
            self._watch(self.sock)
            if self.driver is not None:
                self.resume_reading()
            self.resume_writing()
        else:  # the loop has closed the socket
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
            if self.driver is not None:
                self.attach(self.driver)
            if self.reading_paused and not self.closing:
                # uvloop starts to read after this callback in any case. Abort rather than lose control messages.
                self.abort()
        self.resume_writing()
        change.set_result(None)

    def _take_back(self) -> SocketTransport | None:
        """Return a new `SocketTransport` with a duplicate of the socket, because the loop will close the original.

        Return None if the connection is closing or no file descriptors are left.
        """
        if self.closing:
            return None
        try:
            sock = self.sock.dup()
        except OSError:
            return None
        return self._watch(sock)

    def _watch(self, sock: _socket.socket) -> SocketTransport:
        """Create a `SocketTransport` for *sock*, and do not give it to the loop again."""
        self.hands_over = False
        lower = SocketTransport(self.loop, sock, self)
        if self.driver is not None:
            self.attach(self.driver)
        return lower

    # ------------------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        if self._change is None or self.closing:
            super().close()
            return
        # The loop has the socket, but has not created a transport to close yet. _close_changed() closes it.
        self._closes_after_change = self.closing = True
        self._stop()
        self._change.add_done_callback(self._close_changed)

    def _close_changed(self, _: asyncio.Future[None]) -> None:
        if self._closes_after_change:
            self._closes_after_change = self.closing = self.ended = False
            super().close()

    def abort(self, *, reset: bool = False) -> None:
        self._closes_after_change = False
        super().abort(reset=reset)

    async def prepare_tls(self) -> None:
        """Stop changing the transport, and receive bytes without their control messages only."""
        self.hands_over = False
        await self.wait_changed()
        self.has_tls = self.reads_ahead = True
        self.lower = None

    @property
    def is_changing(self) -> bool:
        """Whether the loop is creating a transport for the socket."""
        return self._change is not None

    async def wait_changed(self) -> None:
        """Wait until the loop has created its transport or failed to."""
        if self._change is not None:
            await asyncio.shield(self._change)
