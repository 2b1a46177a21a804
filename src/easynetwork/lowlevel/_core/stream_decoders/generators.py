"""Decoders that run the generators of protocol objects, including those that users write."""

from __future__ import annotations

__all__ = ["BufferedDecoder", "GeneratorDecoder"]

from abc import abstractmethod
from collections.abc import Generator
from typing import Any, NoReturn, Protocol, TypeVar

from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.bytes_queue import BytesQueue
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers._copying import deserialize_from_buffer
from easynetwork.serializers._results import not_a_pair
from easynetwork.serializers._resuming import pop_remaining_data, rest_of_refused

from .interface import NEED_DATA, FramingLostError, NeedData, StreamDecoder, protocol_crash

_T_Packet = TypeVar("_T_Packet")
_T_Sent = TypeVar("_T_Sent")
_T_Yielded = TypeVar("_T_Yielded")


class _EndOfDroppedPacketError(Exception):
    """Ends the generator that drops the rest of a refused packet."""

    def __init__(self, remaining_data: ReadableBuffer) -> None:
        super().__init__(remaining_data)
        self.remaining_data = remaining_data


def _drop(rest: Generator[_T_Yielded, _T_Sent, ReadableBuffer]) -> Generator[_T_Yielded, _T_Sent, NoReturn]:
    """Wrap *rest*, which drops the rest of a refused packet, so that it can run in place of a packet generator."""
    raise _EndOfDroppedPacketError((yield from rest))


class _Input(Protocol):
    """The source of received bytes of a decoder."""

    @property
    def nbytes(self) -> int: ...

    def take(self, size: int, /) -> bytes: ...


class _LostFraming:
    """The input of a decoder that cannot continue. It replaces the queue, so that the normal path needs no check."""

    __slots__ = ("_cause",)

    def __init__(self, cause: BaseException) -> None:
        self._cause = cause

    @property
    def nbytes(self) -> NoReturn:
        raise FramingLostError from self._cause

    def take(self, size: int, /) -> NoReturn:
        raise FramingLostError from self._cause


class _ProtocolDecoder(StreamDecoder[_T_Packet]):
    """Base class of both decoders. It finds where the stream continues after a failed packet."""

    __slots__ = ("_between_packets", "_fed", "_generator", "_is_dropping", "_kept", "_queue", "_received")

    def __init__(self, between_packets: bytes) -> None:
        self._queue = BytesQueue()
        self.input: BytesQueue = self._queue
        self._received: _Input = self._queue
        self._generator: Generator[Any, Any, tuple[_T_Packet, Any]] | None = None
        self._kept: bytes = b""  # bytes left over from the last packet; they precede the queue
        self._fed: int = 0  # number of bytes of an incomplete packet sent to the generator
        self._is_dropping = False  # whether the generator drops the rest of a refused packet
        self._between_packets = between_packets

    @property
    def pending(self) -> int:
        return 0 if self._generator is None or self._is_dropping else self._fed

    @property
    def holds_input(self) -> bool:
        return bool(self._queue.nbytes or self._kept or self._is_dropping or self.pending)

    def clear(self) -> None:
        self._queue.clear()
        self._received = self._queue
        self._kept = b""
        self._is_dropping = False
        if self._generator is not None:
            self._generator.close()
            self._generator = None

    @abstractmethod
    def _go_on_with(self, remaining_data: ReadableBuffer) -> None:
        """Start a new packet with *remaining_data*, which precedes all other bytes."""
        raise NotImplementedError

    @abstractmethod
    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        """Pass received bytes to *rest* until it ends. Then start a new packet."""
        raise NotImplementedError

    def _reject(self, exc: StreamProtocolParseError) -> None:
        """Continue after the invalid packet for which the parser raised *exc*."""
        self._go_on_with(exc.remaining_data)
        error = exc.error
        if isinstance(error, IncrementalDeserializeError) and not error._is_over:
            if (rest := rest_of_refused(error)) is None:
                self._lose_framing(exc)
            else:
                self._is_dropping = True
                self._drop_by(rest)

    def _end_dropping(self, end: _EndOfDroppedPacketError) -> None:
        self._is_dropping = False
        self._go_on_with(end.remaining_data)

    def _fail(self, exc: BaseException) -> NoReturn:
        """Raise the error for *exc*, which the protocol object raised.

        Continue after the failed packet if its end is known. Otherwise, the framing is lost.
        """
        if (remaining_data := pop_remaining_data(exc)) is not None:
            self._go_on_with(remaining_data)
        else:
            self._lose_framing(exc)
        raise protocol_crash(exc) if isinstance(exc, Exception) else exc

    def _lose_framing(self, cause: BaseException) -> None:
        """Make all further requests for a packet raise `FramingLostError`."""
        self.clear()
        self._received = _LostFraming(cause)


class GeneratorDecoder(_ProtocolDecoder[_T_Packet]):
    """A decoder for any `StreamProtocol`. Its generator gets at most *max_recv_size* bytes at a time."""

    __slots__ = ("_build", "_max_recv_size")

    def __init__(self, protocol: StreamProtocol[Any, _T_Packet], max_recv_size: int, between_packets: bytes) -> None:
        super().__init__(between_packets)
        self._build = protocol.build_packet_from_chunks
        self._max_recv_size = max_recv_size

    def next_packet(self) -> _T_Packet | NeedData:
        while data := self._kept or self._received.take(self._max_recv_size):
            generator = self._generator
            if generator is None:
                try:
                    generator = self._generator = _started(self._build())[0]
                except BaseException:
                    self._kept = data
                    raise
                self._fed = 0
            self._kept = b""
            try:
                generator.send(data)
            except StopIteration as stop:
                self._generator = None
                packet: _T_Packet
                try:
                    packet, self._kept = stop.value
                except (TypeError, ValueError):
                    self._fail(not_a_pair("build_packet_from_chunks()", stop.value))
                return packet
            except StreamProtocolParseError as exc:
                self._reject(exc)
                raise
            except _EndOfDroppedPacketError as end:
                self._end_dropping(end)
            except BaseException as exc:
                self._fail(exc)
            else:
                self._fed += len(data) if self._fed else len(data.lstrip(self._between_packets))
        return NEED_DATA

    def _go_on_with(self, remaining_data: ReadableBuffer) -> None:
        self._generator = None
        self._kept = bytes(remaining_data)

    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        self._generator = _started(_drop(rest))[0]


