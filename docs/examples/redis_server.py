"""Serve a small part of Redis: redis-cli, redis-benchmark and the libraries for Redis can talk to it."""

import argparse
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

from resp import SERVER_PROTOCOL, Command, Reply

from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class Store(AsyncStreamRequestHandler[Command, Reply]):
    """Keep values in memory."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    async def handle(self, client: AsyncStreamClient[Reply]) -> AsyncGenerator[None, Command]:
        while True:
            command = yield
            await client.send_packet(self.reply_to(command))

    def reply_to(self, command: Command) -> Reply:
        name, *arguments = command or [b""]
        match name.upper(), arguments:
            case b"GET", [key]:
                return self.values.get(key)
            case b"SET", [key, value]:
                self.values[key] = value
                return "OK"
            case b"DEL", keys:
                return sum(self.values.pop(key, None) is not None for key in keys)
            case b"PING", []:
                return "PONG"
        return ValueError(f"unknown command, or wrong number of arguments: {name.decode(errors='replace')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneTCPNetworkServer(options.host, options.port, SERVER_PROTOCOL, Store()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
