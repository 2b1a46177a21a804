"""Lines, JSON, pickle, structures, CBOR, MessagePack: one-shot, incremental, and in place."""

from __future__ import annotations

import datetime
import io
import pickle
from typing import Any, NamedTuple

from benchmarks.differential.kit import drive, drive_buffered
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork.exceptions import DeserializeError
from easynetwork.serializers import (
    CBORSerializer,
    JSONSerializer,
    MessagePackSerializer,
    NamedTupleStructSerializer,
    PickleSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.cbor import CBORDecoderConfig, CBOREncoderConfig
from easynetwork.serializers.json import JSONDecoderConfig, JSONEncoderConfig
from easynetwork.serializers.msgpack import MessagePackerConfig, MessageUnpackerConfig
from easynetwork.serializers.pickle import PicklerConfig, UnpicklerConfig
from easynetwork.serializers.struct import AbstractStructSerializer


def both_ways(t: Transcript, name: str, serializer: Any, *packets: object) -> None:
    """Record how packets are encoded, at once and in chunks, and how the bytes are decoded."""
    for packet in packets:
        data = t.call(f"{name} serialize", serializer.serialize, packet)
        if data is not None:
            t.call(f"{name} deserialize", serializer.deserialize, data)
        if hasattr(serializer, "incremental_serialize"):
            t.call(f"{name} chunks", lambda packet=packet: b"".join(serializer.incremental_serialize(packet)))


@program()
def line_round_trip(t: Transcript) -> None:
    """Lines with each newline, kept or not"""
    for newline in ("LF", "CR", "CRLF"):
        for keep_end in (False, True):
            serializer = StringLineSerializer(newline, keep_end=keep_end)
            name = f"{newline} {keep_end}"
            both_ways(t, name, serializer, "hello", "", "a\nb", "with newline\n", "twice\r\n\r\n", "\n")
            end = serializer.separator
            drive(t, name, serializer.incremental_deserialize, b"one" + end + b"two", end, end, b"three" + end * 2)
            drive_buffered(t, name, serializer, b"one" + end + b"two", end, end, b"three" + end * 2)
            t.say(f"{name} properties", (serializer.separator, serializer.debug, serializer.buffer_limit))
            t.say(f"{name} more", (serializer.keep_end, serializer.encoding, serializer.unicode_errors))


@program()
def line_errors(t: Transcript) -> None:
    """Lines that cannot be encoded or decoded, with and without debug, kept ends"""
    for debug in (False, True):
        for keep_end in (False, True):
            serializer: Any = StringLineSerializer("CRLF", debug=debug, keep_end=keep_end)
            name = f"debug={debug} keep_end={keep_end}"
            t.call(f"{name} not a str", serializer.serialize, b"bytes")
            t.call(f"{name} None", serializer.serialize, None)
            t.call(f"{name} chunks of an int", lambda s=serializer: list(s.incremental_serialize(1)))
            t.call(f"{name} not ASCII", serializer.serialize, "é")
            t.call(f"{name} bytes not ASCII", serializer.deserialize, b"\xe9\r\n\r\n")
            drive(t, name, serializer.incremental_deserialize, b"ok\r\n\xe9t\xe9\r\nnext\r\n")
            drive_buffered(t, f"{name} buffered", serializer, b"ok\r\n\xe9t\xe9\r\nnext\r\n")
    replaced = StringLineSerializer(encoding="utf-8", unicode_errors="replace")
    drive(t, "replace", replaced.incremental_deserialize, b"\xff!\n")
    t.call("unknown encoding", StringLineSerializer(encoding="nothing").serialize, "a")
    t.call("unknown encoding, decode", StringLineSerializer(encoding="nothing").deserialize, b"a")
    utf16 = StringLineSerializer(encoding="utf-16-le")
    both_ways(t, "utf-16", utf16, "a")


@program()
def line_limits(t: Transcript) -> None:
    """Lines near the limit, in one chunk and byte by byte"""
    for newline, end in (("LF", b"\n"), ("CRLF", b"\r\n")):
        for length in (7, 8, 9, 10):
            serializer = StringLineSerializer(newline, limit=8)
            line = b"x" * length + end
            name = f"{newline} {length}"
            drive(t, f"{name} at once", serializer.incremental_deserialize, line + b"ok" + end)
            drive(t, f"{name} no end", serializer.incremental_deserialize, b"x" * length)
            drive(t, f"{name} half an end", serializer.incremental_deserialize, b"x" * length + end[:1])
    for value in (0, -1):
        t.call(f"limit {value}", lambda value=value: StringLineSerializer(limit=value))
    t.call("limit str", lambda: StringLineSerializer(limit="8"))


@program(explained={"LF 15 without an end": "a line that just fits the buffer and arrives in pieces"})
def line_limits_in_a_buffer(t: Transcript) -> None:
    """Lines near the limit of the buffered parser, and the size of its buffer"""
    for newline, end in (("LF", b"\n"), ("CRLF", b"\r\n")):
        serializer = StringLineSerializer(newline, limit=16)
        for sizehint in (1, 16, 100):
            buffer = serializer.create_deserializer_buffer(sizehint)
            t.say(f"{newline} buffer for {sizehint}", (type(buffer).__name__, len(buffer)))
        for length in (12, 13, 14, 15, 16):
            drive_buffered(t, f"{newline} {length} without an end", serializer, b"X" * length)
            drive_buffered(t, f"{newline} {length}", serializer, b"X" * length + end)
        drive_buffered(t, f"{newline} half an end", serializer, b"X" * 15 + end[:1])


@program()
def json_round_trip(t: Transcript) -> None:
    """JSON of every kind, in lines and not"""
    packets: list[Any] = [{"a": [1, 2.5, None, True]}, [], "text", "é", 12, 1.5, None, float("nan"), {}, (1, 2), {1: 2}]
    for use_lines in (True, False):
        serializer = JSONSerializer(use_lines=use_lines)
        both_ways(t, f"lines={use_lines}", serializer, *packets)
        t.say("debug", serializer.debug)
    t.call("surrounding blanks", JSONSerializer().deserialize, b" \r\n[1]\t\n")
    t.call("not serializable", JSONSerializer().serialize, object())
    t.call("set in chunks", lambda: list(JSONSerializer().incremental_serialize({1, 2})))
    circular: list[Any] = []
    circular.append(circular)
    t.call("circular", JSONSerializer().serialize, circular)
    t.call("no surrogates", JSONSerializer(JSONEncoderConfig(ensure_ascii=False)).serialize, "\ud800")


@program(explained={"debug=True lines=False": "whitespace around a JSON document"})
def json_errors(t: Transcript) -> None:
    """Invalid JSON: error_info and the remaining data"""
    for debug in (False, True):
        for use_lines in (True, False):
            serializer = JSONSerializer(debug=debug, use_lines=use_lines)
            name = f"debug={debug} lines={use_lines}"
            for data in (b"", b"{", b"[1] 2", b'{"a":\n 1,}', b"\xff", b"nul", b'"\x01"'):
                t.call(f"{name} {data!r}", serializer.deserialize, data)
            drive(t, name, serializer.incremental_deserialize, b'[1]\n[ invalid ]\n"\xff"\n\n{"a":1}\n', b"[2]\n")


@program(explained={"limit 8 b'  ?1,2,3?y'": "whitespace around a JSON document"})
def json_framing(t: Transcript) -> None:
    """JSON without lines: where documents end"""
    serializer = JSONSerializer(use_lines=False, limit=64)
    for data in (
        b'{"a":1}{"b"',
        b'  \n{"a":1}  \n {"b"',
        b"123",
        b"123 4",
        b"123\n",
        b'1{"a":2}\n',
        b"[ invalid ]z",
        b"{]}z",
        b'"a\\"b"c"d"',
        b"true\nfalse\n",
        b'{"a":"}"}[1]',
        b"\x01[1]",
        b"  \n",
    ):
        drive(t, f"{data!r}", serializer.incremental_deserialize, data)
        drive(t, f"{data!r} by bytes", serializer.incremental_deserialize, *(data[i : i + 1] for i in range(len(data))))
    limited = JSONSerializer(use_lines=False, limit=8)
    for data in (b"[1,2,34]x", b"[1,2,345]x", b"[1,2,3456", b"  [1,2,3]y", b"123456789", b'"abcdefghij"'):
        drive(t, f"limit 8 {data!r}", limited.incremental_deserialize, data)
    drive(t, "limit 8 in lines", JSONSerializer(limit=8).incremental_deserialize, b"[1,2,34]\n[1,2,345]\n[1]\n")


@program(
    explained={
        "deep *": "JSON with too deep nesting or too many digits",
        "digits*": "JSON with too deep nesting or too many digits",
        "hook *": "an exception raised by a JSON hook",
    }
)
def json_configs(t: Transcript) -> None:
    """JSON configurations, hooks that fail, documents beyond the limits of the parser"""
    encoder = JSONEncoderConfig(skipkeys=True, ensure_ascii=False, allow_nan=False, default=str)
    serializer = JSONSerializer(encoder)
    t.call("skipkeys", serializer.serialize, {(1, 2): 3, "é": datetime.date(2024, 1, 2)})
    t.call("nan", serializer.serialize, float("nan"))
    decoder = JSONDecoderConfig(parse_int=str, parse_float=str, parse_constant=str, object_hook=sorted, strict=False)
    t.call("hooks", JSONSerializer(decoder_config=decoder).deserialize, b'{"b":1,"a":[1.5,NaN,"\x01"]}')
    pairs = JSONDecoderConfig(object_pairs_hook=list)
    t.call("pairs", JSONSerializer(decoder_config=pairs).deserialize, b'{"b":1,"b":2}')

    def fail(_: object) -> Any:
        raise ValueError("no")

    def fail_lookup(_: object) -> Any:
        raise KeyError("no")

    failing = JSONSerializer(decoder_config=JSONDecoderConfig(object_hook=fail, parse_constant=fail_lookup))
    t.call("hook ValueError", failing.deserialize, b"{}")
    t.call("hook KeyError", failing.deserialize, b"NaN")
    drive(t, "hook in a stream", failing.incremental_deserialize, b"[1]\n{}\n[2]\n")
    t.call("deep nesting", JSONSerializer().deserialize, b"[" * 100_000)
    drive(
        t,
        "deep nesting in a stream",
        JSONSerializer(limit=1 << 20).incremental_deserialize,
        b"[" * 100_000 + b"\n[1]\n",
    )
    t.call("digits", JSONSerializer().deserialize, b"1" * 5000)
    t.call("wrong encoder config", lambda: JSONSerializer({}))
    t.call("wrong decoder config", lambda: JSONSerializer(None, JSONEncoderConfig()))
    t.call("positional", lambda: JSONEncoderConfig(True))
    t.call("encoding", JSONSerializer(encoding="utf-16").serialize, [1])
    t.call("limit", lambda: JSONSerializer(limit=0))
    t.say("config", (JSONEncoderConfig(), JSONDecoderConfig()))
    config = JSONEncoderConfig()
    config.skipkeys = True
    t.say("mutable", config == JSONEncoderConfig(skipkeys=True))


class Evil:
    def __reduce__(self) -> Any:
        return (int, ("not a number",))


@program()
def pickles(t: Transcript) -> None:
    """Pickle: options, user-defined classes, bad data"""
    for debug in (False, True):
        serializer = PickleSerializer(debug=debug)
        both_ways(t, f"debug={debug}", serializer, {"a": [1, 2, (3,)]})
        data = serializer.serialize([1])
        for name, bad in (("empty", b""), ("cut", data[:-1]), ("extra", data + b"x"), ("junk", b"junk")):
            t.call(f"debug={debug} {name}", serializer.deserialize, bad)
        t.call(f"debug={debug} fails inside", serializer.deserialize, pickle.dumps(Evil()))
    t.call("lambda", PickleSerializer().serialize, lambda: None)
    t.say("incremental", hasattr(PickleSerializer(), "incremental_serialize"))
    config = PicklerConfig(protocol=0, fix_imports=True)
    t.call("protocol 0", PickleSerializer(config).serialize, [1])
    t.call("optimized", PickleSerializer(PicklerConfig(protocol=2), pickler_optimize=True).serialize, ["a", "a"])
    t.say("configs", (UnpicklerConfig(), PicklerConfig() == PicklerConfig(protocol=pickle.DEFAULT_PROTOCOL)))
    t.call("wrong config", lambda: PickleSerializer({}))
    t.call("wrong unpickler config", lambda: PickleSerializer(None, PicklerConfig()))
    arguments: list[object] = []

    class Spy(pickle.Unpickler):
        def __init__(self, file: Any, **options: Any) -> None:
            arguments.append((type(file).__name__, sorted(options.items(), key=str)))
            super().__init__(file, **options)

        def find_class(self, module: str, name: str) -> Any:
            raise pickle.UnpicklingError("not allowed")

    class SpyPickler(pickle.Pickler):
        def __init__(self, file: Any, **options: Any) -> None:
            arguments.append((type(file).__name__, sorted(options.items(), key=str)))
            super().__init__(file, **options)

    own = PickleSerializer(pickler_cls=SpyPickler, unpickler_cls=Spy)
    t.call("own classes", own.deserialize, own.serialize(datetime.date(2024, 1, 2)))
    t.say("arguments", arguments)


class Point(NamedTuple):
    x: int
    name: str


class Own(AbstractStructSerializer[Any, Any]):
    def iter_values(self, packet: Any) -> Any:
        return (packet["x"],)

    def from_tuple(self, packet_tuple: tuple[Any, ...]) -> Any:
        if packet_tuple[0] == 13:
            raise DeserializeError("unlucky", error_info=13)
        if packet_tuple[0] == 14:
            raise KeyError("odd")
        return {"x": packet_tuple[0]}


@program()
def structures(t: Transcript) -> None:
    """Structures: byte orders, tuples, user-defined classes"""
    for fmt in ("HB", "<HB", "!I", "@HI", "=I", ">3s"):
        serializer = StructSerializer(fmt)
        t.say(fmt, (serializer.struct.format, serializer.packet_size))
    serializer = StructSerializer("HB", debug=True)
    both_ways(t, "tuple", serializer, (1, 2), (1,), [1, 2], (1, "a"), (70000, 1), None)
    for data in (b"", b"\0", b"\0" * 4):
        t.call(f"length {len(data)}", serializer.deserialize, data)
    drive(t, "stream", serializer.incremental_deserialize, b"\0\1", b"\2\0\3\4\5")
    drive_buffered(t, "buffered", serializer, b"\0\1", b"\2\0\3\4\5")
    for fmt in ("", "Z", "H B", "<", ">>H", "0s"):
        t.make(f"format {fmt!r}", StructSerializer, fmt)
    t.make("format int", StructSerializer, 3)
    own = Own("B", debug=True)
    both_ways(t, "own", own, {"x": 1}, {"y": 1}, {"x": 13}, {"x": 14})
    drive(t, "own stream", own.incremental_deserialize, b"\x01\x0d\x02\x0e\x03")
    drive_buffered(t, "own buffered", own, b"\x01\x0d\x02\x0e\x03")


@program()
def named_tuples(t: Transcript) -> None:
    """Structures as named tuples: strings, padding, bad formats"""
    fields = {"x": "H", "name": "6s"}
    for options in ({}, {"encoding": None}, {"strip_string_trailing_nul_bytes": False}, {"format_endianness": "<"}):
        serializer: Any = NamedTupleStructSerializer(Point, fields, debug=True, **options)
        packet: Any = Point(1, "ab" if options.get("encoding", "utf-8") else b"ab")
        both_ways(t, f"{options}", serializer, packet)
        t.call(f"{options} values", lambda s=serializer, p=packet: s.iter_values(p))
    serializer = NamedTupleStructSerializer(Point, fields, debug=True)
    t.call("long string", serializer.serialize, Point(1, "abcdefgh"))
    t.call("bytes for str", serializer.serialize, Point(1, b"ab"))
    t.call("tuple", serializer.serialize, (1, "ab"))
    t.call("not UTF-8", serializer.deserialize, b"\0\1\xff\xff\0\0\0\0")
    drive(t, "stream", serializer.incremental_deserialize, b"\0\1ab\0\0\0\0\0\2\xff\0\0\0\0\0\0\3c\0\0\0\0\0")
    drive_buffered(t, "buffered", serializer, b"\0\1ab\0\0\0\0\0\2\xff\0\0\0\0\0\0\3c\0\0\0\0\0")
    for bad in ("", "5H", "5p", "<H", "HH", "s5", "x y", 3):
        t.make(f"format {bad!r}", NamedTupleStructSerializer, Point, {"x": bad, "name": "6s"})
    t.make("missing", NamedTupleStructSerializer, Point, {"x": "H"})
    t.make("additional", NamedTupleStructSerializer, Point, {**fields, "z": "H"})
    t.make("additional and bad", NamedTupleStructSerializer, Point, {**fields, "z": "5H"})
    for endianness in ("<", "", "?", "<>"):
        t.make(f"endianness {endianness!r}", NamedTupleStructSerializer, Point, fields, endianness)


CBOR2 = "CBOR errors"


@program(
    explained={
        "tag 35": "CBOR tags",
        "tag 36": "CBOR tags",
        "debug=* empty": CBOR2,
        "debug=* cut": CBOR2,
        "debug=* junk": CBOR2,
        "debug=* 1c": CBOR2,
        "debug=* not UTF-8": CBOR2,
        "debug=* bad stream": CBOR2,
        "object": CBOR2,
    }
)
def cbor(t: Transcript) -> None:
    """CBOR: options, streams, bad and long data, tags"""
    import cbor2

    for debug in (False, True):
        serializer = CBORSerializer(debug=debug, limit=1024)
        both_ways(t, f"debug={debug}", serializer, {"a": [1, 2.5, b"x", None]}, (1, 2), "é", {1, 2})
        data = serializer.serialize([1, 2, 3])
        for name, bad in (
            ("empty", b""),
            ("cut", data[:-1]),
            ("extra", data + b"x"),
            ("junk", b"\xff"),
            ("1c", b"\x1c"),
        ):
            t.call(f"debug={debug} {name}", serializer.deserialize, bad)
        t.call(f"debug={debug} not UTF-8", serializer.deserialize, b"\x62\xff\xff")
        drive(t, f"debug={debug} stream", serializer.incremental_deserialize, data[:2], data[2:] + data[:1], data[1:])
        drive(t, f"debug={debug} bad stream", serializer.incremental_deserialize, b"\xff" + data)
        drive_buffered(t, f"debug={debug} buffered", serializer, data[:2], data[2:] + data[:1], data[1:])
    limited = CBORSerializer(limit=8)
    drive(t, "limit 8", limited.incremental_deserialize, b"\x47" + b"x" * 7, b"\x48" + b"x" * 8, b"\x01")
    t.say("limit", limited.buffer_limit)
    date = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    t.call("date", CBORSerializer().deserialize, CBORSerializer().serialize(date))
    t.call("timestamp", CBORSerializer(CBOREncoderConfig(datetime_as_timestamp=True)).serialize, date)
    t.call("canonical", CBORSerializer(CBOREncoderConfig(canonical=True)).serialize, {"bb": 1, "a": 2})
    t.call("object", CBORSerializer().serialize, object())
    t.call("hook", CBORSerializer(None, CBORDecoderConfig(object_hook=lambda *a: len(a))).deserialize, b"\xa1\x01\x02")
    tag = cbor2.dumps(cbor2.CBORTag(4000, "a"))
    t.call("tag 4000", CBORSerializer().deserialize, tag)
    t.call("tag hook", CBORSerializer(None, CBORDecoderConfig(tag_hook=lambda *a: len(a))).deserialize, tag)
    t.call("tag 35", CBORSerializer().deserialize, cbor2.dumps(cbor2.CBORTag(35, "a+")))
    t.call("tag 36", CBORSerializer().deserialize, cbor2.dumps(cbor2.CBORTag(36, "A: b\n\nc")))
    t.make("wrong config", CBORSerializer, {})
    t.make("wrong decoder config", CBORSerializer, None, CBOREncoderConfig())
    t.make("limit 0", CBORSerializer, limit=0)
    t.say("configs", (CBOREncoderConfig(), CBORDecoderConfig()))


@program()
def message_pack(t: Transcript) -> None:
    """MessagePack: options, streams, bad and long data"""
    import msgpack

    for debug in (False, True):
        serializer = MessagePackSerializer(debug=debug, limit=1024)
        both_ways(t, f"debug={debug}", serializer, {"a": [1, 2.5, b"x", None]}, (1, 2), "é", msgpack.ExtType(1, b"z"))
        data = serializer.serialize([1, 2, 3])
        for name, bad in (("empty", b""), ("cut", data[:-1]), ("extra", data + b"x"), ("reserved", b"\xc1")):
            t.call(f"debug={debug} {name}", serializer.deserialize, bad)
        t.call(f"debug={debug} key", serializer.deserialize, b"\x81\x01\x02")
        drive(t, f"debug={debug} stream", serializer.incremental_deserialize, data[:2], data[2:] + data[:1], data[1:])
        drive_buffered(t, f"debug={debug} buffered", serializer, data[:2], data[2:] + data[:1], data[1:])
    limited = MessagePackSerializer(limit=8)
    drive(t, "limit 8", limited.incremental_deserialize, b"\xa7" + b"x" * 7, b"\xa8" + b"x" * 8, b"\x01")
    t.call("object", MessagePackSerializer().serialize, object())
    packer = MessagePackerConfig(default=str, use_single_float=True, use_bin_type=False, strict_types=True)
    t.call("packer", MessagePackSerializer(packer).serialize, [1.5, b"a", (1,)])
    unpacker = MessageUnpackerConfig(raw=True, use_list=False, strict_map_key=False, ext_hook=lambda *a: a)
    t.call("unpacker", MessagePackSerializer(None, unpacker).deserialize, b"\x94\xa1a\x91\x01\x81\x01\x02\xd4\x05x")
    t.call(
        "timestamp", MessagePackSerializer(None, MessageUnpackerConfig(timestamp=3)).deserialize, b"\xd6\xff\0\0\0\1"
    )
    t.make("wrong config", MessagePackSerializer, {})
    t.make("wrong unpacker config", MessagePackSerializer, None, MessagePackerConfig())
    t.make("limit 0", MessagePackSerializer, limit=0)
    t.say("configs", (MessagePackerConfig(), MessageUnpackerConfig()))


@program()
def configurations_are_keyword_only(t: Transcript) -> None:
    """Configurations take only keyword arguments and refuse unknown ones"""
    classes: tuple[Any, ...] = (
        JSONEncoderConfig,
        JSONDecoderConfig,
        PicklerConfig,
        UnpicklerConfig,
        CBOREncoderConfig,
        CBORDecoderConfig,
        MessagePackerConfig,
        MessageUnpackerConfig,
    )
    for cls in classes:
        t.make(f"{cls.__name__} positional", cls, 1)
        t.make(f"{cls.__name__} unknown", cls, nothing=1)
        t.say(f"{cls.__name__} equal", cls() == cls())
    t.say("file", io.BytesIO(b"").read())
