"""Waiting for sockets, and closing them under those who wait.

The sockets are those of the standard library. Each call of trio's own ones is a checkpoint, with a turn of the event
loop, even when there is nothing to wait for; and they know no call that does not wait.
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
from easynetwork.lowlevel._sockets.calls import raise_saved_error
from easynetwork.lowlevel._sockets.unix_connect import FULL_PEER_DELAYS

_T = TypeVar("_T")

_READS_PER_TURN: Final = 64
"""How often one task may read without waiting before all others get their turn."""


async def wait_readable(sock: _socket.socket) -> None:
    """Waits until something can be received, or accepted, without waiting.

    Raises:
        BusyResourceError: another task is waiting for that.
        OSError: ``EBADF``: the socket is closed, or was by `close_socket` meanwhile.
    """
    _check_open(sock)
    try:
        await trio.lowlevel.wait_readable(sock)
    except _WAIT_ERRORS as exc:
        raise _translated(exc) from None


async def wait_writable(sock: _socket.socket) -> None:
    """Waits until something can be sent without waiting. Raises as `wait_readable`."""
    _check_open(sock)
    try:
        await trio.lowlevel.wait_writable(sock)
    except _WAIT_ERRORS as exc:
        raise _translated(exc) from None


_WAIT_ERRORS: Final = (trio.ClosedResourceError, trio.BusyResourceError)


def _check_open(sock: _socket.socket) -> None:
    # Trio takes the first closed socket that somebody waits for to be waited for ever after, and all others for it.
    if sock.fileno() < 0:
        raise error_from_errno(errno.EBADF)


def _translated(exc: Exception) -> Exception:
    if isinstance(exc, trio.BusyResourceError):
        return BusyResourceError("Another task is waiting for this socket")
    return error_from_errno(errno.EBADF)


class SocketReader:
    """Reads a socket by its own methods, for one task at a time.

    Nothing is read before somebody asks: what arrives meanwhile stays in the system, which bounds it.
    """

    __slots__ = ("_is_busy", "_reads", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._is_busy = False
        self._reads = 0  # since one had to wait

    async def read(self, attempt: Callable[[], _T], *, wait_first: bool = False) -> _T:
        """Returns what *attempt* does, tried again each time when there may be something to read.

        Parameters:
            attempt: reads something, without waiting.
            wait_first: there was nothing left the last time: it is not worth an attempt, unless there is no time.

        Raises:
            BusyResourceError: another task is reading.
            OSError: what *attempt* raises, ``EBADF`` once the socket is closed.
        """
        if self._is_busy:
            raise BusyResourceError("Another task is receiving from this socket")
        self._is_busy = True
        try:
            if wait_first and _may_wait():
                self._reads = 0
                await wait_readable(self._socket)
            elif self._reads >= _READS_PER_TURN:
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
    # Who does not wait gets what is there. Asking the system for that takes longer than asking trio.
    deadline = trio.current_effective_deadline()
    return deadline == math.inf or deadline > trio.current_time()


async def call_when_writable(sock: _socket.socket, call: Callable[[], _T]) -> _T:
    """Returns the result of *call*, repeated until it need not wait for room to send.

    Of several tasks that use it at a time, all but one may wait a little longer than need be.
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
            # A Unix socket that can be written means its own buffer: the queue of the receiver is full, and nothing
            # will tell when it is not.
            await trio.sleep(delay)
            delay = min(2 * delay, longest_delay)


async def connect_socket(sock: _socket.socket, address: Any) -> None:
    """Connects *sock*, a TCP one. Raises `OSError` with a text that contains *address*."""
    try:
        try:
            sock.connect(address)
        except BlockingIOError:
            await wait_writable(sock)
            raise_saved_error(sock)
    except OSError as exc:
        raise OSError(exc.errno or errno.EINVAL, f"Cannot connect to {address!r}: {exc.strerror or exc}") from exc


def close_socket(sock: _socket.socket) -> None:
    """Closes *sock*. Who waits for it gets ``EBADF``. Idempotent; allowed outside of an event loop, too."""
    if sock.fileno() >= 0:
        with suppress(RuntimeError):  # no event loop: nobody waits
            trio.lowlevel.notify_closing(sock)
        sock.close()
