"""CBOR (RFC 8949). Requires the extra ``cbor``."""

from __future__ import annotations

__all__ = ["CBORDecoderConfig", "CBOREncoderConfig", "CBORSerializer"]

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from typing import IO, Any, Final, final

from easynetwork._extras import missing_extra
from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT

from ._cbor_heads import encode_tag, read_head
from ._cbor_references import check_references
from ._cbor_tags import TagScanner
from ._self_delimiting import ItemEndFinder, SelfDelimitingSerializer


@dataclass(kw_only=True)
class CBOREncoderConfig:
    """Arguments of ``cbor2.CBOREncoder``; see its documentation."""

    datetime_as_timestamp: bool = False
    """Write dates with a time as a number of seconds, not as text."""

    timezone: datetime.tzinfo | None = None
    """The time zone of dates that have none. Without it, such dates are refused."""

    value_sharing: bool = False
    """Write an object that occurs several times only once, and refer to it (tags 28 and 29)."""

    default: Callable[..., Any] | None = None
    """Called with the encoder and each object of an unknown type. It must encode the object."""

    canonical: bool = False
    """Write each object in its shortest form, and the keys of a map in order."""

    date_as_datetime: bool = False
    """Write dates without a time as dates with the time 0:00."""

    string_referencing: bool = False
    """Write a string that occurs several times only once, and refer to it (tags 25 and 256)."""


@dataclass(kw_only=True)
class CBORDecoderConfig:
    """Arguments of ``cbor2.CBORDecoder``; see its documentation."""

    object_hook: Callable[..., Any] | None = None
    """Called with the decoder and each decoded map. Its result replaces the map."""

    tag_hook: Callable[..., Any] | None = None
    """Called with the decoder and each tag that ``cbor2`` does not know. Its result replaces the tag."""

    str_errors: str = "strict"
    """Error handler for text that is not valid UTF-8, as for ``bytes.decode()``."""


