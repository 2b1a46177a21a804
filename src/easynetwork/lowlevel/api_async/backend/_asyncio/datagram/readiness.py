"""Wait until a Unix datagram socket is readable or writable, then call the socket's own methods."""

from __future__ import annotations

__all__ = ["Readiness"]

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._sockets.unix_connect import FULL_PEER_DELAYS

_T = TypeVar("_T")


class Readiness:
    """A non-blocking socket and the tasks that wait for it. One task may wait to read, any number to write.

    Nothing is read until a task asks. When the queue of the system is full, the senders wait.
    """

    __slots__ = ("_fd", "_on_readable", "_reader", "_reads", "_writers", "loop", "sock")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.loop: Final = loop
        self.sock: Final = sock
        self._fd = sock.fileno()
        self._on_readable: Callable[[], None] | None = None  # the callback registered with the loop
        self._reader: asyncio.Future[None] | None = None
        self._reads = 0  # number of reads since the last wait
        self._writers: list[asyncio.Future[None]] = []

    @property
    def closed(self) -> bool:
        return self.sock.fileno() < 0

    def watch(self, on_readable: Callable[[], None]) -> None:
        """Call *on_readable* while the socket is readable. Do nothing if a callback is already registered."""
        if self._on_readable is None and not self.closed:
            self._on_readable = on_readable
            self.loop.add_reader(self._fd, on_readable)

    def unwatch(self) -> None:
        if self._on_readable is not None:
            self._on_readable = None
            self.loop.remove_reader(self._fd)

    def refresh(self) -> None:
        """Register the callback again, if there is one. Call this after an error or a read that would block.

        libuv silently stops watching a socket that has an error. The call that consumes the error, such as a send, is
        not always made by the callback that was watching.
        """
        if (on_readable := self._on_readable) is not None:
            self.unwatch()
            self.watch(on_readable)

    # ------------------------------------------------------------------------------------------------------- reading

    async def read(self, attempt: Callable[[], _T]) -> _T:
        """Return the result of *attempt*. Retry while it would block, whenever the socket becomes readable.

        Raises:
            BusyResourceError: another task is already waiting to read.
            OSError: raised by *attempt*; ``EBADF`` once the socket is closed.
        """
        if self._reader is not None:
            raise BusyResourceError("Another task is receiving from this socket")
        if self._reads >= STEPS_PER_TURN:
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
            # Stop watching only on a call without a reader. The reader usually waits again in time, which saves two
            # system calls.
            self.unwatch()
        elif not self._reader.done():
            self._reader.set_result(None)

    # ------------------------------------------------------------------------------------------------------- writing

    def try_write(self, attempt: Callable[..., object], *args: Any) -> bool:
        """Call ``attempt(*args)``. Return false if it would block; then call `write`.

        Raises:
            OSError: raised by *attempt*; ``EBADF`` once the socket is closed.
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
        """Wait until the socket is writable, then call *attempt*. Retry until it succeeds.

        Raises:
            OSError: raised by *attempt*; ``EBADF`` once the socket is closed.
        """
        delay, longest_delay = FULL_PEER_DELAYS
        await self._wait_to_write()
        while True:
            try:
                attempt()
            except BlockingIOError:
                # For a Unix socket, writable only means room in its own buffer. The queue of the receiver is full, and
                # the system does not signal when it has room again.
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
        """Close the socket. Waiting tasks retry their call, which then raises ``EBADF``."""
        if self.closed:
            return
        if not self.loop.is_closed():
            self.unwatch()
            self._wake_reader()
            if self._writers:
                self._on_writable()
        self.sock.close()
