"""The asynchronous client of EasyNetwork: `AsyncTCPNetworkClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.clients.harness import HOST, LINE, check, main_async
from benchmarks.servers.packets import line_protocol
from easynetwork.clients import AsyncTCPNetworkClient


class TCPClient:
    __slots__ = ("client",)

    def __init__(self, client: AsyncTCPNetworkClient[str, str]) -> None:
        self.client = client

    async def ping(self, count: int) -> None:
        client = self.client
        for _ in range(count):
            await client.send_packet(LINE)
            answer = await client.recv_packet()
        check(answer, LINE)

    async def send(self, count: int) -> None:
        client = self.client
        for _ in range(count):
            await client.send_packet(LINE)
        check(await client.recv_packet(), LINE)

    async def receive(self, count: int) -> None:
        client = self.client
        for _ in range(count):
            line = await client.recv_packet()
        check(line, LINE)


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[TCPClient]:
    async with AsyncTCPNetworkClient((HOST, port), line_protocol("stream"), "asyncio") as client:
        yield TCPClient(client)


if __name__ == "__main__":
    main_async(connect)
