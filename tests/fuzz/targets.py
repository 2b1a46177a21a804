"""What is fuzzed: every way in which bytes of a peer reach a serializer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cbor2
from tests.serializers.catalogue import Failure, Measurement, Raw
from tests.serializers.protobuf_messages import Note, Order, Reply
from tests.support.handled import looping, one_per_request, receive_handled
from tests.support.serializer_drivers import (
    check_errors,
    comparable,
    pieces,
    receive,
    receive_buffered,
    receive_decoded,
    send,
)

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.serializers import (
    CBORSerializer,
    JSONSerializer,
    MessagePackSerializer,
    MsgspecJSONSerializer,
    MsgspecMessagePackSerializer,
    NamedTupleStructSerializer,
    ProtobufSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer, BufferedIncrementalPacketSerializer
from easynetwork.serializers.framing import (
    CobsFrames,
    CountedBodyFrames,
    CutFrames,
    FramedPacketSerializer,
    FrameFormat,
    LengthPrefixedFrames,
    NetstringFrames,
    OctetCountedFrames,
    SeparatedFrames,
    SlipFrames,
    VarintFrames,
    parse_decimal,
)
from easynetwork.serializers.json import JSONDecoderConfig
from easynetwork.serializers.msgpack import MessageUnpackerConfig
from easynetwork.serializers.wrapper import (
    Base64EncoderSerializer,
    BZ2CompressorSerializer,
    ChecksumSerializer,
    FramedSerializer,
    LZ4CompressorSerializer,
    ZlibCompressorSerializer,
    ZstdCompressorSerializer,
)


class Reading(NamedTuple):
    sensor: str
    number: int


class Bytes(Raw):
    """Refuses what begins with ``!``."""

    def deserialize(self, data: bytes, /) -> bytes:
        if data.startswith(b"!"):
            raise DeserializeError("refused")
        return data


@dataclass(frozen=True)
class Target:
    """A serializer, and streams of good packets to start from."""

    name: str
    serializer: AbstractIncrementalPacketSerializer[Any, Any]
    seeds: tuple[bytes, ...]


_LIMIT = 128  # small, so that inputs exceed it
_OBJECTS: list[Any] = [
    {"a": [1, -2, 2.5, None, True], "é": "x" * 40},
    [[[[]]], {}, ""],
    'text \\ " } ]',
    list(range(40)),
    -(2**40),
    0,
]


def _target(name: str, serializer: AbstractIncrementalPacketSerializer[Any, Any], packets: list[Any]) -> Target:
    return Target(name, serializer, tuple(send(serializer, packets[start:]) for start in range(len(packets))))


def _absurd_cbor() -> tuple[bytes, ...]:
    """One of each tag and each kind of head."""
    tags = [bytes([0xC0 + tag]) for tag in range(24)] + [bytes([0xD8, tag]) for tag in (24, 25, 28, 29, 30, 35, 36, 37)]
    tags += [b"\xd9\x01\x00", b"\xd9\x01\x02", b"\xd9\x01\x04", b"\xd9\x01\x05", b"\xd9\xd9\xf7"]
    contents = [
        b"\x01",
        b"\x82\x01\x02",
        b"\x41\x01",
        b"\x61a",
        b"\xfb" + b"\x7f" * 8,
        b"\x82\x1b" + b"\x7f" * 8 + b"\x01",
    ]
    return (*(tag + content for tag in tags for content in contents), b"\x9f\xff\xbf\xff\x5f\xff\x7f\xff")


def _typed_targets() -> list[Target]:
    """Return codecs that validate, and protobuf."""
    typed = [Measurement("é", [1.5, -2, 1e300], {"a": 1}), Failure('text \\ " \n', 5), Measurement("", [], {})]
    of_structs: Any = Measurement | Failure
    frames = VarintFrames(limit=_LIMIT)
    return [
        _target("msgspec-json", MsgspecJSONSerializer(of_structs, limit=_LIMIT), typed),
        _target("msgspec-json-any", MsgspecJSONSerializer(Any, limit=_LIMIT, debug=True), _OBJECTS),
        _target("msgspec-json-framed", MsgspecJSONSerializer(of_structs, frames=frames, strict=False), typed),
        _target("msgspec-json-text", MsgspecJSONSerializer(list[str]), [["a", "é\ud7ff"], []]),
        _target("msgspec-msgpack", MsgspecMessagePackSerializer(of_structs, limit=_LIMIT), typed),
        _target("msgspec-msgpack-any", MsgspecMessagePackSerializer(Any, frames=frames, debug=True), _OBJECTS),
        _target(
            "protobuf", ProtobufSerializer(Reply, limit=_LIMIT), [Reply(text="é", inner=Reply(number=-1)), Reply()]
        ),
        _target(
            "protobuf-required", ProtobufSerializer(Order, debug=True), [Order(number=1, notes=[Note(text="a")] * 3)]
        ),
    ]


def _framing_targets() -> list[Target]:
    """Return all framings, around JSON or bytes. Some of the bytes are not valid packets."""

    def around_json(name: str, frames: FrameFormat) -> Target:
        return _target(name, FramedSerializer(JSONSerializer(), frames), _OBJECTS)

    bodies = [b"3\r\nabc", b"-1\r\n", b"0\r\n", b"30\r\n" + b"\r\n" * 15]
    return [
        around_json("length-1", LengthPrefixedFrames(1, limit=_LIMIT)),
        around_json("length-3-little", LengthPrefixedFrames(3, "little", limit=_LIMIT)),
        around_json("length-8", LengthPrefixedFrames(8, limit=_LIMIT)),
        around_json("length-all", LengthPrefixedFrames(2, offset=1, adjustment=-3, limit=_LIMIT)),
        _target(
            "length-kept",
            Bytes(LengthPrefixedFrames(2, offset=2, keep_header=True, limit=_LIMIT)),
            [b"ab\0\0", b"!b\0\0cde", b"ab\0\0" + b"x" * 100],
        ),
        around_json("varint", VarintFrames(limit=_LIMIT)),
        around_json("netstring", NetstringFrames(limit=_LIMIT)),
        around_json("octets", OctetCountedFrames(limit=_LIMIT)),
        around_json("slip", SlipFrames(limit=_LIMIT)),
        around_json("cobs", CobsFrames(limit=_LIMIT)),
        _target("slip-bytes", Bytes(SlipFrames(limit=_LIMIT)), [b"\xc0\xdb\xdc\xdd" * 9, b"!a", b"\xdb"]),
        _target(
            "cobs-bytes", Bytes(CobsFrames(limit=300)), [b"\0\0a" * 9, b"!a", b"", bytes(range(1, 255)), b"x" * 256]
        ),
        _target("counted", Bytes(CountedBodyFrames(_count, b"\r\n", b"\r\n", header_limit=9, limit=_LIMIT)), bodies),
        _target("cut-by-size", Bytes(CutFrames(_first_byte_is_size, _LIMIT)), [b"\x03abc", b"\0", b"\x20" + b"x" * 32]),
        _target("cut-by-search", Bytes(CutFrames(_through_dot, _LIMIT)), [b"abc.", b"bad.", b"!.", b"."]),
        around_json("separated", SeparatedFrames(b"\r\n", _LIMIT)),
        _target(
            "checksum",
            FramedSerializer(ChecksumSerializer(JSONSerializer(), "crc32c"), LengthPrefixedFrames(2, limit=_LIMIT)),
            _OBJECTS,
        ),
    ]


def _count(header: bytes) -> int | None:
    return None if header.startswith(b"-") else parse_decimal(header)


def _first_byte_is_size(data: bytes, start: int) -> int:
    if data[start] > 200:
        raise DeserializeError("not a size")
    return start + 1 + data[start]


def _through_dot(data: bytes, start: int) -> int:
    end = data.find(b".", start) + 1
    if end and data.startswith(b"b", start):
        raise IncrementalDeserializeError("bad", data[end:])
    return end


def make_targets() -> list[Target]:
    """Return everything to fuzz. `PickleSerializer` is not: it runs what it is told."""
    cbor = _target("cbor", CBORSerializer(limit=_LIMIT), _OBJECTS)
    return [
        _target("line-lf", StringLineSerializer(limit=_LIMIT), ["abc", "def" * 30]),
        _target("line-crlf", StringLineSerializer("CRLF", encoding="utf-8", limit=_LIMIT), ["é€", "def" * 30]),
        _target("line-keep-end", StringLineSerializer("CR", keep_end=True, limit=_LIMIT), ["abc", "def"]),
        _target("json-lines", JSONSerializer(limit=_LIMIT), _OBJECTS),
        _target("json", JSONSerializer(use_lines=False, limit=_LIMIT), _OBJECTS),
        _target(
            "json-hooks",
            JSONSerializer(None, JSONDecoderConfig(object_hook=dict, parse_float=str, strict=False), debug=True),
            _OBJECTS,
        ),
        _target("struct", StructSerializer("Ihd"), [(1, -2, 2.5), (2**32 - 1, 3, -1e300)]),
        _target(
            "named-tuple",
            NamedTupleStructSerializer(Reading, {"sensor": "8s", "number": "H"}),
            [Reading("é", 1), Reading("abcdefgh", 65535)],
        ),
        cbor,
        Target("cbor-absurd", CBORSerializer(debug=True), cbor.seeds + _absurd_cbor()),
        _target("msgpack", MessagePackSerializer(limit=_LIMIT), _OBJECTS),
        _target(
            "msgpack-raw",
            MessagePackSerializer(
                None, MessageUnpackerConfig(raw=True, use_list=False, strict_map_key=False, timestamp=3), debug=True
            ),
            [*_OBJECTS, b"\0" * 40],
        ),
        _target("base64", Base64EncoderSerializer(JSONSerializer(), limit=_LIMIT), _OBJECTS),
        _target("base64-sum", Base64EncoderSerializer(JSONSerializer(), checksum=True, separator=b"\n"), _OBJECTS),
        *_typed_targets(),
        *_framing_targets(),
        _target("zlib", ZlibCompressorSerializer(JSONSerializer(), decompressed_limit=_LIMIT), _OBJECTS),
        _target("bz2", BZ2CompressorSerializer(JSONSerializer(), decompressed_limit=_LIMIT, debug=True), _OBJECTS),
        _target("zstd", ZstdCompressorSerializer(JSONSerializer(), decompressed_limit=_LIMIT), _OBJECTS),
        _target("lz4", LZ4CompressorSerializer(JSONSerializer(), decompressed_limit=_LIMIT, debug=True), _OBJECTS),
    ]


def run(target: Target, data: bytes, size: int) -> int:
    """Give *data* to *target* in all ways, as a whole and in pieces of *size* bytes; return how many ways.

    Any exception, and any broken promise, goes out.
    """
    serializer = target.serializer
    try:
        serializer.deserialize(data)
    except DeserializeError:
        pass
    chunks = pieces(data, size)
    whole, in_pieces = receive(serializer, [data] if data else []), receive(serializer, chunks)
    decoded = receive_decoded(serializer, chunks, one_by_one=size % 4 < 2)
    handled = receive_handled(serializer, chunks, looping if size % 2 else one_per_request)
    results = [whole, in_pieces, decoded, handled]
    if isinstance(serializer, BufferedIncrementalPacketSerializer):
        results.append(receive_buffered(serializer, chunks, size))
    for received in results:
        check_errors(received, data)
    assert comparable(decoded) == comparable(in_pieces), "the decoder differs from the generators"
    assert comparable(handled) == comparable(decoded), "the handler gets something else than the decoder returns"
    # With cbor2 5, what announces large arrays is not loaded before it is complete: other errors show later then.
    is_lazy = isinstance(serializer, CBORSerializer) and hasattr(cbor2, "CBORDecodeValueError")
    if not is_lazy and not any(isinstance(result, StreamProtocolParseError) for result in whole):
        assert comparable(whole) == comparable(in_pieces), "how the bytes arrive made a difference"
    if isinstance(serializer, FramedPacketSerializer) and serializer.frame_format() is not None:
        assert _kinds(whole) == _kinds(in_pieces), "how the bytes arrive made a difference"
    return 1 + len(results)


def _kinds(results: list[Any]) -> list[Any]:
    """Replace parse errors by their class: what remains depends on what has arrived."""
    return [event[0] if isinstance(event, tuple) else event for event in comparable(results)]
