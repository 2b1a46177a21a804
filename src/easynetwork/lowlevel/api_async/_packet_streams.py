"""Sending and receiving packets over a stream transport, for endpoints and servers."""

from __future__ import annotations

__all__ = ["PacketReceiver", "PacketSender", "TransportWrapper"]

import errno
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from easynetwork._acceleration import with_shortcut
from easynetwork.lowlevel._core.errors import error_from_errno, raise_stream_error
from easynetwork.lowlevel._core.incoming_packets import IncomingPackets, encoding_crash
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, SupportsBuffer
from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel.api_async.transports._hooks import (
    NO_BATCH,
    WriteBatch,
    chunk_receiver,
    receive_chunk,
    write_batch,
)
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewPacket = TypeVar("_T_NewPacket")


class TransportWrapper(AsyncBaseTransport):
    """Base class of objects that delegate to a transport."""

    __slots__ = ("_transport",)

    _transport: AsyncBaseTransport

    def __init__(self, transport: AsyncBaseTransport) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_transport', None)!r}>"

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    async def aclose(self) -> None:
        """Close the transport. A cancelled call closes abruptly."""
        await self._transport.aclose()

    def backend(self) -> AsyncBackend:
        return self._transport.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._transport.extra_attributes


class PacketSender(TransportWrapper, Generic[_T_SentPacket]):
    """Base class of objects that send packets to one peer: endpoints and the clients of a server.

    A packet is encoded at once and written in one piece, so that packets of several tasks are never interleaved.
    """

    __slots__ = ("_batch", "_encode", "_exclusion")

    _transport: AsyncStreamWriteTransport

    def __init__(self, transport: AsyncStreamWriteTransport, encode: Callable[[_T_SentPacket], bytes]) -> None:
        self._transport = transport
        self._encode = encode
        self._batch = write_batch(transport)
        self._exclusion: AbstractAsyncContextManager[object] | None = None  # created when a send first waits

    @with_shortcut
    async def send_packet(self, packet: _T_SentPacket) -> None:
        """Send *packet*. Wait only while too much data waits in the transport.

        After a cancellation, an unknown part of the packet may have been sent.

        Raises:
            BusyResourceError: another task is sending or closing.
            RuntimeError: the protocol object raised an unexpected exception (the cause), or ``send_eof()`` was called.
                Nothing was sent.
            OSError: the connection broke or is closed.
        """
        try:
            data = self._encode(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc
        batch = self._batch
        if (capacity := batch.capacity - len(data)) > 0:
            batch.capacity = capacity
            batch.parts.append(data)
        elif not batch.write_nowait(data):
            await self._send_slowly(data)

    def send_nowait(self, packet: _T_SentPacket) -> bytes | None:
        """Do the part of `send_packet` that does not wait. Return the bytes left for ``_send_slowly``, or None."""
        try:
            data = self._encode(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc
        return None if self._batch.write_nowait(data) else data

    async def _send_slowly(self, data: bytes) -> None:
        """Send data that the transport did not accept without waiting."""
        self._check_can_send()  # before the wait for another task, too: a close may take long
        async with self._alone():
            try:
                self._check_can_send()
                if data:
                    await self._send_all(data)
            except OSError as exc:
                self._has_failed(exc)
                raise

    async def _send_all(self, data: bytes) -> None:
        try:
            await self._transport.send_all_from_iterable((data,))
        except OSError as exc:
            raise_stream_error(exc)

    async def send_packet_with_ancillary(self, packet: _T_SentPacket, ancillary_data: Any) -> None:
        """Send *packet* and *ancillary_data* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: the transport does not support ancillary data.
            OSError: ``EMSGSIZE`` if the packet does not fit in one call.

        It also raises all errors of `send_packet`.
        """
        async with self._alone():
            try:
                self._check_can_send()
                try:
                    data = self._encode(packet)
                except Exception as exc:
                    raise encoding_crash(packet, exc) from exc
                await self._transport.send_all_with_ancillary((data,), ancillary_data)
            except OSError as exc:
                self._has_failed(exc)
                raise

    def _alone(self) -> AbstractAsyncContextManager[object]:
        """Return the context manager that only one task at a time may enter, to send with a wait or to close."""
        if self._exclusion is None:
            self._exclusion = self._new_exclusion()
        return self._exclusion

    def _new_exclusion(self) -> AbstractAsyncContextManager[object]:
        """Create the context manager of `_alone`. This one refuses a second task; subclasses may let it wait."""
        return ResourceGuard("Another task is sending or closing")

    def _has_failed(self, exc: OSError) -> None:
        """Record an error of the connection that is about to be raised."""

    def _set_encoder(self, encode: Callable[[Any], bytes]) -> None:
        if self._encode is not _encode_nothing:
            self._encode = encode

    async def _upgrade(
        self, transport: AsyncStreamTransport, take_undelivered: Callable[[], bytes], **tls_options: Any
    ) -> None:
        """Start TLS on *transport*, and replace it. Call this in `_alone`: other senders wait for the end.

        Parameters:
            transport: the transport in use.
            take_undelivered: returns the bytes that came from it and are not part of a delivered packet.
            tls_options: see `AsyncTLSStreamTransport.wrap`.

        It raises the errors of `_check_can_upgrade` and `AsyncTLSStreamTransport.wrap`.
        """
        self._check_can_upgrade()
        received = take_undelivered()
        self._batch = _Upgrade(scope := transport.backend().open_cancel_scope())
        try:
            with scope:
                self._transport = await AsyncTLSStreamTransport._start(transport, received=received, **tls_options)
        finally:
            self._batch = NO_BATCH
        if scope.cancelled_caught():
            self._check_can_send()
            raise error_from_errno(errno.ECONNABORTED, "closed during the TLS handshake")
        self._batch = write_batch(self._transport)

    def _check_can_upgrade(self) -> None:
        """Raise `RuntimeError` if the connection uses TLS already, or its sending direction is closed."""
        self._check_can_send()
        if isinstance(self._transport, AsyncTLSStreamTransport):
            raise RuntimeError("The connection uses TLS already")

    def _cancel_upgrade(self) -> None:
        """End a handshake at once. The connection is then closed."""
        if isinstance(self._batch, _Upgrade):
            self._batch.scope.cancel()

    async def _end_sending(self, send_eof: Callable[[], Awaitable[None]]) -> None:
        """Close the sending direction of the transport with *send_eof*, unless it is closed."""
        if self._encode is _encode_nothing:
            return
        self._check_can_send()  # before the wait for another task, too
        async with self._alone():
            if self._encode is _encode_nothing:
                return
            self._check_can_send()
            try:
                await send_eof()
            except OSError as exc:
                self._has_failed(exc)
                raise
            # Every further `send_packet` fails in `_check_can_send`, before it calls the protocol object.
            self._encode = _encode_nothing
            self._batch = NO_BATCH

    def _check_can_send(self) -> None:
        """Raise `RuntimeError` if the sending direction is closed."""
        if self._encode is _encode_nothing:
            raise RuntimeError("send_eof() was called: nothing can be sent any more")


def _encode_nothing(packet: object) -> bytes:
    return b""


class _Upgrade(WriteBatch):
    """The batch during a TLS handshake: it accepts nothing."""

    __slots__ = ("scope",)

    def __init__(self, scope: CancelScope) -> None:
        super().__init__()
        self.scope = scope


class PacketReceiver(IncomingPackets[_T_ReceivedPacket]):
    """Decodes packets from the data that a transport receives, for one task at a time."""

    __slots__ = ("_guard", "_transport", "next_packet", "receive_more")

    def __init__(
        self,
        transport: AsyncStreamReadTransport,
        protocol: AnyStreamProtocolType[Any, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        receive = chunk_receiver(transport)
        decoder = decoder_factory(protocol, max_recv_size, by_chunks=receive is not None)()
        super().__init__(decoder, max_recv_size)
        self._transport = transport
        self._guard = ResourceGuard("Another task is receiving")
        self.next_packet: Final = decoder.next_packet
        """Return the next packet if its bytes have been received, else `NEED_DATA`."""
        self.receive_more: Final[Callable[[], Awaitable[bool]]] = (
            partial(receive or partial(receive_chunk, transport), decoder.input, max_recv_size)
            if self._buffered is None
            else partial(_receive_into, transport, self._buffered)
        )
        """Receive bytes for `next_packet`. Return false at the end of the stream. Raise the errors of the transport.

        One task at a time may call this, unless `has_ended`.
        """

    def replacement(
        self, transport: AsyncStreamReadTransport, protocol: AnyStreamProtocolType[Any, _T_NewPacket]
    ) -> PacketReceiver[_T_NewPacket]:
        """Return a receiver that continues where this one is, with another protocol object.

        Raises:
            BusyResourceError: another task is receiving.
            UnsupportedOperation: the protocol object has already taken the start of the next packet.
        """
        self._guard.check()
        receiver = PacketReceiver(transport, protocol, self._max_recv_size)
        receiver.take_over(self)
        return receiver

    async def receive(self) -> _T_ReceivedPacket:
        """Return the next packet. A cancelled call keeps the received bytes for the next call."""
        if self._guard.busy:
            self._guard.check()
        packet = self.next_packet()
        if packet is not NEED_DATA:
            return packet
        with self._guard:
            try:
                while packet is NEED_DATA:
                    self.check_ended()
                    self.has_ended = not await self.receive_more()
                    packet = self.next_packet()
                return packet
            except OSError as exc:
                raise_stream_error(exc)

    async def receive_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Return the next packet, from the bytes of one read, unless a packet is already complete."""
        with self._guard:
            if (packet := self._decoder.next_packet()) is not NEED_DATA:
                return packet
            self.check_ended()
            transport = self._transport
            received: bytes | int
            if (buffered := self._buffered) is not None:
                buffer = buffered.get_buffer()
                received, ancillary_data = await transport.recv_with_ancillary_into(buffer, ancillary_bufsize)
            else:
                received, ancillary_data = await transport.recv_with_ancillary(self._max_recv_size, ancillary_bufsize)
            return self._complete_with_ancillary(received, ancillary_data, ancillary_data_received)


async def _receive_into(transport: AsyncStreamReadTransport, buffered: SupportsBuffer) -> bool:
    nbytes = await transport.recv_into(buffered.get_buffer())
    buffered.buffer_updated(nbytes)
    return bool(nbytes)
