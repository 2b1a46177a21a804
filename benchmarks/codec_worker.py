"""Time one installation of easynetwork, this project or the release: `python codec_worker.py` prints JSON.

For the release, use only public names, and drive its generators by the shortest possible loop.
"""

from __future__ import annotations

import bz2
import json
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import JSONSerializer, MessagePackSerializer, StringLineSerializer, StructSerializer
from easynetwork.serializers.base_stream import AutoSeparatedPacketSerializer
from easynetwork.serializers.wrapper import BZ2CompressorSerializer, ZlibCompressorSerializer

PACKETS_PER_CHUNK = 100
READ_SIZE = 16 * 1024  # the default of both libraries
SECONDS_PER_TIMING = 0.15


class OwnLines(AutoSeparatedPacketSerializer[str, str]):
    """A serializer as a user writes it: two methods."""

    def serialize(self, packet: str, /) -> bytes:
        return packet.encode()

    def deserialize(self, data: bytes, /) -> str:
        return data.decode()


def document() -> dict[str, Any]:
    """Return a JSON document of 1 KiB."""
    return {
        "id": 123456,
        "name": "somebody",
        "tags": ["alpha", "beta", "gamma", "delta"] * 4,
        "values": list(range(100)),
        "nested": [{"key": number, "value": "x" * 12, "ratio": number / 7} for number in range(9)],
        "ok": True,
        "nothing": None,
    }


Workload: TypeAlias = tuple[Any, Any, Callable[[Any], Any], Callable[[bytes], Any]]
"""Serializer, packet, plain encode and plain decode."""


def workloads() -> dict[str, Workload]:
    """Return the workloads of both libraries by their names."""
    import msgpack

    layout = struct.Struct("!IIIHBB")
    line = "x" * 99
    return {
        "line, 100 B": (StringLineSerializer(), line, lambda text: text.encode("ascii"), lambda b: b.decode("ascii")),
        "own lines, 100 B": (OwnLines(b"\n"), line, str.encode, bytes.decode),
        "struct, 16 B": (StructSerializer("IIIHBB"), (1, 2, 3, 4, 5, 6), lambda v: layout.pack(*v), layout.unpack),
        "JSON, 1 KiB": (JSONSerializer(), document(), json.dumps, json.loads),
        "MessagePack, 1 KiB": (
            MessagePackSerializer(),
            document() | {"blob": b"x" * 400},
            msgpack.packb,
            msgpack.unpackb,
        ),
        "zlib, 1 KB of text": (
            ZlibCompressorSerializer(StringLineSerializer()),
            json.dumps(document()),
            lambda text: zlib.compress(text.encode("ascii"), 9),
            lambda data: zlib.decompress(data).decode("ascii"),
        ),
        "bz2, 1 KB of text": (
            BZ2CompressorSerializer(StringLineSerializer()),
            json.dumps(document()),
            lambda text: bz2.compress(text.encode("ascii"), 9),
            lambda data: bz2.decompress(data).decode("ascii"),
        ),
    }


def own_workloads() -> dict[str, Workload]:
    """Return the workloads that only this library has."""
    try:
        from easynetwork.serializers import MsgspecJSONSerializer, MsgspecMessagePackSerializer, ProtobufSerializer
        from easynetwork.serializers.wrapper import LZ4CompressorSerializer, ZstdCompressorSerializer
    except ImportError:
        return {}
    import lz4.frame
    import msgspec
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    nested = msgspec.defstruct("Nested", [("key", int), ("value", str), ("ratio", float)])
    kinds = {"id": int, "name": str, "tags": list[str], "values": list[int], "nested": list[nested], "ok": bool}  # type: ignore[valid-type]
    typed: Any = msgspec.defstruct("Document", [*kinds.items(), ("nothing", None)])
    packet = msgspec.convert(document(), typed)
    field = FieldDescriptorProto(name="temperature", number=5, type_name=".weather.Summary", json_name="temperature")
    text = json.dumps(document())
    return {
        "msgspec JSON, 1 KiB": (
            MsgspecJSONSerializer(typed),
            packet,
            msgspec.json.Encoder().encode,
            msgspec.json.Decoder(typed).decode,
        ),
        "msgspec MessagePack, 614 B": (
            MsgspecMessagePackSerializer(typed),
            packet,
            msgspec.msgpack.Encoder().encode,
            msgspec.msgpack.Decoder(typed).decode,
        ),
        "protobuf, 46 B": (
            ProtobufSerializer(FieldDescriptorProto),
            field,
            FieldDescriptorProto.SerializeToString,
            FieldDescriptorProto.FromString,
        ),
        "Zstandard, 1 KB of text": (
            ZstdCompressorSerializer(StringLineSerializer()),
            text,
            lambda text: zstd.compress(text.encode("ascii")),
            lambda data: zstd.decompress(data).decode("ascii"),
        ),
        "LZ4, 1 KB of text": (
            LZ4CompressorSerializer(StringLineSerializer()),
            text,
            lambda text: lz4.frame.compress(text.encode("ascii")),
            lambda data: lz4.frame.decompress(data).decode("ascii"),
        ),
    }


