"""A decoder for frames of one fixed size."""

from __future__ import annotations

__all__ = ["FixedSizeDecoder"]

from collections.abc import Callable
from typing import TypeVar

from easynetwork._acceleration import with_shortcut

from .frames import FrameDecoder
from .interface import NEED_DATA, NeedData

_T_Packet = TypeVar("_T_Packet")


class FixedSizeDecoder(FrameDecoder[_T_Packet]):
    """A decoder that slices frames out of a chunk. It collects an incomplete frame in a ``bytearray``."""

    __slots__ = ("_partial", "_position", "_size", "drained")

    def __init__(self, decode: Callable[[bytes], _T_Packet], size: int) -> None:
        super().__init__(decode)
        self._size = size
        self._position: int = 0  # start of the next frame in the chunk
        self._partial: bytearray | None = None

    @with_shortcut
    def next_packet(self) -> _T_Packet | NeedData:
        start = self._position
        end = start + self._size
        if end > len(self._chunk):
            if not self._received or not self._next_chunk():
                return NEED_DATA
            start, end = 0, self._size
        self._position = end
        frame = self._chunk[start:end]
        try:
            return self._decode(frame)
        except Exception as exc:
            self._fail(exc, self._remaining())
        except (KeyboardInterrupt, SystemExit):
            self._put_back(frame)  # nothing is consumed
            raise

    def next_packets(self, limit: int) -> list[_T_Packet]:
        self.drained = False
        size = self._size
        if self._position + size > len(self._chunk) and not (self._received and self._next_chunk()):
            return []
        chunk, start = self._chunk, self._position
        end = min(start + limit * size, len(chunk) - size + 1)
        packets: list[_T_Packet] = []
        try:
            packets.extend(map(self._decode, [chunk[i : i + size] for i in range(start, end, size)]))
        except (KeyboardInterrupt, SystemExit):
            raise  # nothing is consumed: all frames will be decoded again
        except BaseException:
            pass  # packets has the frames before the bad frame, which the next call decodes again
        if not packets:  # also if the decoder raises StopIteration, which silently ends map()
            return [self.next_packet()]  # type: ignore[list-item]  # a whole frame is there
        self._position += size * len(packets)
        if self._position == len(chunk):
            self.drained = True
            self.batch, self._chunk, self._position = chunk, b"", 0
        return packets

    @property
    def pending(self) -> int:
        return len(self._chunk) - self._position if self._partial is None else len(self._partial)

    def _unframed(self, count: int) -> bytes:
        if self._partial is not None:
            return bytes(self._partial)
        chunk, position = (self._chunk, self._position) if self._chunk else (self.batch, len(self.batch))
        return chunk[position - count * self._size :]

    @property
    def holds_input(self) -> bool:
        return bool(self._received or self.pending)

    def clear(self) -> None:
        super().clear()
        self._position = 0
        self._partial = None

    def _put_back(self, frame: bytes) -> None:
        self._position = max(self._position - self._size, 0)  # 0 if decoding has closed the connection

    def _remaining(self) -> memoryview:
        return memoryview(self._chunk)[self._position :]

    def _next_chunk(self) -> bool:
        """Join the rest of the last chunk and the received bytes to a new chunk.

        Return false if they are shorter than a frame.
        """
        partial = self._partial
        if partial is None:
            partial = bytearray(memoryview(self._chunk)[self._position :])
            self._chunk = b""
            self._position = 0
        received = b"".join(self._received)
        self._received.clear()
        if partial:
            partial += received
            if len(partial) < self._size:
                self._partial = partial
                return False
            received = bytes(partial)
        elif len(received) < self._size:
            self._partial = bytearray(received)
            return False
        self._partial = None
        self._chunk = received
        return True
