"""Open TCP connections and listeners on asyncio."""

from __future__ import annotations

__all__ = ["connect", "new_listener", "open_listeners", "wrap_stream_socket"]

import asyncio
import errno
import socket as _socket
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import aiohappyeyeballs

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._sockets.inet import interleave_families, open_listener_sockets
from easynetwork.lowlevel.api_async.backend._resolving import resolve, resolve_listener_hosts
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.constants import HAPPY_EYEBALLS_DELAY

from .listener import AsyncioStreamListener
from .protocol import AsyncioStream
from .transport import AsyncioStreamTransport


async def connect(
    backend: AsyncBackend,
    host: str,
    port: int,
    local_address: tuple[str, int] | None,
    happy_eyeballs_delay: float | None,
) -> AsyncioStreamTransport:
    """Connect to the first address that answers. See `AsyncBackend.create_tcp_connection`."""
    addresses = await resolve(backend, host, port, _socket.SOCK_STREAM)
    local_addresses = None if local_address is None else await resolve(backend, *local_address, _socket.SOCK_STREAM)
    attempts = _Attempts()
    try:
        sock = await aiohappyeyeballs.start_connection(
            cast("Any", interleave_families(addresses)),
            local_addr_infos=cast("Any", local_addresses),
            happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY if happy_eyeballs_delay is None else happy_eyeballs_delay,
            loop=cast("asyncio.AbstractEventLoop", attempts),
        )
    except OSError as exc:
        errors = attempts.errors
        if len(errors) < len(addresses):  # some attempts failed before the connect call
            errors.append(exc)
        raise ExceptionGroup(f"Cannot connect to {host!r}, port {port}", errors) from None
    return await wrap_stream_socket(backend, sock)


class _Attempts:
    """The one event loop method that `aiohappyeyeballs` calls. Records the error of each attempt."""

    def __init__(self) -> None:
        self.errors: list[OSError] = []

    async def sock_connect(self, sock: _socket.socket, address: Any) -> None:
        loop = asyncio.get_running_loop()
        try:
            if isinstance(loop, asyncio.BaseEventLoop):
                await loop.sock_connect(sock, address)
            else:
                await _connect(loop, sock, address)
        except OSError as exc:
            self.errors.append(exc)
            raise


async def _connect(loop: asyncio.AbstractEventLoop, sock: _socket.socket, address: Any) -> None:
    """Do what ``loop.sock_connect()`` does, for uvloop.

    uvloop resolves even a numeric address in a thread, and drops the scope id of an IPv6 address. With its first
    thread, a process loses the shortcuts of the C library and the kernel for processes with one thread. After that, a
    packet exchanged over TCP costs 3 % more.
    """
    error = sock.connect_ex(address)
    if error == errno.EINPROGRESS:
        connected = loop.create_future()
        loop.add_writer(sock, _set, connected)
        try:
            await connected
        finally:
            loop.remove_writer(sock)
        error = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if error:
        raise error_from_errno(error, f"Cannot connect to {address!r}")


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def wrap_stream_socket(backend: AsyncBackend, sock: _socket.socket) -> AsyncioStreamTransport:
    """Create a transport for *sock*, which is connected and non-blocking. The transport owns it."""
    loop = asyncio.get_running_loop()
    try:
        _, stream = await loop.create_connection(partial(AsyncioStream, loop), sock=sock)
    except BaseException:
        sock.close()
        raise
    return AsyncioStreamTransport(backend, stream)


async def open_listeners(
    backend: AsyncBackend,
    host: str | Sequence[str] | None,
    port: int,
    backlog: int,
    *,
    reuse_port: bool,
) -> list[AsyncioStreamListener]:
    """Open listening sockets. See `AsyncBackend.create_tcp_listeners`."""
    check_strictly_positive("backlog", backlog)
    hosts = await resolve_listener_hosts(backend, host, port, _socket.SOCK_STREAM)
    sockets = open_listener_sockets(hosts, backlog=backlog, reuse_port=reuse_port)
    return [new_listener(backend, sock, backlog) for sock in sockets]


def new_listener(backend: AsyncBackend, sock: _socket.socket, backlog: int) -> AsyncioStreamListener:
    """Create a listener for *sock*, which listens and is non-blocking. The listener owns it."""
    return AsyncioStreamListener(backend, sock, backlog)
