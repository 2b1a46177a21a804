"""The low level of EasyNetwork: `AsyncStreamServer` on a listener, one handler generator for each connection."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from typing import Any

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main, server_context
from benchmarks.servers.packets import PROTOCOLS, line_protocol
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE
from easynetwork.lowlevel.socket import INETSocketAttribute


async def echo(client: ConnectedStreamClient[str]) -> AsyncGenerator[None, str]:
    while True:
        request = yield
        await client.send_packet(request)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    listener, address = await listen(options)
    async with AsyncStreamServer(listener, line_protocol(options.protocol), DEFAULT_STREAM_BUFSIZE) as server:
        ready(address)
        await server.serve(echo)


async def listen(options: argparse.Namespace) -> tuple[AsyncListener[Any], object]:
    """Return a listener on the transport in *options*, and its address."""
    backend = new_builtin_backend(options.backend)
    if options.transport == "unix":
        return await backend.create_unix_stream_listener(options.path, BACKLOG), options.path
    listener: AsyncListener[Any]
    [listener] = await backend.create_tcp_listeners(HOST, 0, BACKLOG)
    port = listener.extra(INETSocketAttribute.sockname)[1]
    if context := server_context(options):
        from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener

        listener = AsyncTLSListener(listener, context)
    return listener, port


if __name__ == "__main__":
    main(serve, protocol=PROTOCOLS)
