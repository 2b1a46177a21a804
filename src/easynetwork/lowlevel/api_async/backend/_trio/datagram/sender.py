"""Sending datagrams from many tasks."""

from __future__ import annotations

__all__ = ["DatagramSender"]

import socket as _socket
from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

import trio

from easynetwork.lowlevel.api_async.backend._trio.sockets import call_when_writable


class DatagramSender:
    """Sends at once if there is room, else one task after the other; a full receiver keeps nobody else waiting."""

    __slots__ = ("_queues", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._queues: WeakValueDictionary[Hashable, trio.StrictFIFOLock] = WeakValueDictionary()

    async def send(self, attempt: Callable[[], object], receiver: Hashable = None) -> None:
        """Calls *attempt*, which sends one datagram, until it need not wait for room. Raises what it raises.

        Parameters:
            attempt: sends without waiting.
            receiver: whose room there may be too little of; None if each has as much.
        """
        queue = self._queues.get(receiver)  # there only while somebody waits
        if queue is None:
            try:
                attempt()
                return
            except BlockingIOError:
                queue = self._queues[receiver] = trio.StrictFIFOLock()
        async with queue:
            await call_when_writable(self._socket, attempt)
