"""Decoders that run the generators of protocol objects, including those that users write."""

from __future__ import annotations

__all__ = ["BufferedDecoder", "GeneratorDecoder"]

from abc import abstractmethod
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final, NoReturn, Protocol, TypeVar

from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import IncrementalDeserializeError, StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel._core.bytes_queue import BytesQueue
from easynetwork.lowlevel._overrides import is_overridden
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol, build_packets
from easynetwork.serializers._copying import deserialize_from_buffer
from easynetwork.serializers._results import packet_and_rest
from easynetwork.serializers._resuming import pop_remaining_data, rest_of_refused

from .interface import NEED_DATA, FramingLostError, NeedData, StreamDecoder, protocol_crash

_T_Packet = TypeVar("_T_Packet")
_T_Sent = TypeVar("_T_Sent")
_T_Yielded = TypeVar("_T_Yielded")

_SMALL_PIECE: Final = 4096
"""Maximum size, in bytes, of the first piece that a generator gets, unless the packet before it was larger.

A generator returns a copy of the bytes after its packet. If it got whole chunks, a large chunk of small packets would
take quadratic time. Smaller pieces are not worth it: cutting one costs as much as copying 4 KiB.
"""


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
    """Base class of both decoders. It finds where the stream continues after a failed packet.

    A generator of the decoder runs those of the protocol object, one after another. ``yield from`` gets their results
    without a `StopIteration`, which takes 0.1 µs: as long as creating and starting a generator.
    """

    __slots__ = (
        "_between_packets",
        "_fed",
        "_generator",
        "_is_dropping",
        "_kept",
        "_max_recv_size",
        "_piece_size",
        "_queue",
        "_received",
        "_results",
    )

    def __init__(self, max_recv_size: int, between_packets: bytes) -> None:
        self._queue = BytesQueue()
        self.input: BytesQueue = self._queue
        self._received: _Input = self._queue
        self._generator: Generator[Any, Any, Any] | None = None
        self._results: list[tuple[_T_Packet, bytes]] = []  # the generator appends a packet and the bytes after it
        self._kept: bytes = b""  # bytes left over from the last packet; they precede the queue
        self._fed: int = 0  # number of bytes of an incomplete packet sent to the generator
        self._is_dropping = False  # whether the generator drops the rest of a refused packet
        self._max_recv_size = max_recv_size
        self._piece_size: int = min(_SMALL_PIECE, max_recv_size)  # maximum size of the next piece
        self._between_packets = between_packets

    @property
    def pending(self) -> int:
        return 0 if self._is_dropping else self._fed

    @property
    def holds_input(self) -> bool:
        return bool(self._queue.nbytes or self._kept or self._results or self._is_dropping or self.pending)

    def take_undelivered(self, count: int = 0) -> bytes:
        nbytes = self._received.nbytes  # raises the error of a lost framing
        if self.pending:
            text = f"The protocol object has already taken {self.pending} bytes of an incomplete packet"
            raise UnsupportedOperation(text)
        undelivered = self._kept + (self._queue.take_all() if nbytes else b"")
        self.clear()
        return undelivered

    def clear(self) -> None:
        self._queue.clear()
        self._received = self._queue
        self._kept = b""
        self._fed = 0
        self._is_dropping = False
        self._results.clear()
        generator, self._generator = self._generator, None
        if generator is not None:
            generator.close()

    def _use_larger_pieces(self) -> None:
        """Double the limit, because a packet is larger than a piece."""
        self._piece_size = min(2 * self._piece_size, self._max_recv_size)

    def _go_on_with(self, remaining_data: ReadableBuffer, fed: int = 0) -> None:
        """Start a new packet with *remaining_data*, which precedes all other bytes.

        Parameters:
            remaining_data: the bytes after a packet.
            fed: number of bytes that were sent to its generator.
        """
        remaining = bytes(remaining_data)  # a copy if it is a view of a buffer, which is used again
        # Packets are often like the one before. One that is smaller costs a copy of at most twice the one before.
        expected_size = 2 * (fed - len(remaining))
        self._piece_size = min(expected_size if expected_size > _SMALL_PIECE else _SMALL_PIECE, self._max_recv_size)
        self._fed = 0
        if self._kept:
            self._queue.give_back(self._kept)
        if len(remaining) > _SMALL_PIECE:
            self._queue.give_back(remaining)
            remaining = b""
        self._kept = remaining

    def _fail_to_start(self, exc: BaseException) -> NoReturn:
        """Raise the error for *exc*, which ended the generator before it asked for any bytes of a packet."""
        self._generator = None
        self._results.clear()
        if isinstance(exc, StopIteration):
            text = "The generator of the protocol object finished before it asked for any bytes"
            raise RuntimeError(text) from exc
        raise protocol_crash(exc) if isinstance(exc, Exception) else exc

    @abstractmethod
    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        """Pass received bytes to *rest* until it ends. Then start a new packet."""
        raise NotImplementedError

    def _reject(self, exc: StreamProtocolParseError) -> None:
        """Continue after the invalid packet for which the parser raised *exc*."""
        self._generator = None
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
        self._generator = None
        self._go_on_with(end.remaining_data)

    def _fail(self, exc: BaseException) -> NoReturn:
        """Raise the error for *exc*, which the protocol object raised.

        Continue after the failed packet if its end is known. Otherwise, the framing is lost.
        """
        self._generator = None
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

    __slots__ = ("_is_waiting", "_protocol", "drained")

    def __init__(self, protocol: StreamProtocol[Any, _T_Packet], max_recv_size: int, between_packets: bytes) -> None:
        super().__init__(max_recv_size, between_packets)
        self._protocol = protocol
        self._is_waiting = False  # whether the generator waits for more bytes of a packet

    def next_packet(self) -> _T_Packet | NeedData:
        results = self._results
        if results:  # of take_single()
            packet, self._kept = results.pop()
            return packet
        while data := self._kept or self._received.take(self._piece_size):
            generator = self._generator
            if not self._is_waiting:
                self._kept = data
                try:
                    if generator is None:
                        generator = self._generator = self._build_packets()
                    next(generator)
                except BaseException as exc:
                    self._fail_to_start(exc)
                if results:
                    self._fail_to_start(StopIteration(results[0]))
            assert generator is not None
            self._kept = b""
            try:
                generator.send(data)
                if results:
                    packet, remaining = results.pop()
                    if self._is_waiting or self._piece_size > _SMALL_PIECE:
                        self._go_on_with(remaining, self._fed + len(data))
                    else:
                        self._kept = remaining
                    return packet
            except StreamProtocolParseError as exc:
                self._reject(exc)
                raise
            except _EndOfDroppedPacketError as end:
                self._end_dropping(end)
            except BaseException as exc:
                self._fail(exc)
            else:
                self._is_waiting = True
                self._fed += len(data) if self._fed else len(data.lstrip(self._between_packets))
                if len(data) == self._piece_size:
                    self._use_larger_pieces()
        return NEED_DATA

    def next_packets(self, limit: int) -> list[_T_Packet]:
        packet = self.next_packet()
        self.drained = not self._kept and not self._queue.nbytes
        return [] if packet is NEED_DATA else [packet]

    def take_single(self, received: bytes) -> _T_Packet | NeedData:
        if self._results or self._kept or self._received.nbytes or len(received) > self._piece_size:
            self._queue.append(received)
            return NEED_DATA
        self._kept = received
        packet = self.next_packet()
        if packet is NEED_DATA or not (self._kept or self._queue.nbytes):
            return packet
        self._results.append((packet, self._kept))
        return NEED_DATA

    def clear(self) -> None:
        self._is_waiting = False
        super().clear()

    def _build_packets(self) -> Generator[None, bytes, NoReturn]:
        protocol, results = self._protocol, self._results
        if _is_plain(protocol, StreamProtocol.build_packet_from_chunks):
            return build_packets(protocol, protocol._serializer.incremental_deserialize, results)
        return _build_packets_by("build_packet_from_chunks", protocol, results)

    def _go_on_with(self, remaining_data: ReadableBuffer, fed: int = 0) -> None:
        self._is_waiting = False
        super()._go_on_with(remaining_data, fed)

    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        self._generator = _drop(rest)
        next(self._generator)
        self._is_waiting = True


