"""The low level of EasyNetwork: `AsyncStreamServer` on a listener, one handler generator for each connection."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers.harness import HOST, main
from benchmarks.servers.packets import PROTOCOLS, line_protocol
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE
from easynetwork.lowlevel.socket import INETSocketAttribute


async def echo(client: ConnectedStreamClient[str]) -> AsyncGenerator[None, str]:
    while True:
        request = yield
        await client.send_packet(request)


@asynccontextmanager
async def serve(options: argparse.Namespace) -> AsyncIterator[int]:
    backend = new_builtin_backend("asyncio")
    [listener] = await backend.create_tcp_listeners(HOST, 0, 1024)
    async with AsyncStreamServer(listener, line_protocol(options.protocol), DEFAULT_STREAM_BUFSIZE) as server:
        serving = asyncio.create_task(server.serve(echo))
        try:
            yield server.extra(INETSocketAttribute.sockname)[1]
        finally:
            serving.cancel()
            await asyncio.wait([serving])


if __name__ == "__main__":
    main(serve, protocol=PROTOCOLS)
