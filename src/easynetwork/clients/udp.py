"""Blocking UDP client."""

from __future__ import annotations

__all__ = ["UDPNetworkClient"]

import socket as _socket
from typing import Any, Final, Generic, TypeVar, overload

from easynetwork._checks import check_above_zero
from easynetwork.clients._adoption import handed_over
from easynetwork.clients._blocking_client import BlockingClient
from easynetwork.clients._inet_client import INETClient, inet_opener
from easynetwork.lowlevel._core.datagram_codec import check_datagram_protocol
from easynetwork.lowlevel._sockets.calls import raise_saved_error
from easynetwork.lowlevel._sockets.inet import check_inet_family
from easynetwork.lowlevel.api_sync._connecting import adopt, open_udp_socket
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport
from easynetwork.protocol import DatagramProtocol

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")

_ADDRESS_OPTIONS: Final = frozenset({"local_address", "family"})


class UDPNetworkClient(
    BlockingClient[_T_SentPacket, _T_ReceivedPacket, DatagramEndpoint[Any, Any]],
    INETClient,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """A blocking UDP client: one packet per datagram, to and from one address.

    Threads may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        address: host and port of the peer.
        socket: a connected socket instead of an address. The client takes ownership of it.
        protocol: the protocol object.
        local_address: local host and port to bind to.
        family: ``AF_INET`` or ``AF_INET6``, to use only addresses of that family.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with an address.
        ValueError: *socket* is not a UDP socket; *family* is not supported; *retry_interval* is not above 0.
        socket.gaierror: the host is unknown.
        ExceptionGroup: the `OSError` of each address, if none can be used.
        OSError: ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        address: tuple[str, int],
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        *,
        local_address: tuple[str, int] | None = None,
        family: int = _socket.AF_UNSPEC,
        retry_interval: float = 1.0,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        *,
        retry_interval: float = 1.0,
    ) -> None: ...

    def __init__(
        self,
        arg: tuple[str, int] | _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        *,
        retry_interval: float = 1.0,
        **connect_options: Any,
    ) -> None:
        check_inet_family(connect_options.get("family", _socket.AF_UNSPEC))
        open_socket = inet_opener(arg, _socket.SOCK_DGRAM, open_udp_socket, adopt, connect_options, _ADDRESS_OPTIONS)
        with handed_over(arg):
            check_datagram_protocol(protocol)
            check_above_zero("retry_interval", retry_interval)
        sock = open_socket()
        transport = SocketDatagramTransport(sock, retry_interval)
        super().__init__(sock, transport, _UDPEndpoint(transport, protocol))


class _UDPEndpoint(DatagramEndpoint[_T_SentPacket, _T_ReceivedPacket]):
    """An endpoint that reports at once if the system refused to send."""

    __slots__ = ()

    _transport: SocketDatagramTransport

    def send_packet(self, packet: _T_SentPacket, *, timeout: float | None = None) -> None:
        super().send_packet(packet, timeout=timeout)
        raise_saved_error(self._transport._sock)
