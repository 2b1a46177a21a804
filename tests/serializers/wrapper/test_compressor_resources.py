"""What unfinished and hostile compressed packets cost: memory and work, not time."""

from __future__ import annotations

import bz2
import lzma
import random
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import lz4.frame
import pytest
from tests.serializers.wrapper.lzma_serializer import LZMASerializer
from tests.support.serializer_drivers import StreamReceiver, pieces, receive, receive_buffered, receive_decoded

from easynetwork.exceptions import IncrementalDeserializeError, LimitOverrunError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
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

MIB = 1024 * 1024
PEERS = 1000
SENT = 16 * 1024


def zlib_bomb() -> bytes:
    """A mebibyte, then noise. (A thousand times sixteen of them would be what the limit allows, and take minutes.)"""
    return zlib.compress(bytes(MIB) + random.Random(0).randbytes(2 * SENT), 9)


def bz2_bomb() -> bytes:
    """Nothing but blocks that contain 45 megabytes each would be refused at once: one of these, then noise."""
    return bz2.compress(bytes(10 * MIB) + random.Random(0).randbytes(2 * SENT))


def zstd_bomb() -> bytes:
    return zstd.compress(bytes(10 * MIB) + random.Random(0).randbytes(2 * SENT))


def lz4_bomb() -> bytes:
    bomb: bytes = lz4.frame.compress(bytes(10 * MIB))
    return bomb


def start_of(bomb: bytes) -> bytes:
    """Return 16 KB that do not complete a packet."""
    return bomb[:SENT]


BOMBS: Any = {
    "zlib": (ZlibCompressorSerializer, zlib_bomb),
    "bz2": (BZ2CompressorSerializer, bz2_bomb),
    "zstd": (ZstdCompressorSerializer, zstd_bomb),
    "lz4": (LZ4CompressorSerializer, lz4_bomb),
}
each_bomb = pytest.mark.parametrize(("compressor", "bomb"), BOMBS.values(), ids=BOMBS.keys())


def waiting_peers(compressor: Any, data: bytes, size: int, count: int) -> list[StreamReceiver]:
    protocol = StreamProtocol[Any, Any](compressor(StringLineSerializer()))
    peers = [StreamReceiver(protocol) for _ in range(count)]
    for peer in peers:
        for piece in pieces(data, size):
            assert list(peer.feed(piece)) == []
    return peers


