"""Two serializers as one: one for what is sent, one for what is received."""

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
    """Sends through one serializer and receives through another.

    The arguments decide the class of the new object: it can do in a stream what both of them can do.

    Parameters:
        sent_packet_serializer: makes the bytes of packets.
        received_packet_serializer: makes packets of bytes.

    Raises:
        TypeError: an argument is no serializer, or cannot do what the class is made for.
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
                f"{sent_packet_serializer!r} and {received_packet_serializer!r} do not make a {cls.__name__}"
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
        """Makes the bytes of packets."""
        return self._sent_packet_serializer

    @property
    def received_packet_serializer(self) -> AbstractPacketSerializer[Any, ReceivedDTOPacketT_co]:
        """Makes packets of bytes."""
        return self._received_packet_serializer

    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Asks `sent_packet_serializer`."""
        return self._sent_packet_serializer.serialize(packet)

    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Asks `received_packet_serializer`."""
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
        """Asks ``sent_packet_serializer``."""
        return self._sent_packet_serializer.incremental_serialize(packet)

    @property
    def _between_packets(self) -> bytes:
        return between_packets(self._received_packet_serializer)

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Asks ``received_packet_serializer``."""
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
        """Asks ``received_packet_serializer``."""
        return self._received_packet_serializer.create_deserializer_buffer(sizehint)

    def buffered_incremental_deserialize(
        self, buffer: WriteableBufferT
    ) -> Generator[int | None, int, tuple[ReceivedDTOPacketT_co, ReadableBuffer]]:
        """Asks ``received_packet_serializer``."""
        return self._received_packet_serializer.buffered_incremental_deserialize(buffer)


refuse_subclasses(StapledPacketSerializer)


def _best_class(sent: object, received: object) -> type[StapledPacketSerializer[Any, Any]]:
    if not isinstance(sent, AbstractPacketSerializer) or not isinstance(received, AbstractPacketSerializer):
        raise TypeError(f"Two serializers were expected, got {sent!r} and {received!r}")
    if not isinstance(sent, AbstractIncrementalPacketSerializer):
        return StapledPacketSerializer
    if isinstance(received, BufferedIncrementalPacketSerializer):
        return StapledBufferedIncrementalPacketSerializer
    if isinstance(received, AbstractIncrementalPacketSerializer):
        return StapledIncrementalPacketSerializer
    return StapledPacketSerializer
