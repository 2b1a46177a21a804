"""The ordinary way in the standard library: `asyncio.start_server`, a coroutine for each connection."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers.harness import HOST, main


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def serve(options: argparse.Namespace) -> AsyncIterator[int]:
    async with await asyncio.start_server(echo, HOST, 0, backlog=1024) as server:
        yield server.sockets[0].getsockname()[1]


if __name__ == "__main__":
    main(serve)
