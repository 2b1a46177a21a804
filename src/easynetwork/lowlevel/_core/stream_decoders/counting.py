"""A decoder that counts what another one decodes."""

from __future__ import annotations

__all__ = ["CountingDecoder"]

from typing import Any, TypeVar

from easynetwork.lowlevel._core.traffic import Traffic

from .interface import NEED_DATA, NeedData, StreamDecoder, SupportsBuffer

_T_Packet = TypeVar("_T_Packet")


class CountingDecoder(StreamDecoder[_T_Packet]):
    """Passes everything on to *decoder*, and counts packets and bytes in *traffic*, but not invalid packets."""

    __slots__ = ("_decoder", "traffic")

    def __init__(self, decoder: StreamDecoder[_T_Packet], traffic: Traffic) -> None:
        self._decoder = decoder
        self.traffic: Traffic = traffic
        self.input = decoder.input

    def take_single(self, received: Any) -> _T_Packet | NeedData:
        traffic = self.traffic
        traffic.bytes_received += received if isinstance(received, int) else len(received)
        packet = self._decoder.take_single(received)
        if packet is not NEED_DATA:
            traffic.packets_received += 1
        return packet

    def next_packet(self) -> _T_Packet | NeedData:
        packet = self._decoder.next_packet()
        if packet is not NEED_DATA:
            self.traffic.packets_received += 1
        return packet

    def next_packets(self, limit: int) -> list[_T_Packet]:
        packets = self._decoder.next_packets(limit)
        self.traffic.packets_received += len(packets)
        return packets

    @property
    def batch(self) -> bytes:
        return self._decoder.batch

    @batch.setter
    def batch(self, value: bytes) -> None:
        self._decoder.batch = value

    @property
    def drained(self) -> bool:  # type: ignore[override]  # an attribute of the others
        return self._decoder.drained

    @property
    def pending(self) -> int:
        return self._decoder.pending

    @property
    def buffered(self) -> SupportsBuffer | None:
        return self._decoder.buffered

    @property
    def holds_input(self) -> bool:
        return self._decoder.holds_input

    def feed(self, chunk: bytes) -> None:
        self._decoder.feed(chunk)

    def take_undelivered(self, count: int = 0) -> bytes:
        return self._decoder.take_undelivered(count)

    def clear(self) -> None:
        self._decoder.clear()
