"""Name resolution and socket creation for internet addresses, shared by asynchronous and blocking code."""

from __future__ import annotations

__all__ = [
    "AddressInfo",
    "check_inet_family",
    "connect_datagram_socket",
    "connect_in_turn",
    "interleave_families",
    "is_numeric_host",
    "listener_hosts",
    "numeric_addresses",
    "open_client_socket",
    "open_listener_sockets",
]

import errno
import os
import socket as _socket
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, TypeAlias

from easynetwork._checks import check_port
from easynetwork.lowlevel._core.errors import error_from_errno

from .calls import bind_socket

AddressInfo: TypeAlias = tuple[int, int, int, str, Any]
"""One result of `socket.getaddrinfo`: family, type, protocol, canonical name, address."""

_UNUSABLE_SOCKET_ERRNOS = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPROTOTYPE, errno.EINVAL})
"""Errors of :manpage:`socket(2)` if this system does not support such sockets, for example IPv6."""

_MISSING_ADDRESS_ERRNOS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of :manpage:`bind(2)` if no interface of this system has the address."""


def check_inet_family(family: int) -> None:
    """Raise `ValueError` unless *family* is ``AF_INET``, ``AF_INET6`` or ``AF_UNSPEC``."""
    if family not in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNSPEC):
        raise ValueError(f"Expected AF_INET, AF_INET6 or AF_UNSPEC as family, got {family!r}")


def numeric_addresses(
    host: str | None, port: int, type_: int, *, family: int = _socket.AF_UNSPEC, flags: int = 0
) -> Sequence[AddressInfo] | None:
    """Return the addresses of *host* if it needs no name resolution, else None. Does not block.

    Raises:
        TypeError: *port* is not an integer.
        socket.gaierror: *port* is not in the range 0 to 65535, or *host* is an address of another *family*.
    """
    check_port(port)
    if not 0 <= port <= 0xFFFF:  # getaddrinfo(3) would silently use the lower 16 bits
        raise _socket.gaierror(_socket.EAI_SERVICE, f"A port must be from 0 to 65535, got {port}")
    flags |= _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
    try:
        return _socket.getaddrinfo(host, port, family, type_, 0, flags)
    except _socket.gaierror as exc:
        if exc.errno != _socket.EAI_NONAME:
            raise
        return None


@lru_cache(maxsize=1024)  # called for each datagram, mostly for addresses that just sent one
def is_numeric_host(host: str) -> bool:
    """Return whether a socket accepts *host* without name resolution.

    Return False for a host with a zone: the :mod:`socket` module overwrites the zone with the scope id of the address,
    which is 0 by default.
    """
    try:
        return "%" not in host and bool(numeric_addresses(host, 0, _socket.SOCK_DGRAM))
    except OSError:
        return False


def listener_hosts(host: str | Sequence[str] | None) -> list[str | None]:
    """Return the names to resolve for a listener on *host*. None in the list means all interfaces.

    Raises:
        TypeError: *host* is not None, a string or a sequence of strings.
    """
    if host is None or host == "":
        return [None]
    if isinstance(host, str):
        return [host]
    hosts: object = host
    if not isinstance(hosts, Sequence) or not all(isinstance(item, str) for item in hosts):
        raise TypeError(f"'host' must be a string, a sequence of strings or None, got {host!r}")
    return [item if item else None for item in host]


def open_listener_sockets(
    hosts: Iterable[Sequence[AddressInfo]], *, backlog: int | None, reuse_port: bool
) -> list[_socket.socket]:
    """Open a socket for each distinct address of *hosts*, in sorted order. The sockets listen if *backlog* is given.

    An address that does not exist on this system is skipped if the same host has another address: many names have an
    IPv6 address on systems where IPv6 is disabled. A numeric host has no other address, so it is never skipped.

    Parameters:
        hosts: the addresses of each host.
        backlog: maximum number of connections waiting to be accepted; None for datagram sockets.
        reuse_port: whether to set ``SO_REUSEPORT``.

    Raises:
        ExceptionGroup: an error for each address that could not be bound. All sockets are closed.
        ValueError: *reuse_port* is not supported on this platform.
    """
    addresses_of_hosts = [set(addresses) for addresses in hosts]
    sockets: list[_socket.socket] = []
    missing: dict[AddressInfo, OSError] = {}
    errors: list[OSError] = []
    try:
        for info in sorted(set().union(*addresses_of_hosts), key=lambda info: (info[0], str(info[4]))):
            family, type_, proto, _, address = info
            try:
                sock = _socket.socket(family, type_, proto)
            except OSError as exc:
                if exc.errno not in _UNUSABLE_SOCKET_ERRNOS:
                    raise
                missing[info] = OSError(exc.errno, f"Cannot bind to {address!r}: {exc.strerror}")
                continue
            sockets.append(sock)
            _set_listener_options(sock, reuse_port)
            try:
                bind_socket(sock, address)
                if backlog is not None:
                    sock.listen(backlog)
            except OSError as exc:
                if exc.errno in _MISSING_ADDRESS_ERRNOS:
                    missing[info] = exc
                    sockets.pop().close()
                else:
                    errors.append(exc)
        if errors or any(addresses <= missing.keys() for addresses in addresses_of_hosts):
            raise ExceptionGroup("Cannot bind to some addresses", [*errors, *missing.values()])
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _set_listener_options(sock: _socket.socket, reuse_port: bool) -> None:
    sock.setblocking(False)
    if sock.type == _socket.SOCK_STREAM and os.name == "posix" and sys.platform != "cygwin":
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, True)
    if sock.family == _socket.AF_INET6:
        # IPv4 has its own socket, and both sockets must be able to use the same port.
        sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, True)
    if reuse_port:
        try:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, True)
        except (AttributeError, OSError) as exc:
            raise ValueError("'reuse_port' is not supported on this platform") from exc


def interleave_families(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Return *addresses* in the order to try them: IPv6 and IPv4 in turn (:rfc:`8305`, section 4)."""
    families: dict[int, list[AddressInfo]] = {_socket.AF_INET6: [], _socket.AF_INET: []}
    for info in addresses:
        families.setdefault(info[0], []).append(info)
    return [info for row in zip_longest(*families.values()) for info in row if info is not None]


