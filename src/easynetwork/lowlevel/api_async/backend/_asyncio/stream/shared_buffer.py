"""A protocol that receives into a buffer shared by all connections."""

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
    """A protocol that gets all bytes in `data_received`, without an allocation of the maximum read size.

    For an `asyncio.Protocol`, asyncio's loops allocate memory for the largest possible read each time. For a small
    packet, the allocation may cost twice as much as all other work. A protocol that provides a buffer, as this one
    does, avoids the allocation. uvloop has its own buffer and treats the class as an ordinary `asyncio.Protocol`.
    """

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_buffer.view[:nbytes]))
