"""The other side of a connection: plain sockets, so that a test decides what is read, and when."""

from __future__ import annotations

from tests.support.sockets import PATIENCE, reset

__all__ = ["PATIENCE", "DatagramPeer", "Peer", "turns_of_the_loop"]

import socket
from typing import Any

from tests.support.background import sleep, spawn
from tests.support.socket_calls import socket_calls

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend


class Peer:
    """One end of a stream, without any code of the library."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._kept = b""

    async def connect(self, address: Any) -> None:
        with ensure_backend(None).timeout(PATIENCE):
            await socket_calls().connect(self.sock, address)

    async def send(self, data: bytes) -> None:
        with ensure_backend(None).timeout(PATIENCE):
            await socket_calls().send_all(self.sock, data)

    async def send_until_it_blocks(self, line: bytes) -> int:
        """Send *line* again and again until nothing moves for some time. Return the number of bytes sent."""
        data = memoryview(line * 1000)
        sent = 0
        quiet = 0
        while quiet < 20:
            try:
                sent += self.sock.send(data[sent % len(line) :])
                quiet = 0
            except BlockingIOError:
                quiet += 1
                await ensure_backend(None).sleep(0.005)
        return sent

    async def line(self) -> bytes:
        """Return the next line, without its end. Raise `EOFError` at the end of the stream."""
        while b"\n" not in self._kept:
            if not (data := await self._receive()):
                raise EOFError(f"the stream ended after {self._kept[-100:]!r}")
            self._kept += data
        line, _, self._kept = self._kept.partition(b"\n")
        return line

    async def lines(self, count: int) -> list[bytes]:
        return [await self.line() for _ in range(count)]

    async def ask(self, request: bytes) -> bytes:
        await self.send(request + b"\n")
        return await self.line()

    async def rest(self) -> bytes:
        """Return everything up to the end of the stream."""
        received = [self._kept]
        self._kept = b""
        while data := await self._receive():
            received.append(data)
        return b"".join(received)

    async def gone(self) -> bool:
        """Wait until the server has closed, in an orderly way or by a reset. Ignore what it sends."""
        try:
            await self.rest()
        except ConnectionError:
            pass
        return True

    async def drip(self, data: bytes, pause: float) -> None:
        """Send *data* again and again, with a pause of so many seconds, until the server has closed."""
        gone = spawn(self.gone())
        while not gone.done():
            try:
                await self.send(data)
            except ConnectionError:
                break
            await sleep(pause)
        assert await gone.result()

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        reset(self.sock)

    def close(self) -> None:
        self.sock.close()

    async def _receive(self) -> bytes:
        with ensure_backend(None).timeout(PATIENCE):
            return await socket_calls().receive(self.sock)


class DatagramPeer:
    """A datagram socket without any code of the library. Connect it before use."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    @property
    def address(self) -> Any:
        return self.sock.getsockname()

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sock.send(datagram)

    async def receive(self) -> bytes:
        with ensure_backend(None).timeout(PATIENCE):
            return await socket_calls().receive(self.sock)

    async def answers(self, count: int) -> list[bytes]:
        return [await self.receive() for _ in range(count)]

    async def ask(self, request: bytes) -> bytes:
        self.send(request)
        return await self.receive()

    def has_received(self) -> bool:
        """Return whether a datagram waits to be received."""
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self.sock.close()


async def turns_of_the_loop(count: int) -> None:
    """Let everything else run *count* times."""
    for _ in range(count):
        await ensure_backend(None).coro_yield()
