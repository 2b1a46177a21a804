"""A protocol whose two directions carry different packets: types that are swapped by mistake do not fit.

A client sends a `Reading` and receives a `Verdict`. A server does the opposite.
"""

from __future__ import annotations

__all__ = [
    "DatagramThermometer",
    "Reading",
    "StreamThermometer",
    "Verdict",
    "client_converter",
    "server_converter",
]

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import assert_type

from easynetwork.converter import AbstractPacketConverter, StapledPacketConverter
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.servers.handlers import (
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
)


@dataclass(frozen=True)
class Reading:
    """What a thermometer shows."""

    degrees: int


@dataclass(frozen=True)
class Verdict:
    """What the server says to it."""

    text: str


class ReadingConverter(AbstractPacketConverter[Reading, str]):
    def create_from_dto_packet(self, packet: str, /) -> Reading:
        return Reading(int(packet))

    def convert_to_dto_packet(self, obj: Reading, /) -> str:
        return str(obj.degrees)


class VerdictConverter(AbstractPacketConverter[Verdict, str]):
    def create_from_dto_packet(self, packet: str, /) -> Verdict:
        return Verdict(packet)

    def convert_to_dto_packet(self, obj: Verdict, /) -> str:
        return obj.text


def client_converter() -> StapledPacketConverter[Reading, Verdict, str, str]:
    return StapledPacketConverter(ReadingConverter(), VerdictConverter())


def server_converter() -> StapledPacketConverter[Verdict, Reading, str, str]:
    return StapledPacketConverter(VerdictConverter(), ReadingConverter())


def verdict_on(reading: Reading) -> Verdict:
    return Verdict("hot" if reading.degrees > 30 else "fine")


class StreamThermometer(AsyncStreamRequestHandler[Reading, Verdict]):
    async def handle(self, client: AsyncStreamClient[Verdict], /) -> AsyncGenerator[float | RecvParams | None, Reading]:
        reading = yield None
        assert_type(reading, Reading)
        await client.send_packet(verdict_on(reading))


class DatagramThermometer(AsyncDatagramRequestHandler[Reading, Verdict]):
    async def handle(
        self, client: AsyncDatagramClient[Verdict], /
    ) -> AsyncGenerator[float | RecvParams | None, Reading]:
        reading = yield None
        assert_type(reading, Reading)
        await client.send_packet(verdict_on(reading))
