"""The servers that most EasyNetwork users run: `AsyncTCPNetworkServer` or `AsyncUnixStreamServer` with a handler."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main, server_context
from benchmarks.servers.packets import PROTOCOLS, line_protocol
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class EchoOnce(AsyncStreamRequestHandler[str, str]):
    """Start a new generator for each request, as the documentation teaches."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        request = yield
        await client.send_packet(request)


class EchoLoop(AsyncStreamRequestHandler[str, str]):
    """Use one generator for the whole connection."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        while True:
            request = yield
            await client.send_packet(request)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    handler = {"once": EchoOnce, "loop": EchoLoop}[options.handler]()
    protocol = line_protocol(options.protocol)
    if options.transport == "unix":
        from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

        async with AsyncUnixStreamServer(options.path, protocol, handler, options.backend, backlog=BACKLOG) as unix:
            ready(options.path)
            await unix.serve_forever()
    else:
        context = server_context(options)
        async with AsyncTCPNetworkServer(
            HOST, 0, protocol, handler, options.backend, backlog=BACKLOG, ssl=context
        ) as server:
            ready(server.get_addresses()[0].port)
            await server.serve_forever()


if __name__ == "__main__":
    main(serve, protocol=PROTOCOLS, handler=["once", "loop"])
