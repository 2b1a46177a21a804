"""Packet endpoints over a stream transport."""

from __future__ import annotations

__all__ = ["AsyncStreamEndpoint", "AsyncStreamReceiverEndpoint", "AsyncStreamSenderEndpoint"]

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from easynetwork._checks import check_transport
from easynetwork.lowlevel._core.stream_decoders.choice import packet_encoder
from easynetwork.lowlevel.api_async._packet_streams import PacketReceiver, PacketSender, TransportWrapper
from easynetwork.lowlevel.api_async.transports._hooks import expect_input
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.protocol import AnyStreamProtocolType

from ._endpoint import Endpoint

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewSentPacket = TypeVar("_T_NewSentPacket")
_T_NewReceivedPacket = TypeVar("_T_NewReceivedPacket")


class _Receiving(AsyncBaseTransport, Generic[_T_ReceivedPacket]):
    """The receiving methods of an endpoint."""

    __slots__ = ()

    _receiver: PacketReceiver[_T_ReceivedPacket]

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receive the next packet.

        A cancelled call loses no data: the next call continues with the bytes received so far.

        Raises:
            IncompletePacketError: the stream ended in the middle of a packet. All further calls raise it too.
            ConnectionAbortedError: the stream ended, or it cannot continue because a packet failed and only its parser
                knew where the next one begins. All further calls raise it too.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            BusyResourceError: another task is receiving.
            RuntimeError: the protocol object raised an unexpected exception (the cause). The packet is lost.
            OSError: the connection broke or the endpoint is closed.
        """
        return await self._receiver.receive()

    async def recv_packet_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Receive the next packet in one read, with ancillary data.

        Parameters:
            ancillary_bufsize: the buffer size for ancillary data, in bytes.
            ancillary_data_received: called with the ancillary data before the packet is parsed. Not called if a
                complete packet was already received.

        Raises:
            EOFError: the read did not complete a packet. The bytes are kept.
            OSError: ``EMSGSIZE`` if the system truncated the ancillary data, because *ancillary_bufsize* is too small
                or file descriptors ran out. The next call returns the packet.
            UnsupportedOperation: the transport does not support ancillary data.
            RuntimeError: the protocol object or *ancillary_data_received* raised an exception (the cause).

        It also raises all errors of `recv_packet`.
        """
        return await self._receiver.receive_with_ancillary(ancillary_bufsize, ancillary_data_received)


class AsyncStreamReceiverEndpoint(Endpoint, TransportWrapper, _Receiving[_T_ReceivedPacket]):
    """Receives packets from a read-only stream transport.

    Parameters:
        transport: receives the bytes. The endpoint owns it.
        protocol: parses the packets.
        max_recv_size: the number of bytes to read at once. asyncio and uvloop may read up to 256 KiB.

    Raises:
        TypeError: *transport* or *protocol* has the wrong type.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """

    __slots__ = ("_receiver",)

    _transport: AsyncStreamReadTransport

    def __init__(
        self,
        transport: AsyncStreamReadTransport,
        protocol: AnyStreamProtocolType[Any, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        check_transport(transport, AsyncStreamReadTransport)
        self._receiver = PacketReceiver(transport, protocol, max_recv_size)
        super().__init__(transport)

    def set_protocol(
        self, protocol: AnyStreamProtocolType[Any, _T_NewReceivedPacket]
    ) -> AsyncStreamReceiverEndpoint[_T_NewReceivedPacket]:
        """Exchange the protocol object, as `AsyncStreamEndpoint.set_protocol` does."""
        endpoint: AsyncStreamReceiverEndpoint[Any] = self
        endpoint._receiver = self._receiver.replacement(self._transport, protocol)
        return endpoint

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            self._receiver.clear()


class AsyncStreamSenderEndpoint(Endpoint, PacketSender[_T_SentPacket]):
    """Sends packets to a write-only stream transport.

    Parameters:
        transport: sends the bytes. The endpoint owns it.
        protocol: serializes the packets.

    Raises:
        TypeError: *transport* or *protocol* has the wrong type.
    """

    __slots__ = ()

    def __init__(
        self, transport: AsyncStreamWriteTransport, protocol: AnyStreamProtocolType[_T_SentPacket, Any]
    ) -> None:
        check_transport(transport, AsyncStreamWriteTransport)
        super().__init__(transport, packet_encoder(protocol))

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, Any]
    ) -> AsyncStreamSenderEndpoint[_T_NewSentPacket]:
        """Exchange the protocol object. Return this endpoint, typed for the new packets.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
        """
        self._set_encoder(packet_encoder(protocol))
        endpoint: AsyncStreamSenderEndpoint[Any] = self
        return endpoint


class AsyncStreamEndpoint(Endpoint, PacketSender[_T_SentPacket], _Receiving[_T_ReceivedPacket]):
    """Sends and receives packets. One task may send while another task receives.

    Parameters:
        transport: sends and receives the bytes. The endpoint owns it.
        protocol: serializes and parses the packets.
        max_recv_size: the number of bytes to read at once. asyncio and uvloop may read up to 256 KiB.

    Raises:
        TypeError: *transport* or *protocol* has the wrong type.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """

    __slots__ = ("_receiver",)

    _transport: AsyncStreamTransport

    def __init__(
        self,
        transport: AsyncStreamTransport,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        check_transport(transport, AsyncStreamTransport)
        self._receiver = PacketReceiver(transport, protocol, max_recv_size)
        super().__init__(transport, packet_encoder(protocol))

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, _T_NewReceivedPacket]
    ) -> AsyncStreamEndpoint[_T_NewSentPacket, _T_NewReceivedPacket]:
        """Exchange the protocol object. Return this endpoint, typed for the new packets.

        The new one parses all bytes that are not part of a packet that `recv_packet` returned, also those that have
        already arrived.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
            BusyResourceError: another task is receiving.
            UnsupportedOperation: a generator of the old protocol object has already taken the start of a packet.
            ConnectionAbortedError: the stream cannot continue, see `recv_packet`.
        """
        receiver = self._receiver.replacement(self._transport, protocol)
        self._set_encoder(packet_encoder(protocol))
        endpoint: AsyncStreamEndpoint[Any, Any] = self
        endpoint._receiver = receiver
        return endpoint

    async def _start_tls(self, **tls_options: Any) -> None:
        """Upgrade the connection to TLS. The options are those of `AsyncTLSStreamTransport.wrap`.

        `set_protocol` must follow, and no task may receive until then.
        """
        async with self._alone():
            await self._upgrade(self._transport, self._receiver.take_undelivered, **tls_options)

    async def send_eof(self) -> None:
        """Close the sending direction after all accepted packets are sent. Receiving remains possible. Idempotent.

        Raises:
            BusyResourceError: another task is sending.
            UnsupportedOperation: the transport cannot close one direction only (TLS).
        """
        await self._end_sending(self._transport.send_eof)

    async def aclose(self) -> None:
        """Close the transport and drop the received data. A cancelled call closes abruptly.

        Raises:
            BusyResourceError: another task is sending.
        """
        async with self._alone():
            if self._receiver.is_interrupting():
                expect_input(self._transport)
            try:
                await super().aclose()
            finally:
                self._receiver.clear()
