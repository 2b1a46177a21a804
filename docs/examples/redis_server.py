"""Serve a part of Redis: redis-cli, redis-benchmark and the libraries for Redis can talk to it."""

import argparse
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

from resp import SERVER_PROTOCOL, Command, RedisError, Reply
from store import Store

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class RedisService(AsyncStreamRequestHandler[Command, Reply]):
    """Run the commands of all clients on one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle(self, client: AsyncStreamClient[Reply]) -> AsyncGenerator[None, Command]:
        transaction: list[Command] | None = None
        while True:
            try:
                command = yield
            except StreamProtocolParseError as exc:
                await client.send_packet(RedisError(f"ERR Protocol error: {exc.error}"))
                break
            if not command:
                continue  # an empty line
            reply: Reply
            match command[0].upper():
                case b"QUIT":
                    await client.send_packet("OK")
                    break
                case b"MULTI" | b"EXEC" | b"DISCARD" as name if len(command) == 1:
                    reply, transaction = self.store.transact(name, transaction)
                case _ if transaction is not None:
                    reply = self.store.queue(command, transaction)
                case _:
                    reply = self.store.reply_to(command)
            await client.send_packet(reply)
        await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneTCPNetworkServer(options.host, options.port, SERVER_PROTOCOL, RedisService(Store())) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
