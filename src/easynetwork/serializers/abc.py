"""What a serializer is: from packet to bytes and back."""

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

from ._results import check_remaining_data, not_a_pair
from ._resuming import pop_remaining_data


class AbstractPacketSerializer(ABC, Generic[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Makes the bytes of exactly one packet, and a packet of exactly its bytes. Enough for datagrams."""

    __slots__ = ("__weakref__",)

    @abstractmethod
    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns the bytes of *packet*. Whatever it raises is seen by who sends as a crash."""
        raise NotImplementedError

    @abstractmethod
    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Returns the packet whose bytes are *data*, all of them and no more.

        Raises:
            DeserializeError: *data* is not the bytes of one packet: malformed, too short or too long.
        """
        raise NotImplementedError


class AbstractIncrementalPacketSerializer(AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Also finds packets in a stream of bytes, of which any number arrive at a time."""

    __slots__ = ()

    @property
    def _between_packets(self) -> bytes:
        """Bytes that may come between packets without beginning one: a stream that ends after them ended well."""
        return b""

    @abstractmethod
    def incremental_serialize(self, packet: SentDTOPacketT_contra, /) -> Generator[bytes]:
        """Yields the bytes of *packet* as a stream carries them, in pieces. Empty pieces are fine, none at all too."""
        raise NotImplementedError

    @abstractmethod
    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Waits for the bytes of one packet.

        Each ``yield`` asks for bytes and evaluates to at least one. Ask at least once.

        Returns:
            the packet, and the bytes received after it.

        Raises:
            IncrementalDeserializeError: the bytes are no valid packet; says where to go on.
        """
        raise NotImplementedError

    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns the pieces of `incremental_serialize` as one."""
        return b"".join(self.incremental_serialize(packet))

    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Feeds `incremental_deserialize` with *data*.

        Raises:
            DeserializeError: the generator has raised it (as `IncrementalDeserializeError`), has asked for more bytes
                (``error_info`` is ``{"data": ...}``) or has left some (``{"packet": ..., "extra": ...}``).
            RuntimeError: the generator finished before it has asked for bytes.
            TypeError: the generator returned something else than a packet and the bytes after it.
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
            try:
                packet, extra = exc.value
            except (TypeError, ValueError):
                raise not_a_pair(f"{type(self).__name__}.incremental_deserialize()", exc.value) from None
            if type(extra) is not bytes:
                check_remaining_data(f"{type(self).__name__}.incremental_deserialize()", packet, extra)
        except BaseException as exc:
            pop_remaining_data(exc)  # it is about *data*, not about the stream that *data* may have been cut out of
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
    """Also parses in place: received bytes are written into a buffer which the serializer has allocated.

    Whichever way the bytes arrive, the packets must be the same.
    """

    __slots__ = ()

    @abstractmethod
    def create_deserializer_buffer(self, sizehint: int, /) -> WriteableBufferT:
        """Returns a new writable buffer of at least one byte. *sizehint*, in bytes, need not be followed."""
        raise NotImplementedError

    @abstractmethod
    def buffered_incremental_deserialize(
        self, buffer: WriteableBufferT, /
    ) -> Generator[int | None, int, tuple[ReceivedDTOPacketT_co, ReadableBuffer]]:
        """Waits for the bytes of one packet, which are written into *buffer*.

        Each ``yield`` says where the next bytes are to be written, counted in bytes from the start of *buffer* or, if
        negative, from its end (None is the start), and evaluates to how many were written there: at least one.
        Ask at least once.

        Returns:
            the packet, and the bytes received after it, which may be a view of *buffer*.

        Raises:
            IncrementalDeserializeError: the bytes are no valid packet; says where to go on.
        """
        raise NotImplementedError
