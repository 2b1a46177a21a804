"""CBOR (RFC 8949). Needs the extra ``cbor``."""

from __future__ import annotations

__all__ = ["CBORDecoderConfig", "CBOREncoderConfig", "CBORSerializer"]

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import IO, Any, Final, final

from easynetwork._extras import missing_extra
from easynetwork.lowlevel.constants import DEFAULT_SERIALIZER_LIMIT

from ._self_delimiting import ItemEndFinder, Nesting, SelfDelimitingSerializer


@dataclass(kw_only=True)
class CBOREncoderConfig:
    """Arguments of ``cbor2.CBOREncoder``; look there for what they mean."""

    datetime_as_timestamp: bool = False
    timezone: datetime.tzinfo | None = None
    value_sharing: bool = False
    default: Callable[..., Any] | None = None
    canonical: bool = False
    date_as_datetime: bool = False
    string_referencing: bool = False


@dataclass(kw_only=True)
class CBORDecoderConfig:
    """Arguments of ``cbor2.CBORDecoder``; look there for what they mean."""

    object_hook: Callable[..., Any] | None = None
    tag_hook: Callable[..., Any] | None = None
    str_errors: str = "strict"


class CBORSerializer(SelfDelimitingSerializer[Any, Any]):
    """A packet is a CBOR data item.

    Parameters:
        encoder_config: how data items are written.
        decoder_config: how data items are read.
        limit: how many bytes of an incomplete packet are held.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``cbor`` is not installed.
        TypeError: a config is no object of its class.
        ValueError: *limit* is not strictly positive.
    """

    __slots__ = (
        "_decode_eof",
        "_decode_error",
        "_new_decoder",
        "_new_encoder",
        "_new_exact_decoder",
        "_preallocates",
    )

    def __init__(
        self,
        encoder_config: CBOREncoderConfig | None = None,
        decoder_config: CBORDecoderConfig | None = None,
        *,
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        debug: bool = False,
    ) -> None:
        try:
            import cbor2
        except ModuleNotFoundError as exc:
            raise missing_extra("cbor2", extra="cbor") from exc
        if encoder_config is None:
            encoder_config = CBOREncoderConfig()
        elif not isinstance(encoder_config, CBOREncoderConfig):
            raise TypeError(f"encoder_config must be a CBOREncoderConfig, got {encoder_config!r}")
        if decoder_config is None:
            decoder_config = CBORDecoderConfig()
        elif not isinstance(decoder_config, CBORDecoderConfig):
            raise TypeError(f"decoder_config must be a CBORDecoderConfig, got {decoder_config!r}")
        expected_errors: tuple[type[Exception], ...] = (cbor2.CBORDecodeError, UnicodeError)
        if decoder_config.object_hook is None and decoder_config.tag_hook is None:
            # cbor2 5 lets out whatever an absurd date, number or regular expression causes. No hook: nobody else did.
            expected_errors = (Exception,)
        super().__init__(expected_errors, limit=limit, debug=debug)
        self._new_encoder: Callable[[IO[bytes]], Any] = partial(cbor2.CBOREncoder, **vars(encoder_config))
        self._new_decoder: Callable[[IO[bytes]], Any] = partial(cbor2.CBORDecoder, **vars(decoder_config))
        self._new_exact_decoder: Callable[[IO[bytes]], Any] = _without_read_ahead(self._new_decoder)
        if not _may_read_ahead(self._new_decoder):
            self._new_decoder = self._new_exact_decoder
        self._decode_eof: type[Exception] = cbor2.CBORDecodeEOF
        self._decode_error: tuple[type[Exception], ...] = expected_errors
        # cbor2 5 allocates what each array announces, 512 KiB for three bytes, times the depth of nesting.
        self._preallocates: bool = hasattr(cbor2, "CBORDecodeValueError")

    @final
    def dump_to_file(self, packet: Any, file: IO[bytes]) -> None:
        """Writes the data item. What ``cbor2`` raises goes through."""
        self._new_encoder(file).encode(packet)

    @final
    def load_from_file(self, file: IO[bytes]) -> Any:
        """Reads one data item.

        Raises:
            EOFError: it is incomplete.
            cbor2.CBORDecodeError: it is malformed, or a hook refuses it. ``cbor2`` 5 may raise any other exception.
        """
        start = file.tell()
        if self._preallocates:
            data = file.read()
            file.seek(start)
            if any(head in data for head in _BIG_ARRAYS) and self.new_end_finder().find_end(memoryview(data)) < 0:
                raise EOFError("The data item is incomplete")
        try:
            try:
                return self._new_decoder(file).decode()
            except self._decode_eof:
                raise
            except self._decode_error:
                # A decoder that reads ahead does not come back if it fails: let it fail again where the error is.
                file.seek(start)
                return self._new_exact_decoder(file).decode()
        except self._decode_eof as exc:
            raise EOFError(str(exc)) from exc

    @final
    def new_end_finder(self) -> ItemEndFinder:
        """Returns what finds the end of one data item."""
        return ItemEndFinder(_read_head)


def _without_read_ahead(new_decoder: Callable[..., Any]) -> Callable[[IO[bytes]], Any]:
    try:
        new_decoder(BytesIO(), read_size=1)
    except TypeError:  # before cbor2 5.8, which neither knows the argument nor reads ahead
        return new_decoder
    return partial(new_decoder, read_size=1)


def _may_read_ahead(new_decoder: Callable[[IO[bytes]], Any]) -> bool:
    """Whether a decoder that may read ahead returns the right item, and leaves the file after it.

    cbor2 5.8 leaves it where it has read to. cbor2 6.0 and 6.1.0 damage strings that are longer than what they read at
    once.
    """
    long, short = bytes(range(256)) * 32, 1
    file = BytesIO(b"\x59" + len(long).to_bytes(2, "big") + long + bytes([short]) + b"rest")
    items = [new_decoder(file).decode(), new_decoder(file).decode()]
    return items == [long, short] and file.read() == b"rest"


_BIG_ARRAYS: Final[tuple[bytes, ...]] = (b"\x99", b"\x9a", b"\x9b")
"""First bytes of arrays whose number of items takes two, four or eight bytes."""


def _read_head(held: memoryview, start: int) -> tuple[int, int | Nesting] | None:
    """RFC 8949, section 3."""
    first = held[start]
    major_type, additional_information = first >> 5, first & 0x1F
    end = start + 1
    if additional_information < 24:
        argument = additional_information
    elif additional_information < 28:
        end += 1 << (additional_information - 24)
        if end > len(held):
            return None
        argument = int.from_bytes(held[start + 1 : end], "big")
    elif additional_information == 31 and major_type in (2, 3, 4, 5):
        return end, Nesting.UNTIL_BREAK
    else:
        return end, Nesting.BREAK if first == 0xFF else Nesting.MALFORMED
    match major_type:
        case 2 | 3:  # strings
            return end + argument, 0
        case 4:  # an array
            return end, argument
        case 5:  # a map
            return end, 2 * argument
        case 6:  # a tag
            return end, 1
        case _:
            return end, 0