def open_client_socket(
    info: AddressInfo, local_addresses: Sequence[AddressInfo] | None, errors: list[OSError]
) -> _socket.socket | None:
    """Return a new non-blocking socket for a connection to the address in *info*, or None if that fails.

    Parameters:
        info: the remote address.
        local_addresses: if not None, bind the socket to the first usable address of the same family.
        errors: list to which errors are appended.
    """
    family, type_, proto, _, _ = info
    try:
        sock = _socket.socket(family, type_, proto)
    except OSError as exc:
        errors.append(exc)
        return None
    sock.setblocking(False)
    if local_addresses is None or _bind_to_first(sock, local_addresses, errors):
        return sock
    sock.close()
    return None


def connect_datagram_socket(
    addresses: Iterable[AddressInfo], local_addresses: Sequence[AddressInfo] | None
) -> _socket.socket:
    """Return a non-blocking datagram socket connected to the first usable address. See `connect_in_turn`.

    Nothing is sent and nothing blocks: connecting a datagram socket only sets its peer.
    """
    return connect_in_turn(addresses, local_addresses, _socket.socket.connect)


def connect_in_turn(
    addresses: Iterable[AddressInfo],
    local_addresses: Sequence[AddressInfo] | None,
    connect: Callable[[_socket.socket, Any], None],
) -> _socket.socket:
    """Return a socket connected to the first usable address. The addresses are tried one after another.

    Parameters:
        addresses: the remote addresses.
        local_addresses: the addresses to bind to, see `open_client_socket`.
        connect: connects a non-blocking socket to an address.

    Raises:
        ExceptionGroup: the `OSError` of each attempt.
    """
    errors: list[OSError] = []
    for info in addresses:
        sock = open_client_socket(info, local_addresses, errors)
        if sock is None:
            continue
        try:
            connect(sock, info[4])
            return sock
        except OSError as exc:
            errors.append(exc)
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise ExceptionGroup("No address can be connected to", errors)


def _bind_to_first(sock: _socket.socket, addresses: Iterable[AddressInfo], errors: list[OSError]) -> bool:
    """Bind *sock* to the first usable address of its family. Return whether that succeeded."""
    candidates = [info[4] for info in addresses if info[0] == sock.family]
    if not candidates:
        errors.append(error_from_errno(errno.EADDRNOTAVAIL, f"no local address has the family {sock.family!s}"))
    for address in candidates:
        try:
            bind_socket(sock, address)
        except OSError as exc:
            errors.append(exc)
        else:
            return True
    return False
