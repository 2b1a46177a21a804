"""Compression with zlib, bz2 or modules with a similar interface."""

from __future__ import annotations

__all__ = [
    "AbstractCompressorSerializer",
    "BZ2CompressorSerializer",
    "CompressorInterface",
    "DecompressorInterface",
    "ZlibCompressorSerializer",
]

from abc import abstractmethod
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from easynetwork._checks import check_exception_types
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers._copying import deserialize_from_buffer
from easynetwork.serializers.abc import AbstractPacketSerializer, BufferedIncrementalPacketSerializer
from easynetwork.serializers.framing.serializer import deserialize_frame

from ._bz2_marks import EndMarkFinder

if TYPE_CHECKING:
    from bz2 import BZ2Compressor, BZ2Decompressor
    from zlib import _Compress as ZLibCompress
    from zlib import _Decompress as ZLibDecompress

DEFAULT_DECOMPRESSED_LIMIT: Final[int] = 16 * 1024 * 1024
"""Default limit on the size of a decompressed packet, in bytes."""

_KEPT_OF_INCOMPLETE: Final = 16 * 1024
"""Maximum amount of decompressed data kept while a packet is incomplete, in bytes."""

_KEPT_OF_COMPLETE: Final = 1024 * 1024
"""Maximum amount of decompressed data kept while a chunk that may complete the packet is processed, in bytes."""

_PIECE: Final = 64 * 1024
"""Maximum number of bytes that zlib decompresses at once. It bounds the memory used for data that is not kept."""

_FIRST_CHECK: Final = 4096
_MAX_FALSE_MARKS: Final = 3


class CompressorInterface(Protocol):
    """Compress one packet."""

    @abstractmethod
    def compress(self, data: ReadableBuffer, /) -> bytes:
        """Compress *data*. Return the output that is ready."""
        raise NotImplementedError

    @abstractmethod
    def flush(self) -> bytes:
        """Return the rest of the compressed bytes."""
        raise NotImplementedError


class DecompressorInterface(Protocol):
    """Decompress one packet."""

    @abstractmethod
    def decompress(self, data: ReadableBuffer, /) -> bytes:
        """Decompress *data*. Return the output that is ready."""
        raise NotImplementedError

    @property
    @abstractmethod
    def eof(self) -> bool:
        """Whether the end of the compressed packet was reached."""
        raise NotImplementedError

    @property
    @abstractmethod
    def unused_data(self) -> bytes:
        """The bytes after the end of the compressed packet."""
        raise NotImplementedError


