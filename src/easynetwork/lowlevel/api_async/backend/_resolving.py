"""Name resolution that works on every backend."""

from __future__ import annotations

__all__ = ["resolve", "resolve_listener_hosts", "resolve_peer"]

import errno
import socket as _socket
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from easynetwork._checks import check_port
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._sockets.inet import AddressInfo, is_numeric_host, listener_hosts, numeric_addresses

if TYPE_CHECKING:
    from .abc import AsyncBackend


async def resolve(
    backend: AsyncBackend,
    host: str | None,
    port: int,
    type_: int,
    *,
    family: int = _socket.AF_UNSPEC,
    flags: int = 0,
) -> Sequence[AddressInfo]:
    """Return the addresses of *host*, at least one. Numeric addresses are parsed without a thread.

    Raises:
        socket.gaierror: *host* is unknown.
        OSError: *host* has no address.
    """
    addresses = numeric_addresses(host, port, type_, family=family, flags=flags)
    if addresses is None:
        addresses = await backend.getaddrinfo(host, port, family, type_, flags=flags)
    if not addresses:
        raise error_from_errno(errno.EADDRNOTAVAIL, f"{host!r} has no address")
    return addresses


async def resolve_listener_hosts(
    backend: AsyncBackend, host: str | Sequence[str] | None, port: int, type_: int
) -> Sequence[Sequence[AddressInfo]]:
    """Return the addresses of each host to listen on. All hosts are resolved concurrently.

    Raises:
        TypeError: *host* is neither None, a string nor a sequence of strings; *port* is not an integer.
        OSError: *host* is an empty sequence.
        ExceptionGroup: a host is unknown or has no address.
    """
    check_port(port)  # before the tasks start, so that the error is not wrapped in a group
    hosts = listener_hosts(host)
    return await backend.gather(*(resolve(backend, item, port, type_, flags=_socket.AI_PASSIVE) for item in hosts))


async def resolve_peer(backend: AsyncBackend, address: tuple[Any, ...], family: int) -> tuple[Any, ...]:
    """Return *address* with a numeric host. With a name, ``sendto()`` would query DNS and block the event loop.

    The zone of an IPv6 host becomes the scope id, unless *address* already has one.

    Raises:
        socket.gaierror: the host is unknown.
        OSError: the host has no address.
    """
    host, port, *details = address
    if is_numeric_host(host):
        return address
    [info, *_] = await resolve(backend, host, port, _socket.SOCK_DGRAM, family=family)
    found: tuple[Any, ...] = info[4]
    return found[:2] + tuple(given or own for given, own in zip_longest(details, found[2:], fillvalue=0))
