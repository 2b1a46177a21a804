"""The UDP server that an AnyIO user writes: one loop that sends each datagram back."""

from __future__ import annotations

import argparse

import anyio
from anyio.abc import SocketAttribute

from benchmarks.servers.harness import HOST, Ready, main


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    async with await anyio.create_udp_socket(local_host=HOST) as udp:
        ready(udp.extra(SocketAttribute.local_port))
        async for packet, (host, port) in udp:
            await udp.sendto(packet, host, port)


if __name__ == "__main__":
    main(serve)
