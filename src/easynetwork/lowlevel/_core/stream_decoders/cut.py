"""A decoder for frames that say themselves where they end."""

from __future__ import annotations

__all__ = ["CutDecoder"]

from collections.abc import Callable, Generator
from typing import NoReturn, TypeVar

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.serializers._resuming import rest_of_refused
from easynetwork.serializers.framing.cutting import CutFormat, FrameError

from .frames import FrameDecoder
from .interface import NEED_DATA, FramingLostError, NeedData, protocol_crash

_T_Packet = TypeVar("_T_Packet")


class CutDecoder(FrameDecoder[_T_Packet]):
    """A decoder that cuts a whole chunk at once.

    The incomplete frame at the end of a chunk is kept in a ``bytearray``, and is looked at again when as many bytes
    have arrived as its start says. Of a frame that is too large, nothing is kept.
    """

    __slots__ = (
        "_dropping",
        "_ends",
        "_format",
        "_frames",
        "_lost",
        "_needed",
        "_partial",
        "_seen",
        "_stop",
        "drained",
    )

    def __init__(self, decode: Callable[[bytes], _T_Packet], format: CutFormat) -> None:
        super().__init__(decode)
        self._format = format
        self._frames: list[bytes] = []  # complete frames of the chunk, in reverse order
        self._stop = 0  # where the last of all complete frames ends in the chunk
        self._ends: list[int] | None = None  # where each complete frame of the chunk ends
        self._partial: bytearray | None = None  # the incomplete frame after the last chunk
        self._needed = 0  # number of bytes that the incomplete frame has at least
        self._seen = 0  # number of its bytes that the format has seen
        self._dropping: Generator[None, bytes, bytes] | None = None  # drops the rest of a refused frame
        self._lost: BaseException | None = None  # the error after which the stream cannot continue

    def next_packet(self) -> _T_Packet | NeedData:
        frames = self._frames or self._cut_received()
        return self._decode_last(frames) if frames else NEED_DATA

    def next_packets(self, limit: int) -> list[_T_Packet]:
        self.drained = False
        frames = self._frames or self._cut_received()
        if not frames:
            return []
        packets = self._decode_many(frames, limit)
        if not frames and not self._received and not self._is_next_known():
            self.drained = True
            self._chunk = b""  # an idle connection must not keep its last chunk in memory
        return packets

    def take_single(self, chunk: bytes) -> _T_Packet | NeedData:
        if not self.holds_input and self._lost is None:
            format = self._format
            try:
                end = format.find_end(chunk, 0, 0)
                frame = format.payload(chunk, 0, end) if end == len(chunk) else None
            except Exception:
                frame = None  # next_packets() raises the error again
            if frame is not None:
                try:
                    return self._decode(frame)  # type: ignore[arg-type]  # a slice of bytes
                except Exception as exc:
                    self._fail(exc, memoryview(b""))
        self._received.append(chunk)
        return NEED_DATA

    @property
    def pending(self) -> int:
        return 0 if self._partial is None else len(self._partial.lstrip(self._format.between))

    @property
    def holds_input(self) -> bool:
        return bool(self._received or self._frames or self._partial is not None or self._dropping)

    def clear(self) -> None:
        super().clear()
        self._frames.clear()
        self._partial = self._dropping = self._lost = None

    def _cut_received(self) -> list[bytes]:
        """Cut the received bytes into frames. Call it only when no frames are left."""
        if self._lost is not None:
            raise FramingLostError from self._lost
        chunk = self._join_received()
        try:
            if self._partial is not None:
                self._partial += chunk
                if not self._completes(self._partial):
                    self._chunk = b""
                    return self._frames
                chunk = bytes(self._partial)
            frames, stop, end = self._format.split(chunk, 0)
        except FrameError as exc:
            self._refuse(exc, chunk if self._partial is None else bytes(self._partial))
        except Exception as exc:
            self.clear()
            self._lost = exc
            raise protocol_crash(exc)
        except BaseException:  # nothing is consumed
            if self._partial is None and chunk:
                self._received.append(chunk)
            raise
        self._chunk, self._frames, self._stop, self._ends = chunk, frames, stop, None
        frames.reverse()
        if stop < len(chunk):
            self._partial = bytearray(memoryview(chunk)[stop:])
            self._needed = end - stop
            self._seen = len(self._partial) if self._needed else 0
        else:
            self._partial = None
        return frames

    def _join_received(self) -> bytes:
        received = self._received
        chunk = received.pop() if len(received) == 1 else b"".join(received)
        received.clear()
        if self._dropping is not None and chunk:
            try:
                self._dropping.send(chunk)
                chunk = b""
            except StopIteration as stop:
                self._dropping = None
                chunk = stop.value
        return chunk

    def _completes(self, partial: bytearray) -> bool:
        """Return whether *partial* is a complete frame, or more than one."""
        if not self._is_next_known():
            return False
        end = self._format.find_end(partial, 0, self._seen)
        self._seen = len(partial)
        self._needed = end
        return end <= len(partial)

    def _is_next_known(self) -> bool:
        """Return whether the incomplete frame may be complete or invalid, without more bytes."""
        return self._partial is not None and len(self._partial) >= self._needed

    def _refuse(self, exc: FrameError, received: bytes) -> NoReturn:
        """Raise the error for *exc*, and continue after the frame if its end is known."""
        error = exc.in_stream(received)
        refusal = StreamProtocolParseError(error.remaining_data, error)
        self.clear()
        if error._is_over or error._rest or error._separator:
            self._received += [bytes(error.remaining_data)]
            if not error._is_over:
                self._dropping = rest_of_refused(error)
                assert self._dropping is not None
                next(self._dropping)
        else:
            self._lost = refusal
        raise refusal from error

    def _remaining(self) -> memoryview:
        """Return the bytes after the last frame taken, without a copy. The ends are computed once per chunk."""
        chunk = self._chunk
        if self._ends is None:
            self._ends, end = [], 0
            while end < self._stop:
                end = self._format.find_end(chunk, end, 0)
                self._ends.append(end)
        return memoryview(chunk)[self._ends[-len(self._frames) - 1] :]
