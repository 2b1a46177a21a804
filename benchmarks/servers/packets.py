"""What both EasyNetwork servers speak: lines as `str`, by either kind of protocol object."""

from __future__ import annotations

from typing import Any

from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer

__all__ = ["PROTOCOLS", "line_protocol"]

PROTOCOLS = ["stream", "buffered"]


def line_protocol(kind: str) -> StreamProtocol[str, str] | BufferedStreamProtocol[str, str, Any]:
    serializer = StringLineSerializer()
    if kind == "buffered":
        return BufferedStreamProtocol(serializer)
    return StreamProtocol(serializer)
