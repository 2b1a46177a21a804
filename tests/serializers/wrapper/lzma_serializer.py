"""A compressor as a user may write it."""

from __future__ import annotations

__all__ = ["LZMASerializer"]

import lzma
from typing import Any

from easynetwork.serializers.wrapper.compressor import AbstractCompressorSerializer


class LZMASerializer(AbstractCompressorSerializer[Any, Any]):
    """Has no way to stop at some length, unlike those of the library."""

    def __init__(self, serializer: Any, **kwargs: Any) -> None:
        super().__init__(serializer, lzma.LZMAError, **kwargs)

    def new_compressor_stream(self) -> lzma.LZMACompressor:
        return lzma.LZMACompressor()

    def new_decompressor_stream(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor()
