"""Counting of packets and bytes, for servers that are asked to."""

from __future__ import annotations

__all__ = ["Traffic"]

from collections.abc import Callable
from typing import Any, TypeVar

_T_Packet = TypeVar("_T_Packet")


class Traffic:
    """The packets and bytes of one connection, or of many. Bytes are those of packets: without TLS and headers."""

    __slots__ = ("bytes_received", "bytes_sent", "invalid_packets", "packets_received", "packets_sent")

    def __init__(self) -> None:
        self.packets_received: int = 0
        self.packets_sent: int = 0
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.invalid_packets: int = 0

    def add(self, other: Traffic) -> None:
        """Add the numbers of *other*."""
        self.packets_received += other.packets_received
        self.packets_sent += other.packets_sent
        self.bytes_received += other.bytes_received
        self.bytes_sent += other.bytes_sent
        self.invalid_packets += other.invalid_packets

    def counting_sent(self, encode: Callable[[_T_Packet], bytes]) -> Callable[[_T_Packet], bytes]:
        """Return a function that does what *encode* does, and counts the packet."""

        def encode_and_count(packet: _T_Packet) -> bytes:
            data = encode(packet)
            self.packets_sent += 1
            self.bytes_sent += len(data)
            return data

        return encode_and_count

    def counting_received(self, build: Callable[[bytes], _T_Packet]) -> Callable[[bytes], _T_Packet]:
        """Return a function that does what *build* does with a whole packet, and counts it. Its errors are invalid."""

        def build_and_count(data: bytes) -> _T_Packet:
            self.bytes_received += len(data)
            try:
                packet = build(data)
            except Exception:
                self.invalid_packets += 1
                raise
            self.packets_received += 1
            return packet

        return build_and_count

    def numbers(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return {name: getattr(self, name) for name in self.__slots__}
