"""Wait for sockets, and wake waiting tasks when a socket is closed.

The sockets are those of the standard library. Each call of trio's own sockets is a checkpoint, which costs an iteration
of the event loop even if the call would not block, and trio offers no non-blocking calls.
"""

from __future__ import annotations

__all__ = ["SocketReader", "call_when_writable", "close_socket", "connect_socket", "wait_readable", "wait_writable"]

import errno
import math
import socket as _socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import trio

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._sockets.calls import raise_saved_error
from easynetwork.lowlevel._sockets.unix_connect import FULL_PEER_DELAYS

_T = TypeVar("_T")


async def wait_readable(sock: _socket.socket) -> None:
    """Wait until *sock* is readable: it has data, or a connection to accept.

    Raises:
        BusyResourceError: another task is already waiting to read.
        OSError: ``EBADF`` if the socket is closed, or if `close_socket` closes it during the wait.
    """
    _check_open(sock)
    try:
        await trio.lowlevel.wait_readable(sock)
    except _WAIT_ERRORS as exc:
        raise _translated(exc) from None


async def wait_writable(sock: _socket.socket) -> None:
    """Wait until *sock* is writable. Raise the same errors as `wait_readable`."""
    _check_open(sock)
    try:
        await trio.lowlevel.wait_writable(sock)
    except _WAIT_ERRORS as exc:
        raise _translated(exc) from None


_WAIT_ERRORS: Final = (trio.ClosedResourceError, trio.BusyResourceError)


def _check_open(sock: _socket.socket) -> None:
    # With a closed socket (file descriptor -1), trio would wait forever, and report busy for every other closed socket.
    if sock.fileno() < 0:
        raise error_from_errno(errno.EBADF)


def _translated(exc: Exception) -> Exception:
    if isinstance(exc, trio.BusyResourceError):
        return BusyResourceError("Another task is waiting for this socket")
    return error_from_errno(errno.EBADF)


class SocketReader:
    """Reads a socket through its own methods, for one task at a time.

    Nothing is read until a task asks: data waits in the buffer of the system, which limits it.
    """

    __slots__ = ("_is_busy", "_reads", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._is_busy = False
        self._reads = 0  # number of reads since the last wait

    async def read(self, attempt: Callable[[], _T], *, wait_first: bool = False) -> _T:
        """Return the result of *attempt*. Retry while it would block, whenever the socket becomes readable.

        Parameters:
            attempt: reads from the socket without waiting.
            wait_first: wait before the first attempt, because the last read emptied the socket. Ignored if the deadline
                of the task has passed.

        Raises:
            BusyResourceError: another task is already reading.
            OSError: raised by *attempt*; ``EBADF`` once the socket is closed.
        """
        if self._is_busy:
            raise BusyResourceError("Another task is receiving from this socket")
        self._is_busy = True
        try:
            if wait_first and _may_wait():
                self._reads = 0
                await wait_readable(self._socket)
            elif self._reads >= STEPS_PER_TURN:
                self._reads = 0
                await trio.lowlevel.checkpoint()
            while True:
                try:
                    result = attempt()
                except BlockingIOError:
                    self._reads = 0
                    await wait_readable(self._socket)
                else:
                    self._reads += 1
                    return result
        finally:
            self._is_busy = False


def _may_wait() -> bool:
    # A task whose deadline has passed still gets data that is there. Asking trio first is cheaper than a system call.
    deadline = trio.current_effective_deadline()
    return deadline == math.inf or deadline > trio.current_time()


async def call_when_writable(sock: _socket.socket, call: Callable[[], _T]) -> _T:
    """Return the result of *call*. Retry while it would block, whenever the socket becomes writable.

    If several tasks call this at the same time, all but one may wait slightly longer than necessary.
    """
    delay, longest_delay = FULL_PEER_DELAYS
    while True:
        try:
            return call()
        except BlockingIOError:
            with suppress(BusyResourceError):
                await wait_writable(sock)
        try:
            return call()
        except BlockingIOError:
            # For a Unix socket, writable only means room in its own buffer. The queue of the receiver is full, and the
            # system does not signal when it has room again.
            await trio.sleep(delay)
            delay = min(2 * delay, longest_delay)


async def connect_socket(sock: _socket.socket, address: Any) -> None:
    """Connect *sock*, a TCP socket. Raise `OSError` with *address* in its message."""
    try:
        try:
            sock.connect(address)
        except BlockingIOError:
            await wait_writable(sock)
            raise_saved_error(sock)
    except OSError as exc:
        raise OSError(exc.errno or errno.EINVAL, f"Cannot connect to {address!r}: {exc.strerror or exc}") from exc


def close_socket(sock: _socket.socket) -> None:
    """Close *sock*. Tasks that wait for it get ``EBADF``. Idempotent, and also allowed outside an event loop."""
    if sock.fileno() >= 0:
        with suppress(RuntimeError):  # without an event loop, no task waits
            trio.lowlevel.notify_closing(sock)
        sock.close()
