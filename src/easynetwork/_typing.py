"""Type variables and aliases that the public generic classes share."""

from __future__ import annotations

__all__ = [
    "DTOPacketT",
    "PacketT",
    "ReadableBuffer",
    "ReceivedDTOPacketT_co",
    "ReceivedDTOPacketT_contra",
    "ReceivedPacketT_co",
    "SentDTOPacketT_co",
    "SentDTOPacketT_contra",
    "SentPacketT_contra",
    "WriteableBufferT",
]

from typing import TypeAlias, TypeVar

from typing_extensions import Buffer

ReadableBuffer: TypeAlias = Buffer
"""Bytes of any kind: ``bytes``, ``bytearray``, ``memoryview``, ``array.array``..."""

WriteableBufferT = TypeVar("WriteableBufferT", bound=Buffer)
"""A buffer that received bytes are written into. The type system cannot say "writable"."""

# What a user sends and receives.
PacketT = TypeVar("PacketT")
SentPacketT_contra = TypeVar("SentPacketT_contra", contravariant=True)
ReceivedPacketT_co = TypeVar("ReceivedPacketT_co", covariant=True)

# What a serializer consumes and produces (the same thing where there is no converter).
DTOPacketT = TypeVar("DTOPacketT")
SentDTOPacketT_contra = TypeVar("SentDTOPacketT_contra", contravariant=True)
ReceivedDTOPacketT_co = TypeVar("ReceivedDTOPacketT_co", covariant=True)

# A converter stands on their other side: it produces what is sent, and consumes what was received.
SentDTOPacketT_co = TypeVar("SentDTOPacketT_co", covariant=True)
ReceivedDTOPacketT_contra = TypeVar("ReceivedDTOPacketT_contra", contravariant=True)
