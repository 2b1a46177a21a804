"""`AsyncDatagramServer` with a handler that takes one datagram of each sender, and the others only after `release`.

Two more commands: `release` lets the handlers continue. `report` prints the number of datagrams that they received, and
the number that the server has counted as dropped.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from typing import Any

from benchmarks.servers.harness import HOST, Ready, main
from benchmarks.servers.packets import line_datagrams
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.socket import INETSocketAttribute


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    backend = new_builtin_backend(options.backend)
    released = backend.create_event()
    delivered = 0

    async def stall(client: DatagramClientContext[str, Any]) -> AsyncGenerator[None, str]:
        nonlocal delivered
        while True:
            yield
            delivered += 1
            await released.wait()

    [listener] = await backend.create_udp_listeners(HOST, 0)

    def report() -> str:
        # EasyNetwork 1.2.0 does not count drops.
        return f"{delivered} {getattr(server, 'dropped_datagrams', 0)}"

    async with AsyncDatagramServer(listener, line_datagrams()) as server:
        ready(listener.extra(INETSocketAttribute.sockname)[1], release=released.set, report=report)
        await server.serve(stall)


if __name__ == "__main__":
    main(serve)
