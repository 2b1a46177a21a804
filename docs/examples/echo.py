"""The shared part of the echo programs: the packets, the handlers and the client's loop. It opens no socket."""

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
    """Answer each line with the same line."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet(line)


class DatagramEcho(AsyncDatagramRequestHandler[str, str]):
    """Do the same for datagrams: each sender address is a client."""

    async def handle(self, client: AsyncDatagramClient[str]) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet(line)


async def ask(client: AbstractAsyncNetworkClient[str, str], lines: Iterable[str]) -> None:
    """Send each line and print the answer."""
    for line in lines:
        await client.send_packet(line)
        print(await client.recv_packet())
