"""A decoder for frames that say themselves where they end."""

from __future__ import annotations

__all__ = ["CutDecoder"]

from collections.abc import Callable, Generator
from typing import TypeVar

from easynetwork._acceleration import with_shortcut
from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.serializers._resuming import rest_of_refused
from easynetwork.serializers.framing._cutting import ASK_AGAIN, CutFormat, FrameError

from .frames import NO_FRAMES, FrameDecoder
from .interface import NEED_DATA, FramingLostError, NeedData, protocol_crash

_T_Packet = TypeVar("_T_Packet")


class CutDecoder(FrameDecoder[_T_Packet]):
    """A decoder that cuts a whole chunk at once.

    The incomplete frame at the end of a chunk is kept in a ``bytearray``, and is looked at again when as many bytes
    have arrived as its start says. Of a frame that is too large, nothing is kept.
    """

    __slots__ = (
        "_begin",
        "_dropping",
        "_ends",
        "_format",
        "_frames",
        "_has_uncut",
        "_lost",
        "_needed",
        "_partial",
        "_searched",
        "_stop",
        "drained",
    )

    def __init__(
        self,
        decode: Callable[[bytes], _T_Packet],
        format: CutFormat,
        decode_valid: Callable[[bytes], _T_Packet] | None = None,
    ) -> None:
        super().__init__(decode, decode_valid)
        self._format = format
        self._frames = NO_FRAMES  # complete frames of the chunk, in reverse order
        self._begin = 0  # where the first of them began in the chunk
        self._stop = 0  # where the last of them ends
        self._ends: list[int] | None = None  # where each of them ends, taken or not
        self._has_uncut = False  # whether the bytes of the chunk after them are still to be cut
        self._partial: bytearray | None = None  # the incomplete frame after the chunk
        self._needed = 0  # number of bytes that the incomplete frame has at least
        self._searched = 0  # number of its bytes that were searched in vain for its end
        self._dropping: Generator[None, bytes, bytes] | None = None  # drops the rest of a refused frame
        self._lost: BaseException | None = None  # the error after which the stream cannot continue

    @with_shortcut
    def next_packet(self) -> _T_Packet | NeedData:
        frames = self._frames or self._cut_received()
        return self._decode_last(frames) if frames else NEED_DATA

    def next_packets(self, limit: int) -> list[_T_Packet]:
        self.drained = False
        frames = self._frames or self._cut_received()
        if not frames:
            return []
        packets = self._decode_many(frames, limit)
        if not (frames or self._received or self._has_uncut):
            self.drained = True
            self.batch, self._chunk = self._chunk, b""
        return packets

    def take_single(self, chunk: bytes) -> _T_Packet | NeedData:
        if self.holds_input or self._lost is not None:
            self._received.append(chunk)
            return NEED_DATA
        try:
            frames, stop, end = self._format.split(chunk, 0)
        except Exception:
            self._received.append(chunk)  # next_packets() raises the error again
            return NEED_DATA
        except BaseException:
            self._received.append(chunk)  # nothing is consumed
            raise
        if len(frames) != 1 or stop != len(chunk):
            self._accept(chunk, 0, frames, stop, end)
            return NEED_DATA
        try:
            return self._decode(frames[0])
        except Exception as exc:
            self._fail(exc, memoryview(b""))
        except (KeyboardInterrupt, SystemExit):
            self._received.append(chunk)  # nothing is consumed
            raise

    @property
    def pending(self) -> int:
        return 0 if self._partial is None else len(self._partial)

    @property
    def holds_input(self) -> bool:
        return bool(
            self._received or self._frames or self._has_uncut or self._partial is not None or self._dropping is not None
        )

    def _unframed(self, count: int) -> bytes:
        if self._lost is not None:
            raise FramingLostError from self._lost
        count += len(self._frames)
        chunk = self._chunk or self.batch
        uncut = chunk[self._stop :] if self._has_uncut else bytes(self._partial or b"")
        if not count:
            return uncut
        ends = self._find_ends(chunk)
        return chunk[ends[-count - 1] if count < len(ends) else self._begin : self._stop] + uncut

    def clear(self) -> None:
        super().clear()
        self._frames.clear()
        self._has_uncut = False
        self._partial = self._dropping = self._lost = None

    def _cut_received(self) -> list[bytes]:
        """Cut the received bytes into frames. Call it only when no frames are left."""
        if self._lost is not None:
            raise FramingLostError from self._lost
        if not self._has_uncut:
            self._chunk, self._stop = self._next_chunk(), 0
            self._has_uncut = True
        chunk, start = self._chunk, self._stop
        try:
            frames, stop, end = self._format.split(chunk, start)
        except FrameError as exc:
            raise self._refuse(exc)
        except Exception as exc:
            self.clear()
            self._lost = exc
            raise protocol_crash(exc)
        return self._accept(chunk, start, frames, stop, end)

    def _accept(self, chunk: bytes, start: int, frames: list[bytes], stop: int, end: int) -> list[bytes]:
        """Take over the *frames* of *chunk*, and what follows them. The arguments are those and the result of split."""
        frames.reverse()
        self._chunk, self._begin, self._frames, self._stop, self._ends = chunk, start, frames, stop, None
        self._has_uncut = end == ASK_AGAIN
        if not self._has_uncut and stop < len(chunk):
            if rest := chunk[stop:].lstrip(self._format.between):
                self._partial = bytearray(rest)
                self._set_needed(end and end - len(chunk) + len(rest))
            if not frames:
                self._chunk = b""
        return frames

    def _next_chunk(self) -> bytes:
        """Return the bytes from the start of the next frame on; ``b""`` if it is known to be incomplete still."""
        received, partial = self._received, self._partial
        chunk = received.pop() if len(received) == 1 else b"".join(received)
        received.clear()
        if self._dropping is not None and chunk:
            try:
                self._dropping.send(chunk)
                return b""
            except StopIteration as stop:
                self._dropping = None
                chunk = stop.value
        if partial is None:
            return chunk
        partial += chunk
        if len(partial) < self._needed:
            return b""
        try:
            end = self._format.find_end(partial, 0, self._searched)
        except Exception:
            end = len(partial)  # split() raises the error again
        if not 0 < end <= len(partial):
            self._set_needed(end)
            return b""
        self._partial = None
        return bytes(partial)

    def _set_needed(self, end: int) -> None:
        """Remember when to look at the incomplete frame again. *end* is its end as the format knows it."""
        assert self._partial is not None
        size = len(self._partial)
        self._needed, self._searched = (end, 0) if end else (size + 1, size)

    def _refuse(self, exc: FrameError) -> StreamProtocolParseError:
        """Drop the frame that is refused with *exc*, and return the error to raise."""
        error = exc.in_stream(memoryview(self._chunk)[self._stop :])
        refusal = StreamProtocolParseError(error.remaining_data, error)
        refusal.__cause__ = error
        if error._is_over:
            self._stop = len(self._chunk) - len(memoryview(error.remaining_data))
            self._has_uncut = self._stop < len(self._chunk)
        elif (rest := rest_of_refused(error)) is not None:
            next(rest)
            self._dropping = rest
            self._chunk, self._has_uncut = b"", False
        else:
            self.clear()
            self._lost = refusal
        return refusal

    def _put_back(self, frame: bytes) -> None:
        self._frames.append(frame)

    def _remaining(self) -> memoryview:
        return memoryview(self._chunk)[self._find_ends(self._chunk)[-len(self._frames) - 1] :]

    def _find_ends(self, chunk: bytes) -> list[int]:
        """Return where the frames of *chunk*, the last one, end. They are computed once."""
        if self._ends is None:
            self._ends, end = [], self._begin
            while end < self._stop:
                end = max(end + 1, self._format.find_end(chunk, end, 0))
                self._ends.append(end)
        return self._ends
