"""A byte stream in memory: a transport as a user may write it, with nothing but the abstract classes, and no socket."""

from __future__ import annotations

__all__ = ["MemoryHarness", "MemoryPeer", "MemoryTransport", "Pipe", "memory_pair"]

import contextlib
import errno
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.peers import StreamPeer

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, IEvent
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CAPACITY: Final = 1 << 16


class Pipe:
    """One direction. Each change wakes all waiting tasks."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False  # by the writer
        self.broken = False  # by the reader, or by a reset
        self._waiters: list[IEvent] = []

    @property
    def room(self) -> int:
        return CAPACITY - len(self.data)

    def take(self, size: int) -> bytes:
        taken = bytes(self.data[:size])
        del self.data[:size]
        self.changed()
        return taken

    def put(self, data: memoryview) -> int:
        size = min(self.room, len(data))
        self.data += data[:size]
        self.changed()
        return size

    def changed(self) -> None:
        while self._waiters:
            self._waiters.pop().set()

    async def wait(self, backend: AsyncBackend) -> None:
        event = backend.create_event()
        self._waiters.append(event)
        await event.wait()


class MemoryTransport(AsyncStreamTransport):
    """Reads one pipe and writes another one."""

    def __init__(self, backend: AsyncBackend, incoming: Pipe, outgoing: Pipe) -> None:
        self._backend = backend
        self._incoming = incoming
        self._outgoing = outgoing
        self._closing = self._receiving = self._sending = False

    def __del__(self) -> None:
        if not self._closing:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._close()

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            if not view:
                return 0
            if self._receiving:
                raise BusyResourceError("Another task is receiving")
            self._receiving = True
            try:
                await self._wait(self._incoming, lambda: bool(self._incoming.data or self._incoming.ended))
            finally:
                self._receiving = False
            data = self._incoming.take(len(view))
            view[: len(data)] = data
            return len(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._sending:
            raise BusyResourceError("Another task is sending")
        self._sending = True
        try:
            with memoryview(data).cast("B") as view:
                rest = view
                while rest:
                    await self._wait(self._outgoing, lambda: self._outgoing.room > 0)
                    if self._outgoing.ended:
                        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                    rest = rest[self._outgoing.put(rest) :]
                rest.release()
        finally:
            self._sending = False

    async def send_eof(self) -> None:
        self._outgoing.ended = True
        self._outgoing.changed()

    def is_closing(self) -> bool:
        return self._closing

    async def aclose(self) -> None:
        self._close()
        await self._backend.coro_yield()

    def backend(self) -> AsyncBackend:
        return self._backend

    def _close(self) -> None:
        self._closing = self._outgoing.ended = self._incoming.broken = True
        self._incoming.changed()
        self._outgoing.changed()

    async def _wait(self, pipe: Pipe, condition: Callable[[], bool]) -> None:
        while True:
            if self._closing:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if pipe.broken:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            if condition():
                return
            await pipe.wait(self._backend)


class MemoryPeer(StreamPeer):
    """The other ends of the two pipes."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def send(self, data: memoryview) -> int:
        if self._outgoing.broken:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return self._outgoing.put(data)

    def receive(self, bufsize: int) -> bytes | None:
        if self._incoming.data:
            return self._incoming.take(bufsize)
        return b"" if self._incoming.ended else None

    def send_eof(self) -> None:
        self._outgoing.ended = True
        self._outgoing.changed()

    def reset(self) -> None:
        self._outgoing.broken = True
        self.close()

    def close(self) -> None:
        self._incoming.broken = self._outgoing.ended = True
        self._incoming.changed()
        self._outgoing.changed()


def memory_pair(
    backend: AsyncBackend, transport_class: type[MemoryTransport] = MemoryTransport
) -> tuple[MemoryTransport, MemoryPeer]:
    """Return a transport and its peer."""
    there, back = Pipe(), Pipe()
    return transport_class(backend, back, there), MemoryPeer(there, back)


class MemoryHarness(StreamHarness):
    """
    Parameters:
        transport_class: a variation of the transport.
    """

    features = Feature.HALF_CLOSE | Feature.RESET | Feature.CANCELLED_SEND
    capacity = 1 << 18

    def __init__(self, transport_class: type[MemoryTransport] = MemoryTransport) -> None:
        self._transport_class = transport_class

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, StreamPeer]:
        return memory_pair(backend, self._transport_class)
