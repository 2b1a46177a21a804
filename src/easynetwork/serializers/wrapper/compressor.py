"""Compression with zlib, bz2 or modules with a similar interface."""

from __future__ import annotations

__all__ = [
    "AbstractCompressorSerializer",
    "BZ2CompressorSerializer",
    "CompressorInterface",
    "DecompressorInterface",
    "ZlibCompressorSerializer",
]

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final, final

from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.serializers.abc import AbstractPacketSerializer

from ._bz2_marks import EndMarkFinder
from ._compressing import (
    DEFAULT_DECOMPRESSED_LIMIT,
    AbstractCompressorSerializer,
    CompressorInterface,
    DecompressorInterface,
)

if TYPE_CHECKING:
    from bz2 import BZ2Compressor, BZ2Decompressor
    from zlib import _Compress as ZLibCompress
    from zlib import _Decompress as ZLibDecompress

_PIECE: Final = 64 * 1024
"""Maximum number of bytes that zlib decompresses at once. It bounds the memory used for data that is not kept."""

_FIRST_CHECK: Final = 4096
_MAX_FALSE_MARKS: Final = 3


class BZ2CompressorSerializer(AbstractCompressorSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Compress with `bz2`.

    Parameters:
        serializer: the wrapped serializer.
        compress_level: 1 to 9; 9 by default.
        decompressed_limit: maximum size of a decompressed packet, in bytes.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer.
        ValueError: *decompressed_limit* is not strictly positive.
    """

    __slots__ = ("_compress_level", "_new_compressor", "_new_decompressor")

    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        *,
        compress_level: int | None = None,
        decompressed_limit: int = DEFAULT_DECOMPRESSED_LIMIT,
        debug: bool = False,
    ) -> None:
        import bz2  # optional in CPython builds

        super().__init__(serializer, OSError, decompressed_limit=decompressed_limit, debug=debug)
        self._compress_level: int = 9 if compress_level is None else compress_level
        self._new_compressor = bz2.BZ2Compressor
        self._new_decompressor = bz2.BZ2Decompressor

    @final
    def new_compressor_stream(self) -> BZ2Compressor:
        """Return a `bz2.BZ2Compressor`."""
        return self._new_compressor(self._compress_level)

    @final
    def new_decompressor_stream(self) -> BZ2Decompressor:
        """Return a `bz2.BZ2Decompressor`."""
        return self._new_decompressor()

    @final
    def decompress_at_most(self, stream: BZ2Decompressor, data: bytes, max_length: int, /) -> bytes:
        """Decompress *data*. Stop after *max_length* bytes of output."""
        return stream.decompress(data, max_length)

    def _receive_compressed(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        """Wait for the compressed data of one packet. Return the decompressed data and the bytes after the packet.

        Between chunks, no decoder is kept, because it takes 3.6 MB. The received data is decompressed whenever an end
        mark is found. It is also decompressed with the first chunk and whenever its size has grown eightfold, to detect
        invalid data early.
        """
        held = bytearray()
        marks = EndMarkFinder()
        false_marks = size_to_check = 0
        while True:
            held += yield
            while (end := marks.find_end(held)) >= 0:
                if (packet := self._decompress_to_end(held, end)) is not None:
                    return packet
                # A random 48-bit match occurs once in 2.8e14 bits. Many of them indicate an attack on the CPU.
                false_marks += 1
                if false_marks > _MAX_FALSE_MARKS:
                    raise self._invalid(OSError("Too many end marks within the data"), bytes(held), None)
            if len(held) >= size_to_check:
                if (packet := self._decompress_to_end(held, len(held))) is not None:
                    return packet
                size_to_check = max(8 * len(held), _FIRST_CHECK)
            self._check_compressed_size(len(held))

    def _decompress_to_end(self, held: bytearray, end: int) -> tuple[bytes, bytes] | None:
        """Decompress *held* up to *end*. Return the data and the bytes after it, or None if the data is incomplete."""
        stream = self._new_decompressor()
        compressed = bytes(memoryview(held)[:end])
        try:
            data = stream.decompress(compressed, self.decompressed_limit + 1)
        except OSError as exc:
            raise self._invalid(exc, compressed, None) from exc
        if len(data) > self.decompressed_limit:
            raise self._too_large(compressed)
        return (data, stream.unused_data + held[end:]) if stream.eof else None


class ZlibCompressorSerializer(AbstractCompressorSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Compress with `zlib` (RFC 1950).

    Parameters:
        serializer: the wrapped serializer.
        compress_level: 0 (no compression) to 9; 9 by default.
        decompressed_limit: maximum size of a decompressed packet, in bytes.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer.
        ValueError: *decompressed_limit* is not strictly positive.
    """

    __slots__ = ("_compress_level", "_new_compressor", "_new_decompressor")

    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        *,
        compress_level: int | None = None,
        decompressed_limit: int = DEFAULT_DECOMPRESSED_LIMIT,
        debug: bool = False,
    ) -> None:
        import zlib  # optional in CPython builds

        super().__init__(serializer, zlib.error, decompressed_limit=decompressed_limit, debug=debug)
        self._compress_level: int = zlib.Z_BEST_COMPRESSION if compress_level is None else compress_level
        self._new_compressor = zlib.compressobj
        self._new_decompressor = zlib.decompressobj

    @final
    def new_compressor_stream(self) -> ZLibCompress:
        """Return a new object from `zlib.compressobj`."""
        return self._new_compressor(self._compress_level)

    @final
    def new_decompressor_stream(self) -> ZLibDecompress:
        """Return a new object from `zlib.decompressobj`."""
        return self._new_decompressor()

    @final
    def decompress_at_most(self, stream: ZLibDecompress, data: bytes, max_length: int, /) -> bytes:
        """Decompress *data*. Stop after *max_length* bytes of output."""
        return stream.decompress(data, max_length)

    def _decompress_in_pieces(self, stream: ZLibDecompress, chunk: bytes, /) -> Iterator[bytes]:
        while True:
            piece = stream.decompress(chunk, _PIECE)
            yield piece
            chunk = stream.unconsumed_tail
            if stream.eof or (not chunk and len(piece) < _PIECE):
                return
