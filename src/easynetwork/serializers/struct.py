"""Binary structures with a fixed layout, as in the standard module `struct`."""

from __future__ import annotations

__all__ = ["AbstractStructSerializer", "NamedTupleStructSerializer", "StructSerializer"]

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, final

from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError

from .base_stream import FixedSizePacketSerializer

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

_BYTE_ORDERS: Final[tuple[str, ...]] = ("@", "=", "<", ">", "!")
_FIELD_FORMAT: Final = re.compile(r"[A-Za-z?]|[0-9]+s")


class AbstractStructSerializer(FixedSizePacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Base class for serializers whose packets are structures.

    A subclass converts packets to values and values to packets.

    Parameters:
        format: a format of `struct.Struct`; in network byte order (``!``) unless it specifies another.
        debug: add ``error_info`` to exceptions.

    Raises:
        struct.error: *format* is invalid.
        ValueError: *format* is empty.
    """

    __slots__ = ("__struct", "__unpack")

    def __init__(self, format: str, *, debug: bool = False) -> None:
        if not isinstance(format, str):
            raise TypeError(f"format must be a str, got {format!r}")
        if not format.startswith(_BYTE_ORDERS):
            format = f"!{format}"
        self.__struct: Struct = Struct(format)
        self.__unpack: Callable[[bytes], tuple[Any, ...]] = self.__struct.unpack
        super().__init__(self.__struct.size, debug=debug)

    @property
    def struct(self) -> Struct:
        """The structure."""
        return self.__struct

    @abstractmethod
    def iter_values(self, packet: SentDTOPacketT_contra, /) -> Iterable[Any]:
        """Return the values to pack. Any exception makes sending raise `RuntimeError`."""
        raise NotImplementedError

    @abstractmethod
    def from_tuple(self, packet_tuple: tuple[Any, ...], /) -> ReceivedDTOPacketT_co:
        """Convert the unpacked values to a packet.

        Raises:
            DeserializeError: the values are not a valid packet.
        """
        raise NotImplementedError

    @final
    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Return the packed values.

        Raises:
            struct.error: the values do not match the format.
        """
        return self.__struct.pack(*self.iter_values(packet))

    @final
    def encode_frame(self, packet: SentDTOPacketT_contra, /) -> bytes:
        """Return the packed values, which always have the right size. Raise the same errors as `serialize`."""
        return self.__struct.pack(*self.iter_values(packet))

    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Return the packet made from the unpacked values.

        Raises:
            DeserializeError: *data* does not have the size of the structure, or `from_tuple` raised it.
        """
        try:
            values = self.__unpack(data)
        except StructError as exc:
            raise self._wrong_size(data, exc) from exc
        return self.from_tuple(values)

    def _wrong_size(self, data: bytes, exc: StructError) -> DeserializeError:
        return DeserializeError(str(exc), {"data": data} if self.debug else None)


class StructSerializer(AbstractStructSerializer[tuple[Any, ...], tuple[Any, ...]]):
    """Each packet is a tuple of values.

    Parameters:
        format: a format of `struct.Struct`; in network byte order (``!``) unless it specifies another.
        debug: add ``error_info`` to exceptions.

    Raises:
        struct.error: *format* is invalid.
        ValueError: *format* is empty.
    """

    __slots__ = ("_unpack",)

    def __init__(self, format: str, *, debug: bool = False) -> None:
        super().__init__(format, debug=debug)
        self._unpack: Callable[[bytes], tuple[Any, ...]] = self.struct.unpack

    @final
    def deserialize(self, data: bytes) -> tuple[Any, ...]:
        """Return the unpacked values. Does not call `from_tuple`, which would take as long as unpacking.

        Raises:
            DeserializeError: *data* does not have the size of the structure.
        """
        try:
            return self._unpack(data)
        except StructError as exc:
            raise self._wrong_size(data, exc) from exc

    @final
    def iter_values(self, packet: tuple[Any, ...], /) -> tuple[Any, ...]:
        """Return *packet*.

        Raises:
            TypeError: *packet* is not a tuple.
        """
        if not isinstance(packet, tuple):
            raise TypeError(f"Expected a tuple, got {packet!r}")
        return packet

    @final
    def from_tuple(self, packet_tuple: tuple[Any, ...], /) -> tuple[Any, ...]:
        """Return *packet_tuple*."""
        return packet_tuple


_T_NamedTuple = TypeVar("_T_NamedTuple", bound=NamedTuple)


class NamedTupleStructSerializer(AbstractStructSerializer[_T_NamedTuple, _T_NamedTuple]):
    """Each packet is a named tuple, whose fields are packed in order.

    Parameters:
        namedtuple_cls: the class of the packets.
        field_formats: the format of each field: one letter, or digits and ``s``.
        format_endianness: the byte order, one of ``@ = < > !``; network byte order by default.
        encoding: encoding of ``str`` fields (format ``s``); with None they are ``bytes``.
        unicode_errors: error handler of the encoding, as for ``str.encode()``.
        strip_string_trailing_nul_bytes: remove the padding of ``s`` fields.
        debug: add ``error_info`` to exceptions.

    Raises:
        KeyError: the format of a field is missing.
        ValueError: a format or the byte order is not allowed.
        struct.error: a format is invalid.
    """

    __slots__ = ("_cls", "_encoding", "_string_fields", "_strips", "_unicode_errors")

    def __init__(
        self,
        namedtuple_cls: type[_T_NamedTuple],
        field_formats: SupportsKeysAndGetItem[str, str],
        format_endianness: str = "",
        encoding: str | None = "utf-8",
        unicode_errors: str = "strict",
        strip_string_trailing_nul_bytes: bool = True,
        *,
        debug: bool = False,
    ) -> None:
        formats = dict(field_formats)
        for field, format in formats.items():
            if not _FIELD_FORMAT.fullmatch(format):
                raise ValueError(f"The format of {field!r} must be one letter, or digits and 's'; got {format!r}")
        if format_endianness and format_endianness not in _BYTE_ORDERS:
            raise ValueError(f"format_endianness must be one of {' '.join(_BYTE_ORDERS)}, got {format_endianness!r}")
        fields: tuple[str, ...] = namedtuple_cls._fields
        super().__init__(format_endianness + "".join(formats[field] for field in fields), debug=debug)
        self._cls: type[_T_NamedTuple] = namedtuple_cls
        self._string_fields: tuple[str, ...] = tuple(field for field in fields if formats[field].endswith("s"))
        self._encoding: str | None = encoding
        self._unicode_errors: str = unicode_errors
        self._strips: bool = bool(strip_string_trailing_nul_bytes)

    @final
    def iter_values(self, packet: _T_NamedTuple) -> _T_NamedTuple:
        """Return *packet* with its ``str`` fields encoded.

        Raises:
            TypeError: *packet* is not an instance of the named tuple class, or a field to encode is not a ``str``.
            UnicodeError: a field cannot be encoded.
        """
        if not isinstance(packet, self._cls):
            raise TypeError(f"Expected an instance of {self._cls.__name__}, got {packet!r}")
        encoding = self._encoding
        if encoding is None or not self._string_fields:
            return packet
        errors = self._unicode_errors
        return packet._replace(
            **{field: str.encode(getattr(packet, field), encoding, errors) for field in self._string_fields}
        )

    @final
    def from_tuple(self, packet_tuple: tuple[Any, ...], /) -> _T_NamedTuple:
        """Return a named tuple with its ``str`` fields decoded.

        Raises:
            DeserializeError: a field cannot be decoded.
        """
        packet = self._cls._make(packet_tuple)
        if not self._string_fields:
            return packet
        try:
            return packet._replace(**{field: self._decode(getattr(packet, field)) for field in self._string_fields})
        except UnicodeError as exc:
            info = {"unpacked_struct": packet_tuple} if self.debug else None
            raise DeserializeError(str(exc), info) from exc

    def _decode(self, value: bytes) -> str | bytes:
        if self._strips:
            value = value.rstrip(b"\0")
        return value if self._encoding is None else value.decode(self._encoding, self._unicode_errors)
