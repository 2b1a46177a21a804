"""Internet addresses as named tuples."""

from __future__ import annotations

__all__ = ["IPv4SocketAddress", "IPv6SocketAddress", "SocketAddress", "new_socket_address"]

import socket as _socket
from typing import Any, Literal, NamedTuple, TypeAlias, overload


class IPv4SocketAddress(NamedTuple):
    """An IPv4 address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"({self.host!r}, {self.port:d})"

    def for_connection(self) -> tuple[str, int]:
        """Return the host and port to connect to this address."""
        return self.host, self.port


class IPv6SocketAddress(NamedTuple):
    """An IPv6 address and a port."""

    host: str
    port: int
    flowinfo: int = 0
    scope_id: int = 0

    def __str__(self) -> str:
        return f"({self._zoned_host()!r}, {self.port:d})"

    def for_connection(self) -> tuple[str, int]:
        """Return the host and port to connect to this address. A link-local host includes its scope."""
        is_link_local = self.host[:3].lower() in ("fe8", "fe9", "fea", "feb")  # fe80::/10, RFC 4291
        return self._zoned_host() if is_link_local else self.host, self.port

    def _zoned_host(self) -> str:
        """Return the host with its scope id as zone, if it has one (:rfc:`4007`, section 11)."""
        return f"{self.host}%{self.scope_id}" if self.scope_id and "%" not in self.host else self.host


SocketAddress: TypeAlias = IPv4SocketAddress | IPv6SocketAddress


@overload
def new_socket_address(addr: tuple[str, int], family: Literal[_socket.AddressFamily.AF_INET]) -> IPv4SocketAddress: ...


@overload
def new_socket_address(
    addr: tuple[str, int] | tuple[str, int, int, int], family: Literal[_socket.AddressFamily.AF_INET6]
) -> IPv6SocketAddress: ...


@overload
def new_socket_address(addr: tuple[Any, ...], family: int) -> SocketAddress: ...


def new_socket_address(addr: tuple[Any, ...], family: int) -> SocketAddress:
    """Convert an address of the :mod:`socket` module to a named tuple.

    Raises:
        ValueError: *family* is not ``AF_INET`` or ``AF_INET6``.
        TypeError: *addr* has the wrong number of items.
    """
    match family:
        case _socket.AddressFamily.AF_INET:
            return IPv4SocketAddress(*addr)
        case _socket.AddressFamily.AF_INET6:
            return IPv6SocketAddress(*addr)
        case _:
            raise ValueError(f"Expected AF_INET or AF_INET6, got {family!r}")
