"""Send datagrams from several tasks through one socket."""

from __future__ import annotations

__all__ = ["DatagramSender"]

import socket as _socket
from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

import trio

from easynetwork.lowlevel.api_async.backend._trio.sockets import call_when_writable


class DatagramSender:
    """Sends at once if there is room, else in the order of the calls. A full receiver delays no other receiver."""

    __slots__ = ("_queues", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._queues: WeakValueDictionary[Hashable, trio.StrictFIFOLock] = WeakValueDictionary()

    async def send(self, attempt: Callable[[], object], receiver: Hashable = None) -> None:
        """Send one datagram with *attempt*. Retry while it would block. Raise its other exceptions.

        Parameters:
            attempt: sends the datagram without waiting.
            receiver: the address whose queue may be full; None if receivers cannot be full independently.
        """
        queue = self._queues.get(receiver)  # present only while a task waits
        if queue is None:
            try:
                attempt()
                return
            except BlockingIOError:
                queue = self._queues[receiver] = trio.StrictFIFOLock()
        async with queue:
            await call_when_writable(self._socket, attempt)
