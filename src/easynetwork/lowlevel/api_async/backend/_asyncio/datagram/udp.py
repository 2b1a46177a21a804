"""Open UDP sockets on asyncio."""

from __future__ import annotations

__all__ = ["connect", "new_listener", "open_listeners"]

import socket as _socket
from collections.abc import Sequence

from easynetwork.lowlevel._sockets.inet import check_inet_family, connect_datagram_socket, open_listener_sockets
from easynetwork.lowlevel.api_async.backend._resolving import resolve, resolve_listener_hosts
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

from .udp_listener import AsyncioUDPListener
from .udp_transport import AsyncioUDPTransport, wrap_udp_socket


async def connect(
    backend: AsyncBackend, host: str, port: int, local_address: tuple[str, int] | None, family: int
) -> AsyncioUDPTransport:
    """Open a socket connected to one address. See `AsyncBackend.create_udp_endpoint`."""
    check_inet_family(family)
    addresses = await resolve(backend, host, port, _socket.SOCK_DGRAM, family=family)
    local_addresses = None if local_address is None else await resolve(backend, *local_address, _socket.SOCK_DGRAM)
    return await wrap_udp_socket(backend, connect_datagram_socket(addresses, local_addresses))


async def open_listeners(
    backend: AsyncBackend, host: str | Sequence[str] | None, port: int, *, reuse_port: bool
) -> list[AsyncioUDPListener]:
    """Open a socket for each address of *host*. See `AsyncBackend.create_udp_listeners`."""
    hosts = await resolve_listener_hosts(backend, host, port, _socket.SOCK_DGRAM)
    sockets = open_listener_sockets(hosts, backlog=None, reuse_port=reuse_port)
    return [new_listener(backend, sock) for sock in sockets]


def new_listener(backend: AsyncBackend, sock: _socket.socket) -> AsyncioUDPListener:
    """Create a listener for *sock*, which is bound and non-blocking. The listener owns it."""
    return AsyncioUDPListener(backend, sock)
