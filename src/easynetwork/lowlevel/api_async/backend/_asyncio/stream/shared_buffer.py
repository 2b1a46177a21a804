"""Receive into one shared buffer."""

from __future__ import annotations

__all__ = ["SharedBufferProtocol"]

import asyncio
import threading
from typing import Final

_SIZE: Final = 256 * 1024
"""Maximum number of bytes per read."""


class _Buffer(threading.local):
    """One buffer per thread. A thread runs one loop at a time, and each read is copied out before the next read."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_SIZE))


_buffer: Final = _Buffer()


class SharedBufferProtocol(asyncio.Protocol, asyncio.BufferedProtocol):
    """Receives through `data_received` on all event loops, without an allocation of the maximum read size.

    For an `asyncio.Protocol`, asyncio's loops allocate memory for the largest possible read each time. For a small
    packet, this may cost twice as much as everything else. A protocol that provides a buffer, as this one does, avoids
    the allocation. uvloop has its own buffer and treats the class as an ordinary `asyncio.Protocol`.
    """

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_buffer.view[:nbytes]))
