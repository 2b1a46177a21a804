"""Packets over a datagram transport."""

from __future__ import annotations

__all__ = ["AsyncDatagramEndpoint", "AsyncDatagramReceiverEndpoint", "AsyncDatagramSenderEndpoint"]

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from easynetwork._checks import check_transport
from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel.api_async._packet_streams import TransportWrapper
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramReadTransport,
    AsyncDatagramTransport,
    AsyncDatagramWriteTransport,
)
from easynetwork.protocol import DatagramProtocol

from ._endpoint import Endpoint

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class _Sender(TransportWrapper, Generic[_T_SentPacket]):
    """The sending half of an endpoint."""

    __slots__ = ("_encode", "_send_guard")

    _transport: AsyncDatagramWriteTransport

    def __init__(self, transport: AsyncDatagramWriteTransport, protocol: DatagramProtocol[_T_SentPacket, Any]) -> None:
        self._encode = DatagramCodec(protocol).encode
        self._send_guard = ResourceGuard("Another task is sending")
        super().__init__(transport)

    async def send_packet(self, packet: _T_SentPacket) -> None:
        """Sends *packet* as one datagram. A cancelled call has sent it or not.

        Raises:
            BusyResourceError: another task is sending.
            RuntimeError: the protocol object crashed (its exception is the cause). Nothing was sent.
            OSError: the endpoint is closed (``EBADF``), the datagram is too long (``EMSGSIZE``), or the network has
                reported an error, maybe about an earlier datagram.
        """
        with self._send_guard:
            await self._transport.send(self._encode(packet))

    async def send_packet_with_ancillary(self, packet: _T_SentPacket, ancillary_data: Any) -> None:
        """Sends *packet* and *ancillary_data* in one :manpage:`sendmsg(2)`.

        Raises:
            UnsupportedOperation: the transport carries no ancillary data.

        Besides this, all that `send_packet` raises.
        """
        with self._send_guard:
            await self._transport.send_with_ancillary(self._encode(packet), ancillary_data)


class _Receiver(Generic[_T_ReceivedPacket]):
    """The receiving half of an endpoint."""

    __slots__ = ("_codec", "_guard", "_transport")

    def __init__(
        self, transport: AsyncDatagramReadTransport, protocol: DatagramProtocol[Any, _T_ReceivedPacket]
    ) -> None:
        self._codec = DatagramCodec(protocol)
        self._guard = ResourceGuard("Another task is receiving")
        self._transport = transport

    async def receive(self) -> _T_ReceivedPacket:
        with self._guard:
            datagram = await self._transport.recv()
        return self._codec.decode(datagram)

    async def receive_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        with self._guard:
            datagram, ancillary_data = await self._transport.recv_with_ancillary(ancillary_bufsize)
        return self._codec.decode_with_ancillary(datagram, ancillary_data, ancillary_data_received)


class _Receiving(AsyncBaseTransport, Generic[_T_ReceivedPacket]):
    """The receiving methods of an endpoint."""

    __slots__ = ()

    _receiver: _Receiver[_T_ReceivedPacket]

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receives one datagram, which is one packet. An empty datagram is one like any other.

        A cancelled call loses nothing, if the transport does not.

        Raises:
            DatagramProtocolParseError: the datagram is no valid packet. It is gone.
            BusyResourceError: another task is receiving.
            RuntimeError: the protocol object crashed (its exception is the cause). The datagram is gone.
            OSError: the endpoint is closed (``EBADF``), or the network has reported an error.
        """
        return await self._receiver.receive()

    async def recv_packet_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Receives one datagram together with ancillary data.

        Parameters:
            ancillary_bufsize: room for ancillary data, in bytes.
            ancillary_data_received: called with the ancillary data, before the packet is parsed.

        Raises:
            UnsupportedOperation: the transport carries no ancillary data.
            RuntimeError: the protocol object or *ancillary_data_received* has failed (the exception is the cause). The
                datagram is gone.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. The packet stays for the next call.

        Besides these, all that `recv_packet` raises.
        """
        return await self._receiver.receive_with_ancillary(ancillary_bufsize, ancillary_data_received)


class AsyncDatagramReceiverEndpoint(Endpoint, TransportWrapper, _Receiving[_T_ReceivedPacket]):
    """Receives packets from a read-only datagram transport.

    Raises:
        TypeError: wrong type of *transport* or *protocol*.
    """

    __slots__ = ("_receiver",)

    def __init__(
        self, transport: AsyncDatagramReadTransport, protocol: DatagramProtocol[Any, _T_ReceivedPacket]
    ) -> None:
        check_transport(transport, AsyncDatagramReadTransport)
        self._receiver = _Receiver(transport, protocol)
        super().__init__(transport)


class AsyncDatagramSenderEndpoint(Endpoint, _Sender[_T_SentPacket]):
    """Sends packets to a write-only datagram transport.

    Raises:
        TypeError: wrong type of *transport* or *protocol*.
    """

    __slots__ = ()

    def __init__(self, transport: AsyncDatagramWriteTransport, protocol: DatagramProtocol[_T_SentPacket, Any]) -> None:
        check_transport(transport, AsyncDatagramWriteTransport)
        super().__init__(transport, protocol)


class AsyncDatagramEndpoint(Endpoint, _Sender[_T_SentPacket], _Receiving[_T_ReceivedPacket]):
    """Sends and receives packets. One task may send while another one receives.

    Raises:
        TypeError: wrong type of *transport* or *protocol*.
    """

    __slots__ = ("_receiver",)

    def __init__(
        self, transport: AsyncDatagramTransport, protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket]
    ) -> None:
        check_transport(transport, AsyncDatagramTransport)
        self._receiver = _Receiver(transport, protocol)
        super().__init__(transport, protocol)
