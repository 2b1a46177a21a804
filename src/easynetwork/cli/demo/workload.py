"""What the clients of the demo send."""

from __future__ import annotations

__all__ = ["Packet", "PacketMaker", "Workload"]

import string
from dataclasses import dataclass
from typing import Any, TypeAlias

Packet: TypeAlias = dict[str, Any]

_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Workload:
    """How much is sent, and how."""

    connections: int
    packets: int
    """Packets of all connections together."""

    in_flight: int
    """How many packets a client sends ahead of the answers."""

    payload: int
    """Size of the text in each packet, in bytes."""

    @property
    def frame_limit(self) -> int:
        """Bytes that the JSON text of a packet may have, with room to spare for what surrounds the payload."""
        return max(self.payload + 1024, 64 * 1024)

    def shares(self) -> list[int]:
        """How many of the packets each connection sends."""
        share, rest = divmod(self.packets, self.connections)
        return [share + (number < rest) for number in range(self.connections)]


class PacketMaker:
    """Makes the packets of one client. No two are alike, and neighbours differ in each byte of their payload."""

    __slots__ = ("_client", "_size", "_text")

    def __init__(self, client: str, payload: int) -> None:
        self._client = client
        self._size = payload
        self._text = _CHARACTERS * (payload // len(_CHARACTERS) + 2)

    def __call__(self, number: int) -> Packet:
        """Return the packet with this *number*, counted from 0."""
        start = number % len(_CHARACTERS)
        return {"client": self._client, "number": number, "payload": self._text[start : start + self._size]}
