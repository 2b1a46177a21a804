"""Wrapping serializers: base64, compression, stapling; base classes for user-defined serializers."""

from __future__ import annotations

import binascii
import bz2
import hashlib
import json
import zlib
from typing import Any, ClassVar

from benchmarks.differential.kit import drive, drive_buffered
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork.exceptions import DeserializeError
from easynetwork.serializers import (
    JSONSerializer,
    PickleSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.abc import (
    AbstractIncrementalPacketSerializer,
    AbstractPacketSerializer,
    BufferedIncrementalPacketSerializer,
)
from easynetwork.serializers.base_stream import (
    AutoSeparatedPacketSerializer,
    FileBasedPacketSerializer,
    FixedSizePacketSerializer,
)
from easynetwork.serializers.composite import (
    StapledBufferedIncrementalPacketSerializer,
    StapledIncrementalPacketSerializer,
    StapledPacketSerializer,
)
from easynetwork.serializers.tools import GeneratorStreamReader
from easynetwork.serializers.wrapper.base64 import Base64EncoderSerializer
from easynetwork.serializers.wrapper.compressor import (
    AbstractCompressorSerializer,
    BZ2CompressorSerializer,
    CompressorInterface,
    DecompressorInterface,
    ZlibCompressorSerializer,
)


@program()
def base64_round_trip(t: Transcript) -> None:
    """Base64: alphabets, checksums, streams"""
    key = b"A" * 43 + b"="
    for options in ({}, {"alphabet": "standard"}, {"checksum": True}, {"checksum": key}, {"separator": b"\n"}):
        serializer: Any = Base64EncoderSerializer(PickleSerializer(), debug=True, **options)
        data = t.call(f"{options} serialize", serializer.serialize, [1, "\xff" * 5])
        t.call(f"{options} deserialize", serializer.deserialize, data)
        t.call(f"{options} chunks", lambda s=serializer: list(s.incremental_serialize("a")))
        end = serializer.separator
        drive(t, f"{options}", serializer.incremental_deserialize, data + end + b"!!!" + end, data + end)
        drive_buffered(t, f"{options} buffered", serializer, data + end + b"!!!" + end, data + end)
    t.say("key", (type(Base64EncoderSerializer.generate_key()), len(Base64EncoderSerializer.generate_key())))


@program()
def base64_errors(t: Transcript) -> None:
    """Base64: invalid data, wrong checksums, wrong arguments"""
    inner = JSONSerializer(debug=True)
    for debug in (False, True):
        plain = Base64EncoderSerializer(inner, debug=debug)
        for data in (b"", b"A", b"AA", b"AAAA", b"MQ==", b"M Q==", b"MQ==MQ==", b"\xff\xff", b"MQ"):
            t.call(f"debug={debug} {data!r}", plain.deserialize, data)
        checked = Base64EncoderSerializer(inner, checksum=True, debug=debug)
        t.call(f"debug={debug} no checksum", checked.deserialize, b"MQ==")
        t.call(f"debug={debug} wrong checksum", checked.deserialize, binascii.b2a_base64(b"1" + b"\0" * 32))
        good = binascii.b2a_base64(b"{" + hashlib.sha256(b"{").digest())
        t.call(f"debug={debug} bad inside", checked.deserialize, good)
        drive(t, f"debug={debug} stream", checked.incremental_deserialize, b"MQ==\r\n\r\n" + good.strip() + b"\r\n")
    for checksum in ("?", "MQ==", "A" * 44, b"\xff" * 44, 1, 0, None, 1.5, "A" * 43 + "=", "A" * 42 + "=="):
        t.make(f"checksum {checksum!r}", Base64EncoderSerializer, inner, checksum=checksum)
    for alphabet in ("other", None):
        t.make(f"alphabet {alphabet!r}", Base64EncoderSerializer, inner, alphabet=alphabet)
    t.make("no serializer", Base64EncoderSerializer, None)
    t.make("a class", Base64EncoderSerializer, JSONSerializer)
    t.make("empty separator", Base64EncoderSerializer, inner, separator=b"")
    t.make("str separator", Base64EncoderSerializer, inner, separator="\n")
    t.make("limit 0", Base64EncoderSerializer, inner, limit=0)


@program(explained={"BZ2CompressorSerializer * broken": "corrupt bz2 data"})
def compression(t: Transcript) -> None:
    """zlib and bz2: streams, truncated, trailing and broken data"""
    for cls in (ZlibCompressorSerializer, BZ2CompressorSerializer):
        for debug in (False, True):
            serializer = cls(JSONSerializer(debug=debug), debug=debug)
            name = f"{cls.__name__} debug={debug}"
            data = t.call(f"{name} serialize", serializer.serialize, {"a": "b" * 10})
            t.call(f"{name} deserialize", serializer.deserialize, data)
            t.call(f"{name} chunks", lambda s=serializer: [bool(chunk) for chunk in s.incremental_serialize([1])])
            for what, bad in (("empty", b""), ("cut", data[:-1]), ("extra", data + b"x"), ("junk", b"junk" * 9)):
                t.call(f"{name} {what}", serializer.deserialize, bad)
            compress = zlib.compress if cls is ZlibCompressorSerializer else bz2.compress
            t.call(f"{name} bad inside", serializer.deserialize, compress(b"{"))
            drive(t, name, serializer.incremental_deserialize, data[:5], data[5:] + data[:5], data[5:])
            drive(t, f"{name} bad inside", serializer.incremental_deserialize, compress(b"{") + data)
            drive(t, f"{name} broken", serializer.incremental_deserialize, data[:12], b"\0" * 40)
            drive_buffered(t, f"{name} buffered", serializer, data[:5], data[5:] + data[:5], data[5:])
        for level in (0, 1, 9, 10, -2):
            level_serializer = t.make(f"{cls.__name__} level {level}", cls, JSONSerializer(), compress_level=level)
            if level_serializer is not None:
                t.call(f"{cls.__name__} level {level} serialize", level_serializer.serialize, [1])
        t.make(f"{cls.__name__} of nothing", cls, None)


@program(explained={"bomb*": "decompression"})
def decompression_bombs(t: Transcript) -> None:
    """A small packet that expands to a large one"""
    serializer = ZlibCompressorSerializer(StringLineSerializer())
    bomb = zlib.compress(b"x" * (20 << 20))
    with t.errors("bomb"):
        t.say("bomb", len(serializer.deserialize(bomb)))


class Compressor:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def compress(self, data: Any, /) -> bytes:
        self.log.append(f"compress {len(data)}")
        return bytes(data)

    def flush(self) -> bytes:
        self.log.append("flush")
        return b"."


class Decompressor:
    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: Any, /) -> Any:
        data = bytes(data)  # data may be a memoryview
        if b"!" in data:
            raise ArithmeticError("broken")
        if b"?" in data:
            raise LookupError("undeclared")
        out, dot, rest = data.partition(b".")
        if dot:
            self.eof, self.unused_data = True, rest
        return out


