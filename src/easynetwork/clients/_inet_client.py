"""Base class of the TCP and UDP clients, asynchronous and blocking."""

from __future__ import annotations

__all__ = ["INETClient", "check_remote_address", "inet_opener"]

import socket as _socket
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from easynetwork._checks import check_timeouts
from easynetwork.clients._adoption import check_adopted_socket
from easynetwork.clients._arguments import check_options
from easynetwork.lowlevel.socket import (
    INETSocketAttribute,
    SocketAddress,
    new_socket_address,
)

_T_Opened = TypeVar("_T_Opened")


class INETClient(metaclass=ABCMeta):
    """A client with internet addresses."""

    __slots__ = ()

    @abstractmethod
    def _extra(self, attribute: Any) -> Any:
        """Return an attribute of the connection, or raise an error of the methods below."""
        raise NotImplementedError

    def get_local_address(self) -> SocketAddress:
        """Return the local address.

        Raises:
            OSError: ``ENOTCONN``: an asynchronous client is not connected.
            ClientClosedError: the client is closed.
        """
        return self._address(INETSocketAttribute.sockname)

    def get_remote_address(self) -> SocketAddress:
        """Return the peer's address.

        Raises:
            OSError: ``ENOTCONN``: an asynchronous client is not connected.
            ClientClosedError: the client is closed.
        """
        return self._address(INETSocketAttribute.peername)

    def _address(self, attribute: Any) -> SocketAddress:
        address: tuple[Any, ...] = self._extra(attribute)
        family: int = self._extra(INETSocketAttribute.family)
        return new_socket_address(address, family)


def inet_opener(
    arg: object,
    type_: _socket.SocketKind,
    connect: Callable[..., _T_Opened],
    adopt: Callable[[_socket.socket], _T_Opened],
    options: dict[str, Any],
    known_options: frozenset[str],
) -> Callable[[], _T_Opened]:
    """Return a function that opens the connection of a client.

    Parameters:
        arg: the first argument of the client: a socket, or a pair of host and port.
        type_: the required socket type.
        connect: opens a connection to a host and a port, with *options*.
        adopt: opens a connection over a socket.
        options: keyword arguments of the client that are allowed only with an address.
        known_options: the names of the supported options.

    Raises:
        TypeError: *arg* is neither a socket nor an address; an option is unknown, or given together with a socket.
        ValueError: the socket is of the wrong type or family.
        OSError: ``ENOTCONN``: the socket is not connected.
    """
    if isinstance(arg, _socket.socket):
        check_adopted_socket(arg, type_, (_socket.AF_INET, _socket.AF_INET6), options)
        return partial(adopt, arg)
    check_options(options, known_options)
    local_address = options.get("local_address")
    if local_address is not None and not _is_address(local_address, may_be_any=True):
        raise TypeError(f"'local_address' must be a pair of host (str) and port (int), got {local_address!r}")
    check_timeouts(happy_eyeballs_delay=options.get("happy_eyeballs_delay"))
    host, port = check_remote_address(arg)
    return partial(connect, host, port, **options)


def check_remote_address(arg: object) -> Any:
    """Return *arg*, the first argument of a client, if it is a socket or an address.

    Raises:
        TypeError: *arg* is neither.
    """
    if not isinstance(arg, _socket.socket) and not _is_address(arg):
        raise TypeError(f"Expected a socket, or a pair of host (str) and port (int), got {arg!r}")
    return arg


def _is_address(value: object, *, may_be_any: bool = False) -> bool:
    match value:
        case (str(), int(port)):
            return not isinstance(port, bool)
        case (None, int(port)):
            return may_be_any and not isinstance(port, bool)
    return False
