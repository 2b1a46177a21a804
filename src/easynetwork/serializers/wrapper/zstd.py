"""Compression with Zstandard (RFC 8878): in the standard library of Python 3.14, before in the extra ``zstd``."""

from __future__ import annotations

__all__ = ["ZstdCompressorSerializer"]

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from easynetwork._extras import missing_extra
from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.serializers._self_delimiting import Nesting
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.framing._cutting import FrameError

from ._blocks import BlockCompressorSerializer, WholePacketCompressor, frame_begins
from ._compressing import DEFAULT_DECOMPRESSED_LIMIT

if TYPE_CHECKING:
    from backports.zstd import ZstdDecompressor

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SIZES_OF_DICTIONARY_ID: Final = (0, 1, 2, 4)
_SIZES_OF_CONTENT_SIZE: Final = (0, 2, 4, 8)
_RLE_BLOCK: Final = 1
_RESERVED_BLOCK: Final = 3

_LEAST_WINDOW_LOG: Final = 23
"""RFC 8878 recommends that every decoder accepts windows of 8 MiB."""


class ZstdCompressorSerializer(BlockCompressorSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Compress with Zstandard (:rfc:`8878`). Each packet is one frame, with a checksum.

    Skippable frames are invalid packets, and so are frames whose window is larger than *decompressed_limit* and 8 MiB.
    Python 3.14 has Zstandard in its standard library. Before, install the extra ``zstd``.

    Parameters:
        serializer: the wrapped serializer.
        compress_level: 1 to 22, or a negative number to be faster; 3 by default.
        decompressed_limit: maximum size of a decompressed packet, in bytes.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer.
        ValueError: *decompressed_limit* is not strictly positive, or there is no such level.
        ModuleNotFoundError: the extra ``zstd`` is not installed, or this Python was built without Zstandard.
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
        zstd = _import_zstd()
        super().__init__(serializer, zstd.ZstdError, decompressed_limit=decompressed_limit, debug=debug)
        level = zstd.COMPRESSION_LEVEL_DEFAULT if compress_level is None else compress_level
        parameter = zstd.CompressionParameter
        # One for all packets and threads: making one takes ten times as long as compressing a small packet.
        compressor = zstd.ZstdCompressor(options={parameter.compression_level: level, parameter.checksum_flag: 1})
        self._compress = partial(compressor.compress, mode=compressor.FLUSH_FRAME)
        window_log = zstd.DecompressionParameter.window_log_max
        largest = min(max(_LEAST_WINDOW_LOG, (decompressed_limit - 1).bit_length()), window_log.bounds()[1])
        self._new_decompressor: Callable[[], ZstdDecompressor] = partial(
            zstd.ZstdDecompressor, options={window_log: largest}
        )

    @final
    def new_compressor_stream(self) -> WholePacketCompressor:
        """Return an object that compresses a packet in one call."""
        return WholePacketCompressor(self._compress)

    @final
    def new_decompressor_stream(self) -> ZstdDecompressor:
        """Return a ``ZstdDecompressor``."""
        return self._new_decompressor()

    @final
    def decompress_at_most(self, stream: ZstdDecompressor, data: bytes, max_length: int, /) -> bytes:
        """Decompress *data*. Stop after *max_length* bytes of output."""
        return stream.decompress(data, max_length)

    @staticmethod
    def _read_head(held: memoryview, start: int, /) -> tuple[int, int | Nesting] | None:
        if start == 0:
            return _read_frame_header(held)
        end = start + 3
        if end > len(held):
            return None
        header = int.from_bytes(held[start:end], "little")
        is_last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == _RESERVED_BLOCK:
            raise FrameError("A block of Zstandard is of an unknown kind")
        end += 1 if kind == _RLE_BLOCK else size
        if not is_last:
            return end, 0
        has_checksum = held[4] & 0x04
        return end + (4 if has_checksum else 0), Nesting.BREAK


def _import_zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            import backports.zstd as zstd
    except ModuleNotFoundError as exc:
        if sys.version_info >= (3, 14):
            raise
        raise missing_extra("backports.zstd", extra="zstd") from exc
    return zstd


def _read_frame_header(held: memoryview) -> tuple[int, Nesting] | None:
    """Return where the header ends (RFC 8878, section 3.1.1), or None if it is incomplete."""
    if not frame_begins(held, _MAGIC, "Zstandard"):
        return None
    descriptor = held[4]
    is_single_segment, kind_of_size = descriptor & 0x20, descriptor >> 6
    end = 5 + _SIZES_OF_DICTIONARY_ID[descriptor & 3] + _SIZES_OF_CONTENT_SIZE[kind_of_size]
    if not is_single_segment:
        end += 1  # the size of the window
    elif kind_of_size == 0:
        end += 1  # the size of the content, which a single segment always has
    return end, Nesting.UNTIL_BREAK
