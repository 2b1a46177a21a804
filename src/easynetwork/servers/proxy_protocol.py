"""The settings of a server behind proxies that send the header of the PROXY protocol."""

from __future__ import annotations

__all__ = ["ProxyProtocol"]

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from easynetwork._checks import check_above_zero
from easynetwork.lowlevel._core.proxy_protocol import MIN_SIZE_LIMIT

Network: TypeAlias = str | IPv4Address | IPv4Network | IPv6Address | IPv6Network

_MAPPED: IPv6Network = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyProtocol:
    """From which proxies a server takes the header of the PROXY protocol, version 1 or 2.

    The header comes before everything else, also before TLS. It names the client and the address that it connected to.
    Every peer can send one, so name only the proxies in *trusted*.

    https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt is the specification.

    Raises:
        TypeError: a field has the wrong type.
        ValueError: *trusted* is empty, or an item is not an address or a network; *timeout* is not above 0; *max_size*
            is less than 52.
    """

    trusted: Iterable[Network]
    """The addresses and networks of the proxies, for example ``["10.0.0.0/8", "2001:db8::5"]``.

    Their connections must begin with a header: the specification forbids the server to guess. If the header is invalid
    or late, the server closes the connection and logs the reason.
    """

    is_required: bool = True
    """Whether to refuse all other peers. If false, the server serves them and does not look for a header."""

    timeout: float = 5.0
    """Seconds from the beginning of a connection to the end of the header."""

    max_size: int = 4096
    """Maximum number of bytes of a header of version 2. A header of version 1 has at most 107 bytes."""

    def __post_init__(self) -> None:
        if isinstance(self.trusted, str | bytes) or not isinstance(self.trusted, Iterable):
            raise TypeError(f"'trusted' must be a list of addresses and networks, got {self.trusted!r}")
        networks = tuple(map(_to_network, self.trusted))
        if not networks:
            raise ValueError("'trusted' must name at least one address or network")
        object.__setattr__(self, "trusted", networks)
        if not isinstance(self.is_required, bool):
            raise TypeError(f"'is_required' must be a bool, got {self.is_required!r}")
        check_above_zero("timeout", self.timeout)
        if not isinstance(self.max_size, int):
            raise TypeError(f"'max_size' must be an int, got {self.max_size!r}")
        if self.max_size < MIN_SIZE_LIMIT:
            raise ValueError(f"'max_size' must be at least {MIN_SIZE_LIMIT}, got {self.max_size!r}")

    def _trusts(self, host: str) -> bool:
        """Return whether *host*, as the system names the peer of a socket, is one of the proxies."""
        address: IPv4Address | IPv6Address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.trusted)  # type: ignore[operator]


def _to_network(item: object) -> IPv4Network | IPv6Network:
    if not isinstance(item, str | IPv4Address | IPv4Network | IPv6Address | IPv6Network):
        raise TypeError(f"'trusted' must contain addresses and networks, got {item!r}")
    network = ipaddress.ip_network(item)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        host = network.network_address.ipv4_mapped
        assert host is not None
        return IPv4Network((host, network.prefixlen - _MAPPED.prefixlen))
    return network
