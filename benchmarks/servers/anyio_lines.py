"""The server that an AnyIO user writes: a coroutine for each connection, which receives until the next newline."""

from __future__ import annotations

import argparse

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteStream

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main

LIMIT = 64 * 1024  # the longest line, as that of asyncio's streams


async def echo(client: SocketStream) -> None:
    async with client:
        stream = BufferedByteStream(client)
        try:
            while True:
                line = await stream.receive_until(b"\n", LIMIT)
                await stream.send(line + b"\n")
        except (anyio.IncompleteRead, anyio.BrokenResourceError):  # the peer has left
            pass


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0, backlog=BACKLOG)
    ready(listener.extra(SocketAttribute.local_port))
    await listener.serve(echo)


if __name__ == "__main__":
    main(serve)
