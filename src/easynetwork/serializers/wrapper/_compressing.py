"""What all compressor serializers have in common."""

from __future__ import annotations

__all__ = [
    "DEFAULT_DECOMPRESSED_LIMIT",
    "AbstractCompressorSerializer",
    "CompressorInterface",
    "DecompressorInterface",
    "TooLargeError",
]

from abc import abstractmethod
from collections.abc import Generator, Iterator
from typing import Any, Final, Protocol, final

from easynetwork._checks import check_exception_types
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers._copying import deserialize_from_buffer
from easynetwork.serializers.abc import AbstractPacketSerializer, BufferedIncrementalPacketSerializer
from easynetwork.serializers.framing.serializer import deserialize_frame

DEFAULT_DECOMPRESSED_LIMIT: Final[int] = 16 * 1024 * 1024
"""Default limit on the size of a decompressed packet, in bytes."""

_KEPT_OF_INCOMPLETE: Final = 16 * 1024
"""Maximum amount of decompressed data kept while a packet is incomplete, in bytes."""

_KEPT_OF_COMPLETE: Final = 1024 * 1024
"""Maximum amount of decompressed data kept while a chunk that may complete the packet is processed, in bytes."""


class TooLargeError(DeserializeError):
    """The content of compressed data exceeds the limit."""


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
        return self.__serializer.deserialize(self._decompress(data))

    @final
    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Decompress received chunks up to the end of the compressed data, and return the packet.

        Raises:
            IncrementalDeserializeError: the data is invalid, or the wrapped serializer raised `DeserializeError`.
            LimitOverrunError: the data is too large when decompressed.
        """
        data, remaining = yield from self._receive_compressed()
        return deserialize_frame(self.__serializer, data, remaining), remaining

    def _decompress(self, data: bytes) -> bytes:
        """Return the content of *data*, the compressed bytes of one packet.

        Raises:
            TooLargeError: the content exceeds the limit.
            DeserializeError: *data* is invalid, incomplete, or followed by other bytes.
        """
        stream = self.new_decompressor_stream()
        try:
            decompressed = self.decompress_at_most(stream, data, self.__decompressed_limit + 1)
        except self.__expected_error as exc:
            raise DeserializeError(str(exc), {"data": data} if self.__debug else None) from exc
        if len(decompressed) > self.__decompressed_limit:
            raise TooLargeError(self.__too_large())
        if not stream.eof:
            info = {"already_decompressed_data": decompressed} if self.__debug else None
            raise DeserializeError("The compressed data is incomplete", info)
        if extra := stream.unused_data:
            info = {"decompressed_data": decompressed, "extra": extra} if self.__debug else None
            raise DeserializeError("There are bytes after the compressed data", info)
        return decompressed

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

    @property
    def _compressed_limit(self) -> int:
        """A size in bytes that no compressor exceeds for a packet within the limit."""
        return self.__decompressed_limit + self.__decompressed_limit // 50 + DEFAULT_SERIALIZER_LIMIT

    def _check_compressed_size(self, size: int) -> None:
        """Reject compressed data that is longer than any compressor produces for a packet within the limit."""
        if size > self._compressed_limit:
            limit = self.__decompressed_limit
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
