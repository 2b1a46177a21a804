"""The loop's side of a stream, without a socket."""

from __future__ import annotations

__all__ = ["END", "FakeTransport"]

import asyncio
import socket
from typing import Any

from tests.support.manual_loop import ManualLoop

END = b"<end>"
"""Stands for a `write_eof` in what was written."""


class FakeTransport(asyncio.Transport):
    """Notes what its protocol writes and asks for. The test calls the protocol through it, each time in a callback.

    It is as strict as all loops together: what fails on one of them fails here.
    """

    def __init__(self, loop: ManualLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.loop = loop
        self.protocol: Any = protocol
        self.written: list[bytes] = []
        """What was written, call by call, and `END`."""
        self.reads = True
        self.limits: tuple[int | None, int | None] | None = None
        self.unsent = 0
        """How many bytes wait to be sent."""
        self.capacity: int | None = None
        """How many bytes may wait before the protocol is told to pause. None: any number."""
        self.ended_by: str | None = None
        """``"close"`` or ``"abort"``, once one of them was called."""
        self.is_lost = False
        self.socket: socket.socket | None = None
        self.writes_eof = True
        loop.call(protocol.connection_made, self)

    # ------------------------------------------------------------------------------------------- called by the test

    def receive(self, data: bytes) -> None:
        """Deliver *data*, which the peer has sent, in one callback for each read."""
        while data:
            assert self.reads, "No loop reads while reading is paused"
            data = data[self.loop.call(self.deliver, data) :]

    def deliver(self, data: bytes) -> int:
        """Deliver what fits into one read, in the task or callback that runs. Return how much that is."""
        if not hasattr(self.protocol, "get_buffer"):
            self.protocol.data_received(data)
            return len(data)
        buffer: memoryview = self.protocol.get_buffer(-1)
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        self.protocol.buffer_updated(size)
        return size

    def end(self) -> None:
        """Deliver the end of the stream."""
        assert self.loop.call(self.protocol.eof_received), "The transport must stay open"

    def lose(self, exc: Exception | None = None) -> None:
        """Tell that the connection is lost."""
        self.ended_by = self.ended_by or "loss"
        self.is_lost = True
        self.loop.call(self.protocol.connection_lost, exc)

    def pause(self) -> None:
        """Tell that the peer does not read what was written."""
        self.loop.call(self.protocol.pause_writing)

    def resume(self) -> None:
        """Tell that the peer has read enough."""
        self.unsent = 0
        self.loop.call(self.protocol.resume_writing)

    # ------------------------------------------------------------------------------------- called by the protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert isinstance(data, bytes), "asyncio keeps other buffers, which may change"
        assert data, "a write of nothing"
        assert not self.is_closing(), "uvloop raises"
        assert END not in self.written, "All loops raise"
        self.written.append(data)
        if self.capacity is not None:
            self.unsent += len(data)
            if self.unsent > self.capacity:
                self.protocol.pause_writing()

    def write_eof(self) -> None:
        assert self.writes_eof
        assert not self.is_closing()
        self.written.append(END)

    def can_write_eof(self) -> bool:
        return self.writes_eof

    def pause_reading(self) -> None:
        assert self.reads
        assert not self.is_closing(), "uvloop raises"
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        assert not self.is_closing(), "uvloop raises"
        self.reads = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = high, low

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.socket if name == "socket" and self.socket is not None else default

    def is_closing(self) -> bool:
        return self.ended_by is not None

    def close(self) -> None:
        self._end("close")

    def abort(self) -> None:
        self._end("abort")

    def _end(self, how: str) -> None:
        if not self.is_closing():
            self.loop.call_soon(self._lost)
        self.ended_by = how

    def _lost(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connection_lost(None)
