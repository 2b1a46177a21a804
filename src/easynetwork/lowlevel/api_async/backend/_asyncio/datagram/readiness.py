"""Waiting until a socket can be read or written, for sockets that are read and written by their own methods."""

from __future__ import annotations

__all__ = ["Readiness"]

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._sockets.unix_connect import FULL_PEER_DELAYS

_T = TypeVar("_T")

READS_PER_TURN: Final = 64
"""How often one task may read without waiting before all others get their turn."""


class Readiness:
    """A non-blocking socket, and who waits for it. One may wait to read, any number to write.

    Nothing is read before somebody asks: what arrives meanwhile stays in the queue of the system, which bounds it. That
    is also how each datagram, and each error of the network, is given out exactly once.
    """

    __slots__ = ("_fd", "_on_readable", "_reader", "_reads", "_writers", "loop", "sock")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.loop: Final = loop
        self.sock: Final = sock
        self._fd = sock.fileno()
        self._on_readable: Callable[[], None] | None = None  # what the loop calls
        self._reader: asyncio.Future[None] | None = None
        self._reads = 0  # since one had to wait
        self._writers: list[asyncio.Future[None]] = []

    @property
    def closed(self) -> bool:
        return self.sock.fileno() < 0

    def watch(self, on_readable: Callable[[], None]) -> None:
        """Has the loop call *on_readable* as long as there is something to read. Does nothing if it does already."""
        if self._on_readable is None and not self.closed:
            self._on_readable = on_readable
            self.loop.add_reader(self._fd, on_readable)

    def unwatch(self) -> None:
        if self._on_readable is not None:
            self._on_readable = None
            self.loop.remove_reader(self._fd)

    def refresh(self) -> None:
        """Begins to watch anew, if anybody did. To be called after an error, or where there was nothing to read.

        libuv stops watching, and does not tell so, when it finds that the socket has an error. Who gets to know of the
        error, or comes too late for it, is not always the one who was called.
        """
        if (on_readable := self._on_readable) is not None:
            self.unwatch()
            self.watch(on_readable)

    # ------------------------------------------------------------------------------------------------------- reading

    async def read(self, attempt: Callable[[], _T]) -> _T:
        """Returns what *attempt* does, tried again each time when there may be something to read.

        Raises:
            BusyResourceError: another task is waiting to read.
            OSError: what *attempt* raises, ``EBADF`` once the socket is closed.
        """
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this socket")
        if self._reads >= READS_PER_TURN:
            self.loop.call_soon(self._wake_reader)
            await self._wait()
        woken = False
        while True:
            try:
                result = attempt()
            except BlockingIOError:
                if woken:
                    self.refresh()
                self.watch(self._wake_reader)
                await self._wait()
                woken = True
            except OSError:
                self.refresh()
                raise
            else:
                self._reads += 1
                return result

    async def _wait(self) -> None:
        self._reads = 0
        self._reader = self.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is None:
            # Only now, not when the reader was woken: it mostly is there again in time, which saves two system calls.
            self.unwatch()
        elif not self._reader.done():
            self._reader.set_result(None)

    # ------------------------------------------------------------------------------------------------------- writing

    def try_write(self, attempt: Callable[..., object], *args: Any) -> bool:
        """Calls ``attempt(*args)``. Returns false if there was no room: `write` waits for it.

        Raises:
            OSError: what *attempt* raises, ``EBADF`` once the socket is closed.
        """
        try:
            attempt(*args)
        except BlockingIOError:
            return False
        except OSError:
            self.refresh()
            raise
        return True

    async def write(self, attempt: Callable[[], object]) -> None:
        """Calls *attempt*, which had no room just now, each time when there may be some, until it succeeds.

        Raises:
            OSError: what *attempt* raises, ``EBADF`` once the socket is closed.
        """
        delay, longest_delay = FULL_PEER_DELAYS
        await self._wait_to_write()
        while True:
            try:
                attempt()
            except BlockingIOError:
                # A Unix socket that can be written means its own buffer: the queue of the receiver is full, and nothing
                # will tell when it is not.
                await asyncio.sleep(delay)
                delay = min(2 * delay, longest_delay)
            except OSError:
                self.refresh()
                raise
            else:
                return

    async def _wait_to_write(self) -> None:
        if not self._writers:
            self.loop.add_writer(self._fd, self._on_writable)
        waiter = self.loop.create_future()
        self._writers.append(waiter)
        await waiter

    def _on_writable(self) -> None:
        self.loop.remove_writer(self._fd)
        writers, self._writers = self._writers, []
        for waiter in writers:
            if not waiter.done():
                waiter.set_result(None)

    # ------------------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Closes the socket. Whoever waits tries again, and is told so by the system."""
        if self.closed:
            return
        if not self.loop.is_closed():
            self.unwatch()
            self._wake_reader()
            if self._writers:
                self._on_writable()
        self.sock.close()
