"""Selection of the decoder and encoder for a protocol object.

A *decoder* belongs to one connection. It is fed with received bytes and returns packets, one at a time and only on
request; until then, it stores bytes. An *encoder* is a function from a packet to its bytes.

Serializers that describe their framing as data (:mod:`easynetwork.serializers.framing`) are decoded chunk by chunk. All
others, and all generators that a user has overridden, are decoded by running the generators. Both ways produce the same
packets and the same errors.
"""

from __future__ import annotations

__all__ = ["check_stream_protocol", "decoder_factory", "packet_encoder"]

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from easynetwork._acceleration import faster
from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._overrides import is_overridden, provider
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import between_packets
from easynetwork.serializers.framing import CutFrames, FixedSizeFrames, FramedPacketSerializer, SeparatedFrames
from easynetwork.serializers.framing._cutting import CutFormat

from .cut import CutDecoder
from .fixed_size import FixedSizeDecoder
from .generators import BufferedDecoder, GeneratorDecoder
from .interface import StreamDecoder
from .separated import CauseReportingDecoder, SeparatedDecoder

_T_Packet = TypeVar("_T_Packet")

_LARGE_FRAME: Final = 16 * 1024
"""Frame size, in bytes, from which avoiding a copy is worth more than decoding many frames in one step."""


def decoder_factory(
    protocol: AnyStreamProtocolType[Any, _T_Packet], max_recv_size: int, *, by_chunks: bool = True
) -> Callable[[], StreamDecoder[_T_Packet]]:
    """Return a function that creates one decoder per connection.

    Parameters:
        protocol: parses the packets.
        max_recv_size: the maximum number of bytes per read.
        by_chunks: whether the decoder may take chunks even if *protocol* provides a buffer to receive into.

    Raises:
        TypeError: *protocol* is not a stream protocol object.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """
    check_stream_protocol(protocol)
    check_strictly_positive("max_recv_size", max_recv_size)

    fallback: Callable[[], StreamDecoder[_T_Packet]]
    if isinstance(protocol, StreamProtocol):
        serializer = _framed_serializer(protocol, StreamProtocol.build_packet_from_chunks, "incremental_deserialize")
        fallback = partial(GeneratorDecoder, protocol, max_recv_size, _between_packets(protocol))
    else:
        fallback = partial(BufferedDecoder, protocol, max_recv_size, _between_packets(protocol))
        if not by_chunks:
            return fallback
        serializer = _framed_serializer(
            protocol, BufferedStreamProtocol.build_packet_from_buffer, "buffered_incremental_deserialize"
        )
    if serializer is None:
        return fallback
    decode = _decode_function(serializer, protocol._converter)
    decode_valid = _decode_valid_function(serializer) if protocol._converter is None else None
    match serializer.frame_format():
        case SeparatedFrames(separator, limit, keep_end):
            decoder = CauseReportingDecoder if serializer._reports_causes else SeparatedDecoder
            if keep_end:
                return partial(decoder, lambda frame: decode(frame + separator), separator, limit)
            return partial(decoder, decode, separator, limit, decode_valid)
        case FixedSizeFrames(size) if isinstance(protocol, StreamProtocol) or size < _LARGE_FRAME:
            return partial(FixedSizeDecoder, decode, size)
        case CutFormat() as format:
            return partial(CutDecoder, decode, format, decode_valid)
        case _:
            return fallback


def packet_encoder(protocol: AnyStreamProtocolType[_T_Packet, Any]) -> Callable[[_T_Packet], bytes]:
    """Return a function that returns the bytes of a packet; ``b""`` for a packet that is not sent.

    The function raises the exceptions of the serializer and the converter unchanged.

    Raises:
        TypeError: *protocol* is not a stream protocol object.
    """
    check_stream_protocol(protocol)
    protocol_type = StreamProtocol if isinstance(protocol, StreamProtocol) else BufferedStreamProtocol
    serializer = _framed_serializer(protocol, protocol_type.generate_chunks, "incremental_serialize", "encode_frame")
    if serializer is None:
        return lambda packet: b"".join(protocol.generate_chunks(packet))
    encode = _encode_function(serializer)
    converter = protocol._converter
    if converter is None:
        return encode
    convert = converter.convert_to_dto_packet
    return lambda packet: encode(convert(packet))


def check_stream_protocol(protocol: object) -> None:
    """Raise `TypeError` unless *protocol* is a stream protocol object."""
    if not isinstance(protocol, (StreamProtocol, BufferedStreamProtocol)):
        raise TypeError(f"Expected a StreamProtocol or a BufferedStreamProtocol object, got {protocol!r}")


def _between_packets(protocol: AnyStreamProtocolType[Any, Any]) -> bytes:
    """Return the bytes that may follow the last packet of a stream."""
    return between_packets(getattr(protocol, "_serializer", None))


def _decode_function(serializer: FramedPacketSerializer[Any, Any], converter: Any) -> Callable[[bytes], Any]:
    deserialize = faster(serializer.deserialize)
    if converter is None:
        return deserialize
    convert = converter.create_from_dto_packet
    return lambda frame: convert(deserialize(frame))


def _decode_valid_function(serializer: FramedPacketSerializer[Any, Any]) -> Callable[[bytes], Any] | None:
    # A subclass that overrides deserialize() takes precedence.
    is_overridden = provider(serializer, "deserialize") is not provider(serializer, "_deserialize_valid")
    return None if is_overridden else serializer._deserialize_valid


def _encode_function(serializer: FramedPacketSerializer[Any, Any]) -> Callable[[Any], bytes]:
    frames = serializer.frame_format()
    if frames is None or provider(serializer, "encode_frame") is not FramedPacketSerializer:
        return faster(serializer.encode_frame)
    wrap, serialize = frames.wrap, serializer.serialize
    if isinstance(frames, CutFrames):
        return serialize  # its packets are frames already
    return lambda packet: wrap(serialize(packet))


def _framed_serializer(
    protocol: AnyStreamProtocolType[Any, Any],
    protocol_method: Callable[..., Any],
    serializer_method: str,
    framing_method: str = "frame_format",
) -> FramedPacketSerializer[Any, Any] | None:
    """Return the serializer if its framing data is complete; None if a user's generator takes precedence.

    Parameters:
        protocol: the protocol object.
        protocol_method: the library's implementation of the generator method of *protocol*.
        serializer_method: the name of the serializer's generator method.
        framing_method: the name of the serializer's method that makes the generator unnecessary.
    """
    serializer = getattr(protocol, "_serializer", None)  # None if a subclass does not call super().__init__()
    if not isinstance(serializer, FramedPacketSerializer) or is_overridden(protocol, protocol_method):
        return None
    # A subclass that overrides the generator, but not the framing method, takes precedence.
    generator_owner = provider(serializer, serializer_method)
    framing_owner = provider(serializer, framing_method)
    return serializer if generator_owner and framing_owner and issubclass(framing_owner, generator_owner) else None
