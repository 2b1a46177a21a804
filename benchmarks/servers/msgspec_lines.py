"""Answer structs with themselves, as lines of JSON: with a handler of this library, or with a hand-written Protocol."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator
from typing import TypeAlias, cast

import msgspec

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import MsgspecJSONSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

LIMIT = 64 * 1024


class Reading(msgspec.Struct, tag="reading"):
    sensor: str
    number: int
    values: list[float]


class Question(msgspec.Struct, tag="question"):
    sensor: str


Packet: TypeAlias = Reading | Question


class Loop(AsyncStreamRequestHandler[Packet, Packet]):
    """One generator for all packets."""

    async def handle(self, client: AsyncStreamClient[Packet]) -> AsyncGenerator[None, Packet]:
        while True:
            packet = yield
            await client.send_packet(packet)


class Once(AsyncStreamRequestHandler[Packet, Packet]):
    """A new generator for each packet."""

    async def handle(self, client: AsyncStreamClient[Packet]) -> AsyncGenerator[None, Packet]:
        packet = yield
        await client.send_packet(packet)


class HandWritten(asyncio.Protocol):
    """Write all answers to one read at once."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.decode = msgspec.json.Decoder(Packet).decode
        self.encode = msgspec.json.Encoder().encode
        self.partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports fail isinstance()

    def data_received(self, data: bytes) -> None:
        decode, encode = self.decode, self.encode
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        answers = []
        is_valid = len(self.partial) <= LIMIT
        try:
            for line in lines:
                answers.append(encode(decode(line)) + b"\n")  # noqa: PERF401 - what is before an error must be answered
        except msgspec.DecodeError:
            is_valid = False
        if answers:
            self.transport.write(b"".join(answers))
        if not is_valid:
            self.transport.close()


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    if options.way == "protocol":
        loop = asyncio.get_running_loop()
        async with await loop.create_server(HandWritten, HOST, 0, backlog=BACKLOG) as listener:
            ready(listener.sockets[0].getsockname()[1])
            await listener.serve_forever()
    else:
        handler = Loop() if options.way == "loop" else Once()
        protocol: StreamProtocol[Packet, Packet] = StreamProtocol(MsgspecJSONSerializer(Packet))
        async with AsyncTCPNetworkServer(HOST, 0, protocol, handler, options.backend, backlog=BACKLOG) as server:
            ready(server.get_addresses()[0].port)
            await server.serve_forever()


if __name__ == "__main__":
    main(serve, way=["protocol", "loop", "once"])
