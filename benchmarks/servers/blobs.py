"""The packets of the bulk servers: 1 MiB of bytes. The answer is the whole packet or its first bytes."""

from __future__ import annotations

from typing import Any

from easynetwork.protocol import BufferedStreamProtocol
from easynetwork.serializers.base_stream import FixedSizePacketSerializer
from easynetwork.serializers.composite import StapledPacketSerializer

__all__ = ["blob_protocol"]


class BlobSerializer(FixedSizePacketSerializer[bytes, bytes]):
    """Pass bytes through unchanged."""

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        return bytes(data)


def blob_protocol(received: int, sent: int) -> BufferedStreamProtocol[bytes, bytes, Any]:
    """Return a protocol for packets of *received* bytes and answers of *sent* bytes."""
    serializer = StapledPacketSerializer(BlobSerializer(sent), BlobSerializer(received))
    return BufferedStreamProtocol(serializer)
