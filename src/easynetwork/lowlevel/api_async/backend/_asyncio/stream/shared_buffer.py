"""Receiving through one buffer, whatever the connection."""

from __future__ import annotations

__all__ = ["SharedBufferProtocol"]

import asyncio
import threading
from typing import Final

_SIZE: Final = 256 * 1024
"""The largest number of bytes that one read takes."""


class _Buffer(threading.local):
    """One for each thread, which runs one loop at a time. What is read is copied out before the loop reads again."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_SIZE))


_buffer: Final = _Buffer()


class SharedBufferProtocol(asyncio.Protocol, asyncio.BufferedProtocol):
    """Gets what is received by `data_received`, on all event loops.

    Those of asyncio allocate memory for the largest possible read each time, which may cost twice as much as all the
    rest of a small packet; unless a protocol brings a buffer, as this one does. uvloop has such a buffer of its own: to
    it, the class is an `asyncio.Protocol` like any other.
    """

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_buffer.view[:nbytes]))
