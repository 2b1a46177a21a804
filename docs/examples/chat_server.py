"""Run a chat: each line goes to all other clients. The first line of a client is its name."""

import argparse
import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

PROTOCOL: StreamProtocol[str, str] = StreamProtocol(StringLineSerializer(encoding="utf-8"))
SECONDS_TO_READ = 5.0


class Chat(AsyncStreamRequestHandler[str, str]):
    """One room for all clients."""

    def __init__(self) -> None:
        self.names: dict[AsyncStreamClient[str], str] = {}

    async def on_connection(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        name = yield
        await self.tell_all(f"* {name} is here")
        await client.send_packet(f"* you see: {', '.join(sorted(self.names.values())) or 'nobody'}")
        self.names[client] = name

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        line = yield
        await self.tell_all(f"{self.names[client]}: {line}", but=client)

    async def on_disconnection(self, client: AsyncStreamClient[str]) -> None:
        await self.tell_all(f"* {self.names.pop(client)} has left")

    async def tell_all(self, line: str, but: AsyncStreamClient[str] | None = None) -> None:
        # Send to all concurrently: a client that does not read must not delay the others.
        async with asyncio.TaskGroup() as group:
            for client in self.names.keys() - {but}:
                group.create_task(self.tell(client, line))

    async def tell(self, client: AsyncStreamClient[str], line: str) -> None:
        try:
            async with asyncio.timeout(SECONDS_TO_READ):
                await client.send_packet(line)
        except TimeoutError:
            await aclose_forcefully(client)
        except ConnectionError:
            pass  # on_disconnection is about to be called


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneTCPNetworkServer(options.host, options.port, PROTOCOL, Chat()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
