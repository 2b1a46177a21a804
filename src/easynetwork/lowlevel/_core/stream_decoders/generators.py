"""Framing by the generators of protocol objects, which may be a user's."""

from __future__ import annotations

__all__ = ["BufferedDecoder", "GeneratorDecoder"]

from abc import abstractmethod
from collections.abc import Generator
from typing import Any, NoReturn, Protocol, TypeVar

from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import LimitOverrunError, StreamProtocolParseError
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
    """Ends the generator that runs while the rest of a refused packet is dropped."""

    def __init__(self, remaining_data: ReadableBuffer) -> None:
        super().__init__(remaining_data)
        self.remaining_data = remaining_data


def _drop(rest: Generator[_T_Yielded, _T_Sent, ReadableBuffer]) -> Generator[_T_Yielded, _T_Sent, NoReturn]:
    """Take the place of the generator that builds a packet while *rest* drops that of a refused one."""
    raise _EndOfDroppedPacketError((yield from rest))


class _Input(Protocol):
    """What a decoder takes received bytes from."""

    @property
    def nbytes(self) -> int: ...

    def take(self, size: int, /) -> bytes: ...


class _LostFraming:
    """Stands in for the input of a decoder that cannot go on: nothing is checked before that is the case."""

    __slots__ = ("_cause",)

    def __init__(self, cause: BaseException) -> None:
        self._cause = cause

    @property
    def nbytes(self) -> NoReturn:
        raise FramingLostError from self._cause

    def take(self, size: int, /) -> NoReturn:
        raise FramingLostError from self._cause


class _ProtocolDecoder(StreamDecoder[_T_Packet]):
    """What both kinds of generators have in common: where the stream goes on after a packet that failed."""

    __slots__ = ("_between_packets", "_fed", "_generator", "_is_dropping", "_kept", "_queue", "_received")

    def __init__(self, between_packets: bytes) -> None:
        self._queue = BytesQueue()
        self.input: BytesQueue = self._queue
        self._received: _Input = self._queue
        self._generator: Generator[Any, Any, tuple[_T_Packet, Any]] | None = None
        self._kept: bytes = b""  # the remainder of the last packet, older than what is received
        self._fed: int = 0  # bytes that the generator has got and that did not complete its packet
        self._is_dropping = False  # the generator drops what is left of a refused packet
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
        """Begin a new packet with *remaining_data*, which comes before all other bytes."""
        raise NotImplementedError

    @abstractmethod
    def _drop_by(self, rest: Generator[None, bytes, bytes]) -> None:
        """Give what is received to *rest* until that ends. Then a new packet begins."""
        raise NotImplementedError

    def _reject(self, exc: StreamProtocolParseError) -> None:
        """Go on after the invalid packet that *exc* is about, which its parser raised."""
        self._go_on_with(exc.remaining_data)
        error = exc.error
        if isinstance(error, LimitOverrunError) and not error._is_over:
            if (rest := rest_of_refused(error)) is None:
                self._lose_framing(exc)
            else:
                self._is_dropping = True
                self._drop_by(rest)

    def _end_dropping(self, end: _EndOfDroppedPacketError) -> None:
        self._is_dropping = False
        self._go_on_with(end.remaining_data)

    def _fail(self, exc: BaseException) -> NoReturn:
        """Raise what *exc*, raised by the protocol object, means. Go on after its packet if that was cut before."""
        if (remaining_data := pop_remaining_data(exc)) is not None:
            self._go_on_with(remaining_data)
        else:
            self._lose_framing(exc)
        raise protocol_crash(exc) if isinstance(exc, Exception) else exc

    def _lose_framing(self, cause: BaseException) -> None:
        """Raise `FramingLostError` whenever a packet is asked for from now on."""
        self.clear()
        self._received = _LostFraming(cause)


class GeneratorDecoder(_ProtocolDecoder[_T_Packet]):
    """Any `StreamProtocol`: its generator gets at most *max_recv_size* bytes at a time."""

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
    """Any `BufferedStreamProtocol`: bytes are written into the protocol's own buffer.

    Who can read straight into that buffer does so between `get_buffer` and `buffer_updated`; what is fed is copied.
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
        self._written: int = 0  # bytes in the view that the generator was not told of

    @property
    def buffered(self) -> BufferedDecoder[_T_Packet]:
        return self

    def get_buffer(self) -> memoryview:
        """Returns where the next received bytes are to be written: at least one byte, writable.

        Raises:
            ValueError: the protocol object made a buffer that is empty or read-only.
            RuntimeError: the protocol object crashed or wants to write where its buffer ends.
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
        """Says that *nbytes* were written at the beginning of what `get_buffer` returned."""
        self._written += nbytes

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
            raise RuntimeError("The protocol object wants to receive bytes where its buffer ends")
        return window

    def _count(self, nbytes: int) -> None:
        """Count *nbytes*, written where the view begins, as part of an incomplete packet."""
        if not self._fed and self._between_packets:
            assert self._view is not None
            nbytes = len(bytes(self._view[:nbytes]).lstrip(self._between_packets))
        self._fed += nbytes

    def _go_on_with(self, remaining_data: ReadableBuffer) -> None:
        # Copied: it may be a view of the buffer that is used again.
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
    """Runs *generator* to its first ``yield``; returns it with what it yielded there."""
    try:
        return generator, next(generator)
    except StopIteration as exc:
        raise RuntimeError("The protocol object finished before it has asked for any byte") from exc
    except Exception as exc:
        raise protocol_crash(exc)
