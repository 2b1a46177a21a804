"""The protocol of one UDP socket: what the event loop reports, and how to send."""

from __future__ import annotations

__all__ = ["UDPProtocol"]

import asyncio
import errno
import socket
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel.constants import MAX_DATAGRAM_BUFSIZE

RETRY_DELAY: Final = 0.001
"""Seconds between attempts to send on a full socket, where no transport can tell when it has room again."""


class UDPProtocol(asyncio.DatagramProtocol):
    """The protocol of the event loop's transport for one socket, and of the transports that follow it.

    Datagrams are received only by the transport. They are sent by the socket itself unless it is full. That is as fast,
    and the call that sends a datagram raises its errors. Transports report them to `error_received`; asyncio's close
    when an address is malformed; uvloop's, and asyncio's before Python 3.13, do not send empty datagrams. If the socket
    is full, the transport sends the datagram when there is room.
    """

    __slots__ = ("_failure", "_is_queued", "_senders", "closed", "drains", "is_full", "loop", "sock", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.loop: Final = loop
        self.sock: Final = sock
        """The socket of the transport, or the one that it duplicates."""
        self.transport: Any = None  # uvloop's do not derive from asyncio.DatagramTransport
        """None unless the loop receives."""
        self.closed: bool = False
        self.is_full: bool = False
        """Whether a datagram waits in the transport, so that others have to wait too."""
        self._senders: deque[asyncio.Future[None]] = deque()  # the tasks that wait
        self._is_queued = False  # whether the task whose datagram is in the transport still waits
        self._failure: OSError | None = None  # the error of that datagram
        self.drains: Final = isinstance(loop, asyncio.SelectorEventLoop)
        """Whether the transport receives one datagram per turn of the loop. libuv receives what is there."""

    # --------------------------------------------------------------------------------------------- opening and closing

    async def open(self, sock: socket.socket) -> None:
        """Receive from *sock*, and own it."""
        try:
            await self.loop.create_datagram_endpoint(lambda: self, sock=sock)
        except BaseException:
            if self.transport is None:
                sock.close()
            self.stop()
            raise

    def stop(self) -> None:
        """Receive no more, from now on. A datagram that waits in the transport will still be sent."""
        transport, self.transport = self.transport, None
        if transport is not None and not self.loop.is_closed():
            transport.close()

    def close(self) -> None:
        """Receive and send no more, from now on. The loop closes its socket in its next turn."""
        self.closed = True
        if self.loop.is_closed():
            self.sock.close()
        elif self.transport is not None:
            self.transport.abort()
        self.resume_writing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        # Pause for a single datagram: so a call returns when its datagram is sent, and raises its error.
        self.transport.set_write_buffer_limits(high=0, low=0)
        if self.drains:
            # For its default of 256 KiB, the allocator maps, remaps and unmaps memory for each datagram, which takes as
            # long as the rest of a turn.
            self.transport.max_size = MAX_DATAGRAM_BUFSIZE

    def connection_lost(self, exc: Exception | None) -> None:
        self.resume_writing()

    # ------------------------------------------------------------------------------------------------------- receiving

    @abstractmethod
    def fail(self, exc: Exception) -> None:
        """Take an error that the network reported."""
        raise NotImplementedError

    def drain(self, deliver: Callable[[bytes, Any], object]) -> None:
        """Call *deliver* with what else is in the socket. Subclasses call this in `datagram_received`, if `drains`."""
        receive = self.sock.recvfrom
        for _ in range(1, STEPS_PER_TURN):
            if self.transport is None or self.closed:
                return
            try:
                datagram, address = receive(MAX_DATAGRAM_BUFSIZE)
            except BlockingIOError:
                return
            except OSError as exc:
                self.fail(exc)
                return
            deliver(datagram, address)

    def error_received(self, exc: Exception) -> None:
        if self._is_queued and isinstance(exc, OSError):
            self._failure = exc
        else:
            self.fail(exc)

    # --------------------------------------------------------------------------------------------------------- sending

    async def send_later(
        self, send: Callable[..., object], data: bytes | bytearray | memoryview, *address: Any
    ) -> None:
        """Wait until there is room, then ``send(data, *address)``.

        Raises:
            OSError: raised by *send*; ``EBADF`` once the socket is closed.
        """
        while True:
            while self.is_full and not self.closed:
                await self._room()
            if self.closed:
                raise error_from_errno(errno.EBADF)
            try:
                send(data, *address)
                return
            except BlockingIOError:
                pass
            if data and self.transport is not None:
                await self._send_by_transport(bytes(data), *address)
                return
            await asyncio.sleep(RETRY_DELAY)

    async def _send_by_transport(self, data: bytes, *address: Any) -> None:
        self._is_queued = True
        try:
            self.transport.sendto(data, *address)
            if self.is_full:
                await self._room()
            if self._failure is not None:
                raise self._failure
            if self.closed:
                raise error_from_errno(errno.EBADF)
        finally:
            self._is_queued = False
            self._failure = None

    async def _room(self) -> None:
        sender = self.loop.create_future()
        self._senders.append(sender)
        await sender

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = self.closed
        senders, self._senders = self._senders, deque()
        for sender in senders:
            if not sender.done():
                sender.set_result(None)
