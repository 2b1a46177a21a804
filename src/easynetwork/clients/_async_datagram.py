"""Base class of the asynchronous datagram clients."""

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
    """One packet per datagram. Tasks may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        backend: the asynchronous backend.
        connect: opens the transport.
        adopted_socket: the socket that *connect* will use.
        protocol: the protocol object.

    Raises:
        TypeError: *protocol* is not a datagram protocol object.
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
        """Send *packet* in one datagram. Connect first if necessary.

        Raises:
            ClientClosedError: the client is closed.
            OSError: the datagram is too long (``EMSGSIZE``), or the network reported an error, for example
                ``ECONNREFUSED`` if there was no socket to receive an earlier datagram.
            RuntimeError: the protocol object crashed. Nothing was sent.

        It also raises all errors of `wait_connected` if it connects.
        """
        async with self._send_lock:
            endpoint = await self._connected()
            try:
                await endpoint.send_packet(packet)
                raise_saved_error(self._sock)
            except OSError as exc:
                self._raise_client_error(exc)

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receive the next packet. Connect first if necessary. Each packet goes to one of the waiting tasks.

        A cancelled call does not lose a datagram.

        Raises:
            ClientClosedError: the client is closed, or was closed during the call.
            DatagramProtocolParseError: an invalid datagram was received.
            OSError: the network reported an error, for example ``ECONNREFUSED``.
            RuntimeError: the protocol object crashed.

        It also raises all errors of `wait_connected` if it connects.
        """
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet: _T_ReceivedPacket = await endpoint.recv_packet()
            except OSError as exc:
                self._raise_client_error(exc)
            return packet

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams that arrived but were dropped because they were not received in time.

        Received datagrams wait for `recv_packet`: at most 1 MiB, where each datagram counts as its size plus 128 bytes.
        Further datagrams are dropped. On Linux, the number includes those that the system dropped. It stays after the
        client is closed.
        """
        return 0 if self._endpoint is None else self._endpoint.dropped_datagrams
