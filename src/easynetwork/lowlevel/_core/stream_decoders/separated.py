"""Decoders for frames that end with a separator."""

from __future__ import annotations

__all__ = ["CauseReportingDecoder", "SeparatedDecoder"]

from collections.abc import Callable
from itertools import accumulate
from typing import Final, NoReturn, TypeVar

from easynetwork._acceleration import with_shortcut
from easynetwork.exceptions import LimitOverrunError, StreamProtocolParseError

from .frames import NO_FRAMES, FrameDecoder
from .interface import NEED_DATA, NeedData

_T_Packet = TypeVar("_T_Packet")

_SMALL_FRAME: Final = 4096


class SeparatedDecoder(FrameDecoder[_T_Packet]):
    """A decoder for frames that end with a separator. It splits a whole chunk at once.

    The incomplete frame at the end of a chunk is kept as ``bytes``. If the next chunk does not complete it, it becomes
    a ``bytearray`` in which only new bytes are searched, so that a frame that arrives in small pieces costs linear
    time. Of a refused frame, only the last bytes are kept, as many as the separator has. This is enough to find a
    separator that arrives in pieces, and it keeps the tail from being empty until the separator arrives.
    """

    __slots__ = (
        "_frames",
        "_has_large_frames",
        "_is_tail_refused",
        "_limit",
        "_remaining_sizes",
        "_separator",
        "_tail",
        "drained",
    )

    def __init__(
        self,
        decode: Callable[[bytes], _T_Packet],
        separator: bytes,
        limit: int,
        decode_valid: Callable[[bytes], _T_Packet] | None = None,
    ) -> None:
        super().__init__(decode, decode_valid)
        self._separator = separator
        self._limit = limit
        self._frames = NO_FRAMES  # complete frames of the chunk, in reverse order
        self._has_large_frames = False  # whether frames are decoded one by one
        self._tail: bytes | bytearray = b""  # bytes after the last separator
        self._is_tail_refused = False  # whether the tail belongs to a frame over the limit, which is dropped
        self._remaining_sizes: list[int] | None = None

    @with_shortcut
    def next_packet(self) -> _T_Packet | NeedData:
        frames = self._frames
        if not frames:
            received = self._received
            if not received and not self._tail:
                return NEED_DATA
            if len(received) == 1 and not self._tail:
                packet = self.take_single(received.pop())
                if packet is not NEED_DATA:
                    return packet
            frames = self._split_received()
            if not frames:
                return NEED_DATA
        if self._has_large_frames:
            return self._decode_last(frames)
        frame = frames.pop()
        try:
            return self._decode(frame)
        except Exception as exc:
            self._fail(exc, self._remaining())
        except (KeyboardInterrupt, SystemExit):
            self._put_back(frame)  # nothing is consumed
            raise

    def next_packets(self, limit: int) -> list[_T_Packet]:
        self.drained = False
        frames = self._frames
        if not frames:
            if not self._received and not self._tail:
                self._chunk = b""  # an idle connection must not keep its last chunk in memory
                return []
            frames = self._split_received()
        if self._has_large_frames or not frames:
            return super().next_packets(limit)
        packets = self._decode_many(frames, limit)
        if not frames and not self._tail:
            self.drained = True
            self.batch, self._chunk = self._chunk, b""
        return packets

    def take_single(self, chunk: bytes) -> _T_Packet | NeedData:
        if not (self._received or self._frames or self._tail):
            frame, separator, rest = chunk.partition(self._separator)
            if separator and not rest and len(frame) <= self._limit:
                try:
                    return self._decode(frame)
                except Exception as exc:
                    self._fail(exc, memoryview(b""))
                except (KeyboardInterrupt, SystemExit):
                    self._received.append(chunk)  # nothing is consumed
                    raise
        self._received.append(chunk)
        return NEED_DATA

    @property
    def pending(self) -> int:
        return 0 if self._is_tail_refused else len(self._tail)

    @property
    def holds_input(self) -> bool:
        return bool(self._received or self._frames or self._tail)

    def _unframed(self, count: int) -> bytes:
        count += len(self._frames)
        if not count:
            return bytes(self._tail)
        # All but the first frame of the last result are in the chunk, even if the first began before it.
        pieces = (self._chunk or self.batch).rsplit(self._separator, count + 1)
        return self._separator.join(pieces[-count - 1 :])

    def clear(self) -> None:
        super().clear()
        self._frames.clear()
        self._tail = b""
        self._is_tail_refused = False

    def _decode_last(self, frames: list[bytes]) -> _T_Packet:
        if self._has_large_frames and len(frames[-1]) > self._limit:
            self._refuse_frame(frames.pop())
        return super()._decode_last(frames)

    def _split_received(self) -> list[bytes]:
        """Split the received bytes into frames. Call it only when no frames are left."""
        received, tail = self._received, self._tail
        if not tail and len(received) == 1:  # the most common case
            self._chunk = chunk = received.pop()
            self._remaining_sizes = None
            self._frames = frames = chunk.split(self._separator)
            self._tail = frames.pop()
            self._has_large_frames = len(chunk) > self._limit and _are_large(frames, len(chunk), self._limit)
            if len(frames) > 1:
                frames.reverse()
            elif not frames:
                self._tail = bytearray(chunk)
                return self._split_received()
            return frames
        if not received:
            if len(tail) - len(self._separator) >= self._limit:
                self._refuse_tail()
            return self._frames
        if len(received) == 1:
            chunk = received.pop()
        else:
            chunk = b"".join(received)
            received.clear()
        first = None
        if tail:
            if isinstance(tail, bytearray):
                searched = max(len(tail) - len(self._separator) + 1, 0)
                tail += chunk
                end = tail.find(self._separator, searched)
                if end < 0:
                    if self._is_tail_refused:
                        del tail[: -len(self._separator)]
                    return self._split_received()
                with memoryview(tail) as view:  # slicing the bytearray would copy once more
                    if not self._is_tail_refused:
                        first = bytes(view[:end])
                    chunk = bytes(view[end + len(self._separator) :])
                self._is_tail_refused = False
            else:
                chunk = tail + chunk
        frames = chunk.split(self._separator)
        self._tail = frames.pop()
        if len(frames) > 1:
            frames.reverse()
        self._has_large_frames = len(chunk) > self._limit and _are_large(frames, len(chunk), self._limit)
        if first is not None:
            frames.append(first)
            self._has_large_frames = self._has_large_frames or len(first) > self._limit
        elif not frames:
            self._tail = bytearray(chunk)
            return self._split_received()
        self._chunk = chunk
        self._frames = frames
        self._remaining_sizes = None
        return frames

    def _put_back(self, frame: bytes) -> None:
        self._frames.append(frame)

    def _remaining(self) -> memoryview:
        # The sizes are computed once per chunk.
        frames, sizes = self._frames, self._remaining_sizes
        if sizes is None:
            frame_sizes = (len(frame) + len(self._separator) for frame in frames)
            sizes = self._remaining_sizes = list(accumulate(frame_sizes, initial=len(self._tail)))
        return memoryview(self._chunk)[len(self._chunk) - sizes[len(frames)] :]

    def _refuse_frame(self, frame: bytes) -> NoReturn:
        buffer = b"".join((frame, self._separator, self._remaining()))
        self._overrun(f"A frame of {len(frame)} bytes was received", buffer, len(frame))

    def _refuse_tail(self) -> NoReturn:
        buffer = bytes(self._tail)
        consumed = len(buffer) + 1 - len(self._separator)
        self._tail = bytearray(buffer[-len(self._separator) :])
        self._is_tail_refused = True
        self._overrun(f"No separator was found in {len(buffer)} bytes", buffer, consumed)

    def _overrun(self, what: str, buffer: bytes, consumed: int) -> NoReturn:
        message = f"{what}; the limit is {self._limit} bytes before {self._separator!r}"
        error = LimitOverrunError(message, buffer, consumed, self._separator)
        raise StreamProtocolParseError(error.remaining_data, error) from error


def _are_large(frames: list[bytes], size: int, limit: int) -> bool:
    """Return whether to decode *frames*, of a chunk of *size* bytes, one by one.

    One may exceed *limit*, or they are so large that many decoded packets at a time would cost more memory than calls.
    """
    return len(frames) * _SMALL_FRAME < size or max(map(len, frames)) > limit


class CauseReportingDecoder(SeparatedDecoder[_T_Packet]):
    """A `SeparatedDecoder` for text.

    The cause of its errors is the original error, without a `DeserializeError` in between.
    """

    __slots__ = ()

    _reports_causes = True
