"""Protocol objects: a serializer and an optional converter, which together define how packets look on the wire.

A protocol object keeps no state about connections. One object can serve any number of them.
"""

from __future__ import annotations

__all__ = ["AnyStreamProtocolType", "BufferedStreamProtocol", "DatagramProtocol", "StreamProtocol"]

from collections.abc import Callable, Generator
from typing import Any, Generic, NoReturn, TypeAlias, overload

from easynetwork.serializers._results import packet_and_rest
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
    """One packet per datagram.

    Parameters:
        serializer: converts packets to bytes and bytes to packets.
        converter: converts between the packets of the program and those of the serializer.

    Raises:
        TypeError: an argument is not an instance of the expected class.
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
        """Return the bytes of *packet*. Exceptions from the converter and the serializer propagate."""
        return self._serializer.serialize(_to_dto(self._converter, packet))

    def build_packet_from_datagram(self, datagram: bytes) -> ReceivedPacketT_co:
        """Return the packet in *datagram*.

        Raises:
            DatagramProtocolParseError: the serializer or the converter rejects the datagram.
        """
        try:
            packet: ReceivedPacketT_co = self._serializer.deserialize(datagram)
            if self._converter is not None:
                packet = self._converter.create_from_dto_packet(packet)
        except (DeserializeError, PacketConversionError) as exc:
            raise DatagramProtocolParseError(exc) from exc
        return packet


class StreamProtocol(Generic[SentPacketT_contra, ReceivedPacketT_co]):
    """Packets in a byte stream. Received chunks are passed to the serializer as ``bytes``.

    Parameters:
        serializer: converts packets to bytes and finds packets in a stream.
        converter: converts between the packets of the program and those of the serializer.

    Raises:
        TypeError: an argument is not an instance of the expected class.
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
        """Yield the bytes of *packet* in pieces. Exceptions from the converter and the serializer propagate."""
        yield from self._serializer.incremental_serialize(_to_dto(self._converter, packet))

    def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[ReceivedPacketT_co, bytes]]:
        """Wait for one packet, like `AbstractIncrementalPacketSerializer.incremental_deserialize`.

        Raises:
            StreamProtocolParseError: the serializer or the converter rejects the received bytes.
            RuntimeError: the serializer raised a plain `DeserializeError`, which does not say where the next packet
                starts.
            TypeError: the serializer did not return a packet and the bytes after it.
        """
        try:
            result = yield from self._serializer.incremental_deserialize()
        except DeserializeError as exc:
            raise _stream_error(exc) from exc
        return _completed(self, result)


class BufferedStreamProtocol(Generic[SentPacketT_contra, ReceivedPacketT_co, WriteableBufferT]):
    """Packets in a byte stream. Received bytes are written into a buffer that the serializer provides.

    Parameters:
        serializer: converts packets to bytes and finds packets in its buffer.
        converter: converts between the packets of the program and those of the serializer.

    Raises:
        TypeError: an argument is not an instance of the expected class.
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
        """Yield the bytes of *packet* in pieces. Exceptions from the converter and the serializer propagate."""
        yield from self._serializer.incremental_serialize(_to_dto(self._converter, packet))

    def create_buffer(self, sizehint: int) -> WriteableBufferT:
        """Return a new buffer for received bytes. *sizehint*, in bytes, is not binding."""
        return self._serializer.create_deserializer_buffer(sizehint)

    def build_packet_from_buffer(
        self, buffer: WriteableBufferT
    ) -> Generator[int | None, int, tuple[ReceivedPacketT_co, ReadableBuffer]]:
        """Wait for one packet, like `BufferedIncrementalPacketSerializer.buffered_incremental_deserialize`.

        Raises:
            StreamProtocolParseError: the serializer or the converter rejects the received bytes.
            RuntimeError: the serializer raised a plain `DeserializeError`, which does not say where the next packet
                starts.
            TypeError: the serializer did not return a packet and the bytes after it.
        """
        try:
            result = yield from self._serializer.buffered_incremental_deserialize(buffer)
        except DeserializeError as exc:
            raise _stream_error(exc) from exc
        return _completed(self, result)


AnyStreamProtocolType: TypeAlias = (
    StreamProtocol[SentPacketT_contra, ReceivedPacketT_co]
    | BufferedStreamProtocol[SentPacketT_contra, ReceivedPacketT_co, Any]
)
"""Protocol object for a byte stream, of either kind."""


def build_packets(
    protocol: AnyStreamProtocolType[Any, Any],
    deserialize: Callable[[], Generator[Any, Any, Any]],
    results: list[tuple[Any, bytes]],
) -> Generator[Any, Any, NoReturn]:
    """Build packets one after another, as the generator method of *protocol* builds one.

    Append each packet and the bytes after it to *results*, then yield once more.

    Parameters:
        protocol: a protocol object that does not override the method.
        deserialize: starts the serializer's generator.
        results: receives the packets.
    """
    has_converter = protocol._converter is not None
    result: Any
    while True:
        try:
            result = yield from deserialize()
        except DeserializeError as exc:
            raise _stream_error(exc) from exc
        if has_converter or type(result) is not tuple or len(result) != 2 or type(result[1]) is not bytes:
            packet, remaining = _completed(protocol, result)
            result = packet, bytes(remaining)
            del packet, remaining
        results.append(result)
        del result  # do not keep the packet alive until the next one
        yield


_AnyConverter: TypeAlias = AbstractPacketConverterComposite[Any, Any, Any, Any]


def _check_arguments(serializer: object, expected: type[Any], converter: object) -> None:
    if not isinstance(serializer, expected):
        raise TypeError(f"The serializer must be an instance of {expected.__name__}, got {serializer!r}")
    if converter is not None and not isinstance(converter, AbstractPacketConverterComposite):
        raise TypeError(
            f"The converter must be an instance of {AbstractPacketConverterComposite.__name__}, got {converter!r}"
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


def _completed(protocol: AnyStreamProtocolType[Any, Any], result: object) -> tuple[Any, Any]:
    """Check the *result* of the serializer's generator, and convert its packet."""
    is_buffered = isinstance(protocol, BufferedStreamProtocol)
    method = "buffered_incremental_deserialize" if is_buffered else "incremental_deserialize"
    packet, remaining = packet_and_rest(result, protocol._serializer, method)
    return _from_dto(protocol._converter, packet, remaining), remaining


def _stream_error(exc: DeserializeError) -> Exception:
    if isinstance(exc, IncrementalDeserializeError):
        return StreamProtocolParseError(exc.remaining_data, exc)
    return RuntimeError(
        f"{type(exc).__name__} does not say where the next packet starts: raise IncrementalDeserializeError instead"
    )
