"""The decoder interface: the bytes of one stream in, packets out, one at a time and only on request.

Packets and errors do not depend on how the network splits the stream. A packet that fails costs only that packet, and
the decoder continues with the next one. If the start of the next packet is unknown, the stream cannot continue.
"""

from __future__ import annotations

__all__ = ["NEED_DATA", "FramingLostError", "NeedData", "StreamDecoder", "SupportsBuffer", "protocol_crash"]

import enum
import errno
from abc import ABC, abstractmethod
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from easynetwork.lowlevel._core.bytes_queue import SupportsAppend
from easynetwork.lowlevel._core.traffic import Traffic

_T_Packet = TypeVar("_T_Packet")


class _Token(enum.Enum):
    NEED_DATA = "NEED_DATA"


NeedData: TypeAlias = Literal[_Token.NEED_DATA]
NEED_DATA: Final = _Token.NEED_DATA
"""The result of a decoder while the next packet is incomplete. A unique token, because any object may be a packet."""


class SupportsBuffer(Protocol):
    """An object that provides a buffer for received bytes."""

    def get_buffer(self) -> memoryview:
        """Return the writable buffer for the next bytes."""

    def buffer_updated(self, nbytes: int) -> None:
        """Accept *nbytes* bytes, written to the start of the buffer from `get_buffer`."""


class FramingLostError(ConnectionAbortedError):
    """The stream cannot continue: a packet failed, and the start of the next one is unknown.

    The cause is the error of that packet, which was raised before.
    """

    def __init__(self) -> None:
        text = "the stream cannot continue: a packet failed, and only its parser knew where the next one begins"
        super().__init__(errno.ECONNABORTED, text)


class StreamDecoder(ABC, Generic[_T_Packet]):
    """The receiving half of one stream."""

    __slots__ = ("batch", "input")

    input: SupportsAppend
    """Accepts chunks as received, without parsing: a packet costs nothing until it is requested."""
    batch: bytes
    """The bytes of the packets that `next_packets` returned last, if it consumed all bytes.

    `take_undelivered` needs them. The caller sets ``b""`` when all packets are delivered, because an idle connection
    must not keep its last chunk in memory.
    """
    traffic: Traffic | None = None
    """What is counted. None if nothing is."""
    drained: bool = False
    """Whether the last `next_packets` consumed all bytes. Without new bytes, another call would return no packets."""

    def feed(self, chunk: bytes) -> None:
        """Accept received bytes."""
        self.input.append(chunk)

    @abstractmethod
    def next_packet(self) -> _T_Packet | NeedData:
        """Return the next packet, or `NEED_DATA`.

        Raises:
            StreamProtocolParseError: the bytes are not a valid packet. The next call continues after them.
            RuntimeError: the protocol object raised an unexpected exception (the cause). The packet is lost.
            FramingLostError: an earlier packet failed, and the start of the next one is unknown.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def pending(self) -> int:
        """The number of bytes received of an incomplete packet. Valid after `next_packet` returned `NEED_DATA`.

        Bytes of a packet that was already refused do not count.
        """
        raise NotImplementedError

    def next_packets(self, limit: int) -> list[_T_Packet]:
        """Return at most *limit* of the next packets; an empty list if the next packet is incomplete.

        Raise the same errors as `next_packet`.

        Return more than one packet only if parsing a packet cannot depend on the handling of earlier packets.
        """
        packet = self.next_packet()
        return [] if packet is NEED_DATA else [packet]

    def take_single(self, received: bytes) -> _T_Packet | NeedData:
        """Take *received* bytes. If they are exactly one packet, return it: a shortcut for the most common case.

        Call `next_packets` if the result is `NEED_DATA`. Raise the same errors as `next_packet`.

        Parameters:
            received: the chunk; a decoder that is `buffered` also takes the number of bytes in its buffer.
        """
        self.input.append(received)
        return NEED_DATA

    @property
    def buffered(self) -> SupportsBuffer | None:
        """The decoder itself if it provides a buffer to receive into without a copy, else None."""
        return None

    @property
    @abstractmethod
    def holds_input(self) -> bool:
        """Whether some received bytes have not become packets."""
        raise NotImplementedError

    @abstractmethod
    def take_undelivered(self, count: int = 0) -> bytes:
        """Return all bytes that are not part of a delivered packet, and drop them.

        Parameters:
            count: number of packets of the last `next_packets` that were not delivered, counted from its end.

        Raises:
            UnsupportedOperation: the protocol object has already taken the start of the next packet.
            FramingLostError: an earlier packet failed, and the start of the next one is unknown.
        """
        raise NotImplementedError

    @abstractmethod
    def clear(self) -> None:
        """Drop all bytes."""
        raise NotImplementedError


def protocol_crash(exc: Exception) -> RuntimeError:
    """Return the error for *exc*, which the protocol object raised unexpectedly for received bytes."""
    error = RuntimeError("The protocol object crashed while it was building a packet from received bytes")
    error.__cause__ = exc
    return error
