"""Open TCP connections and listeners on trio."""

from __future__ import annotations

__all__ = ["connect", "new_listener", "new_transport", "open_listeners"]

import socket as _socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._sockets.inet import open_listener_sockets
from easynetwork.lowlevel.api_async.backend._happy_eyeballs import connect_to_first
from easynetwork.lowlevel.api_async.backend._resolving import resolve, resolve_listener_hosts
from easynetwork.lowlevel.api_async.backend._trio.sockets import connect_socket
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.constants import HAPPY_EYEBALLS_DELAY
from easynetwork.lowlevel.socket import set_tcp_nodelay

from .listener import TrioStreamListener
from .transport import TrioStreamTransport


async def connect(
    backend: AsyncBackend,
    host: str,
    port: int,
    local_address: tuple[str, int] | None,
    happy_eyeballs_delay: float | None,
) -> TrioStreamTransport:
    """Connect to the first address that answers. See `AsyncBackend.create_tcp_connection`.

    It does not use `trio.open_tcp_stream`, which cannot bind to a local port, does not accept resolved addresses, and
    does not interleave address families.
    """
    addresses = await resolve(backend, host, port, _socket.SOCK_STREAM)
    local_addresses = None if local_address is None else await resolve(backend, *local_address, _socket.SOCK_STREAM)
    delay = HAPPY_EYEBALLS_DELAY if happy_eyeballs_delay is None else happy_eyeballs_delay
    return new_transport(backend, await connect_to_first(backend, addresses, local_addresses, delay, connect_socket))


def new_transport(backend: AsyncBackend, sock: _socket.socket) -> TrioStreamTransport:
    """Create a transport for *sock*, which is connected and non-blocking. The transport owns it."""
    with suppress(OSError):
        set_tcp_nodelay(sock, True)  # writes contain complete packets: Nagle's algorithm only delays them
    return TrioStreamTransport(backend, sock)


async def open_listeners(
    backend: AsyncBackend,
    host: str | Sequence[str] | None,
    port: int,
    backlog: int,
    *,
    reuse_port: bool,
) -> list[TrioStreamListener]:
    """Open listening sockets. See `AsyncBackend.create_tcp_listeners`."""
    check_strictly_positive("backlog", backlog)
    hosts = await resolve_listener_hosts(backend, host, port, _socket.SOCK_STREAM)
    sockets = open_listener_sockets(hosts, backlog=backlog, reuse_port=reuse_port)
    return [new_listener(backend, sock) for sock in sockets]


def new_listener(backend: AsyncBackend, sock: _socket.socket) -> TrioStreamListener:
    """Create a listener for *sock*, which listens and is non-blocking. The listener owns it."""
    return TrioStreamListener(backend, sock, partial(new_transport, backend))
