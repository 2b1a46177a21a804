from __future__ import annotations

import bz2
import lzma
import sys
import tracemalloc
import zlib
from typing import Any

import lz4.frame
import pytest
from tests.serializers.wrapper.lzma_serializer import LZMASerializer
from tests.support.serializer_drivers import StreamReceiver, pieces, receive, receive_buffered, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer
from easynetwork.serializers.wrapper import (
    BZ2CompressorSerializer,
    LZ4CompressorSerializer,
    ZlibCompressorSerializer,
    ZstdCompressorSerializer,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS: Any = {
    ZlibCompressorSerializer: zlib.compress,
    BZ2CompressorSerializer: bz2.compress,
    LZMASerializer: lzma.compress,
    ZstdCompressorSerializer: zstd.compress,
    LZ4CompressorSerializer: lz4.frame.compress,
}

each_compressor = pytest.mark.parametrize("compressor", COMPRESS)


@each_compressor
def test_bytes_are_compressed(compressor: Any) -> None:
    serializer = compressor(StringLineSerializer())
    packet = "abc" * 1000
    data = serializer.serialize(packet)
    assert len(data) < 300
    assert serializer.deserialize(data) == packet
    assert serializer.deserialize(COMPRESS[compressor](packet.encode())) == packet


def test_best_compression_is_the_default_and_levels_are_obeyed() -> None:
    packet = "".join(str(number**3) for number in range(3000))
    for compressor, compress in ((ZlibCompressorSerializer, zlib.compress), (BZ2CompressorSerializer, bz2.compress)):
        assert compressor(StringLineSerializer()).serialize(packet) == compress(packet.encode(), 9)
        assert compressor(StringLineSerializer(), compress_level=1).serialize(packet) == compress(packet.encode(), 1)


@each_compressor
def test_stream_gets_two_chunks(compressor: Any) -> None:
    serializer = compressor(StringLineSerializer())
    chunks = list(serializer.incremental_serialize("abc"))
    assert len(chunks) == 2
    assert b"".join(chunks) == serializer.serialize("abc")


@each_compressor
@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_packets_follow_each_other_without_separator(compressor: Any, receive_all: Any, size: int) -> None:
    serializer = compressor(PickleSerializer())
    packets = [{"a": 1}, (1, 2), "x" * 10_000, None]
    assert receive_all(serializer, pieces(send(serializer, packets), size)) == packets


@each_compressor
@pytest.mark.parametrize("debug", [False, True])
def test_one_shot_needs_exactly_one_packet(compressor: Any, debug: bool) -> None:
    serializer = compressor(StringLineSerializer(), debug=debug)
    data = serializer.serialize("abc")
    for invalid, info in [
        (b"garbage", {"data": b"garbage"}),
        (data[:-1], {"already_decompressed_data": b"abc"}),
        (b"", {"already_decompressed_data": b""}),
        (data + b"x", {"decompressed_data": b"abc", "extra": b"x"}),
    ]:
        if invalid == data[:-1] and compressor is not ZlibCompressorSerializer:
            info = {"already_decompressed_data": serializer.new_decompressor_stream().decompress(invalid)}
        with pytest.raises(DeserializeError) as caught:
            serializer.deserialize(invalid)
        assert type(caught.value) is DeserializeError
        assert caught.value.error_info == (info if debug else None)
    assert serializer.debug is debug


@pytest.mark.parametrize("compressor", [ZlibCompressorSerializer, BZ2CompressorSerializer, LZMASerializer])
@pytest.mark.parametrize("debug", [False, True])
def test_invalid_stream_is_given_up(compressor: Any, debug: bool) -> None:
    serializer = compressor(StringLineSerializer(), debug=debug)
    refused, packet = receive(serializer, [b"garbage", serializer.serialize("abc")])
    assert type(refused.error) is IncrementalDeserializeError
    assert bytes(refused.remaining_data) == b""
    assert packet == "abc"
    info = {"already_decompressed_chunks": [], "invalid_chunk": b"garbage"}
    assert refused.error.error_info == (info if debug else None)


@each_compressor
def test_invalid_packet_inside_is_skipped(compressor: Any) -> None:
    serializer = compressor(JSONSerializer(debug=True))
    invalid = COMPRESS[compressor](b"{")
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(invalid)
    assert caught.value.error_info["document"] == "{"
    refused, packet = receive(serializer, [invalid + serializer.serialize([1])])
    assert type(refused.error) is IncrementalDeserializeError
    assert bytes(refused.remaining_data) == serializer.serialize([1])
    assert refused.error.error_info["document"] == "{"
    assert packet == [1]


@each_compressor
def test_packet_may_be_as_large_as_the_limit(compressor: Any) -> None:
    serializer = compressor(StringLineSerializer(), decompressed_limit=1000)
    assert serializer.decompressed_limit == 1000
    data = serializer.serialize("x" * 1000)
    assert serializer.deserialize(data) == "x" * 1000
    for size in (1, 7, 1000):
        assert receive(serializer, pieces(data, size)) == ["x" * 1000]
    data = serializer.serialize("x" * 1001)
    with pytest.raises(DeserializeError, match="1000"):
        serializer.deserialize(data)
    for size in (1, 7, 1000):
        refused = receive(serializer, pieces(data, size))[0]
        assert type(refused.error) is LimitOverrunError
        assert refused.remaining_data == b""


@pytest.mark.parametrize("compressor", [compressor for compressor in COMPRESS if compressor is not LZMASerializer])
def test_bomb_does_not_fill_the_memory(compressor: Any) -> None:
    limit = 1_000_000
    serializer = compressor(StringLineSerializer(), decompressed_limit=limit)
    bomb = COMPRESS[compressor](b"x" * 50_000_000)
    # A decoder of bz2 takes 3.6 MB. That of LZ4 copies the compressed bytes that it has not read.
    workspace = {BZ2CompressorSerializer: 4_000_000, LZ4CompressorSerializer: 2 * len(bomb)}.get(compressor, 100_000)
    for size in (100, len(bomb)):
        receiver = StreamReceiver(StreamProtocol(serializer))
        tracemalloc.start()
        try:
            refused = next(result for piece in pieces(bomb, size) for result in receiver.feed(piece))
            assert tracemalloc.get_traced_memory()[1] < 2.2 * limit + workspace
        finally:
            tracemalloc.stop()
        assert isinstance(refused.error, LimitOverrunError)
    tracemalloc.start()
    try:
        with pytest.raises(DeserializeError):
            serializer.deserialize(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2.2 * limit + workspace
    finally:
        tracemalloc.stop()


@each_compressor
def test_bad_arguments_are_refused(compressor: Any) -> None:
    for wrong in (object(), StringLineSerializer):
        with pytest.raises(TypeError):
            compressor(wrong)
    for limit in (0, -1):
        with pytest.raises(ValueError):
            compressor(StringLineSerializer(), decompressed_limit=limit)


def test_buffer_follows_the_hint() -> None:
    serializer = ZlibCompressorSerializer(StringLineSerializer())
    assert [serializer.create_deserializer_buffer(hint).nbytes for hint in (0, 1, 100)] == [1, 1, 100]
