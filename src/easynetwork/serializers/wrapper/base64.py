"""Base64 (RFC 4648) with an optional checksum."""

from __future__ import annotations

__all__ = ["Base64EncoderSerializer"]

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, final

from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT
from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.base_stream import AutoSeparatedPacketSerializer

_KEY_SIZE: Final = 32
_DIGEST_SIZE: Final = 32  # of SHA-256


class Base64EncoderSerializer(AutoSeparatedPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    r"""Encode the bytes of another serializer as one line of Base64.

    Parameters:
        serializer: the wrapped serializer.
        alphabet: ``"urlsafe"`` (``-`` and ``_``) or ``"standard"`` (``+`` and ``/``).
        checksum: if True, a SHA-256 digest follows the data and detects accidental changes. If a key (see
            `generate_key`), an HMAC follows the data: a peer without the key cannot create or alter packets, but can
            still read and replay them.
        separator: the bytes that end a packet.
        limit: maximum number of bytes before the separator.
        send_empty: for a packet without bytes, send the separator alone instead of nothing. With a checksum, no packet
            is empty.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer, *alphabet* is not one of the two, or *checksum* is not a bool, str
            or bytes.
        ValueError: the key is not the URL-safe Base64 of 32 bytes, *separator* is empty, or *limit* is not strictly
            positive.
    """

    __slots__ = ("_decode", "_digest", "_encode", "_serializer")

    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        *,
        alphabet: Literal["standard", "urlsafe"] = "urlsafe",
        checksum: bool | str | bytes = False,
        separator: bytes = b"\r\n",
        limit: int = DEFAULT_SERIALIZER_LIMIT,
        send_empty: bool = False,
        debug: bool = False,
    ) -> None:
        # Base64 contains no whitespace, so a separator of whitespace needs no check.
        super().__init__(
            separator,
            incremental_serialize_check_separator=not bytes(separator).isspace(),
            limit=limit,
            send_empty=send_empty,
            debug=debug,
        )
        if not isinstance(serializer, AbstractPacketSerializer):
            raise TypeError(f"Expected a serializer, got {serializer!r}")
        self._serializer = serializer
        self._encode: Callable[[bytes], bytes]
        self._decode: Callable[[bytes], bytes]
        match alphabet:
            case "standard":
                self._encode, self._decode = base64.standard_b64encode, base64.standard_b64decode
            case "urlsafe":
                self._encode, self._decode = base64.urlsafe_b64encode, base64.urlsafe_b64decode
            case _:
                raise TypeError(f"alphabet must be 'standard' or 'urlsafe', got {alphabet!r}")
        self._digest: Callable[[bytes], bytes] | None = _digest_function(checksum)

    @classmethod
    def generate_key(cls) -> bytes:
        """Return a new random key for *checksum*, 44 ASCII characters. Keep it secret. Both sides need the same key."""
        return base64.urlsafe_b64encode(os.urandom(_KEY_SIZE))

    @final
    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Return the Base64 of the bytes of *packet*. Exceptions from the wrapped serializer propagate."""
        data = self._serializer.serialize(packet)
        if self._digest is not None:
            data += self._digest(data)
        return self._encode(data)

    @final
    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Return the packet. Characters outside the alphabet are skipped.

        Raises:
            DeserializeError: *data* is not valid Base64, its checksum is missing or wrong (both without
                ``error_info``), or the wrapped serializer raised it.
        """
        try:
            data = self._decode(data)
        except binascii.Error:
            raise DeserializeError("Invalid Base64") from None  # details must not help an attacker
        if self._digest is not None:
            data, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
            if not hmac.compare_digest(self._digest(data), digest):
                raise DeserializeError("Invalid checksum")
        return self._serializer.deserialize(data)


def _digest_function(checksum: bool | str | bytes) -> Callable[[bytes], bytes] | None:
    match checksum:
        case False:
            return None
        case True:
            return _sha256
        case str() | bytes():
            message = f"The key must be the URL-safe Base64 of {_KEY_SIZE} bytes"
            try:
                key = base64.urlsafe_b64decode(checksum)
            except ValueError as exc:  # binascii.Error, or a str that is not ASCII
                raise ValueError(message) from exc
            if len(key) != _KEY_SIZE:
                raise ValueError(message)
            return partial(hmac.digest, key, digest="sha256")
        case _:
            raise TypeError(f"checksum must be a bool, or a key as str or bytes; got an object of {type(checksum)}")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
