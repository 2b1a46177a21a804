"""Calls of non-blocking sockets, on every event loop, without any code of the library."""

from __future__ import annotations

__all__ = ["socket_calls"]

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sniffio
import trio

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_T = TypeVar("_T")


class SocketCalls(Protocol):
    async def connect(self, sock: socket.socket, address: Any) -> None: ...
    async def accept(self, sock: socket.socket) -> socket.socket: ...
    async def send_all(self, sock: socket.socket, data: bytes | bytearray | memoryview) -> None: ...
    async def receive(self, sock: socket.socket) -> bytes: ...
    async def receive_into(self, sock: socket.socket, buffer: WriteableBuffer) -> int: ...


class _OnAsyncio:
    async def connect(self, sock: socket.socket, address: Any) -> None:
        await asyncio.get_running_loop().sock_connect(sock, address)

    async def accept(self, sock: socket.socket) -> socket.socket:
        connection, _ = await asyncio.get_running_loop().sock_accept(sock)
        return connection

    async def send_all(self, sock: socket.socket, data: bytes | bytearray | memoryview) -> None:
        await asyncio.get_running_loop().sock_sendall(sock, data)

    async def receive(self, sock: socket.socket) -> bytes:
        return await asyncio.get_running_loop().sock_recv(sock, 1 << 16)

    async def receive_into(self, sock: socket.socket, buffer: WriteableBuffer) -> int:
        return await asyncio.get_running_loop().sock_recv_into(sock, buffer)


class _OnTrio:
    async def connect(self, sock: socket.socket, address: Any) -> None:
        if code := sock.connect_ex(address):
            assert code == errno.EINPROGRESS
            await trio.lowlevel.wait_writable(sock)

    async def accept(self, sock: socket.socket) -> socket.socket:
        connection, _ = await self._read(sock, sock.accept)
        return connection

    async def send_all(self, sock: socket.socket, data: bytes | bytearray | memoryview) -> None:
        with memoryview(data) as rest:
            sent = 0
            while sent < len(rest):
                try:
                    sent += sock.send(rest[sent:])
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(sock)

    async def receive(self, sock: socket.socket) -> bytes:
        return await self._read(sock, lambda: sock.recv(1 << 16))

    async def receive_into(self, sock: socket.socket, buffer: WriteableBuffer) -> int:
        return await self._read(sock, lambda: sock.recv_into(buffer))

    async def _read(self, sock: socket.socket, call: Callable[[], _T]) -> _T:
        while True:
            try:
                return call()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(sock)


def socket_calls() -> SocketCalls:
    """Return the calls for the event loop that is running."""
    return _OnTrio() if sniffio.current_async_library() == "trio" else _OnAsyncio()
