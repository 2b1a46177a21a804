"""Zstandard and LZ4: the end of a packet is found by the sizes of its blocks."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lz4.frame
import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers import StringLineSerializer
from easynetwork.serializers.wrapper import LZ4CompressorSerializer, ZstdCompressorSerializer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BOTH: Any = [ZstdCompressorSerializer, LZ4CompressorSerializer]
both = pytest.mark.parametrize("compressor", BOTH)
every_way = pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])

TEXT = StringLineSerializer(encoding="latin-1")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def contents(sizes: list[int]) -> list[bytes]:
    """Return texts of these sizes that can be compressed, and texts that cannot."""
    noise = random.Random(0).randbytes(max(sizes)).replace(b"\n", b" ")
    return [text for size in sizes for text in (b"x" * size, noise[:size])]


def zstd_frames() -> list[tuple[bytes, bytes]]:
    """Return contents, each with frames of all kinds. The sizes are those where the header changes."""
    option = zstd.CompressionParameter
    frames = []
    for content in contents([0, 1, 255, 256, 65_791, 65_792, 300_000]):
        for checksum in (0, 1):
            for tells_size in (0, 1):
                options: dict[int, int] = {option.checksum_flag: checksum, option.content_size_flag: tells_size}
                stream = zstd.ZstdCompressor(options=options)
                frames.append((content, stream.compress(content, stream.FLUSH_FRAME)))
                frames.append((content, stream.compress(content) + stream.flush()))
                blocks = [stream.compress(piece, stream.FLUSH_BLOCK) for piece in pieces(content, 50_000)]
                frames.append((content, b"".join(blocks) + stream.flush()))
    return frames


def lz4_frames() -> list[tuple[bytes, bytes]]:
    """Return contents, each with frames of all kinds."""
    options: list[dict[str, Any]] = [
        {"store_size": False},
        {"block_size": lz4.frame.BLOCKSIZE_MAX256KB, "block_linked": False},
        {"block_checksum": True},
        {"block_checksum": True, "content_checksum": True, "compression_level": 9},
    ]
    return [
        (content, lz4.frame.compress(content, **option))
        for content in contents([0, 1, 65_536, 300_000])
        for option in options
    ]


@pytest.mark.parametrize(
    ("compressor", "frames"), [(ZstdCompressorSerializer, zstd_frames), (LZ4CompressorSerializer, lz4_frames)]
)
def test_frames_of_any_compressor_are_understood(
    compressor: Any, frames: Callable[[], list[tuple[bytes, bytes]]]
) -> None:
    serializer = compressor(TEXT)
    for content, frame in frames():
        packet = content.decode("latin-1")
        assert serializer.deserialize(frame) == packet
        for size in (97, 1 << 20):
            assert receive(serializer, pieces(frame + frame, size)) == [packet, packet]


@pytest.mark.parametrize(("compressor", "default"), [(ZstdCompressorSerializer, 3), (LZ4CompressorSerializer, 0)])
def test_levels_are_obeyed(compressor: Any, default: int) -> None:
    packet = "".join(str(number**3) for number in range(3000))
    assert compressor(TEXT).serialize(packet) == compressor(TEXT, compress_level=default).serialize(packet)
    best, fastest = (compressor(TEXT, compress_level=level).serialize(packet) for level in (12, -20))
    assert len(best) < len(fastest)


def test_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="100"):
        ZstdCompressorSerializer(TEXT, compress_level=100)


@both
def test_packets_have_a_checksum(compressor: Any) -> None:
    serializer = compressor(TEXT)
    noise = random.Random(0).randbytes(1000).replace(b"\n", b" ").decode("latin-1")
    data = bytearray(serializer.serialize(noise))
    data[500] ^= 1
    with pytest.raises(DeserializeError, match=r"(?i)checksum"):
        serializer.deserialize(bytes(data))


@both
@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_stream_goes_on_after_an_invalid_packet(compressor: Any, receive_all: Any, size: int) -> None:
    serializer = compressor(TEXT, debug=True)
    noise = random.Random(0).randbytes(1000).replace(b"\n", b" ").decode("latin-1")
    damaged = bytearray(serializer.serialize(noise))
    damaged[500] ^= 1
    refused, packet = receive_all(serializer, pieces(bytes(damaged) + serializer.serialize("abc"), size))
    assert type(refused.error) is IncrementalDeserializeError
    assert refused.error.error_info == {"data": bytes(damaged)}
    assert packet == "abc"


@both
@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_stream_goes_on_after_a_packet_that_is_too_large(compressor: Any, receive_all: Any, size: int) -> None:
    serializer = compressor(TEXT, decompressed_limit=100)
    sent = compressor(TEXT).serialize("x" * 101) + serializer.serialize("x" * 100)
    refused, packet = receive_all(serializer, pieces(sent, size))
    assert type(refused.error) is LimitOverrunError
    assert packet == "x" * 100


@both
@every_way
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_skippable_frames_are_invalid_packets(compressor: Any, receive_all: Any, size: int) -> None:
    serializer = compressor(TEXT)
    skippable = b"\x5f\x2a\x4d\x18\x05\0\0\0hello"
    refused, packet = receive_all(serializer, pieces(skippable + serializer.serialize("abc"), size))
    assert "skippable" in str(refused)
    assert packet == "abc"
    with pytest.raises(DeserializeError, match="skippable"):
        serializer.deserialize(skippable)


@both
def test_skippable_frame_of_gigabytes_is_not_stored(compressor: Any) -> None:
    (refused,) = receive(compressor(TEXT), [b"\x50\x2a\x4d\x18\xff\xff\xff\xff", *[bytes(100_000)] * 5])
    assert type(refused.error) is IncrementalDeserializeError


@both
@every_way
@pytest.mark.parametrize("start", [b"garbage", b"\x02\x21\x4c\x18 legacy LZ4", b"\x27\xb5\x2f\xfd old Zstandard"])
def test_stream_ends_with_bytes_that_begin_no_frame(compressor: Any, receive_all: Any, start: bytes) -> None:
    serializer = compressor(TEXT, debug=True)
    (refused,) = receive_all(serializer, [start, serializer.serialize("abc")])
    assert type(refused.error) is IncrementalDeserializeError
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(start)
    assert caught.value.error_info == {"data": start}


@pytest.mark.parametrize(
    ("compressor", "invalid"),
    [
        (ZstdCompressorSerializer, ZSTD_MAGIC + b"\0\0\x06\0\0"),  # a block of the reserved kind
        (LZ4CompressorSerializer, lz4.frame.compress(b"")[:-4] + b"\1\0\1\0"),  # a block of 64 KiB and a byte
    ],
)
def test_stream_ends_with_a_block_that_does_not_exist(compressor: Any, invalid: bytes) -> None:
    serializer = compressor(TEXT)
    for size in (1, 100):
        (refused,) = receive(serializer, [*pieces(invalid, size), serializer.serialize("abc")])
        assert type(refused.error) is IncrementalDeserializeError
    with pytest.raises(DeserializeError):
        serializer.deserialize(invalid)


def zstd_window(log: int) -> bytes:
    """Return a frame of one byte with a window of 2 ** *log* bytes."""
    return ZSTD_MAGIC + b"\0" + bytes([log - 10 << 3]) + b"\x09\0\0x"


def test_large_windows_are_refused() -> None:
    serializer = ZstdCompressorSerializer(TEXT, decompressed_limit=1000)
    assert serializer.deserialize(zstd_window(23)) == "x"
    refused, packet = receive(serializer, [zstd_window(24) + zstd_window(10)])
    assert "memory" in str(refused)
    assert packet == "x"
    assert ZstdCompressorSerializer(TEXT, decompressed_limit=1 << 24).deserialize(zstd_window(24)) == "x"


def test_highest_level_does_not_need_a_large_window() -> None:
    serializer = ZstdCompressorSerializer(TEXT, compress_level=22)
    assert serializer.deserialize(serializer.serialize("abc")) == "abc"


@both
@pytest.mark.parametrize("size", [3, 10_000])
def test_blocks_without_content_do_not_go_on_for_ever(compressor: Any, size: int) -> None:
    header, block = {
        ZstdCompressorSerializer: (ZSTD_MAGIC + b"\0\0", b"\0\0\0"),
        LZ4CompressorSerializer: (lz4.frame.compress(b"", store_size=False)[:-4], b"\0\0\0\x80"),
    }[compressor]
    results = receive(compressor(TEXT, decompressed_limit=1000), pieces(header + block * 50_000, size))
    assert isinstance(results[0].error, LimitOverrunError)


@both
def test_one_serializer_serves_many_threads(compressor: Any) -> None:
    serializer = compressor(TEXT)
    packets = [str(number) * 1000 for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(serializer.deserialize, threads.map(serializer.serialize, packets))) == packets


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the standard library has Zstandard")
def test_missing_extra_for_zstandard_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        ZstdCompressorSerializer(TEXT)
    assert "easynetwork-uvloop[zstd]" in caught.value.__notes__[0]


def test_missing_extra_for_lz4_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        LZ4CompressorSerializer(TEXT)
    assert "easynetwork-uvloop[lz4]" in caught.value.__notes__[0]
