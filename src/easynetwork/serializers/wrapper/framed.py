"""A frame around the packets of any serializer."""

from __future__ import annotations

__all__ = ["FramedSerializer"]

from typing import final

from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.framing import FramedPacketSerializer, FrameFormat


class FramedSerializer(FramedPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Send the packets of another serializer in frames, so that it can be used in a stream.

    Parameters:
        serializer: the wrapped serializer.
        frames: the framing.

    Raises:
        TypeError: *serializer* is not a serializer, or *frames* is not a framing.
    """

    __slots__ = ("_frames", "_serializer")

    def __init__(
        self, serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co], frames: FrameFormat
    ) -> None:
        if not isinstance(serializer, AbstractPacketSerializer):
            raise TypeError(f"Expected a serializer, got {serializer!r}")
        if not isinstance(frames, FrameFormat):
            raise TypeError(f"Expected a framing, such as LengthPrefixedFrames, got {frames!r}")
        self._serializer = serializer
        self._frames = frames

    @final
    def frame_format(self) -> FrameFormat:
        """Return the framing."""
        return self._frames

    @final
    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Return the bytes of *packet* without a frame. Exceptions from the wrapped serializer propagate."""
        return self._serializer.serialize(packet)

    @final
    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Return the packet in one frame. Exceptions from the wrapped serializer propagate."""
        return self._serializer.deserialize(data)
