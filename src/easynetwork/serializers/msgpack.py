"""MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md). Needs the extra ``msgpack``."""

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
    """Arguments of ``msgpack.Packer``; look there for what they mean."""

    default: Callable[[Any], Any] | None = None
    use_single_float: bool = False
    use_bin_type: bool = True
    datetime: bool = False
    strict_types: bool = False
    unicode_errors: str = "strict"


@dataclass(kw_only=True)
class MessageUnpackerConfig:
    """Arguments of ``msgpack.unpackb()``; look there for what they mean."""

    raw: bool = False
    use_list: bool = True
    timestamp: int = 0
    strict_map_key: bool = True
    unicode_errors: str = "strict"
    object_hook: Callable[[dict[Any, Any]], Any] | None = None
    object_pairs_hook: Callable[[list[tuple[Any, Any]]], Any] | None = None
    ext_hook: Callable[[int, bytes], Any] | None = None
    """None means ``msgpack.ExtType``."""


class MessagePackSerializer(SelfDelimitingSerializer[Any, Any]):
    """A packet is a MessagePack object.

    Parameters:
        packer_config: how objects are written.
        unpacker_config: how objects are read.
        limit: how many bytes of an incomplete packet are held.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``msgpack`` is not installed.
        TypeError: a config is no object of its class.
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
        """Returns the bytes of *packet*. What ``msgpack.packb()`` raises goes through."""
        return self._packb(packet)

    @final
    def deserialize(self, data: bytes) -> Any:
        """Returns the object.

        Raises:
            DeserializeError: *data* is malformed, incomplete, or followed by other bytes; or a hook refuses it.
        """
        try:
            end = self._find_end(data)
            packet = self._unpackb(data[:end])
        except EOFError:
            text = "The object is incomplete"
            raise DeserializeError(text, self._data_info(data)) from ValueError(text)  # as msgpack.unpackb() says it
        except Exception as exc:
            raise DeserializeError(_words(exc), self._data_info(data)) from exc
        if extra := data[end:]:
            raise self._extra_data(packet, extra) from self._extra_data_type(packet, extra)
        return packet

    @final
    def dump_to_file(self, packet: Any, file: IO[bytes]) -> None:
        """Writes the bytes of *packet*. What ``msgpack.packb()`` raises goes through."""
        file.write(self._packb(packet))

    @final
    def load_from_file(self, file: IO[bytes]) -> Any:
        """Reads one object.

        Raises:
            EOFError: it is incomplete. Nothing is allocated for what is announced but has not arrived.
            Exception: it is malformed, or a hook refuses it.
        """
        start = file.tell()
        data = file.read()
        end = self._find_end(data)
        file.seek(start + end)
        try:
            return self._unpackb(data[:end])
        except EOFError as exc:  # The object is complete: a hook has raised it.
            raise ValueError(f"A hook has failed: {exc!r}") from exc

    @final
    def new_end_finder(self) -> ItemEndFinder:
        """Returns what finds the end of one object."""
        return ItemEndFinder(_read_head)

    def _find_end(self, data: bytes) -> int:
        """Returns where the object ends that *data* begins with.

        Unpacking it right away would be a little faster, but allocates what each array announces: megabytes for five
        bytes, times the depth of nesting. Skipping allocates nothing.
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


def _words(exc: Exception) -> str:
    """Return what *exc* says. Those of msgpack about malformed bytes say nothing but their name."""
    return str(exc) or f"Malformed, or nested too deeply ({type(exc).__name__})"


def _arguments(config: MessagePackerConfig | MessageUnpackerConfig) -> dict[str, Any]:
    arguments = dict(vars(config))
    if arguments["unicode_errors"] == "strict":
        del arguments["unicode_errors"]  # It is the default; msgpack takes a slower path if it is told so.
    return arguments


# How an object begins: (how many bytes it takes, of which so many from the second on are a number; what is counted).
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