class OwnCompression(AbstractCompressorSerializer[Any, Any]):
    log: ClassVar[list[str]] = []

    def new_compressor_stream(self) -> CompressorInterface:
        return Compressor(self.log)

    def new_decompressor_stream(self) -> DecompressorInterface:
        return Decompressor()


@program()
def own_compression(t: Transcript) -> None:
    """A user-defined compressor: the methods called and the expected errors"""
    serializer = OwnCompression(JSONSerializer(), ArithmeticError, debug=True)
    data = t.call("serialize", serializer.serialize, [1, 2])
    t.call("chunks", lambda: list(serializer.incremental_serialize([1])))
    t.say("log", OwnCompression.log)
    for name, what in (("good", data), ("cut", b"[1]"), ("extra", b"[1].x"), ("error", b"a!"), ("undeclared", b"a?")):
        t.call(name, serializer.deserialize, what)
    drive(t, "stream", serializer.incremental_deserialize, b"[1", b"].[2].[", b"3].", b"a!b", b"{.[4].")
    drive_buffered(t, "buffered", serializer, b"[1", b"].[2].[", b"3].", b"a!b", b"{.[4].")
    t.say("debug", serializer.debug)
    t.make("not errors", OwnCompression, JSONSerializer(), 3)
    t.say(
        "protocols",
        (isinstance(Compressor([]), CompressorInterface), isinstance(3, CompressorInterface))
        if getattr(CompressorInterface, "_is_runtime_protocol", False)
        else "not checkable",
    )


@program(
    explained={
        "* asked for": "wrong arguments",
        "of nothing": "wrong arguments",
        "of classes": "wrong arguments",
    }
)
def stapled(t: Transcript) -> None:
    """Stapled serializers: the resulting class, and the role of each side"""
    line, json_, pickle_ = StringLineSerializer(), JSONSerializer(), PickleSerializer()
    struct_ = StructSerializer("B")
    for name, sent, received in (
        ("line line", line, line),
        ("line struct", line, struct_),
        ("line pickle", line, pickle_),
        ("pickle line", pickle_, line),
        ("pickle pickle", pickle_, pickle_),
    ):
        made: Any = t.make(name, StapledPacketSerializer, sent, received)
        t.say(
            f"{name} interfaces",
            (
                isinstance(made, AbstractIncrementalPacketSerializer),
                isinstance(made, BufferedIncrementalPacketSerializer),
                isinstance(made, StapledIncrementalPacketSerializer),
            ),
        )
        t.say(f"{name} parts", (made.sent_packet_serializer is sent, made.received_packet_serializer is received))
        t.make(f"{name}, incremental asked for", StapledIncrementalPacketSerializer, sent, received)
        t.make(f"{name}, buffered asked for", StapledBufferedIncrementalPacketSerializer, sent, received)
    both: Any = StapledPacketSerializer(line, json_)
    t.call("serialize", both.serialize, "a")
    t.call("chunks", lambda: list(both.incremental_serialize("a")))
    t.call("deserialize", both.deserialize, b"[1]")
    drive(t, "stream", both.incremental_deserialize, b"[1]\n[\n")
    t.make("of nothing", StapledPacketSerializer, None, line)
    t.make("of classes", StapledPacketSerializer, StringLineSerializer, line)
    t.make("subclass", lambda: type("Sub", (StapledPacketSerializer,), {}))
    t.say("equality", StapledPacketSerializer(line, line) == StapledPacketSerializer(line, line))
    t.say("repr", repr(StapledPacketSerializer(line, pickle_)).partition("(")[0])
    with t.errors("assign"):
        both.sent_packet_serializer = line
    t.say("weak", hasattr(both, "__weakref__"))


