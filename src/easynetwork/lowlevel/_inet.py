"""Internet names and listening sockets: what asynchronous and blocking code have in common."""

from __future__ import annotations

__all__ = ["AddressInfo", "check_stream_socket", "listener_hosts", "numeric_addresses", "open_listener_sockets"]

import errno
import os
import socket as _socket
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from ._errors import error_from_errno

try:
    import ssl
except ImportError:  # Python without TLS
    ssl = None  # type: ignore[assignment]

AddressInfo: TypeAlias = tuple[int, int, int, str, Any]
"""One answer of `socket.getaddrinfo`: family, type, protocol, canonical name, address."""


def numeric_addresses(host: str | None, port: int, type_: int, flags: int = 0) -> Sequence[AddressInfo] | None:
    """Returns the addresses of *host* if that needs no name server, else None. Does not block."""
    flags |= _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
    try:
        return _socket.getaddrinfo(host, port, type=type_, flags=flags)
    except _socket.gaierror as exc:
        if exc.errno != _socket.EAI_NONAME:
            raise
        return None


def listener_hosts(host: str | Sequence[str] | None) -> list[str | None]:
    """Returns what to resolve for a listener on *host*; None in the list stands for all interfaces.

    Raises:
        TypeError: *host* is neither None, a string nor a sequence of strings.
        OSError: *host* is an empty sequence.
    """
    if host is None or host == "":
        return [None]
    if isinstance(host, str):
        return [host]
    hosts: object = host
    if not isinstance(hosts, Sequence) or not all(isinstance(item, str) for item in hosts):
        raise TypeError(f"Expected a string, a sequence of strings or None as host, got {host!r}")
    if not host:
        raise error_from_errno(errno.EINVAL, "no host to listen on")
    return [item if item else None for item in host]


def open_listener_sockets(
    addresses: Iterable[AddressInfo], *, backlog: int | None, reuse_port: bool
) -> list[_socket.socket]:
    """Opens a socket for each of *addresses*, without duplicates, sorted; listening if there is a *backlog*.

    Raises:
        ExceptionGroup: the error of each address that could not be bound to. All sockets are closed then.
        ValueError: *reuse_port* is not supported here.
    """
    sockets: list[_socket.socket] = []
    errors: list[OSError] = []
    try:
        for family, type_, proto, _, address in sorted(set(addresses), key=lambda info: (info[0], str(info[4]))):
            try:
                sock = _socket.socket(family, type_, proto)
            except OSError:
                continue  # for instance IPv6 switched off
            sockets.append(sock)
            _set_listener_options(sock, reuse_port)
            try:
                sock.bind(address)
                if backlog is not None:
                    sock.listen(backlog)
            except OSError as exc:
                error = OSError(exc.errno or errno.EINVAL, f"Cannot bind to {address!r}: {exc.strerror or exc}")
                error.__cause__ = exc
                errors.append(error)
        if errors:
            raise ExceptionGroup("Some addresses cannot be bound to", errors)
        if not sockets:
            raise error_from_errno(errno.EADDRNOTAVAIL, "there is no address to listen on")
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


def check_stream_socket(sock: _socket.socket) -> None:
    """Refuses what is no plain stream socket.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is of another type.
    """
    if isinstance(sock, getattr(ssl, "SSLSocket", ())):
        raise TypeError("A TLS socket cannot be used: give the plain socket, and the TLS context")
    if sock.type != _socket.SOCK_STREAM:
        raise ValueError("A stream socket (SOCK_STREAM) is required")
