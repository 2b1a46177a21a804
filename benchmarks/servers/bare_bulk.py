"""`AsyncStreamServer` with large packets and `BufferedStreamProtocol`."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator

from benchmarks.catalogue import BLOB, RECEIPT
from benchmarks.servers.bare import listen
from benchmarks.servers.blobs import blob_protocol
from benchmarks.servers.harness import Ready, main
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient


async def echo(client: ConnectedStreamClient[bytes]) -> AsyncGenerator[None, bytes]:
    while True:
        request = yield
        await client.send_packet(request)


async def sink(client: ConnectedStreamClient[bytes]) -> AsyncGenerator[None, bytes]:
    while True:
        request = yield
        await client.send_packet(request[:RECEIPT])


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    handler, sent = {"echo": (echo, BLOB), "sink": (sink, RECEIPT)}[options.job]
    listener, address = await listen(options)
    async with AsyncStreamServer(listener, blob_protocol(BLOB, sent), BLOB) as server:
        ready(address)
        await server.serve(handler)


if __name__ == "__main__":
    main(serve, job=["echo", "sink"])
