"""Asynchronous UDP client."""

from __future__ import annotations

__all__ = ["AsyncUDPNetworkClient"]

import socket as _socket
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from easynetwork.clients._async_datagram import BaseAsyncDatagramClient
from easynetwork.clients._inet_client import INETClient, check_remote_address, inet_opener
from easynetwork.lowlevel._sockets.inet import check_inet_family
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.protocol import DatagramProtocol

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")

_ADDRESS_OPTIONS: Final = frozenset({"local_address", "family"})


class AsyncUDPNetworkClient(
    BaseAsyncDatagramClient[_T_SentPacket, _T_ReceivedPacket],
    INETClient,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """An asynchronous UDP client: one packet per datagram, to and from one address.

    Tasks may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        address: host and port of the peer.
        socket: a connected socket instead of an address. The client takes ownership of it.
        protocol: the protocol object.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        local_address: local host and port to bind to.
        family: ``AF_INET`` or ``AF_INET6``, to use only addresses of that family.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with an address.
        ValueError: *socket* is not a UDP socket; *family* is not supported.
        OSError: ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        address: tuple[str, int],
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        local_address: tuple[str, int] | None = None,
        family: int = _socket.AF_UNSPEC,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
    ) -> None: ...

    def __init__(
        self,
        arg: tuple[str, int] | _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        **connect_options: Any,
    ) -> None:
        check_remote_address(arg)  # first: if host and port are two arguments, other errors would mislead
        backend = ensure_backend(backend)
        check_inet_family(connect_options.get("family", _socket.AF_UNSPEC))
        super().__init__(
            backend,
            inet_opener(
                arg,
                _socket.SOCK_DGRAM,
                backend.create_udp_endpoint,
                backend.wrap_connected_datagram_socket,
                connect_options,
                _ADDRESS_OPTIONS,
            ),
            arg if isinstance(arg, _socket.socket) else None,
            protocol,
        )
