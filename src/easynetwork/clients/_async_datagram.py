"""What the asynchronous clients of datagrams share."""

from __future__ import annotations

__all__ = ["BaseAsyncDatagramClient"]

import socket as _socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from easynetwork.clients._async_client import BaseAsyncNetworkClient
from easynetwork.lowlevel._core.datagram_codec import check_datagram_protocol
from easynetwork.lowlevel._sockets.calls import raise_saved_error
from easynetwork.lowlevel.api_async.endpoints.datagram import AsyncDatagramEndpoint
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import DatagramProtocol

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
    from easynetwork.lowlevel.socket import ISocket

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class BaseAsyncDatagramClient(
    BaseAsyncNetworkClient[_T_SentPacket, _T_ReceivedPacket, AsyncDatagramTransport, AsyncDatagramEndpoint[Any, Any]],
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """One packet per datagram. Tasks may send and receive at the same time; those that do the same take turns.

    Parameters:
        backend: the asynchronous library.
        connect: opens the transport.
        adopted_socket: a socket that *connect* is going to use.
        protocol: what a packet is.

    Raises:
        TypeError: *protocol* is not for datagrams.
    """

    __slots__ = ("_protocol", "_sock")

    _sock: ISocket

    def __init__(
        self,
        backend: AsyncBackend,
        connect: Callable[[], Awaitable[AsyncDatagramTransport]],
        adopted_socket: _socket.socket | None,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
    ) -> None:
        check_datagram_protocol(protocol)
        super().__init__(backend, connect, adopted_socket)
        self._protocol = protocol

    def _new_endpoint(
        self, transport: AsyncDatagramTransport
    ) -> AsyncDatagramEndpoint[_T_SentPacket, _T_ReceivedPacket]:
        self._sock = transport.extra(SocketAttribute.socket)
        return AsyncDatagramEndpoint(transport, self._protocol)

    async def send_packet(self, packet: _T_SentPacket) -> None:
        """Sends *packet* in a datagram of its own. Connects first, if need be.

        Raises:
            ClientClosedError: the client is closed.
            OSError: the datagram is too long (``EMSGSIZE``), or the network has reported an error: for instance
                ``ECONNREFUSED``, nobody has received a datagram that was sent before.
            RuntimeError: the protocol object crashed. Nothing was sent.
        """
        async with self._send_lock:
            endpoint = await self._connected()
            try:
                await endpoint.send_packet(packet)
                raise_saved_error(self._sock)
            except OSError as exc:
                self._raise_client_error(exc)

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receives the next packet. Connects first, if need be. Each packet goes to one of the tasks that wait.

        A cancelled call loses no datagram.

        Raises:
            ClientClosedError: the client is closed, or was closed meanwhile.
            DatagramProtocolParseError: an invalid datagram was received.
            OSError: the network has reported an error, for instance ``ECONNREFUSED``.
            RuntimeError: the protocol object crashed.
        """
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet: _T_ReceivedPacket = await endpoint.recv_packet()
            except OSError as exc:
                self._raise_client_error(exc)
            return packet
