"""The UDP server that most EasyNetwork users run: `AsyncUDPNetworkServer` with a handler."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator

from benchmarks.servers.harness import HOST, Ready, main
from benchmarks.servers.packets import line_datagrams
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramClient, AsyncDatagramRequestHandler


class EchoOnce(AsyncDatagramRequestHandler[str, str]):
    """Start a new generator for each datagram, as the documentation teaches."""

    async def handle(self, client: AsyncDatagramClient[str]) -> AsyncGenerator[None, str]:
        request = yield
        await client.send_packet(request)


class EchoLoop(AsyncDatagramRequestHandler[str, str]):
    """Use one generator for all datagrams of a sender."""

    async def handle(self, client: AsyncDatagramClient[str]) -> AsyncGenerator[None, str]:
        while True:
            request = yield
            await client.send_packet(request)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    handler = {"once": EchoOnce, "loop": EchoLoop}[options.handler]()
    async with AsyncUDPNetworkServer(HOST, 0, line_datagrams(), handler, options.backend) as server:
        ready(server.get_addresses()[0].port)
        await server.serve_forever()


if __name__ == "__main__":
    main(serve, handler=["once", "loop"])
