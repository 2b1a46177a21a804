"""Type variables and aliases of the public generic classes."""

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
"""Any bytes-like object: ``bytes``, ``bytearray``, ``memoryview``, ``array.array``..."""

WriteableBufferT = TypeVar("WriteableBufferT", bound=Buffer)
"""A writable buffer for received bytes. The type system cannot express "writable"."""

# Packets as the program sends and receives them.
PacketT = TypeVar("PacketT")
SentPacketT_contra = TypeVar("SentPacketT_contra", contravariant=True)
ReceivedPacketT_co = TypeVar("ReceivedPacketT_co", covariant=True)

# Packets as the serializer reads and writes them. Without a converter, these are the same types.
DTOPacketT = TypeVar("DTOPacketT")
SentDTOPacketT_contra = TypeVar("SentDTOPacketT_contra", contravariant=True)
ReceivedDTOPacketT_co = TypeVar("ReceivedDTOPacketT_co", covariant=True)

# The same types as seen by a converter, with opposite variance: it produces sent packets and consumes received ones.
SentDTOPacketT_co = TypeVar("SentDTOPacketT_co", covariant=True)
ReceivedDTOPacketT_contra = TypeVar("ReceivedDTOPacketT_contra", contravariant=True)
