"""Internet names, and the sockets for them: what asynchronous and blocking code have in common."""

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
"""One answer of `socket.getaddrinfo`: family, type, protocol, canonical name, address."""

_UNUSABLE_SOCKET_ERRNOS = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPROTOTYPE, errno.EINVAL})
"""What :manpage:`socket(2)` says if this system does not have such sockets, for instance IPv6 ones."""

_MISSING_ADDRESS_ERRNOS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What :manpage:`bind(2)` says if no interface of this system has the address."""


def check_inet_family(family: int) -> None:
    """Raises `ValueError` unless *family* is ``AF_INET``, ``AF_INET6`` or ``AF_UNSPEC``."""
    if family not in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNSPEC):
        raise ValueError(f"Expected AF_INET, AF_INET6 or AF_UNSPEC as family, got {family!r}")


def numeric_addresses(
    host: str | None, port: int, type_: int, *, family: int = _socket.AF_UNSPEC, flags: int = 0
) -> Sequence[AddressInfo] | None:
    """Returns the addresses of *host* if that needs no name server, else None. Does not block.

    Raises:
        TypeError: *port* is not an integer.
        socket.gaierror: *port* is no port number, or *host* is an address of another *family*.
    """
    check_port(port)
    if not 0 <= port <= 0xFFFF:  # getaddrinfo(3) would keep the lower 16 bits
        raise _socket.gaierror(_socket.EAI_SERVICE, f"There is no port {port}, they go from 0 to 65535")
    flags |= _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
    try:
        return _socket.getaddrinfo(host, port, family, type_, 0, flags)
    except _socket.gaierror as exc:
        if exc.errno != _socket.EAI_NONAME:
            raise
        return None


@lru_cache(maxsize=1024)  # asked for each datagram, mostly about those who have just sent one
def is_numeric_host(host: str) -> bool:
    """Return whether a socket takes *host* as it is, without asking a name server.

    A zone does not count: the :mod:`socket` module overwrites it with the scope id behind the port, 0 if there is none.
    """
    try:
        return "%" not in host and bool(numeric_addresses(host, 0, _socket.SOCK_DGRAM))
    except OSError:
        return False


def listener_hosts(host: str | Sequence[str] | None) -> list[str | None]:
    """Return what to resolve for a listener on *host*; None in the list stands for all interfaces.

    Raises:
        TypeError: *host* is neither None, a string nor a sequence of strings.
    """
    if host is None or host == "":
        return [None]
    if isinstance(host, str):
        return [host]
    hosts: object = host
    if not isinstance(hosts, Sequence) or not all(isinstance(item, str) for item in hosts):
        raise TypeError(f"Expected a string, a sequence of strings or None as host, got {host!r}")
    return [item if item else None for item in host]


def open_listener_sockets(
    hosts: Iterable[Sequence[AddressInfo]], *, backlog: int | None, reuse_port: bool
) -> list[_socket.socket]:
    """Open a socket for each address of *hosts*, without duplicates, sorted; listening if there is a *backlog*.

    An address that does not exist on this system is skipped if another address of the same host can be had: names often
    have an IPv6 address where IPv6 is switched off. A host that is given as an address has no other one.

    Parameters:
        hosts: the addresses of each host.
        backlog: how many connections may wait to be accepted; None for datagrams.
        reuse_port: whether to set ``SO_REUSEPORT``.

    Raises:
        ExceptionGroup: the error of each address that could not be bound to. All sockets are closed then.
        ValueError: *reuse_port* is not supported here.
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
            raise ExceptionGroup("Some addresses cannot be bound to", [*errors, *missing.values()])
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
        # IPv4 has a socket of its own: both must be able to have the same port.
        sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, True)
    if reuse_port:
        try:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, True)
        except (AttributeError, OSError) as exc:
            raise ValueError("'reuse_port' is not supported on this platform") from exc


def interleave_families(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Returns *addresses* in the order to try them: an IPv6 one, an IPv4 one, and so on (:rfc:`8305`, section 4)."""
    families: dict[int, list[AddressInfo]] = {_socket.AF_INET6: [], _socket.AF_INET: []}
    for info in addresses:
        families.setdefault(info[0], []).append(info)
    return [info for row in zip_longest(*families.values()) for info in row if info is not None]


def open_client_socket(
    info: AddressInfo, local_addresses: Sequence[AddressInfo] | None, errors: list[OSError]
) -> _socket.socket | None:
    """Returns a new non-blocking socket that can be connected to the address in *info*.

    Parameters:
        info: the remote address.
        local_addresses: if not None, the socket is bound to the first of them that is of its family and can be had.
        errors: gets what went wrong. If that leaves no socket, None is returned.
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
    """Returns a non-blocking datagram socket connected to the first of *addresses* for which that works.

    Nothing is sent and nobody is waited for: connecting a datagram socket only sets its peer. See `connect_in_turn`.
    """
    return connect_in_turn(addresses, local_addresses, _socket.socket.connect)


def connect_in_turn(
    addresses: Iterable[AddressInfo],
    local_addresses: Sequence[AddressInfo] | None,
    connect: Callable[[_socket.socket, Any], None],
) -> _socket.socket:
    """Returns a socket connected to the first of *addresses* for which that works. They are tried one after another.

    Parameters:
        addresses: the remote addresses.
        local_addresses: what to bind the socket to, see `open_client_socket`.
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
    """Returns whether *sock* could be bound to one of those *addresses* that are of its family."""
    candidates = [info[4] for info in addresses if info[0] == sock.family]
    if not candidates:
        errors.append(error_from_errno(errno.EADDRNOTAVAIL, f"no local address is of the family {sock.family!s}"))
    for address in candidates:
        try:
            bind_socket(sock, address)
        except OSError as exc:
            errors.append(exc)
        else:
            return True
    return False
