"""JSON (RFC 8259), one document per packet."""

from __future__ import annotations

__all__ = ["JSONDecoderConfig", "JSONEncoderConfig", "JSONSerializer"]

from collections.abc import Callable, Generator
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder, JSONEncoder
from typing import Any, Final, final

from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork._typing import ReadableBuffer
from easynetwork.exceptions import DeserializeError

from ._copying import deserialize_from_buffer
from ._json_frames import JSON_WHITESPACE, read_json_frame
from .framing import FramedPacketSerializer, SeparatedFrames
from .framing.serializer import deserialize_frame

_WHITESPACE: Final[str] = JSON_WHITESPACE.decode("ascii")


@dataclass(kw_only=True)
class JSONEncoderConfig:
    """Arguments of `json.JSONEncoder`; see its documentation."""

    skipkeys: bool = False
    """Leave out keys that are not text, numbers, booleans or None. Without this, they raise `TypeError`."""

    check_circular: bool = True
    """Look for objects that contain themselves. Without this, they raise `RecursionError`."""

    ensure_ascii: bool = True
    """Escape all characters outside of ASCII."""

    allow_nan: bool = True
    """Write ``NaN`` and ``Infinity``, which are not JSON. Without this, they raise `ValueError`."""

    default: Callable[..., Any] | None = None
    """Called with each object of an unknown type. It returns what to write in its place."""


@dataclass(kw_only=True)
class JSONDecoderConfig:
    """Arguments of `json.JSONDecoder`; see its documentation."""

    object_hook: Callable[..., Any] | None = None
    """Called with each decoded object. Its result replaces the object."""

    parse_int: Callable[[str], Any] | None = None
    """Called with the text of each whole number; `int` if None."""

    parse_float: Callable[[str], Any] | None = None
    """Called with the text of each other number; `float` if None."""

    parse_constant: Callable[[str], Any] | None = None
    """Called with ``NaN``, ``Infinity`` or ``-Infinity``."""

    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
    """Called with the keys and values of each object, in order. It precedes `object_hook`."""

    strict: bool = True
    """Refuse control characters inside of strings."""


