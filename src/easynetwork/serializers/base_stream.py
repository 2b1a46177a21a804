"""Bases of one's own serializers: packets with a separator, of a fixed size, or which show where they end."""

from __future__ import annotations

__all__ = ["AutoSeparatedPacketSerializer", "FileBasedPacketSerializer", "FixedSizePacketSerializer"]

from abc import abstractmethod
from collections.abc import Generator
from io import BytesIO
from typing import IO, Any

from easynetwork._checks import check_exception_types
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError

from ._copying import deserialize_from_buffer
from .abc import BufferedIncrementalPacketSerializer
from .framing import FixedSizeFrames, FramedPacketSerializer, SeparatedFrames

# Attributes have two underscores: these classes are made for inheritance, and nobody should have to know which names
# are taken.


class AutoSeparatedPacketSerializer(FramedPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Base of serializers whose packets are followed by a separator in a stream.

    A subclass defines ``serialize()`` and ``deserialize()``, which know nothing of separators.

    A packet whose bytes are ``b""`` is not sent, unless *send_empty* is true. One that is received is a packet always.

    Parameters:
        separator: what ends a packet.
        incremental_serialize_check_separator: make sure that the separator ends the packet and is not inside. Turn it
            off if ``serialize()`` cannot produce the separator.
        limit: how many bytes may come before the separator.
        send_empty: send a separator alone for a packet whose bytes are ``b""``, instead of nothing.
        debug: add ``error_info`` to exceptions.
        kwargs: passed to the next ``__init__()``.

    Raises:
        TypeError: *separator* is no bytes object.
        ValueError: *separator* is empty, or *limit* is not strictly positive.
    """

    __slots__ = ("__debug", "__empty_frame", "__frames", "__is_separator_checked")

    def __init__(
        self,
        separator: bytes,
        *,
        incremental_serialize_check_separator: bool = True,
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        send_empty: bool = False,
        debug: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.__frames: SeparatedFrames = SeparatedFrames(bytes(separator), limit)
        self.__is_separator_checked: bool = bool(incremental_serialize_check_separator)
        self.__empty_frame: bytes = self.__frames.separator if send_empty else b""
        self.__debug: bool = bool(debug)

    @property
    def separator(self) -> bytes:
        """What ends a packet."""
        return self.__frames.separator

    @property
    def buffer_limit(self) -> int:
        """How many bytes may come before the separator."""
        return self.__frames.limit

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self.__debug

    def frame_format(self) -> SeparatedFrames | None:
        """Says: frames followed by the separator."""
        return self.__frames

    def encode_frame(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns the bytes of *packet* followed by the separator, once.

        If there are no bytes: ``b""``, or the separator alone if ``send_empty``.

        Raises:
            ValueError: the separator is inside, and is checked.
        """
        data = self.serialize(packet)
        separator = self.__frames.separator
        if self.__is_separator_checked:
            if data.find(separator) >= 0:  # `in` takes two to eight times as long on bytes (CPython 3.11, 3.13)
                data = self.__frames.strip(data)
                if separator in data:
                    raise ValueError(f"The separator {separator!r} is inside of a serialized packet")
        elif data.endswith(separator):
            return data
        return data + separator if data else self.__empty_frame


class FixedSizePacketSerializer(FramedPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Base of serializers whose packets all have the same size.

    A subclass defines ``serialize()`` and ``deserialize()``.

    Parameters:
        size: the size of a packet, in bytes.
        debug: add ``error_info`` to exceptions.
        kwargs: passed to the next ``__init__()``.

    Raises:
        ValueError: *size* is not strictly positive.
    """

    __slots__ = ("__debug", "__frames")

    def __init__(self, size: int, *, debug: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__frames: FixedSizeFrames = FixedSizeFrames(int(size))
        self.__debug: bool = bool(debug)

    @property
    def packet_size(self) -> int:
        """The size of a packet, in bytes."""
        return self.__frames.size

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self.__debug

    def frame_format(self) -> FixedSizeFrames | None:
        """Says: frames of `packet_size` bytes."""
        return self.__frames

    def encode_frame(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns the bytes of *packet*.

        Raises:
            ValueError: ``serialize()`` returned another number of bytes than `packet_size`.
        """
        data = self.serialize(packet)
        if len(data) != self.__frames.size:
            raise ValueError(
                f"A packet of {self.__frames.size} bytes was expected, serialize() returned {len(data)} bytes"
            )
        return data


class FileBasedPacketSerializer(
    BufferedIncrementalPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co, memoryview]
):
    """Base of serializers whose packets show by themselves where they end, and that read and write files.

    A subclass defines `dump_to_file` and `load_from_file`.

    Parameters:
        expected_load_error: what `load_from_file` raises if the bytes are no valid packet.
        limit: how many bytes of an incomplete packet are held.
        debug: add ``error_info`` to exceptions.
        kwargs: passed to the next ``__init__()``.

    Raises:
        ValueError: *limit* is not strictly positive.
    """

    __slots__ = ("__debug", "__expected_load_error", "__limit")

    def __init__(
        self,
        expected_load_error: type[Exception] | tuple[type[Exception], ...],
        *,
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        debug: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if limit <= 0:
            raise ValueError(f"limit must be strictly positive, got {limit!r}")
        check_exception_types("expected_load_error", expected_load_error)
        self.__limit: int = limit
        self.__expected_load_error: type[Exception] | tuple[type[Exception], ...] = expected_load_error
        self.__debug: bool = bool(debug)

    @property
    def buffer_limit(self) -> int:
        """How many bytes of an incomplete packet are held."""
        return self.__limit

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self.__debug

    @abstractmethod
    def dump_to_file(self, packet: SentDTOPacketT_contra, file: IO[bytes], /) -> None:
        """Writes the bytes of *packet*. Whatever it raises is seen by who sends as a crash."""
        raise NotImplementedError

    @abstractmethod
    def load_from_file(self, file: IO[bytes], /) -> ReceivedDTOPacketT_co:
        """Reads one packet, and leaves *file* positioned after it.

        Raises:
            EOFError: there are too few bytes.
        """
        raise NotImplementedError

    def serialize(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Returns what `dump_to_file` writes."""
        file = BytesIO()
        self.dump_to_file(packet, file)
        return file.getvalue()

    def deserialize(self, data: bytes, /) -> ReceivedDTOPacketT_co:
        """Returns what `load_from_file` reads.

        Raises:
            DeserializeError: it has raised an expected error or `EOFError`, or has left bytes.
        """
        file = BytesIO(data)
        try:
            packet = self.load_from_file(file)
        except EOFError as exc:
            raise DeserializeError("The packet is incomplete", self._data_info(data)) from exc
        except self.__expected_load_error as exc:
            raise DeserializeError(str(exc), self._data_info(data)) from exc
        if extra := file.read():
            raise self._extra_data(packet, extra)
        return packet

    def incremental_serialize(self, packet: SentDTOPacketT_contra, /) -> Generator[bytes]:
        """Yields what `dump_to_file` writes, in one piece, unless it is nothing."""
        if data := self.serialize(packet):
            yield data

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Waits for the bytes of one packet and reads it with `load_from_file`, from the beginning each time.

        Raises:
            IncrementalDeserializeError: it has raised an expected error. Parsing goes on where it stopped reading.
            LimitOverrunError: more bytes were received than may be held. They are given up.
        """
        data = yield
        while True:
            file = BytesIO(data[: self.__limit])
            try:
                packet = self.load_from_file(file)
            except EOFError:
                if len(data) > self.__limit:
                    raise LimitOverrunError(f"More than {self.__limit} bytes in a packet", data, len(data))
            except self.__expected_load_error as exc:
                raise IncrementalDeserializeError(str(exc), data[file.tell() :], self._data_info(data)) from exc
            else:
                return packet, data[file.tell() :]
            del file
            data = yield from self.receive_more(data)

    def receive_more(self, data: bytes, /) -> Generator[None, bytes, bytes]:
        """Waits for more bytes of a packet which is incomplete; returns all of them, beginning with *data*.

        `load_from_file` is called after that, again from the beginning of the packet: after each piece that arrives,
        which takes quadratic time if they are small. A subclass that can tell from the bytes whether the packet is
        complete does better to wait until it is, or until more than `buffer_limit` bytes are held.
        """
        return data + (yield)

    def create_deserializer_buffer(self, sizehint: int, /) -> memoryview:
        """Returns a view of *sizehint* bytes, or of the limit if that is less."""
        return memoryview(bytearray(max(min(sizehint, self.__limit), 1)))

    def buffered_incremental_deserialize(
        self, buffer: memoryview, /
    ) -> Generator[None, int, tuple[ReceivedDTOPacketT_co, bytes]]:
        """Copies *buffer* for `incremental_deserialize`."""
        return deserialize_from_buffer(self.incremental_deserialize(), buffer)

    def _extra_data(self, packet: Any, extra: bytes) -> DeserializeError:
        info = {"packet": packet, "extra": extra} if self.__debug else None
        return DeserializeError("There are bytes after the packet", info)

    def _data_info(self, data: bytes) -> dict[str, Any] | None:
        return {"data": data} if self.__debug else None