class OwnLines(AutoSeparatedPacketSerializer[Any, Any]):
    def serialize(self, packet: Any) -> bytes:
        return json.dumps(packet).strip('"').encode()

    def deserialize(self, data: bytes) -> Any:
        if data == b"bad":
            raise DeserializeError("bad", error_info={"why": "bad"})
        if data == b"worse":
            raise KeyError("worse")
        return bytes(data).decode()


@program()
def separated(t: Transcript) -> None:
    """User-defined separated packets: separators inside, at the end, and alone; errors"""
    for check in (True, False):
        serializer: Any = OwnLines(b"--", incremental_serialize_check_separator=check, limit=16, debug=True)
        for packet in ("a", "", "a--", "a----", "a--b", "--", "a-", "a---"):
            t.call(f"check={check} {packet!r}", lambda s=serializer, p=packet: list(s.incremental_serialize(p)))
    serializer = OwnLines(b"--", limit=16)
    drive(t, "stream", serializer.incremental_deserialize, b"a--b-", b"-bad--c--", b"--worse--d--")
    drive_buffered(t, "buffered", serializer, b"a--b-", b"-bad--c--", b"--worse--d--")
    drive(t, "long", serializer.incremental_deserialize, b"x" * 16 + b"--ok--", b"x" * 17 + b"--ok--", b"x" * 30)
    drive_buffered(t, "long in a buffer", serializer, b"x" * 12 + b"--ok--", b"x" * 40 + b"--ok--")
    t.say("properties", (serializer.separator, serializer.debug, serializer.buffer_limit))
    for name, arguments in (("empty", (b"",)), ("str", ("a",)), ("bytearray", (bytearray(b"a"),)), ("int", (3,))):
        t.make(f"separator {name}", OwnLines, *arguments)
    t.make("limit", OwnLines, b"a", limit=0)
    t.make("unknown", OwnLines, b"a", nothing=1)
    with t.errors("read-only"):
        serializer.separator = b"x"


class OwnFixed(FixedSizePacketSerializer[Any, Any]):
    def serialize(self, packet: Any) -> bytes:
        return bytes(packet)

    def deserialize(self, data: bytes) -> Any:
        if bytes(data).startswith(b"!"):
            raise DeserializeError("bad", error_info="!")
        if bytes(data).startswith(b"?"):
            raise KeyError("worse")
        return bytes(data)


@program()
def fixed_size(t: Transcript) -> None:
    """Packets of a fixed size: wrong sizes, errors, buffers"""
    serializer: Any = OwnFixed(4)
    for packet in (b"abcd", b"abc", b"abcde", b""):
        t.call(f"{packet!r}", lambda p=packet: list(serializer.incremental_serialize(p)))
    drive(t, "stream", serializer.incremental_deserialize, b"ab", b"cdef", b"gh!234", b"ok!!?234good")
    drive_buffered(t, "buffered", serializer, b"ab", b"cdef", b"gh!234", b"ok!!?234good")
    for sizehint in (1, 4, 10):
        buffer = serializer.create_deserializer_buffer(sizehint)
        t.say(f"buffer for {sizehint}", (type(buffer), len(buffer)))
    t.say("properties", (serializer.packet_size, serializer.debug))
    for size in (0, -1, "4", 4.7, None):
        made = t.make(f"size {size!r}", OwnFixed, size)
        t.say("packet size", getattr(made, "packet_size", None))
    t.make("unknown", OwnFixed, 4, nothing=1)


class OwnFile(FileBasedPacketSerializer[Any, Any]):
    def dump_to_file(self, packet: Any, file: Any, /) -> None:
        file.write(packet)

    def load_from_file(self, file: Any, /) -> Any:
        size = file.read(1)
        if not size:
            raise EOFError
        if size == b"!":
            raise ValueError("bad")
        if size == b"?":
            raise KeyError("worse")
        data = file.read(size[0] - 48)
        if len(data) < size[0] - 48:
            raise EOFError
        return bytes(data)


