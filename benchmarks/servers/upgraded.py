"""A server whose connections use TLS from the start, or after the line `STARTTLS`."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import AsyncGenerator

from benchmarks.servers.full import EchoLoop
from benchmarks.servers.harness import BACKLOG, HOST, Ready, main, server_context
from benchmarks.servers.packets import line_protocol
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient


class UpgradingEcho(EchoLoop):
    """Upgrade each connection first."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        await client.send_packet((yield))
        await client.start_tls(self._context)
        while True:
            request = yield
            await client.send_packet(request)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    context = server_context(options)
    assert context is not None
    handler = UpgradingEcho(context) if options.tls == "later" else EchoLoop()
    async with AsyncTCPNetworkServer(
        HOST, 0, line_protocol("stream"), handler, backlog=BACKLOG, ssl=None if options.tls == "later" else context
    ) as server:
        ready(server.get_addresses()[0].port)
        await server.serve_forever()


if __name__ == "__main__":
    main(serve, tls=["at_once", "later"])
