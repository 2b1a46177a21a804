"""CBOR (RFC 8949). Needs the extra ``cbor``."""

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

    By default, only tags that make plain data are decoded: dates, numbers of any kind, UUIDs, IP addresses, sets,
    references, self-described CBOR. A number inside a decimal, a bigfloat or a fraction has at most 4,300 digits, an
    exponent at most six; references do not make cycles. What else ``cbor2`` would make something of (a regular
    expression, a mail) is an invalid packet. Tags that ``cbor2`` does not know become ``cbor2.CBORTag``, or what
    ``tag_hook`` returns.

    Parameters:
        encoder_config: how data items are written.
        decoder_config: how data items are read.
        allowed_tags: numbers of more tags to decode. Mind that a peer can make ``cbor2`` compile any regular expression
            if tag 35 is allowed, which takes minutes.
        limit: how many bytes of an incomplete packet are held.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``cbor`` is not installed.
        TypeError: a config is not an object of its class, or a tag is not an integer.
        ValueError: *limit* is not strictly positive, or a tag is not the number of a tag.
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
        # cbor2 5 lets out whatever an absurd date or number, or a hook that refuses, causes.
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
        """Writes the data item. What ``cbor2`` raises goes through."""
        self._new_encoder(file).encode(packet)

    @final
    def load_from_file(self, file: IO[bytes]) -> Any:
        """Reads one data item.

        Raises:
            EOFError: it is incomplete.
            cbor2.CBORDecodeError: it is malformed, has a tag that is refused, or a hook refuses it. ``cbor2`` 5 may
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
            # A decoder that reads ahead does not come back if it fails: let it fail again where the error is.
            return self._new_exact_decoder(file).decode()
        except EOFError as exc:  # by a hook
            raise self._decode_error(f"A hook has failed: {exc!r}") from exc

    def _is_harmless(self, data: bytes) -> bool:
        """Whether *data* can be decoded as it is by ``cbor2`` 5, which asks before no tag.

        It also allocates what each array announces, 512 KiB for three bytes, times the depth of nesting.
        """
        if any(head in data for head in _BIG_ARRAYS):
            return False
        return self._tags.is_clean(data, _SMALL)

    def _load_with_care(self, file: IO[bytes], start: int, data: bytes) -> Any:
        """Reads a data item which may have tags, or be followed by some, that are not just plain data."""
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
        """Returns what finds the end of one data item."""
        return ItemEndFinder(read_head)


_SMALL: Final = 1024
"""So many bytes are searched for tags before it is known whether they belong to the packet."""


class _TagMet(Exception):
    """A tag was met that has to be looked at before it is decoded."""


class _Guard(dict[int, Any]):
    """What ``cbor2`` 6 asks before it decodes a tag. Costs nothing where there are none."""

    def __init__(self, tags: TagScanner) -> None:
        self._is_plain = tags.is_plain

    def __missing__(self, tag: int) -> Any:
        if self._is_plain(tag):
            raise KeyError  # cbor2 does what it always does
        raise _TagMet(tag)


def _guarded(new_decoder: Callable[..., Any], tags: TagScanner) -> Callable[[IO[bytes]], Any] | None:
    """Returns *new_decoder* with a guard, or None if this version of ``cbor2`` does not ask it."""
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
    """Whether this version of ``cbor2`` makes something of *tag*, other than a ``cbor2.CBORTag``."""
    import cbor2

    try:
        return not isinstance(cbor2.loads(encode_tag(tag) + b"\xf6"), cbor2.CBORTag)
    except Exception:
        return True


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
