"""Compression with LZ4 (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md). Requires the extra ``lz4``."""

from __future__ import annotations

__all__ = ["LZ4CompressorSerializer"]

from functools import partial
from typing import TYPE_CHECKING, Final, final

from easynetwork._extras import missing_extra
from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.serializers._self_delimiting import Nesting
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.framing._cutting import FrameError

from ._blocks import BlockCompressorSerializer, WholePacketCompressor, frame_begins
from ._compressing import DEFAULT_DECOMPRESSED_LIMIT

if TYPE_CHECKING:
    from lz4.frame import LZ4FrameDecompressor

_MAGIC: Final = b"\x04\x22\x4d\x18"
_UNCOMPRESSED: Final = 1 << 31


class LZ4CompressorSerializer(BlockCompressorSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Compress with LZ4, in its frame format. Each packet is one frame, with a checksum.

    Skippable frames, and frames of the legacy format, are invalid packets.

    Parameters:
        serializer: the wrapped serializer.
        compress_level: 0 (the default) to 16, or a negative number to be faster.
        decompressed_limit: maximum size of a decompressed packet, in bytes.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer.
        ValueError: *decompressed_limit* is not strictly positive.
        ModuleNotFoundError: the extra ``lz4`` is not installed.
    """

    __slots__ = ("_compress", "_new_decompressor")

    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        *,
        compress_level: int | None = None,
        decompressed_limit: int = DEFAULT_DECOMPRESSED_LIMIT,
        debug: bool = False,
    ) -> None:
        try:
            import lz4.frame
        except ModuleNotFoundError as exc:
            raise missing_extra("lz4", extra="lz4") from exc
        super().__init__(serializer, RuntimeError, decompressed_limit=decompressed_limit, debug=debug)
        level = lz4.frame.COMPRESSIONLEVEL_MIN if compress_level is None else compress_level
        self._compress = partial(lz4.frame.compress, compression_level=level, content_checksum=True, store_size=False)
        self._new_decompressor = lz4.frame.LZ4FrameDecompressor

    @final
    def new_compressor_stream(self) -> WholePacketCompressor:
        """Return an object that compresses a packet in one call."""
        return WholePacketCompressor(self._compress)

    @final
    def new_decompressor_stream(self) -> LZ4FrameDecompressor:
        """Return a ``lz4.frame.LZ4FrameDecompressor``."""
        return self._new_decompressor()

    @final
    def decompress_at_most(self, stream: LZ4FrameDecompressor, data: bytes, max_length: int, /) -> bytes:
        """Decompress *data*. Stop after *max_length* bytes of output."""
        decompressed: bytes = stream.decompress(data, max_length)
        return decompressed

    @staticmethod
    def _read_head(held: memoryview, start: int, /) -> tuple[int, int | Nesting] | None:
        if start == 0:
            return _read_frame_header(held)
        end = start + 4
        if end > len(held):
            return None
        has_block_checksums, has_checksum = held[4] & 0x10, held[4] & 0x04
        size = int.from_bytes(held[start:end], "little")
        if size == 0:  # the mark after the last block
            return end + (4 if has_checksum else 0), Nesting.BREAK
        size &= ~_UNCOMPRESSED
        largest = 1 << 8 + 2 * (held[5] >> 4 & 7)
        if size > largest:
            raise FrameError(f"A block of {size} bytes in a frame of LZ4 with blocks of at most {largest} bytes")
        return end + size + (4 if has_block_checksums else 0), 0


def _read_frame_header(held: memoryview) -> tuple[int, Nesting] | None:
    """Return where the header ends, or None if it is incomplete."""
    if not frame_begins(held, _MAGIC, "LZ4"):
        return None
    has_content_size, has_dictionary_id = held[4] & 0x08, held[4] & 0x01
    # The magic number, two bytes of flags, and the checksum of the header.
    return 7 + (8 if has_content_size else 0) + (4 if has_dictionary_id else 0), Nesting.UNTIL_BREAK
