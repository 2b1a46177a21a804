"""The packets that the clients of the demo send."""

from __future__ import annotations

__all__ = ["Packet", "PacketMaker", "Workload"]

import string
from dataclasses import dataclass
from typing import Any, TypeAlias

Packet: TypeAlias = dict[str, Any]

_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Workload:
    """The number and size of the packets to send."""

    connections: int
    packets: int
    """Packets of all connections together."""

    in_flight: int
    """Number of packets that a client sends ahead of the answers."""

    payload: int
    """Size of the text in each packet, in bytes."""

    @property
    def frame_limit(self) -> int:
        """Largest size of the JSON text of a packet, in bytes, with enough room for the text around the payload."""
        return max(self.payload + 1024, 64 * 1024)

    def shares(self) -> list[int]:
        """Return the number of packets that each connection sends."""
        share, rest = divmod(self.packets, self.connections)
        return [share + (number < rest) for number in range(self.connections)]


class PacketMaker:
    """Create the packets of one client. All packets differ, and neighbours differ in every byte of their payload."""

    __slots__ = ("_client", "_size", "_text")

    def __init__(self, client: str, payload: int) -> None:
        self._client = client
        self._size = payload
        self._text = _CHARACTERS * (payload // len(_CHARACTERS) + 2)

    def __call__(self, number: int) -> Packet:
        """Return the packet with this *number*, counted from 0."""
        start = number % len(_CHARACTERS)
        return {"client": self._client, "number": number, "payload": self._text[start : start + self._size]}
