"""The client of the standard library: `asyncio.open_connection`. It keeps bytes as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.clients.harness import HOST, LINE, check, main_async

_LINE = LINE.encode() + b"\n"


class StreamsClient:
    __slots__ = ("reader", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ping(self, count: int) -> None:
        reader, writer = self.reader, self.writer
        for _ in range(count):
            writer.write(_LINE)
            await writer.drain()
            answer = await reader.readline()
        check(answer, _LINE)

    async def send(self, count: int) -> None:
        writer = self.writer
        for _ in range(count):
            writer.write(_LINE)
            await writer.drain()
        check(await self.reader.readline(), _LINE)

    async def receive(self, count: int) -> None:
        reader = self.reader
        for _ in range(count):
            line = await reader.readline()
        check(line, _LINE)


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[StreamsClient]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield StreamsClient(reader, writer)
    finally:
        writer.close()


if __name__ == "__main__":
    main_async(connect)
