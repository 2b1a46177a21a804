"""Protocol objects: a serializer, and a converter where one is needed. They say what a packet is on the wire.

They keep no state about any connection: one object serves as many as wanted.
"""

from __future__ import annotations

__all__ = ["AnyStreamProtocolType", "BufferedStreamProtocol", "DatagramProtocol", "StreamProtocol"]

from collections.abc import Generator
from typing import Any, Generic, TypeAlias, overload

from easynetwork.serializers._results import check_remaining_data, not_a_pair
from easynetwork.serializers._resuming import note_remaining_data
from easynetwork.serializers.abc import (
    AbstractIncrementalPacketSerializer,
    AbstractPacketSerializer,
    BufferedIncrementalPacketSerializer,
)

from ._typing import (
    ReadableBuffer,
    ReceivedDTOPacketT_co,
    ReceivedPacketT_co,
    SentDTOPacketT_contra,
    SentPacketT_contra,
    WriteableBufferT,
)
from .converter import AbstractPacketConverterComposite
from .exceptions import (
    DatagramProtocolParseError,
    DeserializeError,
    IncrementalDeserializeError,
    PacketConversionError,
    StreamProtocolParseError,
)


class DatagramProtocol(Generic[SentPacketT_contra, ReceivedPacketT_co]):
    """One packet is one datagram.

    Parameters:
        serializer: makes the bytes of a packet, and a packet of bytes.
        converter: stands between the serializer and who sends and receives packets.

    Raises:
        TypeError: an argument is no object of the expected class.
    """

    __slots__ = ("__weakref__", "_converter", "_serializer")

    @overload
    def __init__(
        self, serializer: AbstractPacketSerializer[SentPacketT_contra, ReceivedPacketT_co], converter: None = None
    ) -> None: ...

    @overload
    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        converter: AbstractPacketConverterComposite[
            SentPacketT_contra, ReceivedPacketT_co, SentDTOPacketT_contra, ReceivedDTOPacketT_co
        ],
    ) -> None: ...

    def __init__(
        self,
        serializer: AbstractPacketSerializer[Any, Any],
        converter: AbstractPacketConverterComposite[SentPacketT_contra, ReceivedPacketT_co, Any, Any] | None = None,
    ) -> None:
        _check_arguments(serializer, AbstractPacketSerializer, converter)
        self._serializer = serializer
        self._converter = converter

    def make_datagram(self, packet: SentPacketT_contra) -> bytes:
        """Returns the bytes of *packet*. What the converter and the serializer raise goes through."""
        return self._serializer.serialize(_to_dto(self._converter, packet))

    def build_packet_from_datagram(self, datagram: bytes) -> ReceivedPacketT_co:
        """Returns the packet that *datagram* carries.

        Raises:
            DatagramProtocolParseError: the serializer or the converter refuses it.
        """
        try:
            packet: ReceivedPacketT_co = self._serializer.deserialize(datagram)
            if self._converter is not None:
                packet = self._converter.create_from_dto_packet(packet)
        except (DeserializeError, PacketConversionError) as exc:
            raise DatagramProtocolParseError(exc) from exc
        return packet


class StreamProtocol(Generic[SentPacketT_contra, ReceivedPacketT_co]):
    """Packets in a stream of bytes, which are received as ``bytes``.

    Parameters:
        serializer: makes the bytes of a packet, and finds packets in a stream.
        converter: stands between the serializer and who sends and receives packets.

    Raises:
        TypeError: an argument is no object of the expected class.
    """

    __slots__ = ("__weakref__", "_converter", "_serializer")

    @overload
    def __init__(
        self,
        serializer: AbstractIncrementalPacketSerializer[SentPacketT_contra, ReceivedPacketT_co],
        converter: None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        serializer: AbstractIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        converter: AbstractPacketConverterComposite[
            SentPacketT_contra, ReceivedPacketT_co, SentDTOPacketT_contra, ReceivedDTOPacketT_co
        ],
    ) -> None: ...

    def __init__(
        self,
        serializer: AbstractIncrementalPacketSerializer[Any, Any],
        converter: AbstractPacketConverterComposite[SentPacketT_contra, ReceivedPacketT_co, Any, Any] | None = None,
    ) -> None:
        _check_arguments(serializer, AbstractIncrementalPacketSerializer, converter)
        self._serializer = serializer
        self._converter = converter

    def generate_chunks(self, packet: SentPacketT_contra) -> Generator[bytes]:
        """Yields the bytes of *packet* in pieces. What the converter and the serializer raise goes through."""
        yield from self._serializer.incremental_serialize(_to_dto(self._converter, packet))

    def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[ReceivedPacketT_co, bytes]]:
        """Waits for one packet, as `AbstractIncrementalPacketSerializer.incremental_deserialize` does.

        Raises:
            StreamProtocolParseError: the serializer or the converter refuses what was received.
            RuntimeError: the serializer does not say where to go on: it raised a plain `DeserializeError`.
            TypeError: the serializer returned something else than a packet and the bytes after it.
        """
        try:
            result = yield from self._serializer.incremental_deserialize()
        except DeserializeError as exc:
            raise _stream_error(exc) from exc
        try:
            packet, remaining = result
        except (TypeError, ValueError):
            raise not_a_pair(f"{type(self._serializer).__name__}.incremental_deserialize()", result) from None
        if type(remaining) is not bytes:
            check_remaining_data(f"{type(self._serializer).__name__}.incremental_deserialize()", packet, remaining)
        return _from_dto(self._converter, packet, remaining), remaining


