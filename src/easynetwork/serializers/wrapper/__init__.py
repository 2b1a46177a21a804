"""Serializers that wrap another serializer: they encode its packets, or add a frame or a checksum."""

from __future__ import annotations

__all__ = [
    "BZ2CompressorSerializer",
    "Base64EncoderSerializer",
    "ChecksumSerializer",
    "FramedSerializer",
    "LZ4CompressorSerializer",
    "ZlibCompressorSerializer",
    "ZstdCompressorSerializer",
]

from .base64 import Base64EncoderSerializer
from .checksum import ChecksumSerializer
from .compressor import BZ2CompressorSerializer, ZlibCompressorSerializer
from .framed import FramedSerializer
from .lz4 import LZ4CompressorSerializer
from .zstd import ZstdCompressorSerializer
