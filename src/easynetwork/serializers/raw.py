"""A serializer whose packets are bytes, without a format of their own."""

from __future__ import annotations

__all__ = ["RawSerializer"]

from easynetwork.serializers.framing import FixedSizeFrames, FramedPacketSerializer
from easynetwork.serializers.framing._cutting import Bytes, CutFormat


class RawSerializer(FramedPacketSerializer[bytes, bytes]):
    """Exchanges bytes: to relay or store a stream, or to read a part of known size.

    A packet is sent as it is, and may be of any type that supports the buffer protocol. In a datagram, it is the whole
    content.

    Parameters:
        exactly: the size of a received packet, in bytes. If None, a packet is what has arrived, at least one byte: the
            network decides where it ends.

    Raises:
        ValueError: *exactly* is not strictly positive: there are no packets of 0 bytes to wait for.
    """

    __slots__ = ("_frames",)

    def __init__(self, exactly: int | None = None) -> None:
        self._frames = _Arrivals() if exactly is None else FixedSizeFrames(exactly)

    def frame_format(self) -> CutFormat | FixedSizeFrames:
        """Return the frame format."""
        return self._frames

    def encode_frame(self, packet: bytes, /) -> bytes:
        """Do the same as `serialize`: a sent packet may have any size."""
        return self.serialize(packet)

    def serialize(self, packet: bytes, /) -> bytes:
        """Return *packet* as ``bytes``.

        Raises:
            TypeError: *packet* does not support the buffer protocol.
        """
        return packet if type(packet) is bytes else bytes(memoryview(packet))

    def deserialize(self, data: bytes, /) -> bytes:
        """Return *data*."""
        return data


class _Arrivals(CutFormat):
    """Frames that end where the received bytes end."""

    __slots__ = ()

    def find_end(self, data: Bytes, start: int, seen: int) -> int:
        return len(data)

    def payload(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]

    def wrap(self, payload: bytes) -> bytes:
        return payload
