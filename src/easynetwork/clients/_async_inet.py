"""What asynchronous TCP and UDP clients share."""

from __future__ import annotations

__all__ = ["AsyncINETClient", "transport_opener"]

import socket as _socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from easynetwork.clients._adoption import check_adopted_socket
from easynetwork.clients._async_client import BaseAsyncNetworkClient
from easynetwork.lowlevel.socket import INETSocketAttribute, SocketAddress, new_socket_address

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_Transport = TypeVar("_T_Transport")


class AsyncINETClient(BaseAsyncNetworkClient[_T_SentPacket, _T_ReceivedPacket, Any, Any]):
    """A client with internet addresses."""

    __slots__ = ()

    def get_local_address(self) -> SocketAddress:
        """Returns our own address.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected.
            ClientClosedError: the client is closed.
        """
        return self._address(INETSocketAttribute.sockname)

    def get_remote_address(self) -> SocketAddress:
        """Returns the address of the peer.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected.
            ClientClosedError: the client is closed.
        """
        return self._address(INETSocketAttribute.peername)

    def _address(self, attribute: Any) -> SocketAddress:
        address: tuple[Any, ...] = self._extra(attribute)
        family: int = self._extra(INETSocketAttribute.family)
        return new_socket_address(address, family)


def transport_opener(
    arg: object,
    type_: _socket.SocketKind,
    connect: Callable[..., Awaitable[_T_Transport]],
    wrap: Callable[[_socket.socket], Awaitable[_T_Transport]],
    options: dict[str, Any],
    known_options: frozenset[str],
) -> Callable[[], Awaitable[_T_Transport]]:
    """Returns what makes the transport of a client.

    Parameters:
        arg: the first argument of the client: a socket, or a pair of host and port.
        type_: what a socket has to be.
        connect: takes host, port and *options*.
        wrap: takes a socket.
        options: keyword arguments of the client that go with an address only.
        known_options: their names.

    Raises:
        TypeError: *arg* is neither; an unknown option, or one together with a socket.
        ValueError: the socket is of the wrong type or family.
        OSError: ``ENOTCONN``: the socket is not connected.
    """
    if isinstance(arg, _socket.socket):
        check_adopted_socket(arg, type_, (_socket.AF_INET, _socket.AF_INET6), options)
        return partial(wrap, arg)
    match arg:
        case (str(host), int(port)):
            if unknown := options.keys() - known_options:
                raise TypeError(f"Unexpected arguments: {', '.join(sorted(unknown))}")
            return partial(connect, host, port, **options)
        case _:
            raise TypeError(f"Expected a socket, or a pair of host and port, got {arg!r}")
