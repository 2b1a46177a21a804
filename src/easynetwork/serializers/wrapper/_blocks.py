"""Compressed data in blocks, each of which says its size."""

from __future__ import annotations

__all__ = ["BlockCompressorSerializer", "WholePacketCompressor", "frame_begins"]

from abc import abstractmethod
from collections.abc import Callable, Generator
from io import BytesIO
from typing import Final

from easynetwork._typing import ReadableBuffer, ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError
from easynetwork.serializers._self_delimiting import ItemEndFinder, Nesting, receive_to_end
from easynetwork.serializers.framing._cutting import FrameError

from ._compressing import AbstractCompressorSerializer, CompressorInterface, TooLargeError

_SKIPPABLE: Final = b"\x2a\x4d\x18"
"""How a skippable frame goes on after a byte from 0x50 to 0x5f (:rfc:`8878`, section 3.1.2). LZ4 has the same."""


class WholePacketCompressor(CompressorInterface):
    """Compress a packet in one call, so that its frame may be made for its size.

    Parameters:
        compress: returns all of the compressed bytes.
    """

    __slots__ = ("_compress",)

    def __init__(self, compress: Callable[[ReadableBuffer], bytes]) -> None:
        self._compress = compress

    def compress(self, data: ReadableBuffer, /) -> bytes:
        return self._compress(data)

    def flush(self) -> bytes:
        return b""


class BlockCompressorSerializer(AbstractCompressorSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Base class of serializers that find the end of a packet without decompressing it.

    While a packet is incomplete, there is no decompressor, which would keep up to a window of decompressed data. And an
    invalid packet costs nothing but itself, because the next one is found.
    """

    __slots__ = ()

    @staticmethod
    @abstractmethod
    def _read_head(held: memoryview, start: int, /) -> tuple[int, int | Nesting] | None:
        """Read the head of the frame, if *start* is 0, or that of a block: a `ReadHead`.

        The head of a frame is `Nesting.UNTIL_BREAK`, and the last block `Nesting.BREAK`.

        Raises:
            FrameError: there is no such frame or block.
        """
        raise NotImplementedError

    def _decompress(self, data: bytes) -> bytes:
        try:
            self._read_head(memoryview(data), 0)  # a decompressor takes some frames without content for empty packets
        except FrameError as exc:
            raise DeserializeError(str(exc), {"data": data} if self.debug else None) from exc
        return super()._decompress(data)

    def _receive_compressed(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        """Wait for the compressed data of one packet. Return the decompressed data and the bytes after the packet."""
        finder = ItemEndFinder(self._read_head)
        received = yield
        held: BytesIO | None = None  # most packets arrive whole
        try:
            end = finder.find_end(memoryview(received))
            if end < 0:
                held = BytesIO()
                held.write(received)
                end = yield from receive_to_end(finder, held, self._compressed_limit)
                received = held.getvalue()
            self._check_compressed_size(len(received) if end < 0 else end)
            try:
                content = self._decompress(received[:end])
            except DeserializeError as exc:
                raise FrameError(str(exc), end, is_overrun=isinstance(exc, TooLargeError)) from exc
        except FrameError as exc:
            raise exc.in_stream(memoryview(received if held is None else held.getvalue()))  # its cause is set
        return content, received[end:]


def frame_begins(held: memoryview, magic: bytes, name: str) -> bool:
    """Return whether the first four bytes, which are *magic*, and the byte after them have arrived.

    Raises:
        FrameError: other bytes have arrived.
    """
    start = bytes(held[:4])
    if magic.startswith(start):
        return len(held) > 4
    if start[0] & 0xF0 == 0x50 and _SKIPPABLE.startswith(start[1:]):
        if len(held) < 8:
            return False
        raise FrameError("A skippable frame contains no packet", 8 + int.from_bytes(held[4:8], "little"))
    raise FrameError(f"Not a frame of {name}: it begins with {start!r}")