class BufferedDecoder(_ProtocolDecoder[_T_Packet]):
    """A decoder for any `BufferedStreamProtocol`. Bytes are written into the buffer of the protocol object.

    A transport can read directly into that buffer, between `get_buffer` and `buffer_updated`. Chunks that are fed are
    copied.
    """

    __slots__ = ("_protocol", "_user_buffer", "_view", "_written")

    def __init__(
        self, protocol: BufferedStreamProtocol[Any, _T_Packet, Any], max_recv_size: int, between_packets: bytes
    ) -> None:
        super().__init__(max_recv_size, between_packets)
        self._protocol = protocol
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
        if self._view is None or self._generator is None:
            if self._user_buffer is None:
                buffer = self._protocol.create_buffer(self._max_recv_size)
                with memoryview(buffer) as view:
                    if view.readonly:
                        raise ValueError("The protocol object created a read-only buffer")
                    if not view.nbytes:
                        raise ValueError("The protocol object created an empty buffer")
                self._user_buffer = buffer
            try:
                if self._generator is None:
                    self._generator = self._build_packets(self._user_buffer)
                position = next(self._generator)
            except BaseException as exc:
                self._fail_to_start(exc)
            if self._results:
                self._fail_to_start(StopIteration(self._results[0]))
            self._view = self._window(position)
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
                if self._results:
                    packet, remaining = self._results.pop()
                    self._view = None
                    self._go_on_with(remaining, self._fed + nbytes)
                    return packet
                window = self._window(position)
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
                if nbytes == self._piece_size:
                    self._use_larger_pieces()
        return NEED_DATA

    @property
    def holds_input(self) -> bool:
        return self._written > 0 or super().holds_input

    def take_undelivered(self, count: int = 0) -> bytes:
        written = bytes(self._view[: self._written]) if self._view is not None else b""
        return written + super().take_undelivered(count)

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

    def _build_packets(self, buffer: Any) -> Generator[int | None, int, NoReturn]:
        protocol, results = self._protocol, self._results
        if _is_plain(protocol, BufferedStreamProtocol.build_packet_from_buffer):
            deserialize = protocol._serializer.buffered_incremental_deserialize
            return build_packets(protocol, partial(deserialize, buffer), results)
        return _build_packets_by("build_packet_from_buffer", protocol, results, buffer)

    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        self._view = self._window(None)
        self._generator = _drop(deserialize_from_buffer(rest, self._view))
        next(self._generator)

    def _copy_fed_bytes(self) -> int:
        data = self._kept = self._kept or self._received.take(self._piece_size)
        if not data:
            return 0
        buffer = self.get_buffer()
        nbytes = min(len(data), len(buffer))
        buffer[:nbytes] = data[:nbytes]
        self._kept = data[nbytes:]
        self._written = nbytes
        return nbytes

    def _drop_buffer(self) -> None:
        self._generator = self._view = self._user_buffer = None
        self._written = 0


def _is_plain(protocol: object, method: Callable[..., Any]) -> bool:
    """Return whether *protocol* runs its serializer by our *method*."""
    # There is no serializer if a subclass does not call super().__init__().
    return hasattr(protocol, "_serializer") and not is_overridden(protocol, method)


def _build_packets_by(
    method: str, protocol: object, results: list[tuple[Any, bytes]], *arguments: object
) -> Generator[Any, Any, NoReturn]:
    """Do the same as `build_packets` by the generators of a *method* that *protocol* overrides."""
    build_packet = partial(getattr(protocol, method), *arguments)
    while True:
        packet, remaining = packet_and_rest((yield from build_packet()), protocol, method)
        results.append((packet, bytes(remaining)))
        del packet, remaining
        yield
