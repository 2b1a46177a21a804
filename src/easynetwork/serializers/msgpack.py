"""MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md). Requires the extra ``msgpack``."""

from __future__ import annotations

__all__ = ["MessagePackSerializer", "MessagePackerConfig", "MessageUnpackerConfig"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Final, final

from easynetwork._extras import missing_extra
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError

from ._self_delimiting import ItemEndFinder, Nesting, SelfDelimitingSerializer


@dataclass(kw_only=True)
class MessagePackerConfig:
    """Arguments of ``msgpack.Packer``; see its documentation."""

    default: Callable[[Any], Any] | None = None
    """Called with each object of an unknown type. It returns what to write in its place."""

    use_single_float: bool = False
    """Write floating-point numbers with 32 bits instead of 64."""

    use_bin_type: bool = True
    """Write ``bytes`` as the type *bin*. Without this, text and bytes look the same."""

    datetime: bool = False
    """Write dates that have a time zone as the type *timestamp*."""

    strict_types: bool = False
    """Pass instances of subclasses, and tuples, to `default`."""

    unicode_errors: str = "strict"
    """Error handler for text that UTF-8 cannot express, as for ``str.encode()``."""


@dataclass(kw_only=True)
class MessageUnpackerConfig:
    """Arguments of ``msgpack.unpackb()``; see its documentation."""

    raw: bool = False
    """Return text as ``bytes``."""

    use_list: bool = True
    """Return arrays as lists. Without this, they are tuples."""

    timestamp: int = 0
    """What the type *timestamp* becomes.

    0 means a ``msgpack.Timestamp``, 1 a number of seconds, 2 a number of nanoseconds, and 3 a `datetime.datetime`.
    """

    strict_map_key: bool = True
    """Refuse keys that are neither text nor bytes, which protects against hash collisions."""

    unicode_errors: str = "strict"
    """Error handler for text that is not valid UTF-8, as for ``bytes.decode()``."""

    object_hook: Callable[[dict[Any, Any]], Any] | None = None
    """Called with each decoded map. Its result replaces the map."""

    object_pairs_hook: Callable[[list[tuple[Any, Any]]], Any] | None = None
    """Called with the keys and values of each map, in order. It excludes `object_hook`."""

    ext_hook: Callable[[int, bytes], Any] | None = None
    """None means ``msgpack.ExtType``."""


class MessagePackSerializer(SelfDelimitingSerializer[Any, Any]):
    """One MessagePack object per packet.

    Parameters:
        packer_config: packer options.
        unpacker_config: unpacker options.
        limit: maximum number of buffered bytes of an incomplete packet.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``msgpack`` is not installed.
        TypeError: a config is not an instance of its class.
        ValueError: *limit* is not strictly positive.
    """

    __slots__ = ("_extra_data_type", "_out_of_data", "_packb", "_unpackb", "_unpacker_type")

    def __init__(
        self,
        packer_config: MessagePackerConfig | None = None,
        unpacker_config: MessageUnpackerConfig | None = None,
        *,
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        debug: bool = False,
    ) -> None:
        try:
            import msgpack
        except ModuleNotFoundError as exc:
            raise missing_extra("msgpack", extra="msgpack") from exc
        super().__init__(Exception, limit=limit, debug=debug)
        if packer_config is None:
            packer_config = MessagePackerConfig()
        elif not isinstance(packer_config, MessagePackerConfig):
            raise TypeError(f"packer_config must be a MessagePackerConfig, got {packer_config!r}")
        if unpacker_config is None:
            unpacker_config = MessageUnpackerConfig()
        elif not isinstance(unpacker_config, MessageUnpackerConfig):
            raise TypeError(f"unpacker_config must be a MessageUnpackerConfig, got {unpacker_config!r}")
        self._packb: Callable[[Any], bytes] = partial(msgpack.packb, **_arguments(packer_config))
        arguments = _arguments(unpacker_config)
        if arguments["ext_hook"] is None:
            arguments["ext_hook"] = msgpack.ExtType
        self._unpackb: Callable[[bytes], Any] = partial(msgpack.unpackb, **arguments)
        self._unpacker_type: type[Any] = msgpack.Unpacker
        self._out_of_data: type[Exception] = msgpack.OutOfData
        self._extra_data_type: type[Exception] = msgpack.ExtraData

    @final
    def serialize(self, packet: Any) -> bytes:
        """Return the bytes of *packet*. Exceptions from ``msgpack.packb()`` propagate."""
        return self._packb(packet)

    @final
    def deserialize(self, data: bytes) -> Any:
        """Return the object in *data*.

        Raises:
            DeserializeError: *data* is malformed, incomplete or followed by other bytes; or a hook rejects the object.
        """
        try:
            end = self._find_end(data)
            packet = self._unpackb(data[:end])
        except EOFError:
            text = "The object is incomplete"
            raise DeserializeError(text, self._data_info(data)) from ValueError(text)  # like msgpack.unpackb()
        except Exception as exc:
            raise DeserializeError(_message_of(exc), self._data_info(data)) from exc
        if extra := data[end:]:
            raise self._extra_data(packet, extra) from self._extra_data_type(packet, extra)
        return packet

    @final
    def dump_to_file(self, packet: Any, file: IO[bytes]) -> None:
        """Write the bytes of *packet*. Exceptions from ``msgpack.packb()`` propagate."""
        file.write(self._packb(packet))

    @final
    def load_from_file(self, file: IO[bytes]) -> Any:
        """Read one object.

        Raises:
            EOFError: the object is incomplete. No memory is allocated for data that was announced but has not arrived.
            Exception: the object is malformed, or a hook rejects it.
        """
        start = file.tell()
        data = file.read()
        end = self._find_end(data)
        file.seek(start + end)
        try:
            return self._unpackb(data[:end])
        except EOFError as exc:  # raised by a hook: the object is complete
            raise ValueError(f"A hook failed: {exc!r}") from exc

    @final
    def new_end_finder(self) -> ItemEndFinder:
        """Return a new object that finds the end of one MessagePack object."""
        return ItemEndFinder(_read_head)

    def _find_end(self, data: bytes) -> int:
        """Return where the first object in *data* ends.

        Unpacking it directly would be slightly faster, but it allocates memory for the announced size of each array:
        megabytes for five bytes, multiplied by the nesting depth. Skipping allocates nothing.
        """
        if not data:
            raise EOFError("There is no data")
        unpacker = self._unpacker_type(max_buffer_size=len(data), read_size=len(data))
        unpacker.feed(data)
        try:
            unpacker.skip()
        except self._out_of_data as exc:
            raise EOFError("The object is incomplete") from exc
        end: int = unpacker.tell()
        return end


def _message_of(exc: Exception) -> str:
    """Return the message of *exc*. Exceptions of msgpack about malformed bytes have no message, only a name."""
    return str(exc) or f"Malformed, or nested too deeply ({type(exc).__name__})"


def _arguments(config: MessagePackerConfig | MessageUnpackerConfig) -> dict[str, Any]:
    arguments = dict(vars(config))
    if arguments["unicode_errors"] == "strict":
        del arguments["unicode_errors"]  # msgpack has a faster path if the default is not passed explicitly
    return arguments


# Heads with a length: (size of the head, number of bytes from its second on that hold the length, unit of the length).
_BYTES: Final = 0
_ITEMS: Final = 1
_PAIRS: Final = 2
_SIZED: Final[dict[int, tuple[int, int, int]]] = {
    0xC4: (2, 1, _BYTES),
    0xC5: (3, 2, _BYTES),
    0xC6: (5, 4, _BYTES),
    0xC7: (3, 1, _BYTES),
    0xC8: (4, 2, _BYTES),
    0xC9: (6, 4, _BYTES),
    0xD9: (2, 1, _BYTES),
    0xDA: (3, 2, _BYTES),
    0xDB: (5, 4, _BYTES),
    0xDC: (3, 2, _ITEMS),
    0xDD: (5, 4, _ITEMS),
    0xDE: (3, 2, _PAIRS),
    0xDF: (5, 4, _PAIRS),
}
_FIXED: Final[dict[int, int]] = {
    0xCA: 5,
    0xCB: 9,
    0xCC: 2,
    0xCD: 3,
    0xCE: 5,
    0xCF: 9,
    0xD0: 2,
    0xD1: 3,
    0xD2: 5,
    0xD3: 9,
    0xD4: 3,
    0xD5: 4,
    0xD6: 6,
    0xD7: 10,
    0xD8: 18,
}


def _read_head(held: memoryview, start: int) -> tuple[int, int | Nesting] | None:
    first = held[start]
    if first < 0x80 or first >= 0xE0:  # a small integer
        return start + 1, 0
    if first < 0x90:  # a small map
        return start + 1, 2 * (first & 0x0F)
    if first < 0xA0:  # a small array
        return start + 1, first & 0x0F
    if first < 0xC0:  # a short string
        return start + 1 + (first & 0x1F), 0
    if first == 0xC1:
        return start + 1, Nesting.MALFORMED
    if first not in _SIZED:
        return start + _FIXED.get(first, 1), 0
    head_size, size_of_number, unit = _SIZED[first]
    end = start + head_size
    if end > len(held):
        return None
    number = int.from_bytes(held[start + 1 : start + 1 + size_of_number], "big")
    return (end + number, 0) if unit == _BYTES else (end, number * unit)
