"""The packets of the bulk servers: 1 MiB of bytes, answered by the same or by the first bytes of it."""

from __future__ import annotations

from typing import Any

from easynetwork.protocol import BufferedStreamProtocol
from easynetwork.serializers.base_stream import FixedSizePacketSerializer
from easynetwork.serializers.composite import StapledPacketSerializer

__all__ = ["blob_protocol"]


class BlobSerializer(FixedSizePacketSerializer[bytes, bytes]):
    """Bytes as they are."""

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        return bytes(data)


def blob_protocol(received: int, sent: int) -> BufferedStreamProtocol[bytes, bytes, Any]:
    """Packets of *received* bytes and answers of *sent* bytes."""
    serializer = StapledPacketSerializer(BlobSerializer(sent), BlobSerializer(received))
    return BufferedStreamProtocol(serializer)
