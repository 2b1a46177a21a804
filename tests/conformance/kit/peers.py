"""The far end: what a transport talks to, made of other means than the library's."""

from __future__ import annotations

__all__ = ["DatagramPeer", "DatagramSocketPeer", "PeerDriver", "SocketPeer", "StreamPeer", "until"]

import socket
import struct
from abc import ABCMeta, abstractmethod
from collections.abc import Callable

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class StreamPeer(metaclass=ABCMeta):
    """The far end of a stream. No method waits; connection errors are raised as `OSError`."""

    socket: socket.socket | None = None
    """What it is made of, if that is a socket."""

    def shake_hands(self) -> bool:
        """Go on with what is due before any bytes. Return whether that is complete."""
        return True

    @abstractmethod
    def send(self, data: memoryview) -> int:
        """Send what can be sent at once; return how many bytes that were."""

    @abstractmethod
    def receive(self, bufsize: int) -> bytes | None:
        """Return received bytes, ``b""`` at the end of the stream, None if there is nothing yet."""

    def flush(self) -> bool:
        """Go on with what `send` has taken. Return whether nothing of it is left."""
        return True

    @abstractmethod
    def send_eof(self) -> None:
        """End the sending direction, and that alone where the protocol knows such a thing."""

    @abstractmethod
    def reset(self) -> None:
        """End the connection abruptly."""

    @abstractmethod
    def close(self) -> None:
        """Close. May be called again, and after `reset`."""


class SocketPeer(StreamPeer):
    """A plain connected socket, which it owns."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = self.socket = sock

    def send(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def receive(self, bufsize: int) -> bytes | None:
        try:
            return self._socket.recv(bufsize)
        except BlockingIOError:
            return None

    def send_eof(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()


class DatagramPeer(metaclass=ABCMeta):
    """The far end of datagrams. No method waits; errors of the network are raised as `OSError`."""

    socket: socket.socket | None = None
    """What it is made of, if that is a socket."""

    @abstractmethod
    def send(self, data: bytes) -> bool:
        """Send a datagram if there is room for it; return whether it did."""

    @abstractmethod
    def receive(self) -> bytes | None:
        """Return a datagram; None if there is none yet."""

    @abstractmethod
    def close(self) -> None:
        """Close. May be called again."""


class DatagramSocketPeer(DatagramPeer):
    """A plain datagram socket, connected, which it owns."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = self.socket = sock

    def send(self, data: bytes) -> bool:
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        return True

    def receive(self) -> bytes | None:
        try:
            return self._socket.recv(1 << 18)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._socket.close()


class PeerDriver:
    """Waits for a peer within the event loop of the transport that is checked."""

    def __init__(self, backend: AsyncBackend, peer: StreamPeer) -> None:
        self._backend = backend
        self.peer = peer

    def send_now(self, data: bytes) -> None:
        """Send *data*, which is little enough not to have to wait."""
        assert self.peer.send(memoryview(data)) == len(data)
        assert self.peer.flush()

    async def send(self, data: bytes) -> None:
        with memoryview(data) as rest:
            while rest:
                sent = self.peer.send(rest)
                rest = rest[sent:]
                if not sent:
                    await self._backend.sleep(0.0005)
                else:
                    await self._backend.coro_yield()
        await self.flush()

    async def flush(self) -> None:
        """Wait until all that the peer has taken is on its way."""
        await until(self._backend, self.peer.flush)

    async def receive_some(self, bufsize: int = 1 << 16) -> bytes:
        """Wait for the next bytes; ``b""`` is the end of the stream."""
        received: bytes | None = None

        def arrived() -> bool:
            nonlocal received
            received = self.peer.receive(bufsize)
            return received is not None

        await until(self._backend, arrived)
        assert received is not None
        return received

    async def receive(self, count: int) -> bytes:
        """Wait for exactly *count* bytes."""
        received = bytearray()
        while len(received) < count:
            data = await self.receive_some(count - len(received))
            assert data, f"the stream ended after {len(received)} of {count} bytes"
            received += data
        return bytes(received)

    async def receive_to_end(self) -> bytes:
        """Wait for everything up to the end of the stream."""
        received = bytearray()
        while data := await self.receive_some():
            received += data
        return bytes(received)


async def until(backend: AsyncBackend, condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds."""
    for _ in range(10):
        if condition():
            return
        await backend.coro_yield()
    while not condition():
        await backend.sleep(0.0005)
