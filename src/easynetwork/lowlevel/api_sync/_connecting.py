"""Connected, non-blocking sockets for the blocking clients."""

from __future__ import annotations

__all__ = ["adopt", "open_tcp_socket", "open_udp_socket", "open_unix_socket"]

import errno
import socket as _socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from easynetwork._checks import seconds
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._deadline import Deadline
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel._sockets import unix_files
from easynetwork.lowlevel._sockets.inet import AddressInfo, connect_datagram_socket, connect_in_turn, numeric_addresses
from easynetwork.lowlevel._sockets.unix_connect import connect_attempts

if TYPE_CHECKING:
    from easynetwork.lowlevel._sockets.unix_address import RawUnixSocketAddress

_LONGEST_TIMEOUT: Final = 24 * 60 * 60.0
"""Timeouts of this many seconds mean no limit. Sockets support at most some weeks; the system gives up in minutes."""


def adopt(sock: _socket.socket) -> _socket.socket:
    """Return *sock*. Use this in place of a function that opens a socket."""
    return sock


def open_tcp_socket(
    host: str,
    port: int,
    *,
    connect_timeout: float | None = None,
    local_address: tuple[str, int] | None = None,
) -> _socket.socket:
    """Return a socket connected to the first address of *host* that answers.

    Parameters:
        host: a name or an address.
        port: the port.
        connect_timeout: maximum duration of all attempts together, in seconds; None for the limits of the system. Each
            attempt gets an equal share of the remaining time. Name resolution is not included.
        local_address: local host and port to bind to.

    Raises:
        socket.gaierror: a host is unknown.
        ExceptionGroup: the `OSError` of each attempt.
        ValueError: *connect_timeout* is negative or NaN.
    """
    limit = seconds(connect_timeout, "connect_timeout")
    addresses, local_addresses = _resolve_both((host, port), local_address, _socket.SOCK_STREAM)
    deadline = Deadline(limit)
    shares = iter(range(len(addresses), 0, -1))

    def connect(sock: _socket.socket, address: Any) -> None:
        share = deadline.remaining() / next(shares)
        sock.settimeout(share if share < _LONGEST_TIMEOUT else None)
        try:
            sock.connect(address)
        except (TimeoutError, BlockingIOError) as exc:
            raise error_from_errno(errno.ETIMEDOUT, f"connecting to {address[:2]!r}") from exc
        sock.setblocking(False)

    return connect_in_turn(addresses, local_addresses, connect)


def open_udp_socket(
    host: str, port: int, *, local_address: tuple[str, int] | None = None, family: int = _socket.AF_UNSPEC
) -> _socket.socket:
    """Return a UDP socket connected to the first usable address of *host*.

    Raises:
        socket.gaierror: a host is unknown.
        ExceptionGroup: the `OSError` of each attempt.
    """
    return connect_datagram_socket(*_resolve_both((host, port), local_address, _socket.SOCK_DGRAM, family))


def _resolve_both(
    address: tuple[str, int],
    local_address: tuple[str, int] | None,
    type_: int,
    family: int = _socket.AF_UNSPEC,
) -> tuple[Sequence[AddressInfo], Sequence[AddressInfo] | None]:
    return (
        _resolve(*address, type_, family),
        None if local_address is None else _resolve(*local_address, type_, family),
    )


def _resolve(host: str, port: int, type_: int, family: int) -> Sequence[AddressInfo]:
    addresses = numeric_addresses(host, port, type_, family=family)
    return _socket.getaddrinfo(host, port, family, type_) if addresses is None else addresses


def open_unix_socket(
    type_: _socket.SocketKind,
    path: RawUnixSocketAddress,
    *,
    connect_timeout: float | None = None,
    local_path: RawUnixSocketAddress | None = None,
) -> _socket.socket:
    """Return a socket connected to *path*, and bound to *local_path* unless that is None.

    Raises:
        TimeoutError: the backlog of the server was full for *connect_timeout* seconds.
        OSError: the socket cannot be bound or connected.
        ValueError: *connect_timeout* is negative or NaN.
    """
    deadline = Deadline(seconds(connect_timeout, "connect_timeout"))
    sock = _socket.socket(_socket.AF_UNIX, type_)
    with closed_on_failure(sock):
        sock.setblocking(False)
        if local_path is not None:
            unix_files.bind_to_path(sock, local_path)
        for delay in connect_attempts(sock, path):
            remaining = deadline.remaining()
            if not remaining:
                raise error_from_errno(errno.ETIMEDOUT, f"connecting to {path!r}")
            time.sleep(min(delay, remaining))
    return sock
