"""Serializers around another one: they give any packet a framing of its own."""

from __future__ import annotations

__all__ = ["BZ2CompressorSerializer", "Base64EncoderSerializer", "ZlibCompressorSerializer"]

from .base64 import Base64EncoderSerializer
from .compressor import BZ2CompressorSerializer, ZlibCompressorSerializer
