"""The limits that apply when a client connects."""

from __future__ import annotations

__all__ = ["ConnectionLimits"]

import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any

from easynetwork.lowlevel.api_async.transports._admission import Admission
from easynetwork.lowlevel.api_async.transports._hooks import keep_names
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

from .limits import ServerLimits


class ConnectionLimits(Admission):
    """Counts the connections of a server, and refuses those over its limits.

    Parameters:
        limits: those of the server.
        count: called with the name of the limit that a connection was over.
    """

    def __init__(self, limits: ServerLimits, count: Callable[[str], object]) -> None:
        self._limits = limits
        self._count = count
        self._networks: dict[AsyncStreamTransport, object] = {}  # of the peers of all open connections
        self._per_network: Counter[object] = Counter()
        self._in_handshake: set[AsyncStreamTransport] = set()

    def admit(self, transport: AsyncStreamTransport, /) -> bool:
        limits = self._limits
        if limits.connections is not None and len(self._networks) >= limits.connections:
            self._count("connections")
            return False
        if limits.handshakes is not None and len(self._in_handshake) >= limits.handshakes:
            self._count("handshakes")
            return False
        network = None
        if limits.connections_per_address is not None and not self.has_headers:
            network = _network_of(transport)
            if not self._admit_network(network):
                return False
        self._networks[transport] = network
        if self.has_tls or self.has_headers:
            self._in_handshake.add(transport)
        return True

    def admit_address(self, transport: AsyncStreamTransport, address: tuple[Any, ...] | None, /) -> bool:
        if not self.has_tls:
            self._in_handshake.discard(transport)
        if address is None or self._limits.connections_per_address is None:
            return True
        network = network_of(address)
        if not self._admit_network(network):
            return False
        self._networks[transport] = network
        return True

    def _admit_network(self, network: object) -> bool:
        """Count one more connection from *network*, if its limit allows that. Return whether it does."""
        limit = self._limits.connections_per_address
        if network is None or limit is None:
            return True
        if self._per_network[network] >= limit:
            self._count("connections_per_address")
            return False
        self._per_network[network] += 1
        return True

    def handshake_is_over(self, transport: AsyncStreamTransport, /, error: Exception | None) -> None:
        self._in_handshake.discard(transport)
        if isinstance(error, TimeoutError):
            self._count("handshake_timeout")

    def release(self, transport: AsyncStreamTransport, /) -> None:
        self._in_handshake.discard(transport)
        network = self._networks.pop(transport)
        if network is not None:
            self._per_network[network] -= 1
            if not self._per_network[network]:
                del self._per_network[network]


def _network_of(transport: AsyncStreamTransport) -> object:
    """Return what stands for the address of the peer: an IPv4 address, or the network of an IPv6 address.

    Return None if the address is not known, as that of a peer that has already left.
    """
    try:
        address: Any = keep_names(transport)(transport)[1]
    except Exception:
        return None
    return network_of(address) if isinstance(address, tuple) else None


def network_of(address: tuple[Any, ...]) -> object:
    """Return what stands for *address*, in the form of :mod:`socket`: an IPv4 address, or an IPv6 network.

    The network has a prefix of 64 bits. Link-local addresses have all the same one, and stand for themselves.
    """
    if len(address) == 2:
        return address[0]
    host = ipaddress.IPv6Address(address[0])
    if host.ipv4_mapped is not None:
        return str(host.ipv4_mapped)
    if host.is_link_local:
        return address[0], address[3]
    return int(host) >> 64