class JSONSerializer(FramedPacketSerializer[Any, Any]):
    """One JSON document per packet, written without spaces.

    Parameters:
        encoder_config: encoder options.
        decoder_config: decoder options.
        encoding: text encoding. In a stream it must be UTF-8 or another superset of ASCII.
        unicode_errors: error handler of the encoding, as for ``str.encode()``.
        limit: maximum size of a document in a stream, in bytes.
        use_lines: end each document with a newline (JSON Lines). If false, documents follow each other directly. Then
            brackets and quotation marks delimit a document, and only numbers and words are followed by a newline.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: a config is not an instance of its class.
        ValueError: *limit* is not strictly positive.
    """

    __slots__ = (
        "_debug",
        "_encode",
        "_encoding",
        "_frames",
        "_raw_decode",
        "_unicode_errors",
        "_use_lines",
    )

    _reports_causes = True

    def __init__(
        self,
        encoder_config: JSONEncoderConfig | None = None,
        decoder_config: JSONDecoderConfig | None = None,
        *,
        encoding: str = "utf-8",
        unicode_errors: str = "strict",
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        use_lines: bool = True,
        debug: bool = False,
    ) -> None:
        super().__init__()
        if encoder_config is None:
            encoder_config = JSONEncoderConfig()
        elif not isinstance(encoder_config, JSONEncoderConfig):
            raise TypeError(f"encoder_config must be a JSONEncoderConfig, got {encoder_config!r}")
        if decoder_config is None:
            decoder_config = JSONDecoderConfig()
        elif not isinstance(decoder_config, JSONDecoderConfig):
            raise TypeError(f"decoder_config must be a JSONDecoderConfig, got {decoder_config!r}")
        # Stored as bound methods, because both are called for each packet.
        self._encode: Callable[[Any], str] = JSONEncoder(**vars(encoder_config), separators=(",", ":")).encode
        self._raw_decode: Callable[[str, int], tuple[Any, int]] = JSONDecoder(**vars(decoder_config)).raw_decode
        self._encoding: str = encoding
        self._unicode_errors: str = unicode_errors
        self._frames: SeparatedFrames = SeparatedFrames(b"\n", limit)
        self._use_lines: bool = bool(use_lines)
        self._debug: bool = bool(debug)

    @property
    def buffer_limit(self) -> int:
        """Maximum size of a document in a stream, in bytes."""
        return self._frames.limit

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self._debug

    @property
    def _between_packets(self) -> bytes:
        return b"" if self._use_lines else JSON_WHITESPACE

    @final
    def serialize(self, packet: Any) -> bytes:
        """Return the encoded document. Exceptions from `json.JSONEncoder` and ``str.encode()`` propagate."""
        return self._encode(packet).encode(self._encoding, self._unicode_errors)

    @final
    def deserialize(self, data: bytes) -> Any:
        """Return the content of the document. Surrounding whitespace is allowed.

        Raises:
            DeserializeError: *data* cannot be decoded, is not a JSON document, is nested too deeply, or has an integer
                with too many digits for ``int()``; or a hook raised an exception.
        """
        try:
            document = data.decode(self._encoding, self._unicode_errors)
        except UnicodeError as exc:
            raise DeserializeError(str(exc), {"data": data} if self._debug else None) from exc
        # Not JSONDecoder.decode(): its regular expressions for whitespace cost as much as a small document.
        start = len(document) - len(document.lstrip(_WHITESPACE))
        try:
            packet, end = self._raw_decode(document, start)
        except JSONDecodeError as exc:
            raise self._invalid(exc) from exc
        except RecursionError as exc:
            raise self._invalid(JSONDecodeError("Nested too deeply", document, start)) from exc
        except DeserializeError:  # raised by a hook
            raise
        except Exception as exc:  # from a hook, or from int() for too many digits
            raise self._invalid(JSONDecodeError(f"{type(exc).__name__}: {exc}", document, start)) from exc
        if end != len(document) and (extra := document[end:].lstrip(_WHITESPACE)):
            error = JSONDecodeError("Extra data", document, len(document) - len(extra))
            raise self._invalid(error) from error
        return packet

    def frame_format(self) -> SeparatedFrames | None:
        """Return the frame format: frames that end with a newline, or None without ``use_lines``."""
        return self._frames if self._use_lines else None

    def encode_frame(self, packet: Any, /) -> bytes:
        """Return the encoded document, with a newline if needed. Raise the same errors as `serialize`."""
        document = self._encode(packet)
        data = document.encode(self._encoding, self._unicode_errors)
        return data if not self._use_lines and document.startswith(("{", "[", '"')) else data + b"\n"

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        """Wait for one document.

        Raises:
            IncrementalDeserializeError: `deserialize` raised `DeserializeError`.
            LimitOverrunError: the document is longer than allowed.
        """
        return super().incremental_deserialize() if self._use_lines else self._deserialize_enclosed()

    def create_deserializer_buffer(self, sizehint: int) -> bytearray | memoryview:
        """Return a ``bytearray`` of the limit, or without ``use_lines`` a ``memoryview`` of *sizehint* bytes."""
        if self._use_lines:
            return super().create_deserializer_buffer(sizehint)
        return memoryview(bytearray(max(sizehint, 1)))

    def buffered_incremental_deserialize(
        self, buffer: bytearray | memoryview
    ) -> Generator[int | None, int, tuple[Any, ReadableBuffer]]:
        """Wait for one document in *buffer*.

        Raises:
            IncrementalDeserializeError: `deserialize` raised `DeserializeError`.
            LimitOverrunError: the document is longer than allowed.
        """
        if self._use_lines:
            return super().buffered_incremental_deserialize(buffer)
        return deserialize_from_buffer(self._deserialize_enclosed(), memoryview(buffer))

    def _deserialize_enclosed(self) -> Generator[None, bytes, tuple[Any, bytes]]:
        frame, remaining = yield from read_json_frame(self._frames.limit)
        return deserialize_frame(self, frame, remaining, flat=True), remaining

    def _invalid(self, exc: JSONDecodeError) -> DeserializeError:
        info = {"document": exc.doc, "position": exc.pos, "lineno": exc.lineno, "colno": exc.colno}
        return DeserializeError(str(exc), info if self._debug else None)
