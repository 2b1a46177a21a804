"""Internet addresses of servers and clients."""

from __future__ import annotations

__all__ = ["inet_address"]

from socket import AF_INET, AF_INET6
from typing import Any

from easynetwork.lowlevel.socket import SocketAddress, new_socket_address


def inet_address(address: tuple[Any, ...]) -> SocketAddress:
    """Return *address*, as the system reports it, as a `SocketAddress`."""
    # Derive the family from the length: if the socket is asked, uvloop keeps an extra object for it.
    return new_socket_address(address, AF_INET if len(address) == 2 else AF_INET6)
