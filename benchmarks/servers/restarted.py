"""A server that is replaced by the next one on the same port (`SO_REUSEPORT`) while clients use it.

One more command: `leave` stops the server in the way of `--stop`. Then the program prints a report as JSON, and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, Generator

from benchmarks.loads.numbered import ranges, reply_to
from benchmarks.servers.harness import BACKLOG, HOST, Ready, main, server_context
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class NotedLines(AbstractIncrementalPacketSerializer[str, str]):
    """Lines. Keep the numbers of all requests that the server has read, before any of them reaches a handler."""

    def __init__(self) -> None:
        self.read: set[int] = set()

    def incremental_serialize(self, packet: str, /) -> Generator[bytes, None, None]:
        yield packet.encode("ascii") + b"\n"

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[str, bytes]]:
        data = b""
        while b"\n" not in data:
            data += yield
        *lines, _ = data.split(b"\n")
        self.read.update(int(line.partition(b" ")[0]) for line in lines)
        return lines[0].decode("ascii"), data[len(lines[0]) + 1 :]


class Handler(AsyncStreamRequestHandler[str, str]):
    """Count the requests, and those for which a reply was sent."""

    def __init__(self) -> None:
        self.handled = 0
        self.answered = 0

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        request = yield
        self.handled += 1
        if milliseconds := int(request.rpartition(" ")[2]):
            await asyncio.sleep(milliseconds / 1000)
        await client.send_packet(reply_to(request))
        self.answered += 1


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    lines, handler = NotedLines(), Handler()
    left: list[int] = []

    async def leave() -> None:
        if options.stop == "drain":
            left.extend(await server.drain(options.patience))
        else:
            await server.shutdown()

    stopping: list[asyncio.Task[None]] = []
    async with AsyncTCPNetworkServer(
        HOST,
        int(options.port),
        StreamProtocol(lines),
        handler,
        backlog=BACKLOG,
        reuse_port=True,
        ssl=server_context(options),
    ) as server:
        serving = asyncio.ensure_future(server.serve_forever())
        ready(server.get_addresses()[0].port, leave=lambda: stopping.append(asyncio.ensure_future(leave())))
        await asyncio.wait([serving])
    if stopping:
        await stopping[0]
    report = {"read": ranges(lines.read), "handled": handler.handled, "answered": handler.answered, "left": left}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(serve, stop=["drain", "shutdown"], port=0.0, patience=10.0)
