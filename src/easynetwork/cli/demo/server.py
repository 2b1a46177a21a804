"""The process of the demo's server: ``python -m easynetwork.cli.demo.server TRANSPORT LOOP FRAME_LIMIT``.

It tells its address in a line of JSON on stdout, and its CPU time so far for each line that it reads from stdin.
It ends when stdin does, thus also when the demo dies without a word.
"""

from __future__ import annotations

__all__ = ["main"]

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any

from easynetwork.cli.demo.transports import TRANSPORTS, TCPTransport, json_lines
from easynetwork.cli.loops import event_loops
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class Echo(AsyncStreamRequestHandler[Any, Any]):
    """Answers each packet with the same packet."""

    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        """Serve one connection until it ends."""
        while True:
            packet = yield
            await client.send_packet(packet)


def main(transport: str, loop: str, frame_limit: str) -> None:
    """Serve until stdin ends."""
    with asyncio.Runner(loop_factory=event_loops()[loop]) as runner:
        runner.run(_serve(TRANSPORTS[transport], int(frame_limit)))


async def _serve(transport: TCPTransport, frame_limit: int) -> None:
    async with transport.server(json_lines(frame_limit), Echo()) as server:
        serving = asyncio.create_task(server.serve_forever())
        _tell({"address": transport.address(server)})
        await asyncio.to_thread(_tell_cpu_time)
        await server.shutdown()
        await serving


def _tell_cpu_time() -> None:
    for _ in sys.stdin:
        _tell({"cpu_seconds": time.process_time()})


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
