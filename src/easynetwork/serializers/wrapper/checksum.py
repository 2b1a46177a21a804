"""A checksum after the packets of any serializer."""

from __future__ import annotations

__all__ = ["ChecksumSerializer"]

import zlib
from collections.abc import Callable
from typing import Final, Literal, final

from easynetwork._extras import missing_extra
from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.exceptions import DeserializeError
from easynetwork.serializers.abc import AbstractPacketSerializer

_SIZE: Final = 4
"""Size of each of the checksums, in bytes."""


class ChecksumSerializer(AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """Add a checksum of four bytes to the packets of another serializer. It detects accidental changes only.

    In a stream, put a frame around it: ``FramedSerializer(ChecksumSerializer(serializer), LengthPrefixedFrames(4))``.

    Parameters:
        serializer: the wrapped serializer.
        checksum: ``"crc32"`` (that of Ethernet and gzip), ``"crc32c"`` (that of iSCSI and Kafka; requires the extra
            ``crc32c``) or ``"adler32"`` (that of zlib, fast and weak for short packets).
        byteorder: the byte order of the checksum; network byte order by default.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: *serializer* is not a serializer.
        ValueError: *checksum* or *byteorder* is none of these.
        ModuleNotFoundError: the extra ``crc32c`` is not installed.
    """

    __slots__ = ("_byteorder", "_compute", "_debug", "_serializer")

    def __init__(
        self,
        serializer: AbstractPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co],
        checksum: Literal["crc32", "crc32c", "adler32"] = "crc32",
        *,
        byteorder: Literal["big", "little"] = "big",
        debug: bool = False,
    ) -> None:
        if not isinstance(serializer, AbstractPacketSerializer):
            raise TypeError(f"Expected a serializer, got {serializer!r}")
        if byteorder not in ("big", "little"):
            raise ValueError(f"byteorder must be 'big' or 'little', got {byteorder!r}")
        self._serializer = serializer
        self._compute = _checksum_function(checksum)
        self._byteorder: Literal["big", "little"] = byteorder
        self._debug: bool = bool(debug)

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self._debug

    @final
    def serialize(self, packet: SentDTOPacketT_contra) -> bytes:
        """Return the bytes of *packet* and their checksum. Exceptions from the wrapped serializer propagate."""
        data = self._serializer.serialize(packet)
        return data + self._compute(data).to_bytes(_SIZE, self._byteorder)

    @final
    def deserialize(self, data: bytes) -> ReceivedDTOPacketT_co:
        """Return the packet.

        Raises:
            DeserializeError: the checksum is missing or wrong, or the wrapped serializer raised it.
        """
        content, checksum = data[:-_SIZE], data[-_SIZE:]
        if len(checksum) != _SIZE:
            raise DeserializeError("The packet is shorter than its checksum", self._info(data))
        if self._compute(content) != int.from_bytes(checksum, self._byteorder):
            raise DeserializeError("Invalid checksum", self._info(data))
        return self._serializer.deserialize(content)

    def _info(self, data: bytes) -> dict[str, bytes] | None:
        return {"data": data} if self._debug else None


def _checksum_function(checksum: str) -> Callable[[bytes], int]:
    match checksum:
        case "crc32":
            return zlib.crc32
        case "adler32":
            return zlib.adler32
        case "crc32c":
            try:
                import google_crc32c
            except ModuleNotFoundError as exc:
                raise missing_extra("google_crc32c", extra="crc32c") from exc
            compute: Callable[[bytes], int] = google_crc32c.value
            return compute
        case _:
            raise ValueError(f"checksum must be 'crc32', 'crc32c' or 'adler32', got {checksum!r}")
