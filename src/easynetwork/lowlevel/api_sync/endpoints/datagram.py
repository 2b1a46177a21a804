"""Packets over a blocking datagram transport: one packet per datagram."""

from __future__ import annotations

__all__ = ["DatagramEndpoint", "DatagramReceiverEndpoint", "DatagramSenderEndpoint"]

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from easynetwork._checks import check_transport, seconds
from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel.api_sync.transports.abc import (
    BaseTransport,
    DatagramReadTransport,
    DatagramTransport,
    DatagramWriteTransport,
)
from easynetwork.protocol import DatagramProtocol

from ._endpoint import Endpoint

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class _DatagramEndpoint(Endpoint):
    """Base class of the three endpoints."""

    __slots__ = ("_codec",)

    def __init__(self, transport: BaseTransport, expected: type[Any], protocol: DatagramProtocol[Any, Any]) -> None:
        check_transport(transport, expected)
        with closed_on_failure(transport):
            self._codec: DatagramCodec[Any, Any] = DatagramCodec(protocol)
        super().__init__(transport)


class _Sending(_DatagramEndpoint, Generic[_T_SentPacket]):
    """The sending methods of an endpoint."""

    __slots__ = ()

    _transport: DatagramWriteTransport

    def send_packet(self, packet: _T_SentPacket, *, timeout: float | None = None) -> None:
        """Send *packet* within *timeout* seconds; None for no limit.

        Raises:
            TimeoutError: the system did not accept the packet in time.
            ValueError: *timeout* is negative or NaN.
            RuntimeError: the protocol object crashed (its exception is the cause). Nothing was sent.
            OSError: the endpoint is closed, the packet is too long (``EMSGSIZE``), or the network reported an error.
        """
        limit = seconds(timeout)
        self._transport.send(self._codec.encode(packet), limit)

    def send_packet_with_ancillary(
        self, packet: _T_SentPacket, ancillary_data: Any, *, timeout: float | None = None
    ) -> None:
        """Send *packet* together with *ancillary_data*, like `send_packet`.

        Raises:
            UnsupportedOperation: the transport does not support ancillary data.
        """
        limit = seconds(timeout)
        self._transport.send_with_ancillary(self._codec.encode(packet), ancillary_data, limit)


class _Receiving(_DatagramEndpoint, Generic[_T_ReceivedPacket]):
    """The receiving methods of an endpoint."""

    __slots__ = ()

    _transport: DatagramReadTransport

    def recv_packet(self, *, timeout: float | None = None) -> _T_ReceivedPacket:
        """Receive one packet within *timeout* seconds; None for no limit. An invalid datagram is consumed too.

        Raises:
            TimeoutError: no datagram arrived in time.
            ValueError: *timeout* is negative or NaN.
            DatagramProtocolParseError: the datagram is not a valid packet.
            RuntimeError: the protocol object crashed.
            OSError: the endpoint is closed, or the network reported an error.
        """
        packet: _T_ReceivedPacket = self._codec.decode(self._transport.recv(seconds(timeout)))
        return packet

    def recv_packet_with_ancillary(
        self,
        ancillary_bufsize: int,
        ancillary_data_received: Callable[[Any], object],
        *,
        timeout: float | None = None,
    ) -> _T_ReceivedPacket:
        """Receive one packet together with ancillary data.

        Parameters:
            ancillary_bufsize: buffer size for ancillary data, in bytes.
            ancillary_data_received: called with the ancillary data before the packet is parsed.
            timeout: maximum number of seconds; None for no limit.

        Raises:
            UnsupportedOperation: the transport does not support ancillary data.
            RuntimeError: the protocol object or *ancillary_data_received* failed.
            OSError: ``EMSGSIZE``: the system truncated the ancillary data, for lack of buffer space or of free file
                descriptors. The packet is kept for the next call.

        It also raises all errors of `recv_packet`.
        """
        datagram, ancillary_data = self._transport.recv_with_ancillary(ancillary_bufsize, seconds(timeout))
        packet: _T_ReceivedPacket
        packet = self._codec.decode_with_ancillary(datagram, ancillary_data, ancillary_data_received)
        return packet


class DatagramReceiverEndpoint(_Receiving[_T_ReceivedPacket]):
    """An endpoint that receives packets from one peer. It owns the transport, even if *protocol* is invalid.

    Raises:
        TypeError: *transport* or *protocol* is of the wrong type.
    """

    __slots__ = ()

    def __init__(self, transport: DatagramReadTransport, protocol: DatagramProtocol[Any, _T_ReceivedPacket]) -> None:
        super().__init__(transport, DatagramReadTransport, protocol)


class DatagramSenderEndpoint(_Sending[_T_SentPacket]):
    """An endpoint that sends packets to one peer. It owns the transport, even if *protocol* is invalid.

    Raises:
        TypeError: *transport* or *protocol* is of the wrong type.
    """

    __slots__ = ()

    def __init__(self, transport: DatagramWriteTransport, protocol: DatagramProtocol[_T_SentPacket, Any]) -> None:
        super().__init__(transport, DatagramWriteTransport, protocol)


class DatagramEndpoint(_Sending[_T_SentPacket], _Receiving[_T_ReceivedPacket]):
    """An endpoint that exchanges packets with one peer. It owns the transport, even if *protocol* is invalid.

    One thread may send while another receives. Nothing else is thread-safe.

    Raises:
        TypeError: *transport* or *protocol* is of the wrong type.
    """

    __slots__ = ()

    _transport: DatagramTransport

    def __init__(
        self, transport: DatagramTransport, protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket]
    ) -> None:
        super().__init__(transport, DatagramTransport, protocol)
