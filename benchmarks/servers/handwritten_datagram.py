"""The hand-written server for datagrams: an asyncio.DatagramProtocol that sends each one back."""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

from benchmarks.servers.harness import HOST, Ready, main


class EchoProtocol(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # uvloop's transports fail isinstance()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(EchoProtocol, local_addr=(HOST, 0))
    ready(transport.get_extra_info("sockname")[1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(serve)