class CBORSerializer(SelfDelimitingSerializer[Any, Any]):
    """One CBOR data item per packet.

    By default, only tags that produce plain data are decoded: dates, numbers of any kind, UUIDs, IP addresses, sets,
    references, self-described CBOR. A number within a decimal, bigfloat or fraction may have at most 4,300 digits, and
    an exponent at most six. References must not form cycles. A packet with any other tag that ``cbor2`` interprets,
    such as a regular expression or a mail, is invalid. A tag that ``cbor2`` does not know becomes a ``cbor2.CBORTag``,
    or the result of ``tag_hook``.

    Parameters:
        encoder_config: encoder options.
        decoder_config: decoder options.
        allowed_tags: numbers of additional tags to decode. Caution: if tag 35 is allowed, a peer can make ``cbor2``
            compile any regular expression, which can take minutes.
        limit: maximum number of buffered bytes of an incomplete packet.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``cbor`` is not installed.
        TypeError: a config is not an instance of its class, or a tag is not an integer.
        ValueError: *limit* is not strictly positive, or a tag is not in the range 0 to 2**64 - 1.
    """

    __slots__ = (
        "_decode_eof",
        "_decode_error",
        "_is_guarded",
        "_new_decoder",
        "_new_encoder",
        "_new_exact_decoder",
        "_new_unguarded_decoder",
        "_tags",
    )

    def __init__(
        self,
        encoder_config: CBOREncoderConfig | None = None,
        decoder_config: CBORDecoderConfig | None = None,
        *,
        allowed_tags: Iterable[int] = (),
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
        # cbor2 5 lets exceptions of any class propagate, from extreme dates or numbers and from hooks.
        super().__init__(Exception, limit=limit, debug=debug)
        self._new_encoder: Callable[[IO[bytes]], Any] = partial(cbor2.CBOREncoder, **vars(encoder_config))
        new_decoder: Callable[[IO[bytes]], Any] = partial(cbor2.CBORDecoder, **vars(decoder_config))
        self._new_unguarded_decoder: Callable[[IO[bytes]], Any] = _without_read_ahead(new_decoder)
        self._tags: TagScanner = TagScanner(_is_interpreted, _checked_tags(allowed_tags))
        guarded = _guarded(new_decoder, self._tags)
        self._is_guarded: bool = guarded is not None
        self._new_decoder: Callable[[IO[bytes]], Any] = guarded or new_decoder
        self._new_exact_decoder: Callable[[IO[bytes]], Any] = _without_read_ahead(self._new_decoder)
        if not _may_read_ahead(self._new_decoder):
            self._new_decoder = self._new_exact_decoder
        self._decode_eof: type[Exception] = cbor2.CBORDecodeEOF
        self._decode_error: type[Exception] = cbor2.CBORDecodeError

    @final
    def dump_to_file(self, packet: Any, file: IO[bytes]) -> None:
        """Write the data item. Exceptions from ``cbor2`` propagate."""
        self._new_encoder(file).encode(packet)

    @final
    def load_from_file(self, file: IO[bytes]) -> Any:
        """Read one data item.

        Raises:
            EOFError: the item is incomplete.
            cbor2.CBORDecodeError: the item is malformed, has a rejected tag, or a hook rejects it. ``cbor2`` 5 may
                raise any other exception.
        """
        start = file.tell()
        if not self._is_guarded:
            data = file.read()
            file.seek(start)
            if not self._is_harmless(data):
                return self._load_with_care(file, start, data)
        try:
            return self._new_decoder(file).decode()
        except self._decode_eof as exc:
            raise EOFError(str(exc)) from exc
        except Exception as exc:
            file.seek(start)
            if _has_met_tag(exc):
                return self._load_with_care(file, start, file.read())
        try:
            # After an error, a decoder that reads ahead leaves the file position behind the error. Decode again without
            # reading ahead, so that the position is exact.
            return self._new_exact_decoder(file).decode()
        except EOFError as exc:  # raised by a hook
            raise self._decode_error(f"A hook failed: {exc!r}") from exc

    def _is_harmless(self, data: bytes) -> bool:
        """Return whether ``cbor2`` 5, which has no guard for tags, can decode *data* without further checks.

        ``cbor2`` 5 also allocates memory for the announced size of each array: 512 KiB for three bytes, multiplied by
        the nesting depth.
        """
        if any(head in data for head in _BIG_ARRAYS):
            return False
        return self._tags.is_clean(data, _MAX_SCANNED)

    def _load_with_care(self, file: IO[bytes], start: int, data: bytes) -> Any:
        """Read a data item that has, or is followed by, tags that may not produce plain data."""
        end = self.new_end_finder().find_end(memoryview(data))
        if end < 0:
            raise EOFError("The data item is incomplete")
        item = data[:end]
        file.seek(start + end)
        problem, has_references = self._tags.scan(item)
        if problem is None and has_references:
            problem = check_references(item)
        if problem is not None:
            raise self._decode_error(problem)
        part = BytesIO(item)
        try:
            return self._new_unguarded_decoder(part).decode()
        except EOFError as exc:
            raise self._decode_error("Malformed, nested too deeply, or refused by a hook") from exc
        except Exception:
            file.seek(start + part.tell())
            raise

    @final
    def new_end_finder(self) -> ItemEndFinder:
        """Return a new object that finds the end of one data item."""
        return ItemEndFinder(read_head)


_MAX_SCANNED: Final = 1024
"""Maximum number of bytes scanned for tags before it is known whether they belong to the packet."""


class _TagMet(Exception):
    """The decoder encountered a tag that must be checked before it is decoded."""


class _Guard(dict[int, Any]):
    """Mapping that ``cbor2`` 6 queries before it decodes a tag. It costs nothing for packets without tags."""

    def __init__(self, tags: TagScanner) -> None:
        self._is_plain = tags.is_plain

    def __missing__(self, tag: int) -> Any:
        if self._is_plain(tag):
            raise KeyError  # cbor2 decodes the tag as usual
        raise _TagMet(tag)


def _guarded(new_decoder: Callable[..., Any], tags: TagScanner) -> Callable[[IO[bytes]], Any] | None:
    """Return *new_decoder* with a guard, or None if this version of ``cbor2`` does not support it."""
    guarded = partial(new_decoder, semantic_decoders=_Guard(tags))
    try:
        guarded(BytesIO(encode_tag(29) + b"\x00")).decode()
    except Exception as exc:
        return guarded if _has_met_tag(exc) else None
    return None


def _has_met_tag(exc: BaseException | None) -> bool:
    while exc is not None and not isinstance(exc, _TagMet):
        exc = exc.__cause__
    return exc is not None


def _checked_tags(allowed_tags: Iterable[int]) -> frozenset[int]:
    tags = frozenset(allowed_tags)
    for tag in tags:
        if not isinstance(tag, int):
            raise TypeError(f"allowed_tags must be integers, got {tag!r}")
        if not 0 <= tag < 2**64:
            raise ValueError(f"allowed_tags must be from 0 to 2**64 - 1, got {tag!r}")
    return tags


@lru_cache(1024)
def _is_interpreted(tag: int) -> bool:
    """Return whether this version of ``cbor2`` converts *tag* to anything other than a ``cbor2.CBORTag``."""
    import cbor2

    try:
        return not isinstance(cbor2.loads(encode_tag(tag) + b"\xf6"), cbor2.CBORTag)
    except Exception:
        return True


def _without_read_ahead(new_decoder: Callable[..., Any]) -> Callable[[IO[bytes]], Any]:
    try:
        new_decoder(BytesIO(), read_size=1)
    except TypeError:  # cbor2 before 5.8 has no read_size and does not read ahead
        return new_decoder
    return partial(new_decoder, read_size=1)


def _may_read_ahead(new_decoder: Callable[[IO[bytes]], Any]) -> bool:
    """Return whether a decoder that may read ahead returns the right item and leaves the file positioned after it.

    cbor2 5.8 leaves the file where it stopped reading ahead. cbor2 6.0 and 6.1.0 corrupt strings that are longer than
    one read.
    """
    long, short = bytes(range(256)) * 32, 1
    file = BytesIO(b"\x59" + len(long).to_bytes(2, "big") + long + bytes([short]) + b"rest")
    items = [new_decoder(file).decode(), new_decoder(file).decode()]
    return items == [long, short] and file.read() == b"rest"


_BIG_ARRAYS: Final[tuple[bytes, ...]] = (b"\x99", b"\x9a", b"\x9b")
"""First bytes of arrays whose length is stored in two, four or eight bytes."""
