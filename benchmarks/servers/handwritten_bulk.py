"""The hand-written server for large packets of one size: an asyncio.BufferedProtocol with a buffer of that size."""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from typing import cast

from benchmarks.catalogue import BLOB, RECEIPT
from benchmarks.servers.harness import Ready, main
from benchmarks.servers.stdlib import serve_stdlib


class BlobProtocol(asyncio.BufferedProtocol):
    __slots__ = ("answer", "buffer", "filled", "transport")

    transport: asyncio.Transport

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.buffer = memoryview(bytearray(BLOB))
        self.filled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports fail isinstance()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.filled += nbytes
        if self.filled == BLOB:
            self.filled = 0
            packet = bytes(self.buffer)
            self.transport.write(packet[: self.answer])


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    loop = asyncio.get_running_loop()
    factory = partial(BlobProtocol, {"echo": BLOB, "sink": RECEIPT}[options.job])
    await serve_stdlib(loop.create_server, loop.create_unix_server, factory, options, ready)


if __name__ == "__main__":
    main(serve, job=["echo", "sink"])
