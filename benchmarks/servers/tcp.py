"""The server that most users of EasyNetwork run: `AsyncTCPNetworkServer` and a request handler."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers.harness import HOST, main
from benchmarks.servers.packets import PROTOCOLS, line_protocol
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class EchoOnce(AsyncStreamRequestHandler[str, str]):
    """As the documentation teaches it: a new generator for each request."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        request = yield
        await client.send_packet(request)


class EchoLoop(AsyncStreamRequestHandler[str, str]):
    """One generator for the whole connection."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        while True:
            request = yield
            await client.send_packet(request)


@asynccontextmanager
async def serve(options: argparse.Namespace) -> AsyncIterator[int]:
    handler = {"once": EchoOnce, "loop": EchoLoop}[options.handler]()
    protocol = line_protocol(options.protocol)
    async with AsyncTCPNetworkServer(HOST, 0, protocol, handler, "asyncio", backlog=1024) as server:
        is_up = asyncio.Event()
        serving = asyncio.create_task(server.serve_forever(is_up_event=is_up))
        try:
            await is_up.wait()
            yield server.get_addresses()[0].port
        finally:
            serving.cancel()
            await asyncio.wait([serving])


if __name__ == "__main__":
    main(serve, protocol=PROTOCOLS, handler=["once", "loop"])
