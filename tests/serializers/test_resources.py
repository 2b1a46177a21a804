"""What a peer can make us spend: time in proportion to what it sends, memory in proportion to the limit."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Callable
from typing import IO, Any

import pytest
from tests.serializers.protobuf_messages import Reply
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded, send

from easynetwork.exceptions import LimitOverrunError
from easynetwork.serializers import (
    CBORSerializer,
    JSONSerializer,
    MessagePackSerializer,
    MsgspecJSONSerializer,
    MsgspecMessagePackSerializer,
    ProtobufSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.wrapper import (
    Base64EncoderSerializer,
    LZ4CompressorSerializer,
    ZlibCompressorSerializer,
    ZstdCompressorSerializer,
)

LIMIT = 256 * 1024

NOISE = random.Random(0).randbytes((LIMIT - 8) // 2).hex()

LARGEST: dict[str, tuple[Any, Any]] = {
    "line": (StringLineSerializer(limit=LIMIT), "x" * (LIMIT - 8)),
    "line-crlf": (StringLineSerializer("CRLF", limit=LIMIT), "x" * (LIMIT - 8)),
    "json-lines": (JSONSerializer(limit=LIMIT), "x" * (LIMIT - 8)),
    "json": (JSONSerializer(use_lines=False, limit=LIMIT), "x" * (LIMIT - 8)),
    "json-brackets": (JSONSerializer(use_lines=False, limit=LIMIT), ["[" * (LIMIT - 16)]),
    "struct": (StructSerializer(f"{LIMIT}s"), (b"x" * LIMIT,)),
    "cbor": (CBORSerializer(limit=LIMIT), b"x" * (LIMIT - 8)),
    "cbor-array": (CBORSerializer(limit=LIMIT), [0] * (LIMIT // 8)),
    "msgpack": (MessagePackSerializer(limit=LIMIT), b"x" * (LIMIT - 8)),
    "msgpack-array": (MessagePackSerializer(limit=LIMIT), [0] * (LIMIT // 8)),
    "msgspec-json": (MsgspecJSONSerializer(str, limit=LIMIT), "x" * (LIMIT - 8)),
    "msgspec-msgpack": (MsgspecMessagePackSerializer(str, limit=LIMIT), "x" * (LIMIT - 8)),
    "protobuf": (ProtobufSerializer(Reply, limit=LIMIT), Reply(text="x" * (LIMIT - 8))),
    "base64": (Base64EncoderSerializer(StringLineSerializer(), limit=LIMIT), "x" * (LIMIT * 3 // 4 - 8)),
    "zlib": (ZlibCompressorSerializer(StringLineSerializer(), decompressed_limit=LIMIT), "x" * (LIMIT - 8)),
    "zstd": (ZstdCompressorSerializer(StringLineSerializer(), decompressed_limit=LIMIT), NOISE),
    "lz4": (LZ4CompressorSerializer(StringLineSerializer(), decompressed_limit=LIMIT), NOISE),
}
each_largest = pytest.mark.parametrize(("serializer", "packet"), LARGEST.values(), ids=LARGEST.keys())


@each_largest
@pytest.mark.parametrize(
    ("receive_all", "size"), [(receive, 1), (receive, 64), (receive_buffered, 64), (receive_decoded, 1)]
)
def test_large_packet_that_drips_in_does_not_take_ages(
    serializer: Any, packet: Any, receive_all: Any, size: int
) -> None:
    # Looking again at all bytes whenever one arrives would look at thirty thousand million bytes.
    assert receive_all(serializer, pieces(send(serializer, [packet]), size)) == [packet]


@pytest.mark.parametrize("base", [CBORSerializer, MessagePackSerializer])
@pytest.mark.parametrize("size", [1, 10, 1000])
def test_incomplete_packet_is_not_loaded_each_time_that_bytes_arrive(base: Any, size: int) -> None:
    class Counting(base):  # type: ignore[misc] # whichever it is
        loads = 0

        def load_from_file(self, file: IO[bytes]) -> Any:
            self.loads += 1
            return super().load_from_file(file)

    serializer = Counting()
    packet = [{"a": list(range(100)), "b": "x" * 100}] * 20
    assert receive(serializer, pieces(send(serializer, [packet]), size)) == [packet]
    assert serializer.loads <= 4


def peak_of(function: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@each_largest
@pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])
@pytest.mark.parametrize("size", [64, 16 * 1024])
def test_bytes_of_a_packet_are_held_twice_at_most(serializer: Any, packet: Any, receive_all: Any, size: int) -> None:
    one_shot = serializer.serialize(packet)
    chunks = pieces(send(serializer, [packet]), size)
    needed_by_the_codec = peak_of(lambda: serializer.deserialize(one_shot))
    assert peak_of(lambda: receive_all(serializer, chunks)) - needed_by_the_codec < 2 * LIMIT + 100_000


@pytest.mark.parametrize(
    ("serializer", "start"),
    [
        (StringLineSerializer(limit=1000), b""),
        (StringLineSerializer("CRLF", limit=1000), b""),
        (JSONSerializer(limit=1000), b""),
        (JSONSerializer(use_lines=False, limit=1000), b'["'),
        (JSONSerializer(use_lines=False, limit=1000), b"1"),
        (CBORSerializer(limit=1000), b"\x5a\xff\xff\xff\xff"),
        (CBORSerializer(limit=1000), b"\x9f"),
        (MessagePackSerializer(limit=1000), b"\xc6\xff\xff\xff\xff"),
        (MessagePackSerializer(limit=1000), b"\xdd\xff\xff\xff\xff"),
        (MsgspecJSONSerializer(str, limit=1000), b""),
        (Base64EncoderSerializer(StringLineSerializer(), limit=1000), b""),
    ],
)
@pytest.mark.parametrize("size", [1, 10, 100])
def test_packet_that_never_ends_is_refused_as_soon_as_it_exceeds_the_limit(
    serializer: Any, start: bytes, size: int
) -> None:
    for receive_all in (receive, receive_buffered, receive_decoded):
        within = pieces(start + b"0" * (998 - len(start)), size)
        assert receive_all(serializer, within) == []
        refused = receive_all(serializer, [*within, b"0" * (size + 10)])[0]
        assert isinstance(refused.error, LimitOverrunError)
