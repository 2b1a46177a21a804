"""Headers of the PROXY protocol, built as the specification says, without the library."""

from __future__ import annotations

__all__ = ["LOCAL", "SIGNATURE", "UNKNOWN", "block", "line", "proxied"]

import ipaddress
from collections.abc import Iterable

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
UNKNOWN = b"PROXY UNKNOWN\r\n"


def line(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Return a header of version 1."""
    kind = f"TCP{ipaddress.ip_address(source[0]).version}"
    return f"PROXY {kind} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def block(family: int, rest: bytes, *, command: int = 1) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes([0x20 | command, family]) + len(rest).to_bytes(2, "big") + rest


def proxied(source: tuple[str, int], destination: tuple[str, int], tlvs: Iterable[tuple[int, bytes]] = ()) -> bytes:
    """Return a header of version 2 for a connection over TCP."""
    hosts = [ipaddress.ip_address(host) for host, _ in (source, destination)]
    ports = b"".join(port.to_bytes(2, "big") for _, port in (source, destination))
    added = b"".join(bytes([kind]) + len(value).to_bytes(2, "big") + value for kind, value in tlvs)
    return block(0x11 if hosts[0].version == 4 else 0x21, b"".join(host.packed for host in hosts) + ports + added)
