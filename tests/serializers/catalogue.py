"""Every serializer for streams, each with packets that it can carry: what the properties and the fuzzer run through."""

from __future__ import annotations

import string
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from tests.serializers.protobuf_messages import Reply

from easynetwork.exceptions import DeserializeError
from easynetwork.serializers import (
    CBORSerializer,
    JSONSerializer,
    MessagePackSerializer,
    MsgspecJSONSerializer,
    MsgspecMessagePackSerializer,
    NamedTupleStructSerializer,
    PickleSerializer,
    ProtobufSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.base_stream import (
    AutoSeparatedPacketSerializer,
    FileBasedPacketSerializer,
    FixedSizePacketSerializer,
)
from easynetwork.serializers.composite import StapledPacketSerializer
from easynetwork.serializers.framing import (
    CobsFrames,
    CountedBodyFrames,
    CutFrames,
    FramedPacketSerializer,
    FrameFormat,
    LengthPrefixedFrames,
    NetstringFrames,
    OctetCountedFrames,
    SlipFrames,
    VarintFrames,
    parse_decimal,
)
from easynetwork.serializers.json import JSONEncoderConfig
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


class OwnSeparated(AutoSeparatedPacketSerializer[bytes, bytes]):
    """Refuses what begins with ``!``."""

    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        if data.startswith(b"!"):
            raise DeserializeError("refused")
        return data


class OwnFixedSize(FixedSizePacketSerializer[bytes, bytes]):
    """Refuses what begins with ``!``."""

    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        if data.startswith(b"!"):
            raise DeserializeError("refused")
        return data


class Raw(FramedPacketSerializer[bytes, bytes]):
    """Any bytes, in any frames."""

    def __init__(self, frames: FrameFormat) -> None:
        self._frames = frames

    def frame_format(self) -> FrameFormat:
        return self._frames

    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        return data


def cut_by_first_byte(data: bytes, start: int) -> int:
    """Cut frames whose first byte says how many follow."""
    return start + 1 + data[start]


class LengthPrefixed(FileBasedPacketSerializer[bytes, bytes]):
    """A byte that says how many follow; zero is refused."""

    def __init__(self, expected: Any = ValueError, **kwargs: Any) -> None:
        super().__init__(expected, **kwargs)

    def dump_to_file(self, packet: bytes, file: IO[bytes], /) -> None:
        file.write(bytes([len(packet)]) + packet)

    def load_from_file(self, file: IO[bytes], /) -> bytes:
        size = file.read(1)
        if size == b"\0":
            raise ValueError("zero")
        data = file.read(size[0]) if size else b""
        if not size or len(data) < size[0]:
            raise EOFError
        return data


class OwnIncremental(AbstractIncrementalPacketSerializer[bytes, bytes]):
    """Pairs of bytes, of which the first is the second plus one."""

    def incremental_serialize(self, packet: bytes, /) -> Generator[bytes]:
        yield bytes([(packet[0] + 1) % 256])
        yield packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        data = yield
        while len(data) < 2:
            data += yield
        return data[1:2], data[2:]


class Reading(NamedTuple):
    sensor: str
    number: int
    value: float


class Measurement(msgspec.Struct, tag="measurement"):
    sensor: str
    values: list[float]
    notes: dict[str, int]


class Failure(msgspec.Struct, tag="failure"):
    text: str
    code: int | None = None


@dataclass(frozen=True)
class Case:
    """A serializer and its packets."""

    name: str
    make: Callable[[], AbstractIncrementalPacketSerializer[Any, Any]]
    packets: st.SearchStrategy[Any]

    def __repr__(self) -> str:
        return self.name


_words = st.text(string.ascii_letters + " ", min_size=1, max_size=30)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=30)
_integers = st.integers(-(2**63), 2**64 - 1)
_floats = st.floats(allow_nan=False)
_contents = st.binary(max_size=60) | st.lists(st.sampled_from([b"\0", b"\xc0", b"\xdb", b",", b"\r\n", b"ab"])).map(
    b"".join
)
_single_bytes = st.binary(min_size=1, max_size=1)
_scalars = st.none() | st.booleans() | _integers | _floats | st.text(max_size=30)


def _nested(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
        max_leaves=20,
    )


_json = _nested(_scalars)
_binary_objects = _nested(_scalars | st.binary(max_size=300))
_tuples = st.recursive(st.binary(max_size=30) | _integers, lambda inner: st.lists(inner, max_size=20).map(tuple))
_structures = st.tuples(st.integers(0, 2**32 - 1), st.integers(-9, 9), _floats)
_small_integers = st.integers(-(2**31), 2**31 - 1)
_typed = st.builds(
    Measurement,
    st.text(max_size=30),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9),
    st.dictionaries(st.text(max_size=5), _small_integers, max_size=5),
) | st.builds(Failure, st.text(max_size=30), st.none() | _small_integers)
_messages = st.recursive(
    st.builds(Reply, text=st.text(max_size=30), number=_small_integers),
    lambda inner: st.builds(Reply, text=st.text(max_size=5), inner=inner),
    max_leaves=5,
)
_readings = st.builds(Reading, st.text(string.ascii_letters, max_size=8), st.integers(0, 65535), _floats)

