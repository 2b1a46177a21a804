"""Packets over a transport: all but the reading and the writing, which may block or be awaited."""

from __future__ import annotations

__all__ = ["IncomingPackets", "encoding_crash", "hand_over"]

import errno
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from easynetwork.exceptions import IncompletePacketError

from .stream_decoders.interface import NEED_DATA, StreamDecoder

_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


def encoding_crash(packet: object, exc: Exception) -> RuntimeError:
    """Return the error for a protocol object that raises *exc* for *packet*; to be raised from that exception.

    Mostly the packet is of a type that the serializer does not know, so both of them are in the message.
    """
    reason = f"{type(exc).__name__}: {exc}"
    return RuntimeError(f"The protocol object cannot make bytes of a packet of type {type(packet).__name__}: {reason}")


def hand_over(ancillary_data: Any, ancillary_data_received: Callable[[Any], object]) -> None:
    """Calls *ancillary_data_received*.

    Raises:
        RuntimeError: it has failed.
    """
    try:
        ancillary_data_received(ancillary_data)
    except Exception as exc:
        raise RuntimeError("The callback for ancillary data has failed") from exc


class IncomingPackets(Generic[_T_ReceivedPacket]):
    """What was received from one stream, and is not a packet yet. Base of what does the receiving.

    Parameters:
        decoder: makes the packets.
        max_recv_size: the largest number of bytes to read at once.
    """

    __slots__ = ("_buffered", "_decoder", "_eof", "_max_recv_size")

    def __init__(self, decoder: StreamDecoder[_T_ReceivedPacket], max_recv_size: int) -> None:
        self._decoder = decoder
        self._buffered = decoder.buffered  # to be received into
        self._max_recv_size = max_recv_size
        self._eof = False

    def _check_eof(self) -> None:
        """Raise `ConnectionAbortedError` if the stream has ended: `IncompletePacketError` if within a packet."""
        if self._eof:
            if nbytes := self._decoder.pending:
                raise IncompletePacketError(nbytes)
            raise ConnectionAbortedError(errno.ECONNABORTED, "the peer closed the connection")

    def _complete_with_ancillary(
        self, received: bytes | int, ancillary_data: Any, ancillary_data_received: Callable[[Any], object]
    ) -> _T_ReceivedPacket:
        """Return the packet that *received* completes; *ancillary_data* is handed over before.

        Parameters:
            received: the bytes just read, or how many of them were read into the buffer of the protocol object.
            ancillary_data: what has come with them.
            ancillary_data_received: gets that.

        Raises:
            ConnectionAbortedError: no byte was read: the stream has ended. Nothing was handed over.
            EOFError: the packet is still incomplete.
            RuntimeError: *ancillary_data_received* has failed; the bytes are lost. Or the protocol object crashed.
        """
        self._eof = not received
        self._check_eof()
        hand_over(ancillary_data, ancillary_data_received)
        if isinstance(received, int):
            assert self._buffered is not None
            self._buffered.buffer_updated(received)
        else:
            self._decoder.feed(received)
        if (packet := self._decoder.next_packet()) is NEED_DATA:
            raise EOFError("The data received with ancillary data does not hold a whole packet")
        return packet

    def is_interrupting(self) -> bool:
        """Return whether the peer is cut short if the connection is closed now: it has sent what was not delivered."""
        return not self._eof and self._decoder.holds_input

    def clear(self) -> None:
        """Forgets what was received."""
        self._decoder.clear()
