"""Show the numbers of the demo's server while it runs."""

from __future__ import annotations

__all__ = ["line", "showing_statistics"]

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from easynetwork.cli.demo.server_process import ServerProcess
from easynetwork.servers import ServerStatistics

_SECONDS_BETWEEN_LINES = 1.0


@asynccontextmanager
async def showing_statistics(server: ServerProcess) -> AsyncIterator[None]:
    """Print the numbers of *server* every second while the block runs, and at its end."""
    is_over = asyncio.Event()

    async def show() -> None:
        while not is_over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_LINES):
                    await is_over.wait()
            print(line(await server.statistics()), flush=True)

    async with asyncio.TaskGroup() as tasks:
        _ = tasks.create_task(show())
        try:
            yield
        finally:
            is_over.set()  # not a cancellation: an answer on its way would be taken for that of the next question


def line(statistics: ServerStatistics) -> str:
    """Return the numbers that matter in one line."""
    parts = [
        f"{statistics.connections_open:,} open",
        f"{statistics.connections_blocked:,} blocked",
        f"{sum(statistics.connections_ended.values()):,} ended",
        f"{statistics.packets_received or 0:,} packets in",
        f"{statistics.packets_sent or 0:,} out",
        f"{statistics.bytes_received or 0:,} bytes in",
        f"{statistics.bytes_sent or 0:,} out",
        f"{statistics.dropped_datagrams:,} dropped",
        f"longest stall {1000 * (statistics.longest_stall or 0):.0f} ms",
    ]
    return f"  statistics: {', '.join(parts)}"
