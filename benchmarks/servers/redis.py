"""A small Redis server: the one in docs/examples, or a hand-written Protocol that does the same."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient

sys.path.append(str(Path(__file__).resolve().parents[2] / "docs" / "examples"))

from redis_server import RedisService
from resp import ARRAY, BULK, LIMIT, SERVER_PROTOCOL, Command, RedisError, Reply, ServerSide
from store import Store


class RedisServiceOnce(RedisService):
    """Starts a new generator for each command."""

    async def handle(self, client: AsyncStreamClient[Reply]) -> AsyncGenerator[None, Command]:
        command = yield
        await client.send_packet(self.store.reply_to(command))


class HandWritten(asyncio.Protocol):
    """Parses in one pass, and writes all replies to a chunk at once."""

    transport: asyncio.Transport

    def __init__(self, store: Store) -> None:
        self.reply_to = store.reply_to
        self.encode = ServerSide().serialize
        self.kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not an instance of it

    def data_received(self, data: bytes) -> None:
        if self.kept:
            data = self.kept + data
        replies = []
        start, size = 0, len(data)
        try:
            while start < size:
                command, end = self.parse(data, start)
                if command is None:
                    break
                replies.append(self.encode(self.reply_to(command)))
                start = end
        except ValueError as exc:
            replies.append(self.encode(RedisError(f"ERR Protocol error: {exc}")))
            self.transport.write(b"".join(replies))
            self.transport.close()
            return
        self.kept = data[start:]
        if replies:
            self.transport.write(b"".join(replies))

    def parse(self, data: bytes, start: int) -> tuple[Command | None, int]:
        end = data.find(b"\r\n", start) + 2
        if end < 2:
            if len(data) - start > LIMIT:
                raise ValueError("too large")
            return None, 0
        if data[start] != ARRAY:
            return data[start:end].split(), end
        command = []
        count = int(data[start + 1 : end])
        while count > 0:
            count -= 1
            begin, end = end, data.find(b"\r\n", end) + 2
            if end < 2:
                return None, 0
            if data[begin] != BULK or (size := int(data[begin + 1 : end])) < 0:
                raise ValueError("expected the size of an argument")
            begin = end
            end += size + 2
            if end - start > LIMIT:
                raise ValueError("too large")
            if end > len(data):
                return None, 0
            command.append(data[begin : end - 2])
        return command, end


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    store = Store()
    if options.way == "protocol":
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: HandWritten(store), HOST, 0, backlog=BACKLOG) as listener:
            ready(listener.sockets[0].getsockname()[1])
            await listener.serve_forever()
    else:
        handler = RedisService(store) if options.way == "loop" else RedisServiceOnce(store)
        async with AsyncTCPNetworkServer(HOST, 0, SERVER_PROTOCOL, handler, options.backend, backlog=BACKLOG) as server:
            ready(server.get_addresses()[0].port)
            await server.serve_forever()


if __name__ == "__main__":
    main(serve, way=["protocol", "loop", "once"])
