"""Packets over a stream transport: the halves that endpoints and servers are made of."""

from __future__ import annotations

__all__ = ["PacketReceiver", "PacketSender", "TransportWrapper"]

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from easynetwork.lowlevel._core.errors import raise_stream_error
from easynetwork.lowlevel._core.incoming_packets import IncomingPackets, encoding_crash
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA
from easynetwork.lowlevel._resource_guard import ResourceGuard
from easynetwork.lowlevel.api_async.transports._hooks import NO_BATCH, chunk_receiver, receive_chunk, write_batch
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncStreamReadTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class TransportWrapper(AsyncBaseTransport):
    """Base of what has a transport, and delegates to it."""

    __slots__ = ("_transport",)

    _transport: AsyncBaseTransport

    def __init__(self, transport: AsyncBaseTransport) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_transport', None)!r}>"

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    async def aclose(self) -> None:
        """Closes the transport. A cancelled call closes abruptly."""
        await self._transport.aclose()

    def backend(self) -> AsyncBackend:
        return self._transport.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._transport.extra_attributes


class PacketSender(TransportWrapper, Generic[_T_SentPacket]):
    """Base of what sends packets to one peer: endpoints, and the clients of a server.

    A packet is encoded at once and handed over in one piece: nothing can come between its bytes.
    """

    __slots__ = ("_batch", "_encode", "_exclusion")

    _transport: AsyncStreamWriteTransport

    def __init__(self, transport: AsyncStreamWriteTransport, encode: Callable[[_T_SentPacket], bytes]) -> None:
        self._transport = transport
        self._encode = encode
        self._batch = write_batch(transport)
        self._exclusion: AbstractAsyncContextManager[object] | None = None  # most clients are never waited for

    async def send_packet(self, packet: _T_SentPacket) -> None:
        """Sends *packet*. Waits only while the transport has more to send than it should keep in memory.

        If cancelled, it is unknown how much was sent.

        Raises:
            BusyResourceError: another task is sending or closing.
            RuntimeError: the protocol object crashed (its exception is the cause), or ``send_eof()`` was called before.
                Nothing was sent.
            OSError: the connection broke or is closed.
        """
        try:
            data = self._encode(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc
        batch = self._batch
        if (room := batch.room - len(data)) > 0:
            batch.room = room
            batch.parts.append(data)
        elif not batch.write_nowait(data):
            await self._send_slowly(data)

    def send_nowait(self, packet: _T_SentPacket) -> bytes | None:
        """Does what `send_packet` can do without waiting. Returns what is left for `_send_slowly`, if anything."""
        try:
            data = self._encode(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc
        return None if self._batch.write_nowait(data) else data

    async def _send_slowly(self, data: bytes) -> None:
        """Sends what the transport does not take without waiting."""
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
        """Sends *packet* and *ancillary_data* in one :manpage:`sendmsg(2)`.

        Raises:
            UnsupportedOperation: the transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the packet does not fit in one call.

        Besides these, all that `send_packet` raises.
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
        """Returns what one task at a time can be in: who may have to wait while he sends, or closes."""
        if self._exclusion is None:
            self._exclusion = self._new_exclusion()
        return self._exclusion

    def _new_exclusion(self) -> AbstractAsyncContextManager[object]:
        """Says what becomes of a second task: it is refused."""
        return ResourceGuard("Another task is sending or closing")

    def _has_failed(self, exc: OSError) -> None:
        """Take notice of an error of the connection, which is about to be raised."""

    def _check_can_send(self) -> None:
        """Raises `RuntimeError` if the sending direction was closed on its own."""

    def _send_no_more(self) -> None:
        """Have each further `send_packet` fail by `_check_can_send` before it asks the protocol object for bytes."""
        self._encode = _encode_nothing
        self._batch = NO_BATCH


def _encode_nothing(packet: object) -> bytes:
    return b""


class PacketReceiver(IncomingPackets[_T_ReceivedPacket]):
    """Decodes packets out of what a transport receives, for one task at a time."""

    __slots__ = ("_guard", "_receive_chunk", "_transport", "next_packet")

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
        self._receive_chunk = receive or partial(receive_chunk, transport)
        self._guard = ResourceGuard("Another task is receiving")
        self.next_packet: Final = decoder.next_packet
        """Returns the next packet if its bytes are there, or `NEED_DATA`."""

    async def receive(self) -> _T_ReceivedPacket:
        """Returns the next packet. If cancelled, the bytes received so far stay for the next call."""
        if self._guard.busy:
            self._guard.check()
        packet = self.next_packet()
        return await self.receive_more() if packet is NEED_DATA else packet

    async def receive_more(self) -> _T_ReceivedPacket:
        """Does the rest of `receive` after `next_packet`: waits for bytes until there is a packet. One at a time."""
        guard, decoder = self._guard, self._decoder
        guard.busy = True
        try:
            while True:
                if self._eof:
                    self._check_eof()
                if (buffered := self._buffered) is not None:
                    nbytes = await self._transport.recv_into(buffered.get_buffer())
                    buffered.buffer_updated(nbytes)
                    self._eof = not nbytes
                else:
                    self._eof = not await self._receive_chunk(decoder.input, self._max_recv_size)
                packet = decoder.next_packet()
                if packet is not NEED_DATA:
                    return packet
        except OSError as exc:
            raise_stream_error(exc)
        finally:
            guard.busy = False

    async def receive_with_ancillary(
        self, ancillary_bufsize: int, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Returns the next packet, made of the bytes of one read, unless it is complete already."""
        with self._guard:
            if (packet := self._decoder.next_packet()) is not NEED_DATA:
                return packet
            self._check_eof()
            transport = self._transport
            received: bytes | int
            if (buffered := self._buffered) is not None:
                buffer = buffered.get_buffer()
                received, ancillary_data = await transport.recv_with_ancillary_into(buffer, ancillary_bufsize)
            else:
                received, ancillary_data = await transport.recv_with_ancillary(self._max_recv_size, ancillary_bufsize)
            return self._complete_with_ancillary(received, ancillary_data, ancillary_data_received)