class BufferedStreamProtocol(Generic[SentPacketT_contra, ReceivedPacketT_co, WriteableBufferT]):
    """Packets in a stream of bytes, which are received into a buffer of the serializer.

    Parameters:
        serializer: makes the bytes of a packet, and finds packets in its buffer.
        converter: stands between the serializer and who sends and receives packets.

    Raises:
        TypeError: an argument is no object of the expected class.
    """

    __slots__ = ("__weakref__", "_converter", "_serializer")

    @overload
    def __init__(
        self,
        serializer: BufferedIncrementalPacketSerializer[SentPacketT_contra, ReceivedPacketT_co, WriteableBufferT],
        converter: None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        serializer: BufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, WriteableBufferT],
        converter: AbstractPacketConverterComposite[
            SentPacketT_contra, ReceivedPacketT_co, SentDTOPacketT_contra, ReceivedDTOPacketT_co
        ],
    ) -> None: ...

    def __init__(
        self,
        serializer: BufferedIncrementalPacketSerializer[Any, Any, WriteableBufferT],
        converter: AbstractPacketConverterComposite[SentPacketT_contra, ReceivedPacketT_co, Any, Any] | None = None,
    ) -> None:
        _check_arguments(serializer, BufferedIncrementalPacketSerializer, converter)
        self._serializer = serializer
        self._converter = converter

    def generate_chunks(self, packet: SentPacketT_contra) -> Generator[bytes]:
        """Yields the bytes of *packet* in pieces. What the converter and the serializer raise goes through."""
        yield from self._serializer.incremental_serialize(_to_dto(self._converter, packet))

    def create_buffer(self, sizehint: int) -> WriteableBufferT:
        """Returns a new buffer for received bytes. *sizehint*, in bytes, need not be followed."""
        return self._serializer.create_deserializer_buffer(sizehint)

    def build_packet_from_buffer(
        self, buffer: WriteableBufferT
    ) -> Generator[int | None, int, tuple[ReceivedPacketT_co, ReadableBuffer]]:
        """Waits for one packet, as `BufferedIncrementalPacketSerializer.buffered_incremental_deserialize` does.

        Raises:
            StreamProtocolParseError: the serializer or the converter refuses what was received.
            RuntimeError: the serializer does not say where to go on: it raised a plain `DeserializeError`.
            TypeError: the serializer returned something else than a packet and the bytes after it.
        """
        try:
            result = yield from self._serializer.buffered_incremental_deserialize(buffer)
        except DeserializeError as exc:
            raise _stream_error(exc) from exc
        try:
            packet, remaining = result
        except (TypeError, ValueError):
            raise not_a_pair(f"{type(self._serializer).__name__}.buffered_incremental_deserialize()", result) from None
        if type(remaining) is not bytes:
            check_remaining_data(
                f"{type(self._serializer).__name__}.buffered_incremental_deserialize()", packet, remaining
            )
        return _from_dto(self._converter, packet, remaining), remaining


AnyStreamProtocolType: TypeAlias = (
    StreamProtocol[SentPacketT_contra, ReceivedPacketT_co]
    | BufferedStreamProtocol[SentPacketT_contra, ReceivedPacketT_co, Any]
)
"""Either way of receiving a stream."""

_AnyConverter: TypeAlias = AbstractPacketConverterComposite[Any, Any, Any, Any]


def _check_arguments(serializer: object, expected: type[Any], converter: object) -> None:
    if not isinstance(serializer, expected):
        raise TypeError(f"The serializer must be an object of a subclass of {expected.__name__}, got {serializer!r}")
    if converter is not None and not isinstance(converter, AbstractPacketConverterComposite):
        raise TypeError(
            f"The converter must be an object of a subclass of {AbstractPacketConverterComposite.__name__}, "
            f"got {converter!r}"
        )


def _to_dto(converter: _AnyConverter | None, packet: Any) -> Any:
    return packet if converter is None else converter.convert_to_dto_packet(packet)


def _from_dto(converter: _AnyConverter | None, dto_packet: Any, remaining_data: ReadableBuffer) -> Any:
    if converter is None:
        return dto_packet
    try:
        return converter.create_from_dto_packet(dto_packet)
    except PacketConversionError as exc:
        raise StreamProtocolParseError(remaining_data, exc) from exc
    except BaseException as exc:
        note_remaining_data(exc, remaining_data)
        raise


def _stream_error(exc: DeserializeError) -> Exception:
    if isinstance(exc, IncrementalDeserializeError):
        return StreamProtocolParseError(exc.remaining_data, exc)
    return RuntimeError(
        f"{type(exc).__name__} does not say where to go on in a stream: raise IncrementalDeserializeError instead"
    )
