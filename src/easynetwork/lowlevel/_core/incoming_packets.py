"""Packet reception without I/O. Subclasses add the reads: blocking or asynchronous."""

from __future__ import annotations

__all__ = ["IncomingPackets", "encoding_crash"]

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .ancillary import hand_over
from .errors import end_of_stream
from .stream_decoders.interface import NEED_DATA, StreamDecoder

_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


def encoding_crash(packet: object, exc: Exception) -> RuntimeError:
    """Return the error to raise when the protocol object raises *exc* for *packet*. Raise it from *exc*.

    The message names the type of *packet* and *exc*: usually the serializer does not support that type.
    """
    reason = f"{type(exc).__name__}: {exc}"
    return RuntimeError(f"The protocol object cannot serialize a packet of type {type(packet).__name__}: {reason}")


class IncomingPackets(Generic[_T_ReceivedPacket]):
    """The receiving state of one stream: its decoder and the end of the stream. Base class of receivers.

    Parameters:
        decoder: parses the packets.
        max_recv_size: the maximum number of bytes per read.
    """

    __slots__ = ("_buffered", "_decoder", "_max_recv_size", "has_ended")

    def __init__(self, decoder: StreamDecoder[_T_ReceivedPacket], max_recv_size: int) -> None:
        self._decoder = decoder
        self._buffered = decoder.buffered  # the buffer to receive into, if any
        self._max_recv_size = max_recv_size
        self.has_ended = False
        """Whether the transport has reported the end of the stream."""

    def check_ended(self) -> None:
        """Raise `ConnectionAbortedError` if the stream has ended.

        Raise its subclass `IncompletePacketError` if the stream ended inside a packet.
        """
        if self.has_ended:
            raise end_of_stream(self._decoder.pending)

    def _complete_with_ancillary(
        self, received: bytes | int, ancillary_data: Any, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Pass on *ancillary_data*, then return the packet that *received* completes.

        Parameters:
            received: the bytes just read, or their number if they were read into the buffer of the protocol object.
            ancillary_data: the ancillary data received with them.
            ancillary_data_received: the callback for the ancillary data.

        Raises:
            ConnectionAbortedError: no bytes were read: the stream has ended. The callback is not called.
            EOFError: the packet is still incomplete.
            RuntimeError: *ancillary_data_received* raised an exception (the cause), and the bytes are lost; or the
                protocol object raised an unexpected exception.
        """
        self.has_ended = not received
        self.check_ended()
        hand_over(ancillary_data, ancillary_data_received)
        if isinstance(received, int):
            assert self._buffered is not None
            self._buffered.buffer_updated(received)
        else:
            self._decoder.feed(received)
        if (packet := self._decoder.next_packet()) is NEED_DATA:
            raise EOFError("The bytes received with the ancillary data do not complete a packet")
        return packet

    def take_over(self, previous: IncomingPackets[Any]) -> None:
        """Continue where *previous* is, a receiver of the same stream that will not be used any more.

        Raises:
            UnsupportedOperation: the protocol object has already taken the start of the next packet.
            FramingLostError: an earlier packet failed, and the start of the next one is unknown.
        """
        undelivered = previous.take_undelivered()
        if undelivered:
            self._decoder.feed(undelivered)
        self.has_ended = previous.has_ended

    def take_undelivered(self) -> bytes:
        """Return all received bytes that are not part of a returned packet, and drop them.

        Raise the same errors as `take_over`.
        """
        return self._decoder.take_undelivered()

    def is_interrupting(self) -> bool:
        """Return whether the peer may still be sending: received input is unread, and the stream has not ended."""
        return not self.has_ended and self._decoder.holds_input

    def clear(self) -> None:
        """Drop all received bytes."""
        self._decoder.clear()
