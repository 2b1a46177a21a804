"""The base class of decoders that split chunks into frames without a generator."""

from __future__ import annotations

__all__ = ["NO_FRAMES", "FrameDecoder"]

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, NoReturn, TypeVar

from easynetwork.exceptions import (
    DeserializeError,
    PacketConversionError,
    StreamProtocolParseError,
)
from easynetwork.serializers.framing.serializer import error_in_stream

from .interface import StreamDecoder, protocol_crash

_T_Packet = TypeVar("_T_Packet")

NO_FRAMES: Final[list[bytes]] = []
"""The frames of a decoder that has none yet. All share this list, to which nothing is appended."""


class FrameDecoder(StreamDecoder[_T_Packet]):
    """Base class of decoders that turn frames into packets. It raises the errors of invalid frames.

    Parameters:
        decode: returns the packet in a frame.
        decode_valid: the same function for valid frames. It raises any exception for an invalid frame, which *decode*
            is then called with. None if *decode* is the only one.
    """

    __slots__ = ("_chunk", "_decode", "_decode_valid", "_received")

    _reports_causes: ClassVar[bool] = False
    """See `FramedPacketSerializer`."""

    def __init__(
        self, decode: Callable[[bytes], _T_Packet], decode_valid: Callable[[bytes], _T_Packet] | None = None
    ) -> None:
        self._received: list[bytes] = []
        self.input = self._received
        self._decode = decode
        self._decode_valid = decode if decode_valid is None else decode_valid
        self._chunk: bytes = b""
        self.batch = b""

    def take_undelivered(self, count: int = 0) -> bytes:
        undelivered = self._unframed(count) + b"".join(self._received)
        self.clear()
        return undelivered

    @abstractmethod
    def _unframed(self, count: int) -> bytes:
        """Do what `take_undelivered` does, without `_received`, and drop nothing."""
        raise NotImplementedError

    def clear(self) -> None:
        self._received.clear()
        self._chunk = self.batch = b""

    def _decode_many(self, frames: list[bytes], limit: int) -> list[_T_Packet]:
        """Decode at most *limit* frames from the end of *frames*, and remove them. Stop before a frame that is invalid.

        Raise the error of the first frame.
        """
        packets: list[_T_Packet] = []
        try:
            packets.extend(map(self._decode_valid, frames[: -limit - 1 : -1]))
        except (KeyboardInterrupt, SystemExit):
            raise  # nothing is consumed: all frames will be decoded again
        except BaseException:
            pass  # packets has the frames before the bad frame, which is decoded next
        if not packets:  # also if the decoder raises StopIteration, which silently ends map()
            return [self._decode_last(frames)]
        del frames[-len(packets) :]
        return packets

    def _decode_last(self, frames: list[bytes]) -> _T_Packet:
        """Decode the last of *frames*, and remove it."""
        frame = frames.pop()
        try:
            return self._decode(frame)
        except Exception as exc:
            self._fail(exc, self._remaining())
        except (KeyboardInterrupt, SystemExit):
            self._put_back(frame)  # nothing is consumed
            raise

    @abstractmethod
    def _put_back(self, frame: bytes) -> None:
        """Undo that *frame* was taken, the last thing that happened."""
        raise NotImplementedError

    @abstractmethod
    def _remaining(self) -> memoryview:
        """Return the bytes after the last frame taken, without a copy."""
        raise NotImplementedError

    def _fail(self, exc: BaseException, remaining_data: memoryview) -> NoReturn:
        """Raise the error for *exc*, which decoding a frame raised.

        The frame is consumed: the next call continues after it.
        """
        if isinstance(exc, DeserializeError):
            error = error_in_stream(exc, remaining_data, flat=self._reports_causes)
            raise StreamProtocolParseError(remaining_data, error) from error
        if isinstance(exc, PacketConversionError):
            raise StreamProtocolParseError(remaining_data, exc) from exc
        raise protocol_crash(exc) if isinstance(exc, Exception) else exc