@each_bomb
@pytest.mark.parametrize("size", [SENT, 1000])
def test_unfinished_bombs_of_many_peers_take_little_memory(
    compressor: Any, bomb: Callable[[], bytes], size: int
) -> None:
    count = 20  # tracing slows it down
    data = start_of(bomb())
    tracemalloc.start()
    try:
        peers = waiting_peers(compressor, data, size, count)
        assert tracemalloc.get_traced_memory()[0] < count * 100_000
    finally:
        tracemalloc.stop()
    assert len(peers) == count


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_thousand_peers_with_unfinished_bombs_take_less_than_100_megabytes(name: str) -> None:
    program = f"""if True:
        from tests.serializers.wrapper import test_compressor_resources as tests
        compressor, bomb = tests.BOMBS[{name!r}]
        data = tests.start_of(bomb())
        def resident():
            with open("/proc/self/status") as status:
                return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) * 1024
        tests.waiting_peers(compressor, data, len(data), 1)
        before = resident()
        peers = tests.waiting_peers(compressor, data, len(data), {PEERS})
        print(resident() - before)
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 100_000_000


class CountingStream:
    """A decompressor that counts what goes into all of its kind, and what comes out."""

    bytes_in = 0
    bytes_out = 0
    made = 0

    def __init__(self, new: Callable[[], Any]) -> None:
        self._stream = new()
        CountingStream.made += 1

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        result: bytes = self._stream.decompress(data, max_length)
        CountingStream.bytes_in += len(data) - len(getattr(self._stream, "unconsumed_tail", b""))
        CountingStream.bytes_out += len(result)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> type[CountingStream]:
    new_zlib, new_bz2 = zlib.decompressobj, bz2.BZ2Decompressor
    monkeypatch.setattr(zlib, "decompressobj", lambda: CountingStream(new_zlib))
    monkeypatch.setattr(bz2, "BZ2Decompressor", lambda: CountingStream(new_bz2))
    CountingStream.bytes_in = CountingStream.bytes_out = CountingStream.made = 0
    return CountingStream


@pytest.mark.parametrize(
    ("compressor", "compress"),
    [(ZlibCompressorSerializer, zlib.compress), (BZ2CompressorSerializer, bz2.compress)],
)
@pytest.mark.parametrize("size", [7, 1000, 10**9])
@pytest.mark.parametrize("content", ["x" * 5 * MIB, random.Random(0).randbytes(150_000).hex()], ids=["bomb", "noise"])
def test_complete_packet_takes_linear_work(
    compressor: Any, compress: Any, size: int, content: str, count: type[CountingStream]
) -> None:
    data = compress(content.encode())
    assert receive(compressor(StringLineSerializer()), pieces(data, size)) == [content]
    assert count.bytes_in <= 2.5 * len(data) + 10_000
    assert count.bytes_out <= 4 * len(content) + 10_000
    assert count.made <= 8


@pytest.mark.parametrize("compressor", [ZlibCompressorSerializer, BZ2CompressorSerializer])
def test_small_packet_that_comes_at_once_is_decompressed_once(compressor: Any, count: type[CountingStream]) -> None:
    serializer = compressor(StringLineSerializer())
    data = serializer.serialize("x" * 100_000)
    assert receive(serializer, [data * 3]) == ["x" * 100_000] * 3
    assert count.bytes_out == 300_000
    assert count.made <= 4  # the last one waits for a packet


@pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])
@pytest.mark.parametrize("compressor", [ZlibCompressorSerializer, BZ2CompressorSerializer])
@pytest.mark.parametrize("length", [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
@pytest.mark.parametrize("size", [333, 10**9])
def test_end_is_noticed_with_the_last_byte(receive_all: Any, compressor: Any, length: int, size: int) -> None:
    serializer = compressor(StringLineSerializer(encoding="latin-1"))
    content = "x" * length
    data = serializer.serialize(content)
    assert receive_all(serializer, pieces(data, size)) == [content]
    assert receive_all(serializer, pieces(data * 2, size)) == [content] * 2


@pytest.mark.parametrize("level", [1, 9])
def test_end_of_bz2_is_found_at_any_bit(level: int) -> None:
    rng = random.Random(level)
    serializer = BZ2CompressorSerializer(StringLineSerializer(encoding="latin-1"), compress_level=level)
    packets = ["".join(map(chr, rng.randbytes(rng.randrange(1, 40)))).rstrip("\n") for _ in range(30)]
    data = b"".join(map(serializer.serialize, packets))
    for size in (5, 1000):
        assert receive(serializer, pieces(data, size)) == packets


def bz2_with_marks(count: int) -> bytes:
    """Return a packet that is complete, with end marks inside of its data as far as a decoder does not mind."""
    start = bz2.compress(random.Random(0).randbytes(5000))[:4000]
    return start + bytes.fromhex("177245385090") * count


def test_false_end_marks_do_not_keep_us_busy(count: type[CountingStream]) -> None:
    (refused,) = receive(BZ2CompressorSerializer(StringLineSerializer()), [bz2_with_marks(2500)])
    assert type(refused.error) is IncrementalDeserializeError
    assert count.made <= 6
    (refused, *_) = receive(BZ2CompressorSerializer(StringLineSerializer()), pieces(bz2_with_marks(2500), 100))
    assert type(refused.error) is IncrementalDeserializeError


@pytest.mark.parametrize("size", [100, 10_000])
def test_compressed_data_without_content_does_not_go_on_for_ever(size: int) -> None:
    stream = zlib.compressobj()
    nothing = stream.compress(b"") + stream.flush(zlib.Z_FULL_FLUSH) + b"\0\0\0\xff\xff" * 100_000
    results = receive(ZlibCompressorSerializer(StringLineSerializer(), decompressed_limit=1000), pieces(nothing, size))
    assert isinstance(results[0].error, LimitOverrunError)


@pytest.mark.parametrize("compress", [zlib.compress, bz2.compress, lzma.compress, zstd.compress, lz4.frame.compress])
def test_noise_as_large_as_the_limit_is_no_larger_compressed_than_allowed(compress: Any) -> None:
    compressor: Any = {
        zlib.compress: ZlibCompressorSerializer,
        bz2.compress: BZ2CompressorSerializer,
        lzma.compress: LZMASerializer,
        zstd.compress: ZstdCompressorSerializer,
        lz4.frame.compress: LZ4CompressorSerializer,
    }[compress]
    for limit in (10, 1000, 200_000):
        content = random.Random(0).randbytes(limit).replace(b"\n", b" ")
        serializer = compressor(StringLineSerializer(encoding="latin-1"), decompressed_limit=limit)
        assert receive(serializer, pieces(compress(content), 999)) == [content.decode("latin-1")]
