"""The ordinary server of the standard library: `asyncio.start_server`, a coroutine for each connection."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.servers.harness import Ready, main
from benchmarks.servers.stdlib import serve_stdlib


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    await serve_stdlib(asyncio.start_server, asyncio.start_unix_server, echo, options, ready)


if __name__ == "__main__":
    main(serve)
