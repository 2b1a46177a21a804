"""What the echo programs share: what a packet is, how it is answered, how one asks. None of it opens a socket."""

from collections.abc import AsyncGenerator, Iterable

from easynetwork.clients.abc import AbstractAsyncNetworkClient
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers.handlers import (
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
)

LINES = StringLineSerializer(encoding="utf-8")
PROTOCOL: StreamProtocol[str, str] = StreamProtocol(LINES)
DATAGRAM_PROTOCOL: DatagramProtocol[str, str] = DatagramProtocol(LINES)


class Echo(AsyncStreamRequestHandler[str, str]):
    """Answers each line with the same line."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet(line)


class DatagramEcho(AsyncDatagramRequestHandler[str, str]):
    """The same for datagrams: a client is whoever sends from one address."""

    async def handle(self, client: AsyncDatagramClient[str]) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet(line)


async def ask(client: AbstractAsyncNetworkClient[str, str], lines: Iterable[str]) -> None:
    """Print the answer to each of the lines."""
    for line in lines:
        await client.send_packet(line)
        print(await client.recv_packet())
