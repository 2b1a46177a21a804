"""Sending datagrams from many tasks."""

from __future__ import annotations

__all__ = ["DatagramSender"]

import socket as _socket
from collections.abc import Callable

import trio

from .sockets import call_when_writable


class DatagramSender:
    """Sends at once if there is room, else one task after the other."""

    __slots__ = ("_lock", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._lock = trio.StrictFIFOLock()

    async def send(self, attempt: Callable[[], object]) -> None:
        """Calls *attempt*, which sends one datagram, until it need not wait for room. Raises what it raises."""
        if not self._lock.locked():
            try:
                attempt()
                return
            except BlockingIOError:
                pass
        async with self._lock:
            await call_when_writable(self._socket, attempt)