def packets_per_second(function: Callable[[], object], packets: int) -> float:
    """Return the best rate of several timings."""
    best = float("inf")
    calls = 1
    deadline = time.perf_counter() + SECONDS_PER_TIMING
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        end = time.perf_counter()
        best = min(best, (end - start) / calls)
        if end > deadline:
            return packets / best
        if end - start < 0.005:
            calls *= 2


def decode_by_generators(protocol: StreamProtocol[Any, Any], chunk: bytes) -> list[Any]:
    """Decode *chunk* like an endpoint that reads `READ_SIZE` bytes at a time."""
    packets = []
    generator = None
    for start in range(0, len(chunk), READ_SIZE):
        data = chunk[start : start + READ_SIZE]
        while data:
            if generator is None:
                generator = protocol.build_packet_from_chunks()
                next(generator)
            try:
                generator.send(data)
            except StopIteration as exc:
                generator = None
                packet, data = exc.value
                packets.append(packet)
            else:
                break
    return packets


def decode_function(protocol: StreamProtocol[Any, Any]) -> Callable[[bytes], list[Any]]:
    """Return the fastest chunk decoder of this installation."""
    try:
        from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
    except ImportError:
        return lambda chunk: decode_by_generators(protocol, chunk)
    decoder: Any = decoder_factory(protocol, READ_SIZE)()

    def decode(chunk: bytes) -> list[Any]:
        decoder.feed(chunk)
        packets: list[Any] = []
        while more := decoder.next_packets(PACKETS_PER_CHUNK):
            packets += more
        return packets

    return decode


def encode_function(protocol: StreamProtocol[Any, Any]) -> Callable[[Any], bytes]:
    """Return the fastest packet encoder of this installation."""
    try:
        from easynetwork.lowlevel._core.stream_decoders.choice import packet_encoder
    except ImportError:
        return lambda packet: b"".join(protocol.generate_chunks(packet))
    return packet_encoder(protocol)


def each(function: Callable[[Any], object], items: Iterable[Any]) -> None:
    for item in items:
        function(item)


def measure() -> dict[str, float]:
    """Return the packets per second for each "workload / operation"."""
    rates: dict[str, float] = {}
    for name, (serializer, packet, plain_encode, plain_decode) in (workloads() | own_workloads()).items():
        protocol: StreamProtocol[Any, Any] = StreamProtocol(serializer)
        encode, decode = encode_function(protocol), decode_function(protocol)
        frame = encode(packet)
        packets, frames = [packet] * PACKETS_PER_CHUNK, [serializer.serialize(packet)] * PACKETS_PER_CHUNK
        chunk = frame * PACKETS_PER_CHUNK
        if decode(chunk) != packets or decode_by_generators(protocol, chunk) != packets:
            raise AssertionError(f"{name}: the decoded packets differ from those that were encoded")
        functions: dict[str, Callable[[], object]] = {
            "decode": partial(decode, chunk),
            "decode, generators": partial(decode_by_generators, protocol, chunk),
            "decode, plain": partial(each, plain_decode, frames),
            "encode": partial(each, encode, packets),
            "encode, plain": partial(each, plain_encode, packets),
        }
        for what, function in functions.items():
            rates[f"{name} / {what}"] = packets_per_second(function, PACKETS_PER_CHUNK)
    return rates


def drip() -> dict[str, float]:
    """Return the nanoseconds per byte of a frame that arrives in pieces, by "size of a piece / size of the frame"."""
    costs: dict[str, float] = {}
    for piece_size in (1, 64):
        for size in (256 * 1024, 512 * 1024, 1024 * 1024):
            protocol = StreamProtocol(StringLineSerializer(limit=size))
            data = b"x" * (size - 1) + b"\n"
            pieces = [data[start : start + piece_size] for start in range(0, size, piece_size)]
            start_time = time.perf_counter()
            generator = protocol.build_packet_from_chunks()
            next(generator)
            try:
                for piece in pieces:
                    generator.send(piece)
            except StopIteration:
                costs[f"{piece_size} B / {size // 1024} KiB"] = (time.perf_counter() - start_time) / size * 1e9
    return costs


if __name__ == "__main__":
    print(json.dumps({"rates": measure(), "drip": drip() if "--drip" in sys.argv else {}}))
