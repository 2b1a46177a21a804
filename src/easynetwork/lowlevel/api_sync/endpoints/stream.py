"""Packets over a blocking stream transport."""

from __future__ import annotations

__all__ = ["StreamEndpoint", "StreamReceiverEndpoint", "StreamSenderEndpoint"]

import math
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from easynetwork._checks import check_transport, seconds
from easynetwork.lowlevel._core.errors import raise_stream_error, too_late
from easynetwork.lowlevel._core.incoming_packets import IncomingPackets, encoding_crash
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA
from easynetwork.lowlevel._deadline import Deadline
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel.api_sync.transports._hooks import chunk_receiver, sender
from easynetwork.lowlevel.api_sync.transports.abc import (
    BaseTransport,
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
)
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport, SSLStreamTransport
from easynetwork.protocol import AnyStreamProtocolType

from ._endpoint import Endpoint

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewSentPacket = TypeVar("_T_NewSentPacket")
_T_NewReceivedPacket = TypeVar("_T_NewReceivedPacket")


class _PacketReceiver(IncomingPackets[_T_ReceivedPacket]):
    """A receiver that decodes packets from the chunks of a transport."""

    __slots__ = ("_receive_chunk", "_transport")

    def __init__(
        self,
        transport: StreamReadTransport,
        protocol: AnyStreamProtocolType[Any, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        receive = chunk_receiver(transport)
        super().__init__(decoder_factory(protocol, max_recv_size, by_chunks=receive is not None)(), max_recv_size)
        self._transport = transport
        self._receive_chunk = receive or transport.recv

    def replacement(
        self, transport: StreamReadTransport, protocol: AnyStreamProtocolType[Any, _T_NewReceivedPacket]
    ) -> _PacketReceiver[_T_NewReceivedPacket]:
        """Return a receiver that continues where this one is, with another protocol object.

        Raises:
            UnsupportedOperation: the protocol object has already taken the start of the next packet.
        """
        receiver = _PacketReceiver(transport, protocol, self._max_recv_size)
        receiver.take_over(self)
        return receiver

    def receive(self, timeout: float) -> _T_ReceivedPacket:
        """Return the next packet. After a timeout, the data received so far is kept for the next call."""
        decoder = self._decoder
        packet = decoder.next_packet()
        if packet is not NEED_DATA:
            return packet
        deadline = None if timeout == math.inf else Deadline(timeout)
        while True:
            if self.has_ended:
                self.check_ended()
            if self._buffered is None:
                chunk = self._receive_chunk(self._max_recv_size, timeout)
                decoder.input.append(chunk)
                nbytes, room = len(chunk), self._max_recv_size
            else:
                buffer = self._buffered.get_buffer()
                nbytes, room = self._transport.recv_into(buffer, timeout), len(buffer)
                self._buffered.buffer_updated(nbytes)
            if not nbytes:
                self.has_ended = True
                continue
            packet = decoder.next_packet()
            if packet is not NEED_DATA:
                return packet
            if deadline is not None:
                timeout = deadline.remaining()
                if not timeout and nbytes < room:  # after a full read, more data may be available
                    raise TimeoutError

    def receive_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object], timeout: float
    ) -> _T_ReceivedPacket:
        """Return the next packet. If it is not complete yet, complete it with one read."""
        if (packet := self._decoder.next_packet()) is not NEED_DATA:
            return packet
        self.check_ended()
        transport = self._transport
        received: bytes | int
        if (buffered := self._buffered) is not None:
            buffer = buffered.get_buffer()
            received, ancillary_data = transport.recv_with_ancillary_into(buffer, ancillary_bufsize, timeout)
        else:
            received, ancillary_data = transport.recv_with_ancillary(self._max_recv_size, ancillary_bufsize, timeout)
        return self._complete_with_ancillary(received, ancillary_data, ancillary_data_received)


def _raise_time_out(exc: TimeoutError, what: str, limit: float) -> NoReturn:
    """Raise the error for *exc*. Without a time limit, *exc* means that the network gave up the connection."""
    if limit == math.inf:
        raise_stream_error(exc)
    raise too_late(what, limit) from None


