"""Packet endpoints over a datagram transport."""

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
        """Send *packet* as one datagram. A cancelled call sends the whole datagram or nothing.

        Raises:
            BusyResourceError: another task is sending.
            RuntimeError: the protocol object raised an unexpected exception (the cause). Nothing was sent.
            OSError: the endpoint is closed (``EBADF``), the datagram is too long (``EMSGSIZE``), or the network
                reported an error, possibly about an earlier datagram.
        """
        with self._send_guard:
            await self._transport.send(self._encode(packet))

    async def send_packet_with_ancillary(self, packet: _T_SentPacket, ancillary_data: Any) -> None:
        """Send *packet* and *ancillary_data* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: the transport does not support ancillary data.

        It also raises all errors of `send_packet`.
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

    @property
    def dropped_datagrams(self) -> int:
        return self._transport.dropped_datagrams


class _Receiving(AsyncBaseTransport, Generic[_T_ReceivedPacket]):
    """The receiving methods of an endpoint."""

    __slots__ = ()

    _receiver: _Receiver[_T_ReceivedPacket]

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receive one datagram, which is one packet. The datagram may be empty.

        A cancelled call loses no datagram, unless the transport does.

        Raises:
            DatagramProtocolParseError: the datagram is not a valid packet. It is lost.
            BusyResourceError: another task is receiving.
            RuntimeError: the protocol object raised an unexpected exception (the cause). The datagram is lost.
            OSError: the endpoint is closed (``EBADF``), or the network reported an error.
        """
        return await self._receiver.receive()

    async def recv_packet_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Receive one datagram with ancillary data.

        Parameters:
            ancillary_bufsize: the buffer size for ancillary data, in bytes.
            ancillary_data_received: called with the ancillary data before the packet is parsed.

        Raises:
            UnsupportedOperation: the transport does not support ancillary data.
            RuntimeError: the protocol object or *ancillary_data_received* raised an exception (the cause). The datagram
                is lost.
            OSError: ``EMSGSIZE`` if the system truncated the ancillary data, because *ancillary_bufsize* is too small
                or file descriptors ran out. The next call returns the packet.

        It also raises all errors of `recv_packet`.
        """
        return await self._receiver.receive_with_ancillary(ancillary_bufsize, ancillary_data_received)

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams that arrived but were dropped because they were not received in time."""
        return self._receiver.dropped_datagrams


class AsyncDatagramReceiverEndpoint(Endpoint, TransportWrapper, _Receiving[_T_ReceivedPacket]):
    """Receives packets from a read-only datagram transport.

    Parameters:
        transport: receives the datagrams. The endpoint owns it.
        protocol: parses the packets.

    Raises:
        TypeError: *transport* or *protocol* has the wrong type.
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

    Parameters:
        transport: sends the datagrams. The endpoint owns it.
        protocol: serializes the packets.

    Raises:
        TypeError: *transport* or *protocol* has the wrong type.
    """

    __slots__ = ()

    def __init__(self, transport: AsyncDatagramWriteTransport, protocol: DatagramProtocol[_T_SentPacket, Any]) -> None:
        check_transport(transport, AsyncDatagramWriteTransport)
        super().__init__(transport, protocol)


class AsyncDatagramEndpoint(Endpoint, _Sender[_T_SentPacket], _Receiving[_T_ReceivedPacket]):
    """Sends and receives packets. One task may send while another task receives.

    Parameters:
        transport: sends and receives the datagrams. The endpoint owns it.
        protocol: serializes and parses the packets.

    Raises:
        TypeError: *transport* or *protocol* has the wrong type.
    """

    __slots__ = ("_receiver",)

    def __init__(
        self, transport: AsyncDatagramTransport, protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket]
    ) -> None:
        check_transport(transport, AsyncDatagramTransport)
        self._receiver = _Receiver(transport, protocol)
        super().__init__(transport, protocol)
