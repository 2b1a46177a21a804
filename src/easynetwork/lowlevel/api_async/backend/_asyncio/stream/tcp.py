"""Open TCP connections and listeners on asyncio."""

from __future__ import annotations

__all__ = ["connect", "open_listeners", "wrap_stream_socket"]

import asyncio
import socket as _socket
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import aiohappyeyeballs

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._sockets.inet import interleave_families, open_listener_sockets
from easynetwork.lowlevel.api_async.backend._resolving import resolve, resolve_listener_hosts
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.constants import HAPPY_EYEBALLS_DELAY
from easynetwork.lowlevel.socket import IPv6SocketAddress

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
        try:
            if sock.family == _socket.AF_INET6:
                # uvloop uses only the host and port of an address, and drops the scope id.
                address = IPv6SocketAddress(*address).for_connection()
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as exc:
            self.errors.append(exc)
            raise


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
    return [AsyncioStreamListener(backend, sock, backlog) for sock in sockets]