class _Sending(Endpoint, Generic[_T_SentPacket]):
    """The sending methods of an endpoint."""

    __slots__ = ("_encode", "_eof_sent", "_send_bytes")

    _transport: StreamWriteTransport

    def __init__(self, transport: StreamWriteTransport, protocol: AnyStreamProtocolType[_T_SentPacket, Any]) -> None:
        self._encode = packet_encoder(protocol)
        self._send_bytes = sender(transport)
        self._eof_sent = False
        super().__init__(transport)

    def send_packet(self, packet: _T_SentPacket, *, timeout: float | None = None) -> None:
        """Send *packet* within *timeout* seconds; None for no limit.

        Raises:
            TimeoutError: the packet was not sent in time. Any part of it may have been sent.
            ValueError: *timeout* is negative or NaN.
            RuntimeError: the protocol object crashed (its exception is the cause), or ``send_eof()`` was called before.
                Nothing was sent.
            OSError: the connection broke or is closed.
        """
        limit = math.inf if timeout is None else seconds(timeout)
        data = self._to_bytes(packet)
        if data:
            try:
                self._send_bytes(data, limit)
            except TimeoutError as exc:
                _raise_time_out(exc, "The packet was not sent", limit)

    def send_packet_with_ancillary(
        self, packet: _T_SentPacket, ancillary_data: Any, *, timeout: float | None = None
    ) -> None:
        """Send *packet* and *ancillary_data* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: the transport does not support ancillary data.
            OSError: ``EMSGSIZE``: the packet does not fit in one call.

        It also raises all errors of `send_packet`.
        """
        limit = seconds(timeout)
        data = self._to_bytes(packet)
        try:
            self._transport.send_all_with_ancillary((data,), ancillary_data, limit)
        except TimeoutError as exc:
            _raise_time_out(exc, "The packet was not sent", limit)

    def _check_can_send(self) -> None:
        if self._eof_sent:
            raise RuntimeError("send_eof() was called: nothing can be sent any more")

    def _to_bytes(self, packet: _T_SentPacket) -> bytes:
        self._check_can_send()
        try:
            return self._encode(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc


class _Receiving(BaseTransport, Generic[_T_ReceivedPacket]):
    """The receiving methods of an endpoint."""

    __slots__ = ()

    _receiver: _PacketReceiver[_T_ReceivedPacket]

    def recv_packet(self, *, timeout: float | None = None) -> _T_ReceivedPacket:
        """Receive the next packet, completely, within *timeout* seconds; None for no limit.

        With a *timeout* of 0, data that has already arrived is used.

        Raises:
            TimeoutError: the packet did not arrive in time. The data received so far is kept for the next call.
            ValueError: *timeout* is negative or NaN.
            IncompletePacketError: the stream ended in the middle of a packet. Further calls raise it again.
            ConnectionAbortedError: the stream ended, or cannot continue: a packet failed, and only its parser knew
                where the next one starts. Further calls raise it again.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            RuntimeError: the protocol object crashed (its exception is the cause). The packet is lost.
            OSError: the connection broke or the endpoint is closed.
        """
        limit = math.inf if timeout is None else seconds(timeout)
        try:
            return self._receiver.receive(limit)
        except TimeoutError as exc:
            _raise_time_out(exc, "No packet arrived", limit)

    def recv_packet_with_ancillary(
        self,
        ancillary_bufsize: int,
        ancillary_data_received: Callable[[Any], object],
        *,
        timeout: float | None = None,
    ) -> _T_ReceivedPacket:
        """Receive the next packet in one read, together with ancillary data.

        Parameters:
            ancillary_bufsize: buffer size for ancillary data, in bytes.
            ancillary_data_received: called with the ancillary data before the packet is parsed. Not called for a packet
                that had already arrived.
            timeout: maximum number of seconds; None for no limit.

        Raises:
            EOFError: the read did not complete a packet. The data read is kept.
            OSError: ``EMSGSIZE``: the system truncated the ancillary data, for lack of buffer space or of free file
                descriptors. The packet is kept for the next call.
            UnsupportedOperation: the transport does not support ancillary data.
            RuntimeError: the protocol object or *ancillary_data_received* failed.

        It also raises all errors of `recv_packet`.
        """
        limit = seconds(timeout)
        try:
            return self._receiver.receive_with_ancillary(ancillary_bufsize, ancillary_data_received, limit)
        except TimeoutError as exc:
            _raise_time_out(exc, "No packet arrived", limit)


class StreamReceiverEndpoint(Endpoint, _Receiving[_T_ReceivedPacket]):
    """An endpoint for a read-only stream of packets. It owns the transport, even if another argument is invalid.

    Parameters:
        transport: receives the bytes.
        protocol: parses the packets.
        max_recv_size: the maximum number of bytes per read.

    Raises:
        TypeError: *transport* or *protocol* is of the wrong type.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """

    __slots__ = ("_receiver",)

    _transport: StreamReadTransport

    def __init__(
        self,
        transport: StreamReadTransport,
        protocol: AnyStreamProtocolType[Any, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        check_transport(transport, StreamReadTransport)
        with closed_on_failure(transport):
            self._receiver = _PacketReceiver(transport, protocol, max_recv_size)
            super().__init__(transport)

    def set_protocol(
        self, protocol: AnyStreamProtocolType[Any, _T_NewReceivedPacket]
    ) -> StreamReceiverEndpoint[_T_NewReceivedPacket]:
        """Exchange the protocol object, as `StreamEndpoint.set_protocol` does."""
        endpoint: StreamReceiverEndpoint[Any] = self
        endpoint._receiver = self._receiver.replacement(self._transport, protocol)
        return endpoint

    def close(self) -> None:
        """Close the transport and discard received data."""
        try:
            super().close()
        finally:
            self._receiver.clear()


class StreamSenderEndpoint(_Sending[_T_SentPacket]):
    """An endpoint for a write-only stream of packets. It owns the transport, even if another argument is invalid.

    Raises:
        TypeError: *transport* or *protocol* is of the wrong type.
    """

    __slots__ = ()

    def __init__(self, transport: StreamWriteTransport, protocol: AnyStreamProtocolType[_T_SentPacket, Any]) -> None:
        check_transport(transport, StreamWriteTransport)
        with closed_on_failure(transport):
            super().__init__(transport, protocol)

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, Any]
    ) -> StreamSenderEndpoint[_T_NewSentPacket]:
        """Exchange the protocol object. Return this endpoint, typed for the new packets.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
        """
        endpoint: StreamSenderEndpoint[Any] = self
        endpoint._encode = packet_encoder(protocol)
        return endpoint


class StreamEndpoint(_Sending[_T_SentPacket], _Receiving[_T_ReceivedPacket]):
    """An endpoint that sends and receives packets. It owns the transport, even if another argument is invalid.

    One thread may send while another receives. Nothing else is thread-safe.

    Parameters:
        transport: sends and receives the bytes.
        protocol: serializes and parses the packets.
        max_recv_size: the maximum number of bytes per read.

    Raises:
        TypeError: *transport* or *protocol* is of the wrong type.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """

    __slots__ = ("_receiver",)

    _transport: StreamTransport

    def __init__(
        self,
        transport: StreamTransport,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        check_transport(transport, StreamTransport)
        with closed_on_failure(transport):
            self._receiver = _PacketReceiver(transport, protocol, max_recv_size)
            super().__init__(transport, protocol)

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, _T_NewReceivedPacket]
    ) -> StreamEndpoint[_T_NewSentPacket, _T_NewReceivedPacket]:
        """Exchange the protocol object. Return this endpoint, typed for the new packets.

        The new one parses all bytes that are not part of a packet that `recv_packet` returned, also those that have
        already arrived. No other thread may be receiving.

        Raises:
            TypeError: *protocol* is not a stream protocol object.
            UnsupportedOperation: a generator of the old protocol object has already taken the start of a packet.
            ConnectionAbortedError: the stream cannot continue, see `recv_packet`.
        """
        receiver = self._receiver.replacement(self._transport, protocol)
        endpoint: StreamEndpoint[Any, Any] = self
        endpoint._receiver, endpoint._encode = receiver, packet_encoder(protocol)
        return endpoint

    def _start_tls(self, protocol: AnyStreamProtocolType[Any, Any], **tls_options: Any) -> SSLStreamTransport:
        """Start TLS on the transport, a `SocketStreamTransport`, and replace it. Return the new transport.

        Parameters:
            protocol: the protocol object of this endpoint.
            tls_options: see `SSLStreamTransport`.

        Raises:
            RuntimeError: the connection uses TLS already, or `send_eof` was called.
            UnsupportedOperation: a generator of the protocol object has already taken the start of a packet.
        """
        self._check_can_send()
        plain = self._transport
        if not isinstance(plain, SocketStreamTransport):
            raise RuntimeError("The connection uses TLS already")
        tls = SSLStreamTransport._start(plain, received=self._receiver.take_undelivered(), **tls_options)
        self._transport = tls
        self._send_bytes = sender(tls)
        self.set_protocol(protocol)
        return tls

    def send_eof(self) -> None:
        """Close the sending direction. Receiving remains possible. Idempotent.

        Raises:
            UnsupportedOperation: the transport does not support it (TLS).
        """
        if not self._eof_sent:
            self._transport.send_eof()
            self._eof_sent = True

    def close(self) -> None:
        """Close the transport and discard received data."""
        try:
            super().close()
        finally:
            self._receiver.clear()
