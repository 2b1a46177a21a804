"""Lines of text."""

from __future__ import annotations

__all__ = ["StringLineSerializer"]

from typing import Final, Literal

from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork.exceptions import DeserializeError

from .framing import FramedPacketSerializer, SeparatedFrames

_NEWLINES: Final[dict[str, bytes]] = {"LF": b"\n", "CR": b"\r", "CRLF": b"\r\n"}


class StringLineSerializer(FramedPacketSerializer[str, str]):
    r"""One line of text per packet: a ``str``, by default without its newline.

    A packet that contains newlines is sent as it is, and arrives as several packets. An empty packet is sent only if
    *send_empty* is true. A received empty line is always a packet, ``""``.

    Parameters:
        newline: the end of a line: ``"LF"`` (``\n``), ``"CR"`` (``\r``) or ``"CRLF"`` (``\r\n``).
        encoding: text encoding: ASCII or a superset of it. In UTF-16 and UTF-32, newline bytes occur within characters.
        unicode_errors: error handler of the encoding, as for ``str.encode()``.
        limit: maximum number of bytes before the newline.
        keep_end: keep the newline in received packets.
        send_empty: send an empty line for the packet ``""``, instead of nothing.
        debug: add ``error_info`` to exceptions.

    Raises:
        ValueError: *newline* is not one of the three values, or *limit* is not strictly positive.
    """

    __slots__ = (
        "_debug",
        "_empty_frame",
        "_encoding",
        "_frames",
        "_last_byte",
        "_last_character",
        "_separator",
        "_unicode_errors",
    )

    _reports_causes = True

    def __init__(
        self,
        newline: Literal["LF", "CR", "CRLF"] = "LF",
        *,
        encoding: str = "ascii",
        unicode_errors: str = "strict",
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        keep_end: bool = False,
        send_empty: bool = False,
        debug: bool = False,
    ) -> None:
        super().__init__()
        if newline not in _NEWLINES:
            raise ValueError(f"newline must be one of {', '.join(_NEWLINES)}, got {newline!r}")
        self._separator: bytes = _NEWLINES[newline]
        self._last_character: str = chr(self._separator[-1])
        self._last_byte: int = self._separator[-1]  # comparing one byte takes half the time of bytes.endswith()
        self._frames: SeparatedFrames = SeparatedFrames(self._separator, limit, bool(keep_end))
        self._empty_frame: bytes = self._separator if send_empty else b""
        self._encoding: str = encoding
        self._unicode_errors: str = unicode_errors
        self._debug: bool = bool(debug)

    @property
    def separator(self) -> bytes:
        """The bytes that end a line."""
        return self._separator

    @property
    def buffer_limit(self) -> int:
        """Maximum number of bytes before the newline."""
        return self._frames.limit

    @property
    def keep_end(self) -> bool:
        """Whether received packets keep their newline."""
        return self._frames.keep_end

    @property
    def encoding(self) -> str:
        """The text encoding."""
        return self._encoding

    @property
    def unicode_errors(self) -> str:
        """The error handler of the encoding."""
        return self._unicode_errors

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self._debug

    def serialize(self, packet: str) -> bytes:
        """Return the encoded text without a newline.

        Raises:
            TypeError: *packet* is not a ``str``.
            UnicodeError: *packet* cannot be encoded.
            LookupError: the encoding or its error handler is unknown.
        """
        return str.encode(packet, self._encoding, self._unicode_errors)

    def deserialize(self, data: bytes) -> str:
        """Return the decoded text without trailing newlines, or with them if ``keep_end``.

        Raises:
            DeserializeError: *data* cannot be decoded.
            LookupError: the encoding or its error handler is unknown.
        """
        if data and data[-1] == self._last_byte and not self._frames.keep_end:
            data = self._frames.strip(data)
        try:
            return data.decode(self._encoding, self._unicode_errors)
        except UnicodeError as exc:
            raise DeserializeError(str(exc), {"data": data} if self._debug else None) from exc

    def frame_format(self) -> SeparatedFrames | None:
        """Return the frame format: frames that end with a newline."""
        return self._frames

    def encode_frame(self, packet: str, /) -> bytes:
        """Return the encoded text with a trailing newline. Raise the same errors as `serialize`.

        For a packet without text, return ``b""``, or the newline alone with ``send_empty``.
        """
        data = str.encode(packet, self._encoding, self._unicode_errors)
        if packet and packet[-1] != self._last_character:  # the usual case
            return data + self._separator  # not encoded: the receiver searches for these bytes
        if not data:
            return self._empty_frame
        return data if data.endswith(self._separator) else data + self._separator
