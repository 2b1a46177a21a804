"""Serializers that wrap another serializer and add framing to its packets."""

from __future__ import annotations

__all__ = ["BZ2CompressorSerializer", "Base64EncoderSerializer", "ZlibCompressorSerializer"]

from .base64 import Base64EncoderSerializer
from .compressor import BZ2CompressorSerializer, ZlibCompressorSerializer
