"""What a decoder is: one stream's bytes in, packets out, one at a time and only when asked.

The packets and errors do not depend on how the network splits the stream. A packet that fails, for whatever reason,
costs that packet: the decoder goes on with the next one. If nothing says where that begins, the stream cannot continue.
"""

from __future__ import annotations

__all__ = ["NEED_DATA", "FramingLostError", "NeedData", "StreamDecoder", "SupportsBuffer", "protocol_crash"]

import enum
import errno
from abc import ABC, abstractmethod
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from easynetwork.lowlevel._core.bytes_queue import SupportsAppend

_T_Packet = TypeVar("_T_Packet")


class _Token(enum.Enum):
    NEED_DATA = "NEED_DATA"


NeedData: TypeAlias = Literal[_Token.NEED_DATA]
NEED_DATA: Final = _Token.NEED_DATA
"""What a decoder answers while the next packet is incomplete. A token, since any object may be a packet."""


class SupportsBuffer(Protocol):
    """Lends a buffer for received bytes."""

    def get_buffer(self) -> memoryview:
        """Return the writable buffer for the next bytes."""

    def buffer_updated(self, nbytes: int) -> None:
        """Take the first *nbytes* bytes of that buffer."""


class FramingLostError(ConnectionAbortedError):
    """The stream cannot continue: a packet failed, and nothing says where the next one begins.

    The cause is that failure, which was raised before.
    """

    def __init__(self) -> None:
        text = "the stream cannot continue: a packet failed, and only its parser knew where the next one begins"
        super().__init__(errno.ECONNABORTED, text)


class StreamDecoder(ABC, Generic[_T_Packet]):
    """The receiving half of one stream."""

    __slots__ = ("input",)

    input: SupportsAppend
    """Takes chunks as received, and does not parse them: a packet costs nothing before it is asked for."""
    drained: bool = False
    """Whether `next_packets` has just taken all there was: without new bytes, the next call would return none."""

    def feed(self, chunk: bytes) -> None:
        """Takes received bytes."""
        self.input.append(chunk)

    @abstractmethod
    def next_packet(self) -> _T_Packet | NeedData:
        """Returns the next packet, or `NEED_DATA`.

        Raises:
            StreamProtocolParseError: the bytes are not a valid packet. The next call goes on after them.
            RuntimeError: the protocol object crashed (its exception is the cause). The packet is lost.
            FramingLostError: a packet failed before, and nothing says where the next one begins.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def pending(self) -> int:
        """How many bytes of an incomplete packet were received, once `next_packet` needs data.

        Those of a packet that was refused already do not count.
        """
        raise NotImplementedError

    def next_packets(self, limit: int) -> list[_T_Packet]:
        """Returns at most *limit* of the next packets; none if the next one is incomplete.

        Raises as `next_packet`.

        More than one only where parsing a packet cannot depend on what is done about the one before.
        """
        packet = self.next_packet()
        return [] if packet is NEED_DATA else [packet]

    def take_single(self, received: bytes) -> _T_Packet | NeedData:
        """Take *received* bytes. Return the packet if they are exactly one: a shortcut for the most common case.

        Call `next_packets` if the result is `NEED_DATA`. Raises what `next_packet` raises.

        Parameters:
            received: the chunk; a decoder that is `buffered` also takes the number of bytes in its buffer.
        """
        self.input.append(received)
        return NEED_DATA

    @property
    def buffered(self) -> SupportsBuffer | None:
        """The decoder itself if it takes bytes without a copy, in a buffer of its own."""
        return None

    @property
    @abstractmethod
    def holds_input(self) -> bool:
        """Whether there are received bytes that have not become packets, for whatever reason."""
        raise NotImplementedError

    @abstractmethod
    def clear(self) -> None:
        """Forgets all bytes."""
        raise NotImplementedError


def protocol_crash(exc: Exception) -> RuntimeError:
    """Return the error for *exc*, a bug in the protocol object that received bytes have met."""
    error = RuntimeError("The protocol object crashed while it was building a packet from received bytes")
    error.__cause__ = exc
    return error
