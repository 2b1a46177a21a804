"""Close the connection of a peer that is still sending."""

from __future__ import annotations

__all__ = ["linger"]

import asyncio
from collections.abc import Callable

from easynetwork.lowlevel._sockets.lingering import LINGER_BYTES, LINGER_TIMEOUT

from .shared_buffer import SharedBufferProtocol


def linger(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    connection_lost: Callable[[Exception | None], object],
    *,
    eof_sent: bool,
) -> None:
    """Close the sending direction, then the connection once the peer ends its direction or a limit is reached.

    The limits are `LINGER_BYTES` bytes of input, and 1 to 2 times `LINGER_TIMEOUT` seconds after the output is sent.

    Parameters:
        loop: the event loop.
        transport: what to close. Its protocol changes.
        connection_lost: called when the connection is closed.
        eof_sent: whether the sending direction is closed already.
    """
    transport.set_protocol(LingeringProtocol(loop, transport, connection_lost))
    try:
        if not eof_sent:
            transport.write_eof()
    except OSError:  # the peer has closed the connection
        transport.close()


class LingeringProtocol(SharedBufferProtocol):
    """A protocol that discards received data. It is the last protocol of its transport."""

    __slots__ = ("_connection_lost", "_has_flushed", "_left", "_loop", "_timer", "_transport")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        connection_lost: Callable[[Exception | None], object],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._connection_lost = connection_lost
        self._left = LINGER_BYTES
        self._has_flushed = self._is_flushed()
        self._timer: asyncio.TimerHandle | None = None
        self._arm_timer()

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0 and not self._transport.is_closing():
            self._transport.pause_reading()
            if self._is_flushed():
                self._transport.close()

    def eof_received(self) -> bool:
        self._transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection_lost(exc)

    def _is_flushed(self) -> bool:
        return not self._transport.get_write_buffer_size()

    def _arm_timer(self) -> None:
        self._timer = self._loop.call_later(LINGER_TIMEOUT, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._has_flushed:
            self._transport.close()
        else:  # the task that awaits the close limits the time to flush the output
            self._has_flushed = self._is_flushed()
            self._arm_timer()
