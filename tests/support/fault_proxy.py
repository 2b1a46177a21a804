"""A relay on the loopback interface between a client and a server, which does harm at a chosen place of the stream.

It runs in a thread, without any code of the library, so that clients and servers of every kind can be on both sides.
"""

from __future__ import annotations

__all__ = ["TO_CLIENT", "TO_SERVER", "Fault", "FaultProxy"]

import asyncio
import contextlib
import math
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from tests.support.sockets import PATIENCE

Kind: TypeAlias = Literal["delay", "single bytes", "join", "reset", "black hole", "half-close", "corrupt"]

TO_SERVER: Final = 0
TO_CLIENT: Final = 1

_RECORD_HEADER = 5
"""Bytes in front of each TLS record: its type, its version, and its length in two bytes."""


@dataclass(frozen=True)
class Fault:
    """What happens to the bytes of one direction.

    Parameters:
        kind: ``"delay"``: wait once, for *seconds*. ``"single bytes"``: send each byte alone. ``"join"``: wait for
            *seconds*, and send what has come meanwhile in one piece. ``"reset"``: reset both connections. ``"black
            hole"``: pass nothing on any more, in either direction, and close nothing. ``"half-close"``: end this
            direction. ``"corrupt"``: change a byte; with *in_record*, the last one of a TLS record.
        direction: `TO_SERVER` or `TO_CLIENT`.
        offset: after how many bytes.
        seconds: of ``"delay"`` and ``"join"``.
        in_record: the offset is that of a TLS record which has yet to begin; the fault is in the first one behind it.
    """

    kind: Kind
    direction: int
    offset: int
    seconds: float = 0.02
    in_record: bool = False


class FaultProxy:
    """Listens at ``address``, and relays each connection to *server*. The exit from the context ends everything.

    Parameters:
        server: the address of the server.
        fault: what happens to each connection; None for a relay that does no harm.
    """

    def __init__(self, server: tuple[str, int], fault: Fault | None = None) -> None:
        self.server: Final = server
        self.fault: Final = fault
        self.struck: Final = threading.Event()
        """Set when the fault has begun."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address: Final[tuple[str, int]] = self._listener.getsockname()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(PATIENCE)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._tasks = {self._loop.create_task(self._accept())}
        self._is_up.set()
        await self._over.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self._tasks.add(self._loop.create_task(self._connect(client)))

    async def _connect(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            server.setblocking(False)
            await self._loop.sock_connect(server, self.server)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            await _Connection(self, client, server).relay()


class _Connection:
    """Relays one connection, and does the harm."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._sockets = (client, server)
        self._passed = 0
        self._records = _Records()
        self._is_hole = False

    async def relay(self) -> None:
        """Relay until both directions have ended, or a fault ends them."""
        client, server = self._sockets
        directions = [
            asyncio.create_task(self._relay(direction, *ends))
            for direction, ends in ((TO_SERVER, (client, server)), (TO_CLIENT, (server, client)))
        ]
        try:
            await asyncio.gather(*directions)
        except _Reset:
            for sock in self._sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            for task in directions:
                task.cancel()
            await asyncio.wait(directions)

    async def _relay(self, direction: int, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        fault = self._proxy.fault
        does_harm = fault is not None and fault.direction == direction
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(source, 1 << 16):
                if self._is_hole:
                    continue
                if does_harm:
                    await self._harm(data, source, sink)
                else:
                    await loop.sock_sendall(sink, data)
            if self._is_hole:
                await asyncio.sleep(math.inf)
            sink.shutdown(socket.SHUT_WR)

    async def _harm(self, data: bytes, source: socket.socket, sink: socket.socket) -> None:
        """Pass *data* on, up to the place of the fault."""
        fault = self._proxy.fault
        assert fault is not None
        if self._proxy.struck.is_set():
            place = 0 if fault.kind == "single bytes" else None
        elif fault.in_record:
            place = self._records.place(fault.offset, data)
        else:
            place = fault.offset - self._passed
        if place is None or place >= len(data):
            self._passed += len(data)
            await asyncio.get_running_loop().sock_sendall(sink, data)
        else:
            await asyncio.get_running_loop().sock_sendall(sink, data[:place])
            self._proxy.struck.set()
            await self._strike(fault, data[place:], source, sink)

    async def _strike(self, fault: Fault, data: bytes, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.seconds)
                await loop.sock_sendall(sink, data)
            case "single bytes":
                for byte in data:
                    await loop.sock_sendall(sink, bytes([byte]))
                    await asyncio.sleep(0)
            case "join":
                await asyncio.sleep(fault.seconds)
                with contextlib.suppress(BlockingIOError):
                    data += source.recv(1 << 16)
                await loop.sock_sendall(sink, data)
            case "corrupt":
                await loop.sock_sendall(sink, bytes([data[0] ^ 0xFF]) + data[1:])
            case "half-close":
                sink.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(source, 1 << 16):
                    pass
                raise OSError("this direction has ended")
            case "black hole":
                self._is_hole = True
            case "reset":
                raise _Reset


class _Reset(Exception):
    """Both connections have to be reset."""


class _Records:
    """Finds the last byte of TLS records in a stream that comes in any pieces."""

    def __init__(self) -> None:
        self._position = 0
        self._header = b""
        self._begin = 0
        self._end = 0

    def place(self, offset: int, data: bytes) -> int | None:
        """Return the index in *data* of the last byte of the first record that begins at *offset* or later."""
        begin = self._position
        self._position += len(data)
        index = 0
        while index < len(data):
            if begin + index < self._end:  # inside of a record
                step = min(self._end - begin - index, len(data) - index)
                index += step
                if begin + index == self._end and self._begin >= offset:
                    return index - 1
            else:
                if not self._header:
                    self._begin = begin + index
                self._header += data[index : index + _RECORD_HEADER - len(self._header)]
                index = self._begin + len(self._header) - begin
                if len(self._header) == _RECORD_HEADER:
                    self._end = begin + index + int.from_bytes(self._header[3:])
                    self._header = b""
        return None
