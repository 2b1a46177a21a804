"""A UDP server that echoes, but whose handler waits for ever if the datagram says so.

Two more commands: `heard` prints the number of datagrams that the handlers received, `log` the number of lines that the
server has logged.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import AsyncGenerator

from benchmarks.servers.exposed import LIMITS, LoggedLines, limits
from benchmarks.servers.harness import HOST, Ready, main
from benchmarks.servers.packets import line_datagrams
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramClient, AsyncDatagramRequestHandler


class Waiter(AsyncDatagramRequestHandler[str, str]):
    """Start a new generator for each datagram."""

    def __init__(self) -> None:
        self.heard = 0

    async def handle(self, client: AsyncDatagramClient[str]) -> AsyncGenerator[None, str]:
        request = yield
        self.heard += 1
        if request == "wait\n":
            await asyncio.Event().wait()
        await client.send_packet(request)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    lines = LoggedLines()
    logging.getLogger().addHandler(lines)
    handler = Waiter()
    async with AsyncUDPNetworkServer(HOST, 0, line_datagrams(), handler, **limits(options)) as server:
        ready(server.get_addresses()[0].port, heard=lambda: handler.heard, log=lambda: lines.count)
        await server.serve_forever()


if __name__ == "__main__":
    main(serve, limits=LIMITS, deadline=0.0)
