"""The protocols of all EasyNetwork programs: lines as `str`, with each kind of protocol object."""

from __future__ import annotations

from typing import Any

from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer

__all__ = ["PROTOCOLS", "line_datagrams", "line_protocol"]

PROTOCOLS = ["stream", "buffered"]


def line_protocol(kind: str) -> StreamProtocol[str, str] | BufferedStreamProtocol[str, str, Any]:
    serializer = StringLineSerializer()
    if kind == "buffered":
        return BufferedStreamProtocol(serializer)
    return StreamProtocol(serializer)


def line_datagrams() -> DatagramProtocol[str, str]:
    # The serializer adds no newline to a datagram, so it must not remove one either.
    return DatagramProtocol(StringLineSerializer(keep_end=True))