@program()
def file_based(t: Transcript) -> None:
    """Packets that are loaded from a file: missing, extra and bad data, limits"""
    for debug in (False, True):
        serializer: Any = OwnFile(ValueError, debug=debug, limit=8)
        name = f"debug={debug}"
        t.call(f"{name} serialize", serializer.serialize, b"3abc")
        t.call(
            f"{name} chunks",
            lambda s=serializer: (list(s.incremental_serialize(b"1a")), list(s.incremental_serialize(b""))),
        )
        for data in (b"3abc", b"3ab", b"", b"3abcd", b"!x", b"?x"):
            t.call(f"{name} {data!r}", serializer.deserialize, data)
        drive(t, name, serializer.incremental_deserialize, b"3a", b"bc2d", b"e!z", b"1a?b1c")
        drive(t, f"{name} limit", serializer.incremental_deserialize, b"7abcdefg", b"8abcdefgh1a", b"9abcd", b"efghi")
        drive_buffered(t, f"{name} buffered", serializer, b"3a", b"bc2d", b"e!z", b"1a?b1c")
        for sizehint in (1, 100):
            t.say("buffer", len(serializer.create_deserializer_buffer(sizehint)))
    greedy: Any = OwnFile(Exception)
    t.call("EOFError wins", greedy.deserialize, b"3a")
    t.make("tuple", OwnFile, (ValueError, KeyError))
    t.make("not errors", OwnFile, 3)
    t.make("limit", OwnFile, ValueError, limit=-1)
    t.make("unknown", OwnFile, ValueError, nothing=1)


class Minimal(AbstractIncrementalPacketSerializer[Any, Any]):
    mode = "good"

    def incremental_serialize(self, packet: Any) -> Any:
        yield b"a"
        yield b""
        yield bytes(packet)

    def incremental_deserialize(self) -> Any:
        if self.mode == "no yield":
            return "early", b""
        data = yield
        if self.mode == "hungry":
            data += yield
        if self.mode == "not a tuple":
            return 3
        if self.mode == "yields something":
            yield 3
        if self.mode == "fails":
            raise KeyError("x")
        return data[:2], data[2:]


@program()
def incremental_interface(t: Transcript) -> None:
    """The methods that the abstract incremental serializer derives from its two generators"""
    serializer = Minimal()
    t.call("serialize", serializer.serialize, b"z")
    for mode in ("good", "no yield", "hungry", "not a tuple", "yields something", "fails"):
        serializer.mode = mode
        for data in (b"ab", b"abc", b""):
            t.call(f"{mode} {data!r}", serializer.deserialize, data)
    for cls in (AbstractPacketSerializer, AbstractIncrementalPacketSerializer, BufferedIncrementalPacketSerializer):
        t.make(f"{cls.__name__} is abstract", cls)
    t.say("slots", hasattr(JSONSerializer(), "__dict__"))


@program()
def generator_reader(t: Transcript) -> None:
    """GeneratorStreamReader: reads of all kinds"""

    def run(label: str, function: Any, *chunks: bytes, initial: bytes = b"") -> None:
        reader = GeneratorStreamReader(initial)
        with t.errors(label):
            generator = function(reader)
            try:
                next(generator)
                for chunk in chunks:
                    generator.send(chunk)
                t.say(label, "needs more")
            except StopIteration as end:
                t.say(label, end.value)
        t.say(f"{label} rest", reader.read_all())

    run("read", lambda r: r.read(3), b"", b"abcdef")
    run("read 0", lambda r: r.read(0), b"abc")
    run("read initial", lambda r: r.read(2), initial=b"abc")
    run("read negative", lambda r: r.read(-1), b"abc")
    run("exactly", lambda r: r.read_exactly(4), b"ab", b"cdef")
    run("exactly 0", lambda r: r.read_exactly(0))
    run("exactly negative", lambda r: r.read_exactly(-1))
    run("until", lambda r: r.read_until(b"\r\n", 10), b"ab\r", b"\ncd")
    run("until, without end", lambda r: r.read_until(b"\r\n", 10, keep_end=False), b"ab\r", b"\ncd")
    run("until limit", lambda r: r.read_until(b"\r\n", 3), b"abc\r\nx")
    run("until over", lambda r: r.read_until(b"\r\n", 3), b"abcd\r\nx")
    run("until over, no end", lambda r: r.read_until(b"\r\n", 3), b"abcd\r")
    run("until over, nothing", lambda r: r.read_until(b"\r\n", 3), b"abcde")
    run("until limit 0", lambda r: r.read_until(b"\r\n", 0), b"a")
    run("until empty", lambda r: r.read_until(b"", 3), b"a")
