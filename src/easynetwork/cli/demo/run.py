"""One run of the demo, from starting the server to the verdict."""

from __future__ import annotations

__all__ = ["run"]

import asyncio
import time

from easynetwork.cli.demo.load import open_load
from easynetwork.cli.demo.report import Row, print_report
from easynetwork.cli.demo.server_process import running_server
from easynetwork.cli.demo.transports import TRANSPORTS
from easynetwork.cli.demo.workload import Workload
from easynetwork.cli.loops import event_loops
from easynetwork.cli.open_files import allow_open_files
from easynetwork.cli.terminal import progress

_SECONDS_OF_PATIENCE = 10.0
_OTHER_FILES = 64  # what a process has open besides its connections


def run(workload: Workload, loop: str | None) -> int:
    """Measure each transport with *workload*, print the report, and return the exit status.

    *loop* names the event loop; None is the fastest there is.
    """
    allow_open_files(workload.connections + _OTHER_FILES)
    loops = event_loops()
    loop = loop or next(iter(loops))
    with asyncio.Runner(loop_factory=loops[loop]) as runner:
        rows = [runner.run(_measure(transport, workload, loop)) for transport in TRANSPORTS]
    print_report(rows)
    return 0 if all(row.good for row in rows) else 1


async def _measure(transport_key: str, workload: Workload, loop: str) -> Row:
    transport = TRANSPORTS[transport_key]
    async with (
        running_server(transport_key, loop, workload.frame_limit) as server,
        open_load(transport, server.address, workload) as load,
    ):
        print(
            f"{transport.name} server on {loop}, process {server.pid}: {workload.connections:,} connections, "
            f"{workload.in_flight:,} packets in flight on each, payload {workload.payload:,} B",
            flush=True,
        )
        cpu_before = await server.cpu_seconds()
        with progress(workload.packets, "packets") as report:
            start = time.perf_counter()
            await load.run(report, _SECONDS_OF_PATIENCE)
            seconds = time.perf_counter() - start
        cpu_seconds = await server.cpu_seconds() - cpu_before
        await load.finish()
    return Row(
        transport=transport.name,
        loop=loop,
        packets=workload.packets,
        seconds=seconds,
        server_cpu_seconds=cpu_seconds,
        latencies=load.latencies,
        faults=load.faults(),
        failures=load.failures(),
    )
