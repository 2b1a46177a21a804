"""Abstract base classes of serializers."""

from __future__ import annotations

__all__ = [
    "AbstractIncrementalPacketSerializer",
    "AbstractPacketSerializer",
    "BufferedIncrementalPacketSerializer",
]

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Generic

from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra, WriteableBufferT
from easynetwork.exceptions import DeserializeError

from ._results import packet_and_rest
from ._resuming import pop_remaining_data


class AbstractPacketSerializer(ABC, Generic[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Convert a packet to bytes, and exactly these bytes to a packet. Sufficient for datagrams."""

    __slots__ = ("__weakref__",)

    @abstractmethod
    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Return the bytes of *packet*. Any exception makes sending raise `RuntimeError`."""
        raise NotImplementedError

    @abstractmethod
    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Return the packet in *data*, which contains exactly one packet.

        Raises:
            DeserializeError: *data* is malformed, too short or too long.
        """
        raise NotImplementedError


class AbstractIncrementalPacketSerializer(AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Also find packets in a byte stream that arrives in chunks of any size."""

    __slots__ = ()

    @property
    def _between_packets(self) -> bytes:
        """Bytes allowed between packets that do not start a packet. A stream that ends after them ended cleanly."""
        return b""

    @abstractmethod
    def incremental_serialize(self, packet: SentDTOPacketT_contra, /) -> Generator[bytes]:
        """Yield the bytes of *packet* for a stream, in pieces. Pieces may be empty. Yielding nothing is allowed."""
        raise NotImplementedError

    @abstractmethod
    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Wait for the bytes of one packet.

        Each ``yield`` requests a chunk, which has at least one byte. The generator must yield at least once.

        Returns:
            the packet and the bytes received after it.

        Raises:
            IncrementalDeserializeError: the bytes are not a valid packet; says where the next packet starts.
        """
        raise NotImplementedError

    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Return the pieces of `incremental_serialize`, joined."""
        return b"".join(self.incremental_serialize(packet))

    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Deserialize *data* with `incremental_deserialize`.

        Raises:
            DeserializeError: the generator raised it (as `IncrementalDeserializeError`), asked for more bytes
                (``error_info`` is ``{"data": ...}``) or left extra bytes (``{"packet": ..., "extra": ...}``).
            RuntimeError: the generator finished before it asked for bytes.
            TypeError: the generator did not return a packet and the bytes after it.
        """
        consumer = self.incremental_deserialize()
        try:
            next(consumer)
        except StopIteration:
            raise RuntimeError(f"{type(self).__name__}.incremental_deserialize() finished without asking for bytes")
        try:
            consumer.send(data)
        except StopIteration as exc:
            packet: ReceivedDTOPacketT_co
            packet, extra = packet_and_rest(exc.value, self, "incremental_deserialize")
        except BaseException as exc:
            pop_remaining_data(exc)  # refers to *data*, not to the stream that *data* may come from
            raise
        else:
            consumer.close()
            raise DeserializeError("The packet is incomplete", error_info={"data": data})
        if extra:
            raise DeserializeError("There are bytes after the packet", error_info={"packet": packet, "extra": extra})
        return packet


class BufferedIncrementalPacketSerializer(
    AbstractIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
    Generic[SentDTOPacketT_contra, ReceivedDTOPacketT_co, WriteableBufferT],
):
    """Also parse in place: received bytes are written into a buffer that the serializer allocated.

    The packets must be the same as with `incremental_deserialize`.
    """

    __slots__ = ()

    @abstractmethod
    def create_deserializer_buffer(self, sizehint: int, /) -> WriteableBufferT:
        """Return a new writable buffer of at least one byte. *sizehint*, in bytes, is not binding."""
        raise NotImplementedError

    @abstractmethod
    def buffered_incremental_deserialize(
        self, buffer: WriteableBufferT, /
    ) -> Generator[int | None, int, tuple[ReceivedDTOPacketT_co, ReadableBuffer]]:
        """Wait for the bytes of one packet, which are written into *buffer*.

        Each ``yield`` gives the position for the next bytes: an offset from the start of *buffer* or, if negative, from
        its end; None is the start. It evaluates to the number of bytes written there, at least one. The generator must
        yield at least once.

        Returns:
            the packet and the bytes received after it, which may be a view of *buffer*.

        Raises:
            IncrementalDeserializeError: the bytes are not a valid packet; says where the next packet starts.
        """
        raise NotImplementedError


def between_packets(serializer: object) -> bytes:
    """Return the bytes that may come between packets of *serializer*; ``b""`` for mocks and other objects."""
    is_ours = issubclass(type(serializer), AbstractIncrementalPacketSerializer)  # isinstance() accepts mocks
    return serializer._between_packets if is_ours else b""  # type: ignore[attr-defined]
