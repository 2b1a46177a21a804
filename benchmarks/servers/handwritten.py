"""The hand-written server: an asyncio.Protocol that splits lines and keeps bytes as bytes.

`--network aiofastnet` replaces the transports of the loop, TLS included, by those of that library.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

from benchmarks.servers.harness import Ready, main
from benchmarks.servers.stdlib import serve_stdlib


class EchoProtocol(asyncio.Protocol):
    """Write each answer separately."""

    __slots__ = ("partial", "transport")

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports fail isinstance()

    def data_received(self, data: bytes) -> None:
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        write = self.transport.write
        for line in lines:
            write(line + b"\n")


class BatchEchoProtocol(EchoProtocol):
    """Write all the answers to one read at once: the lowest possible cost of a server on this loop."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        if lines:
            self.transport.write(b"".join([line + b"\n" for line in lines]))


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    loop = asyncio.get_running_loop()
    if options.network == "aiofastnet":
        import aiofastnet

        aiofastnet.patch_loop()
    factory = {"message": EchoProtocol, "batch": BatchEchoProtocol}[options.write]
    await serve_stdlib(loop.create_server, loop.create_unix_server, factory, options, ready)


if __name__ == "__main__":
    main(serve, write=["message", "batch"], network=["loop", "aiofastnet"])
