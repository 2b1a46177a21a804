"""The sending side of a stream, with batches of packets."""

from __future__ import annotations

__all__ = ["StreamWriter"]

import errno
import socket as _socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import trio

from easynetwork.lowlevel._core.errors import error_from_errno, raise_stream_error, stream_error
from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel._sockets.ancillary import send_message
from easynetwork.lowlevel.api_async.backend._trio.sockets import call_when_writable, wait_writable
from easynetwork.lowlevel.api_async.transports._hooks import WriteBatch

_T = TypeVar("_T")

_BATCH_SIZE: Final = 64 * 1024
"""Maximum number of bytes in a batch, unless a single packet is larger."""


class StreamWriter(WriteBatch):
    """Sends data at once as far as possible. While corked, it collects a batch and sends it when uncorked.

    A background task sends data that does not fit in the buffer of the system, and further writes wait for it. At most
    one batch is kept in memory.
    """

    __slots__ = ("_corked", "_drained", "_ended", "_guard", "_is_torn", "_socket", "closing", "error", "unsent")

    def __init__(self, sock: _socket.socket) -> None:
        super().__init__()
        self._socket = sock
        self._corked = False
        self._drained: trio.Event | None = None  # set while the background task runs
        self._guard = ResourceGuard("Another task is sending to this transport")
        self._ended = False
        self._is_torn = False  # whether a send was cancelled in the middle
        self.closing = False
        self.error: Exception | None = None
        """The error that ended sending, or None."""
        self.unsent = 0
        """Number of bytes that the system has not taken yet, without the batch."""

    def cork(self) -> None:
        """Let the batch grow until `uncork`. The caller must not wait in between."""
        self._corked = True
        if self._can_send():
            self.capacity = _BATCH_SIZE

    def uncork(self) -> None:
        """Send the batch, and send later writes at once."""
        self._corked = False
        self.capacity = 0
        if self.parts:
            self.flush()

    def write_nowait(self, data: bytes) -> bool:
        """Accept *data* if that does not require a wait. Return whether it was accepted."""
        if not self._can_send() or len(data) > _BATCH_SIZE:
            return False
        self.parts.append(data)
        self.capacity -= len(data)
        if self.capacity <= 0:
            self.flush()
        return self.error is None

    def _can_send(self) -> bool:
        return self._drained is None and not (self._guard.busy or self._ended or self.closing or self.error)

    def flush(self) -> None:
        """Send the batch. If the socket is full, start a background task that sends the rest."""
        parts = self.parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.capacity = _BATCH_SIZE if self._corked else 0
        if not data or self.error is not None:
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            self.error = stream_error(exc)
            self.capacity = 0
            return
        if sent < len(data):
            self.capacity = 0
            self._drained = trio.Event()
            trio.lowlevel.spawn_system_task(self._drain, memoryview(data)[sent:], self._drained)

    async def _drain(self, rest: memoryview, drained: trio.Event) -> None:
        try:
            await self._send(rest, outlives_notice=True)
        except OSError as exc:
            self.error = stream_error(exc)
        finally:
            self._drained = None
            drained.set()
            self._shut_down_if_ended()

    async def _send(self, rest: memoryview, *, outlives_notice: bool = False) -> None:
        sent = 0
        self.unsent += len(rest)
        try:
            while sent < len(rest):
                try:
                    count = self._socket.send(rest[sent:])
                except BlockingIOError:
                    await self._wait_writable(outlives_notice)
                else:
                    sent += count
                    self.unsent -= count
        finally:
            self.unsent -= len(rest) - sent
            if 0 < sent < len(rest):
                self._is_torn = True

    async def _wait_writable(self, outlives_notice: bool) -> None:
        while True:
            try:
                await wait_writable(self._socket)
            except OSError:
                # A close wakes all tasks that wait for the socket. Only what was accepted before is still sent.
                if not outlives_notice or self._socket.fileno() < 0:
                    raise
            else:
                break

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send the batch, then *data*. After a cancellation, an unknown part of *data* may have been sent.

        Raises:
            BusyResourceError: another task is already sending.
            OSError: the connection is closed, broken or ended.
        """
        with memoryview(data) as view, view.cast("B") as octets:
            await self._send_alone(partial(self._send, octets))

    async def write_message(self, parts: Sequence[bytes | bytearray | memoryview], ancillary_data: Any) -> None:
        """Send the batch, then *parts* with *ancillary_data* in one call. A cancelled call sends none of the parts.

        Raises:
            BusyResourceError: another task is already sending.
            OSError: the connection is closed, broken or ended; or ``EMSGSIZE`` if there are too many parts, or only
                some of the bytes fit in one call.
        """
        send = partial(send_message, self._socket, parts, ancillary_data)
        await self._send_alone(partial(call_when_writable, self._socket, send))

    async def _send_alone(self, send: Callable[[], Awaitable[_T]]) -> _T:
        self._guard.check()
        if self._ended:
            raise error_from_errno(errno.EPIPE)
        self._guard.busy = True
        try:
            await self.wait_sent()
            if self.closing:
                raise error_from_errno(errno.EBADF)
            return await send()
        except OSError as exc:
            if isinstance(exc, ConnectionResetError):
                self.error = exc
            raise_stream_error(exc)
        finally:
            self._guard.busy = False
            self._shut_down_if_ended()

    def drop(self) -> None:
        """Drop the batch and accept no more data."""
        self.closing = True
        self.parts.clear()
        self.capacity = 0

    def end(self) -> None:
        """Close the sending direction after all accepted data is sent."""
        if not self._ended:
            if self.parts:
                self.flush()
            self._ended = True
            self._shut_down_if_ended()

    def _shut_down_if_ended(self) -> None:
        if self._ended and self.is_idle() and not self._guard.busy:
            with suppress(OSError):  # the connection is lost or closed
                self._socket.shutdown(_socket.SHUT_WR)

    def is_torn(self) -> bool:
        """Return whether the peer has received a part of what was to be sent to it, and will not receive the rest."""
        return self._is_torn or not self.is_idle()

    def is_idle(self) -> bool:
        """Return whether all accepted data is sent."""
        return not self.parts and self._drained is None

    async def wait_sent(self) -> None:
        """Wait until the batch is sent. Raise `OSError` if sending has failed."""
        if self.parts:
            self.flush()
        if self._drained is not None:
            await self._drained.wait()
        if self.error is not None:
            raise self.error
