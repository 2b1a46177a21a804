"""Waiting for sockets, and closing them under those who wait.

The sockets are those of the standard library. Each call of trio's own ones is a checkpoint, with a turn of the event
loop, even when there is nothing to wait for; and they know no call that does not wait.
"""

from __future__ import annotations

__all__ = [
    "call_when_readable",
    "call_when_writable",
    "close_socket",
    "connect_socket",
    "wait_readable",
    "wait_writable",
]

import errno
import socket as _socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import trio

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._errors import error_from_errno
from easynetwork.lowlevel._socket_calls import raise_saved_error

_T = TypeVar("_T")


async def wait_readable(sock: _socket.socket) -> None:
    """Waits until something can be received, or accepted, without waiting.

    Raises:
        BusyResourceError: another task is waiting for that.
        OSError: ``EBADF``: the socket is closed, or was by `close_socket` meanwhile.
    """
    await _wait(trio.lowlevel.wait_readable, sock)


async def wait_writable(sock: _socket.socket) -> None:
    """Waits until something can be sent without waiting. Raises as `wait_readable`."""
    await _wait(trio.lowlevel.wait_writable, sock)


async def _wait(wait: Callable[[_socket.socket], Awaitable[None]], sock: _socket.socket) -> None:
    if sock.fileno() < 0:
        raise error_from_errno(errno.EBADF)
    try:
        await wait(sock)
    except trio.ClosedResourceError:
        raise error_from_errno(errno.EBADF) from None
    except trio.BusyResourceError:
        raise BusyResourceError("Another task is waiting for this socket") from None


async def call_when_readable(sock: _socket.socket, call: Callable[[], _T]) -> _T:
    """Returns the result of *call*, repeated until it need not wait for something to receive or to accept."""
    while True:
        try:
            return call()
        except BlockingIOError:
            await wait_readable(sock)


async def call_when_writable(sock: _socket.socket, call: Callable[[], _T]) -> _T:
    """Returns the result of *call*, repeated until it need not wait for room to send."""
    while True:
        try:
            return call()
        except BlockingIOError:
            await wait_writable(sock)


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
