"""The protocols of all EasyNetwork programs: lines as `str`, with each kind of protocol object."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.tools import GeneratorStreamReader

__all__ = ["PROTOCOLS", "line_datagrams", "line_protocol"]

PROTOCOLS = ["stream", "buffered", "generator"]


class LinesByGenerator(AbstractIncrementalPacketSerializer[str, str]):
    """The same lines, by the generators that a user would write."""

    def incremental_serialize(self, packet: str, /) -> Generator[bytes, None, None]:
        yield packet.encode("ascii") + b"\n"

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[str, bytes]]:
        reader = GeneratorStreamReader()
        line = yield from reader.read_until(b"\n", limit=65536, keep_end=False)
        return line.decode("ascii"), reader.read_all()


def line_protocol(kind: str) -> StreamProtocol[str, str] | BufferedStreamProtocol[str, str, Any]:
    if kind == "generator":
        return StreamProtocol(LinesByGenerator())
    serializer = StringLineSerializer()
    if kind == "buffered":
        return BufferedStreamProtocol(serializer)
    return StreamProtocol(serializer)


def line_datagrams() -> DatagramProtocol[str, str]:
    # The serializer adds no newline to a datagram, so it must not remove one either.
    return DatagramProtocol(StringLineSerializer(keep_end=True))