class AbstractCompressorSerializer(
    BufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, memoryview]
):
    """Base class for serializers that compress the bytes of another serializer. The compressed data is self-delimiting.

    Parameters:
        serializer: the wrapped serializer.
        expected_decompress_error: exceptions that ``decompress()`` raises for invalid data.
        decompressed_limit: maximum size of a decompressed packet, in bytes. A few received bytes can decompress to
            millions. This limit keeps a peer from exhausting the memory.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer.
        ValueError: *decompressed_limit* is not strictly positive.
    """

    __slots__ = ("__debug", "__decompressed_limit", "__expected_error", "__serializer")

    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        expected_decompress_error: type[Exception] | tuple[type[Exception], ...],
        *,
        decompressed_limit: int = DEFAULT_DECOMPRESSED_LIMIT,
        debug: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(serializer, AbstractPacketSerializer):
            raise TypeError(f"Expected a serializer, got {serializer!r}")
        if decompressed_limit <= 0:
            raise ValueError(f"decompressed_limit must be strictly positive, got {decompressed_limit!r}")
        check_exception_types("expected_decompress_error", expected_decompress_error)
        self.__serializer = serializer
        self.__expected_error: type[Exception] | tuple[type[Exception], ...] = expected_decompress_error
        self.__decompressed_limit: int = decompressed_limit
        self.__debug: bool = bool(debug)

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self.__debug

    @property
    def decompressed_limit(self) -> int:
        """Maximum size of a decompressed packet, in bytes."""
        return self.__decompressed_limit

    @abstractmethod
    def new_compressor_stream(self) -> CompressorInterface:
        """Return a new object that compresses one packet."""
        raise NotImplementedError

    @abstractmethod
    def new_decompressor_stream(self) -> DecompressorInterface:
        """Return a new object that decompresses one packet."""
        raise NotImplementedError

    def decompress_at_most(self, stream: Any, data: bytes, max_length: int, /) -> bytes:
        """Decompress *data* with *stream*, an object from `new_decompressor_stream`.

        By default there is no bound: the limit is checked afterwards. If ``stream.decompress()`` can stop after
        *max_length* bytes, override this method: ``return stream.decompress(data, max_length)``.
        """
        decompressed: bytes = stream.decompress(data)
        return decompressed

    @final
    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Return the compressed bytes of *packet*. Exceptions from the wrapped serializer propagate."""
        return b"".join(self.incremental_serialize(packet))

    @final
    def incremental_serialize(self, packet: SentDTOPacketT_contra) -> Generator[bytes]:
        """Yield the compressed bytes of *packet* in two pieces, one of which may be empty."""
        stream = self.new_compressor_stream()
        yield stream.compress(self.__serializer.serialize(packet))
        yield stream.flush()

    @final
    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Decompress *data* and return the packet.

        Raises:
            DeserializeError: *data* is invalid, incomplete, too large when decompressed, or followed by other bytes; or
                the wrapped serializer raised it.
        """
        stream = self.new_decompressor_stream()
        try:
            decompressed = self.decompress_at_most(stream, data, self.__decompressed_limit + 1)
        except self.__expected_error as exc:
            raise DeserializeError(str(exc), {"data": data} if self.__debug else None) from exc
        if len(decompressed) > self.__decompressed_limit:
            raise DeserializeError(self.__too_large())
        if not stream.eof:
            info = {"already_decompressed_data": decompressed} if self.__debug else None
            raise DeserializeError("The compressed data is incomplete", info)
        if extra := stream.unused_data:
            info = {"decompressed_data": decompressed, "extra": extra} if self.__debug else None
            raise DeserializeError("There are bytes after the compressed data", info)
        return self.__serializer.deserialize(decompressed)

    @final
    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Decompress received chunks up to the end of the compressed data, and return the packet.

        Raises:
            IncrementalDeserializeError: the data is invalid, or the wrapped serializer raised `DeserializeError`.
            LimitOverrunError: the data is too large when decompressed.
        """
        data, remaining = yield from self._receive_compressed()
        return deserialize_frame(self.__serializer, data, remaining), remaining

    def _receive_compressed(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        """Wait for the compressed data of one packet. Return the decompressed data and the bytes after the packet.

        An incomplete packet is stored compressed, because a few kilobytes can decompress to megabytes. It is
        decompressed once to find its end, and again when it is complete, unless its content was small enough
        to be kept.
        """
        stream = self.new_decompressor_stream()
        held = bytearray()
        size = 0
        kept: list[bytes] | None = []
        chunk = piece = b""
        while not stream.eof:
            if size > _KEPT_OF_INCOMPLETE:
                kept = None
            del chunk, piece  # frees their memory while waiting
            chunk = yield
            piece = b""
            held += chunk
            try:
                for piece in self._decompress_in_pieces(stream, chunk):
                    size += len(piece)
                    if size > self.__decompressed_limit:
                        raise self._too_large(chunk)
                    if size > _KEPT_OF_COMPLETE:
                        kept = None
                    elif kept is not None:
                        kept.append(piece)
            except self.__expected_error as exc:
                raise self._invalid(exc, chunk, kept) from exc
            self._check_compressed_size(len(held))
        remaining = stream.unused_data
        if kept is not None:
            return b"".join(kept), remaining
        del held[len(held) - len(remaining) :]
        return self.decompress_at_most(self.new_decompressor_stream(), bytes(held), size + 1), remaining

    def _decompress_in_pieces(self, stream: Any, chunk: bytes, /) -> Iterator[bytes]:
        """Yield the output of *stream*, an object from `new_decompressor_stream`, for *chunk*."""
        yield self.decompress_at_most(stream, chunk, self.__decompressed_limit + 1)

    def _check_compressed_size(self, size: int) -> None:
        """Reject compressed data that is longer than any compressor produces for a packet within the limit."""
        limit = self.__decompressed_limit
        if size > limit + limit // 50 + DEFAULT_SERIALIZER_LIMIT:
            raise LimitOverrunError(f"The compressed data is too long for at most {limit} bytes of content", b"", 0)

    def _invalid(self, exc: Exception, chunk: bytes, decompressed: list[bytes] | None) -> IncrementalDeserializeError:
        already = [data] if (data := b"".join(decompressed or [])) else []
        info = {"already_decompressed_chunks": already, "invalid_chunk": chunk} if self.__debug else None
        return IncrementalDeserializeError(str(exc), b"", info)

    @final
    def create_deserializer_buffer(self, sizehint: int) -> memoryview:
        """Return a view of *sizehint* bytes."""
        return memoryview(bytearray(max(sizehint, 1)))

    @final
    def buffered_incremental_deserialize(
        self, buffer: memoryview
    ) -> Generator[None, int, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Deserialize copies of the bytes in *buffer* with `incremental_deserialize`."""
        return deserialize_from_buffer(self.incremental_deserialize(), buffer)

    def _too_large(self, chunk: bytes) -> LimitOverrunError:
        return LimitOverrunError(self.__too_large(), chunk, len(chunk))

    def __too_large(self) -> str:
        return f"The compressed data contains more than {self.__decompressed_limit} bytes"


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
