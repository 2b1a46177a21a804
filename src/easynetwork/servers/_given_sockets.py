"""The *sockets* argument of servers: sockets that were opened elsewhere."""

from __future__ import annotations

__all__ = [
    "check_given_sockets",
    "check_inet_sockets",
    "datagram_listener_opener",
    "duplicates",
    "stream_listener_opener",
]

import socket as _socket
from collections.abc import Awaitable, Callable, Container, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from easynetwork._checks import check_strictly_positive
from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel._backend_hooks import datagram_listener_factory, stream_listener_factory
from easynetwork.lowlevel._sockets.listening import check_bound_socket, start_listening
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramListener,
    AsyncListener,
    AsyncStreamTransport,
)
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Listener = TypeVar("_T_Listener", bound=AsyncBaseTransport)


def check_given_sockets(
    sockets: Sequence[_socket.socket], families: Container[int], type_: _socket.SocketKind, backlog: int | None
) -> list[_socket.socket]:
    """Return *sockets* as a new list, if a server can serve them. They stay open in any case.

    Parameters:
        sockets: the argument of the constructor.
        families: the address families that the server knows.
        type_: the type of its sockets.
        backlog: the argument of the constructor, or None.

    Raises:
        TypeError: *sockets* is not a sequence of sockets.
        ValueError: there is none; one is there twice; one has the wrong family or type, is closed, unbound or
            connected; *backlog* is not a strictly positive integer.
    """
    if not isinstance(sockets, Sequence):
        raise TypeError(f"'sockets' must be a sequence of sockets or None, got {sockets!r}")
    if not sockets:
        raise ValueError("'sockets' must contain at least one socket")
    for sock in sockets:
        check_bound_socket(sock, families, type_)
    if len({sock.fileno() for sock in sockets}) < len(sockets):
        raise ValueError("'sockets' contains a socket twice")
    if backlog is not None:
        check_strictly_positive("backlog", backlog)
    return list(sockets)


def check_inet_sockets(
    sockets: Sequence[_socket.socket],
    type_: _socket.SocketKind,
    host: object,
    port: int,
    reuse_port: bool,
    backlog: int | None = None,
) -> list[_socket.socket]:
    """Do what `check_given_sockets` does, for internet addresses.

    Raises:
        ValueError: as there; *host* is not None, *port* is not 0, or *reuse_port* is true.
    """
    if host is not None or port != 0:
        raise ValueError("With 'sockets', which have addresses already, the host must be None and the port 0")
    if reuse_port:
        raise ValueError("'reuse_port' has no effect on 'sockets': set SO_REUSEPORT before they are bound")
    return check_given_sockets(sockets, (_socket.AF_INET, _socket.AF_INET6), type_, backlog)


def stream_listener_opener(
    backend: AsyncBackend, sockets: Sequence[_socket.socket], backlog: int
) -> Callable[[], Awaitable[list[AsyncListener[AsyncStreamTransport]]]]:
    """Return a function that makes a listener of each socket. Those that do not listen yet get *backlog*.

    Raises:
        UnsupportedOperation: *backend* cannot do this.
    """
    new_listener = stream_listener_factory(backend)
    return partial(_listen_on, sockets, lambda sock: new_listener(sock, start_listening(sock, backlog)))


def datagram_listener_opener(
    backend: AsyncBackend, sockets: Sequence[_socket.socket]
) -> Callable[[], Awaitable[list[AsyncDatagramListener[Any]]]]:
    """Return a function that makes a listener of each socket.

    Raises:
        UnsupportedOperation: *backend* cannot do this.
    """
    return partial(_listen_on, sockets, datagram_listener_factory(backend))


async def _listen_on(
    sockets: Sequence[_socket.socket], new_listener: Callable[[_socket.socket], _T_Listener]
) -> list[_T_Listener]:
    if not sockets:
        raise ServerClosedError("The sockets of the server are closed, because it could not be activated before")
    listeners: list[_T_Listener] = []
    try:
        for sock in sockets:
            sock.setblocking(False)
            listeners.append(new_listener(sock))
    except BaseException:
        for listener in listeners:
            await aclose_forcefully(listener)
        raise
    return listeners


def duplicates(sockets: Sequence[_socket.socket]) -> list[_socket.socket]:
    """Return a duplicate of each socket: :manpage:`dup(2)`. On an error, close those already made."""
    made: list[_socket.socket] = []
    try:
        for sock in sockets:
            made.append(sock.dup())  # noqa: PERF401 - an error must not lose those already made
    except BaseException:
        for sock in made:
            sock.close()
        raise
    return made