class BufferedDecoder(_ProtocolDecoder[_T_Packet]):
    """A decoder for any `BufferedStreamProtocol`. Bytes are written into the buffer of the protocol object.

    A transport can read directly into that buffer, between `get_buffer` and `buffer_updated`. Chunks that are fed are
    copied.
    """

    __slots__ = ("_protocol", "_sizehint", "_user_buffer", "_view", "_written")

    def __init__(
        self, protocol: BufferedStreamProtocol[Any, _T_Packet, Any], max_recv_size: int, between_packets: bytes
    ) -> None:
        super().__init__(between_packets)
        self._protocol = protocol
        self._sizehint = max_recv_size
        self._user_buffer: Any = None
        self._view: memoryview | None = None  # where the next bytes go; None while no generator runs
        self._written: int = 0  # bytes in the view not yet reported to the generator

    @property
    def buffered(self) -> BufferedDecoder[_T_Packet]:
        return self

    def get_buffer(self) -> memoryview:
        """Return the writable buffer for the next received bytes. It has room for at least one byte.

        Raises:
            ValueError: the protocol object created an empty or read-only buffer.
            RuntimeError: the protocol object raised an unexpected exception, or its write position is at the end of its
                buffer.
        """
        if self._view is None:
            if self._user_buffer is None:
                buffer = self._protocol.create_buffer(self._sizehint)
                with memoryview(buffer) as view:
                    if view.readonly:
                        raise ValueError("The protocol object created a read-only buffer")
                    if not view.nbytes:
                        raise ValueError("The protocol object created an empty buffer")
                self._user_buffer = buffer
            self._generator, position = _started(self._protocol.build_packet_from_buffer(self._user_buffer))
            self._view = self._window(position)
            self._fed = 0
        return self._view[self._written :]

    def buffer_updated(self, nbytes: int) -> None:
        """Report that *nbytes* bytes were written to the start of the buffer from `get_buffer`."""
        self._written += nbytes

    def take_single(self, received: bytes | int) -> NeedData:
        if isinstance(received, int):
            self.buffer_updated(received)
        else:
            self.input.append(received)
        return NEED_DATA

    def next_packet(self) -> _T_Packet | NeedData:
        while self._written or self._copy_fed_bytes():
            assert self._generator is not None
            nbytes, self._written = self._written, 0
            try:
                position = self._generator.send(nbytes)
                window = self._window(position)
            except StopIteration as stop:
                packet: _T_Packet
                try:
                    packet, remaining = stop.value
                    self._go_on_with(remaining)
                except (TypeError, ValueError):
                    self._fail(not_a_pair("build_packet_from_buffer()", stop.value))
                return packet
            except StreamProtocolParseError as exc:
                self._reject(exc)
                raise
            except _EndOfDroppedPacketError as end:
                self._end_dropping(end)
            except BaseException as exc:
                self._fail(exc)
            else:
                self._count(nbytes)
                self._view = window
        return NEED_DATA

    @property
    def holds_input(self) -> bool:
        return self._written > 0 or super().holds_input

    def clear(self) -> None:
        super().clear()
        self._drop_buffer()

    def _window(self, position: int | None) -> memoryview:
        window = memoryview(self._user_buffer).cast("B")[position or 0 :]
        if not window:
            self._drop_buffer()
            raise RuntimeError("The protocol object left no room in its buffer: the write position is its end")
        return window

    def _count(self, nbytes: int) -> None:
        """Count *nbytes* bytes, written at the start of the view, as part of an incomplete packet."""
        if not self._fed and self._between_packets:
            assert self._view is not None
            nbytes = len(bytes(self._view[:nbytes]).lstrip(self._between_packets))
        self._fed += nbytes

    def _go_on_with(self, remaining_data: ReadableBuffer) -> None:
        # A copy, because it may be a view of the buffer, which is used again.
        self._generator = self._view = None
        self._kept = bytes(remaining_data) + self._kept

    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        self._view = self._window(None)
        self._generator = _started(_drop(deserialize_from_buffer(rest, self._view)))[0]

    def _copy_fed_bytes(self) -> int:
        if not self._kept and not self._received.nbytes:
            return 0
        buffer = self.get_buffer()
        piece = self._kept[: len(buffer)]
        self._kept = self._kept[len(buffer) :]
        piece = piece or self._received.take(len(buffer))
        buffer[: len(piece)] = piece
        self._written = len(piece)
        return self._written

    def _drop_buffer(self) -> None:
        self._generator = self._view = self._user_buffer = None
        self._written = 0


_T_Generator = TypeVar("_T_Generator", bound=Generator[Any, Any, Any])


def _started(generator: _T_Generator) -> tuple[_T_Generator, Any]:
    """Run *generator* to its first ``yield``. Return it and the value that it yielded."""
    try:
        return generator, next(generator)
    except StopIteration as exc:
        raise RuntimeError("The generator of the protocol object finished before it asked for any bytes") from exc
    except Exception as exc:
        raise protocol_crash(exc)