CASES: list[Case] = [
    Case("line-lf", StringLineSerializer, _words),
    Case("line-cr", lambda: StringLineSerializer("CR"), _words),
    Case("line-crlf", lambda: StringLineSerializer("CRLF", encoding="utf-8"), _texts),
    Case("line-keep-end", lambda: StringLineSerializer("CRLF", keep_end=True), _words.map(lambda word: word + "\r\n")),
    Case("json-lines", JSONSerializer, _json),
    Case("json-lines-utf8", lambda: JSONSerializer(JSONEncoderConfig(ensure_ascii=False)), _json),
    Case("json", lambda: JSONSerializer(use_lines=False), _json),
    Case("struct", lambda: StructSerializer("Ihd"), _structures),
    Case(
        "named-tuple",
        lambda: NamedTupleStructSerializer(Reading, {"sensor": "8s", "number": "H", "value": "d"}),
        _readings,
    ),
    Case("cbor", CBORSerializer, _binary_objects),
    Case("msgpack", MessagePackSerializer, _binary_objects),
    Case("msgpack-tuples", lambda: MessagePackSerializer(None, MessageUnpackerConfig(use_list=False)), _tuples),
    Case("msgspec-json", lambda: MsgspecJSONSerializer[Any](Measurement | Failure), _typed),
    Case(
        "msgspec-json-framed",
        lambda: MsgspecJSONSerializer[Any](Measurement | Failure, frames=NetstringFrames()),
        _typed,
    ),
    Case("msgspec-msgpack", lambda: MsgspecMessagePackSerializer[Any](Measurement | Failure), _typed),
    Case("protobuf", lambda: ProtobufSerializer(Reply), _messages),
    Case("base64", lambda: Base64EncoderSerializer(PickleSerializer(), checksum=True), _binary_objects),
    Case(
        "base64-standard",
        lambda: Base64EncoderSerializer(JSONSerializer(), alphabet="standard", separator=b"\n"),
        _json,
    ),
    Case("zlib", lambda: ZlibCompressorSerializer(MessagePackSerializer()), _binary_objects),
    Case("bz2", lambda: BZ2CompressorSerializer(JSONSerializer()), _json),
    Case("zstd", lambda: ZstdCompressorSerializer(MessagePackSerializer()), _binary_objects),
    Case("lz4", lambda: LZ4CompressorSerializer(JSONSerializer()), _json),
    Case(
        "own-separated",
        lambda: OwnSeparated(b"aab"),
        st.binary(min_size=1, max_size=30).filter(lambda packet: b"aab" not in packet and packet[:1] != b"!"),
    ),
    Case(
        "own-fixed-size",
        lambda: OwnFixedSize(5),
        st.binary(min_size=5, max_size=5).filter(lambda packet: packet[:1] != b"!"),
    ),
    Case("length-prefixed", lambda: FramedSerializer(PickleSerializer(), LengthPrefixedFrames(4)), _binary_objects),
    Case("length-at-offset", lambda: Raw(LengthPrefixedFrames(2, "little", offset=1, adjustment=-3)), _contents),
    Case("varint", lambda: FramedSerializer(JSONSerializer(), VarintFrames()), _json),
    Case("netstring", lambda: Raw(NetstringFrames()), _contents),
    Case("octet-counted", lambda: Raw(OctetCountedFrames()), _contents.filter(bool)),
    Case("slip", lambda: Raw(SlipFrames()), _contents.filter(bool)),
    Case("cobs", lambda: Raw(CobsFrames()), _contents),
    Case(
        "counted-body",
        lambda: Raw(CountedBodyFrames(parse_decimal, header_end=b"\r\n", body_end=b"\r\n")),
        _contents.map(lambda body: b"%d\r\n%b" % (len(body), body)),
    ),
    Case("cut", lambda: Raw(CutFrames(cut_by_first_byte)), _contents.map(lambda rest: bytes([len(rest)]) + rest)),
    Case(
        "checksum",
        lambda: FramedSerializer(ChecksumSerializer(MessagePackSerializer(), "crc32c"), CobsFrames()),
        _binary_objects,
    ),
    Case("own-file-based", LengthPrefixed, st.binary(min_size=1, max_size=255)),
    Case("own-incremental", OwnIncremental, _single_bytes),
    Case("stapled", lambda: StapledPacketSerializer(StringLineSerializer(), StringLineSerializer()), _words),
    Case("stapled-incremental", lambda: StapledPacketSerializer(OwnIncremental(), OwnIncremental()), _single_bytes),
]
