"""The low level of EasyNetwork for datagrams: `AsyncDatagramServer` on a listener, one generator for each sender."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from typing import Any

from benchmarks.servers.harness import HOST, Ready, main
from benchmarks.servers.packets import line_datagrams
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.socket import INETSocketAttribute


async def echo(client: DatagramClientContext[str, Any]) -> AsyncGenerator[None, str]:
    while True:
        request = yield
        await client.server.send_packet_to(request, client.address)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    [listener] = await new_builtin_backend(options.backend).create_udp_listeners(HOST, 0)
    async with AsyncDatagramServer(listener, line_datagrams()) as server:
        ready(listener.extra(INETSocketAttribute.sockname)[1])
        await server.serve(echo)


if __name__ == "__main__":
    main(serve)
