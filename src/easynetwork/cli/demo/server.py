"""The process of the demo's server: ``python -m easynetwork.cli.demo.server TRANSPORT LOOP FRAME_LIMIT FOLDER``.

More arguments are what the server measures. It prints its address as a line of JSON on stdout. For each line ``cpu``
that it reads from stdin, it prints its CPU time so far, and for each line ``statistics`` its numbers. It ends at a line
``end``. If stdin ends without that line, a signal has killed the demo. Then the server removes FOLDER, a temporary one,
because the demo no longer can.
"""

from __future__ import annotations

__all__ = ["END", "DatagramEcho", "Echo", "main"]

import asyncio
import json
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from easynetwork.cli.demo.transport import Transport
from easynetwork.cli.demo.transports import TRANSPORTS
from easynetwork.cli.loops import event_loops
from easynetwork.servers.handlers import (
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
)

END: Final = "end\n"
"""The line that ends the server."""


class Echo(AsyncStreamRequestHandler[Any, Any]):
    """Answer each packet with the same packet."""

    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        """Serve one connection until it ends."""
        while True:
            packet = yield
            await client.send_packet(packet)


class DatagramEcho(AsyncDatagramRequestHandler[Any, Any]):
    """Answer each packet with the same packet."""

    async def handle(self, client: AsyncDatagramClient[Any]) -> AsyncGenerator[None, Any]:
        """Serve one packet."""
        packet = yield
        await client.send_packet(packet)


def main(transport: str, loop: str, frame_limit: str, folder: str, *measure: str) -> None:
    """Serve until stdin or the demo ends."""
    with asyncio.Runner(loop_factory=event_loops()[loop]) as runner:
        is_orphan = not runner.run(_serve(TRANSPORTS[transport](Path(folder)), int(frame_limit), measure))
    if is_orphan:
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(transport: Transport, frame_limit: int, measure: Sequence[str]) -> bool:
    """Serve. Return whether the demo has asked for the end."""
    handler = Echo() if transport.is_stream else DatagramEcho()
    async with transport.server(transport.protocol(frame_limit), handler, measure=measure) as server:
        serving = asyncio.create_task(server.serve_forever())
        _tell({"address": transport.address(server)})
        is_asked_to_end = await asyncio.to_thread(_answer, server)
        await server.shutdown()
        await serving
    return is_asked_to_end


def _answer(server: Any) -> bool:
    """Answer the lines of stdin up to the end. Return whether it ended with the line `END`."""
    for line in sys.stdin:
        if line == END:
            return True
        _tell(asdict(server.statistics()) if line == "statistics\n" else {"cpu_seconds": time.process_time()})
    return False


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
