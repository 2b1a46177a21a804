"""Combine two serializers: one for sent packets, one for received packets."""

from __future__ import annotations

__all__ = [
    "StapledBufferedIncrementalPacketSerializer",
    "StapledIncrementalPacketSerializer",
    "StapledPacketSerializer",
]

from collections.abc import Generator
from typing import Any, Generic, Self, final, overload

from easynetwork._final import refuse_subclasses
from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra, WriteableBufferT

from .abc import (
    AbstractIncrementalPacketSerializer,
    AbstractPacketSerializer,
    BufferedIncrementalPacketSerializer,
    between_packets,
)


class StapledPacketSerializer(AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Send with one serializer and receive with another.

    The class of the new object depends on the arguments. It supports the stream operations that both serializers
    support.

    Parameters:
        sent_packet_serializer: serializes sent packets.
        received_packet_serializer: deserializes received packets.

    Raises:
        TypeError: an argument is not a serializer, or lacks an operation that the class requires.
    """

    __slots__ = ("_received_packet_serializer", "_sent_packet_serializer")

    _sent_packet_serializer: AbstractPacketSerializer[SentDTOPacketT_contra, Any]
    _received_packet_serializer: AbstractPacketSerializer[Any, ReceivedDTOPacketT_co]

    @overload
    def __new__(
        cls,
        sent_packet_serializer: AbstractIncrementalPacketSerializer[SentDTOPacketT_contra, Any],
        received_packet_serializer: BufferedIncrementalPacketSerializer[Any, ReceivedDTOPacketT_co, WriteableBufferT],
    ) -> StapledBufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, WriteableBufferT]: ...

    @overload
    def __new__(
        cls,
        sent_packet_serializer: AbstractIncrementalPacketSerializer[SentDTOPacketT_contra, Any],
        received_packet_serializer: AbstractIncrementalPacketSerializer[Any, ReceivedDTOPacketT_co],
    ) -> StapledIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]: ...

    @overload
    def __new__(
        cls,
        sent_packet_serializer: AbstractPacketSerializer[SentDTOPacketT_contra, Any],
        received_packet_serializer: AbstractPacketSerializer[Any, ReceivedDTOPacketT_co],
    ) -> Self: ...

    def __new__(
        cls,
        sent_packet_serializer: AbstractPacketSerializer[SentDTOPacketT_contra, Any],
        received_packet_serializer: AbstractPacketSerializer[Any, ReceivedDTOPacketT_co],
    ) -> Any:
        best = _best_class(sent_packet_serializer, received_packet_serializer)
        if not issubclass(best, cls):
            raise TypeError(
                f"{sent_packet_serializer!r} and {received_packet_serializer!r} cannot form a {cls.__name__}"
            )
        self: StapledPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co] = super().__new__(best)
        self._sent_packet_serializer = sent_packet_serializer
        self._received_packet_serializer = received_packet_serializer
        return self

    def __repr__(self) -> str:
        sent, received = self._sent_packet_serializer, self._received_packet_serializer
        return f"{type(self).__name__}(sent_packet_serializer={sent!r}, received_packet_serializer={received!r})"

    @property
    def sent_packet_serializer(self) -> AbstractPacketSerializer[SentDTOPacketT_contra, Any]:
        """The serializer for sent packets."""
        return self._sent_packet_serializer

    @property
    def received_packet_serializer(self) -> AbstractPacketSerializer[Any, ReceivedDTOPacketT_co]:
        """The serializer for received packets."""
        return self._received_packet_serializer

    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Serialize with `sent_packet_serializer`."""
        return self._sent_packet_serializer.serialize(packet)

    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Deserialize with `received_packet_serializer`."""
        return self._received_packet_serializer.deserialize(data)


class StapledIncrementalPacketSerializer(
    StapledPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
    AbstractIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
    Generic[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
):
    """A stapled serializer for streams."""

    __slots__ = ()

    _sent_packet_serializer: AbstractIncrementalPacketSerializer[SentDTOPacketT_contra, Any]
    _received_packet_serializer: AbstractIncrementalPacketSerializer[Any, ReceivedDTOPacketT_co]

    def incremental_serialize(self, packet: SentDTOPacketT_contra) -> Generator[bytes]:
        """Serialize with ``sent_packet_serializer``."""
        return self._sent_packet_serializer.incremental_serialize(packet)

    @property
    def _between_packets(self) -> bytes:
        return between_packets(self._received_packet_serializer)

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Deserialize with ``received_packet_serializer``."""
        return self._received_packet_serializer.incremental_deserialize()


@final
class StapledBufferedIncrementalPacketSerializer(
    StapledIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
    BufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, WriteableBufferT],
    Generic[SentDTOPacketT_contra, ReceivedDTOPacketT_co, WriteableBufferT],
):
    """A stapled serializer for streams that are received into a buffer."""

    __slots__ = ()

    _received_packet_serializer: BufferedIncrementalPacketSerializer[Any, ReceivedDTOPacketT_co, WriteableBufferT]

    def create_deserializer_buffer(self, sizehint: int) -> WriteableBufferT:
        """Create a buffer with ``received_packet_serializer``."""
        return self._received_packet_serializer.create_deserializer_buffer(sizehint)

    def buffered_incremental_deserialize(
        self, buffer: WriteableBufferT
    ) -> Generator[int | None, int, tuple[ReceivedDTOPacketT_co, ReadableBuffer]]:
        """Deserialize with ``received_packet_serializer``."""
        return self._received_packet_serializer.buffered_incremental_deserialize(buffer)


refuse_subclasses(StapledPacketSerializer)


def _best_class(sent: object, received: object) -> type[StapledPacketSerializer[Any, Any]]:
    if not isinstance(sent, AbstractPacketSerializer) or not isinstance(received, AbstractPacketSerializer):
        raise TypeError(f"Expected two serializers, got {sent!r} and {received!r}")
    if not isinstance(sent, AbstractIncrementalPacketSerializer):
        return StapledPacketSerializer
    if isinstance(received, BufferedIncrementalPacketSerializer):
        return StapledBufferedIncrementalPacketSerializer
    if isinstance(received, AbstractIncrementalPacketSerializer):
        return StapledIncrementalPacketSerializer
    return StapledPacketSerializer
