"""What an expert writes by hand for this one job: an asyncio.Protocol that splits lines, and keeps bytes as bytes."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from benchmarks.servers.harness import HOST, main


class EchoProtocol(asyncio.Protocol):
    """Writes each answer by itself."""

    __slots__ = ("partial", "transport")

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by isinstance()

    def data_received(self, data: bytes) -> None:
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        write = self.transport.write
        for line in lines:
            write(line + b"\n")


class BatchEchoProtocol(EchoProtocol):
    """Writes the answers to all that one read brought at once: the least that a server on this loop can cost."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        if lines:
            self.transport.write(b"".join([line + b"\n" for line in lines]))


@asynccontextmanager
async def serve(options: argparse.Namespace) -> AsyncIterator[int]:
    factory = {"message": EchoProtocol, "batch": BatchEchoProtocol}[options.write]
    async with await asyncio.get_running_loop().create_server(factory, HOST, 0, backlog=1024) as server:
        yield server.sockets[0].getsockname()[1]


if __name__ == "__main__":
    main(serve, write=["message", "batch"])
