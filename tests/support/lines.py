"""Protocols of text: one packet is one line of a stream, or one datagram."""

from __future__ import annotations

__all__ = ["LINE_PROTOCOLS", "buffered_line_protocol", "line_protocol", "text_protocol"]

from collections.abc import Callable, Mapping
from typing import Any

from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer


def line_protocol() -> StreamProtocol[str, str]:
    """Return a protocol of lines that gets its bytes in chunks."""
    return StreamProtocol(StringLineSerializer())


def buffered_line_protocol() -> BufferedStreamProtocol[str, str, Any]:
    """Return a protocol of lines that gets its bytes in a buffer of its own."""
    return BufferedStreamProtocol(StringLineSerializer())


LINE_PROTOCOLS: Mapping[str, Callable[[], AnyStreamProtocolType[str, str]]] = {
    "stream": line_protocol,
    "buffered": buffered_line_protocol,
}
"""Both, by names for the ids of tests."""


def text_protocol() -> DatagramProtocol[str, str]:
    """Return a protocol of datagrams, each of which is one text in ASCII."""
    return DatagramProtocol(StringLineSerializer(encoding="ascii"))
