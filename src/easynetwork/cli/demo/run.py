"""One run of the demo, from starting the server to the verdict."""

from __future__ import annotations

__all__ = ["run"]

import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from easynetwork._acceleration import describe
from easynetwork.cli.demo.load import open_load
from easynetwork.cli.demo.report import Row, print_report
from easynetwork.cli.demo.server_process import running_server
from easynetwork.cli.demo.statistics import showing_statistics
from easynetwork.cli.demo.transport import Transport
from easynetwork.cli.demo.transports import TRANSPORTS
from easynetwork.cli.demo.workload import Workload
from easynetwork.cli.errors import CommandError
from easynetwork.cli.loops import event_loops
from easynetwork.cli.open_files import allow_open_files
from easynetwork.cli.terminal import progress

_SECONDS_OF_PATIENCE = 10.0
_OTHER_FILES = 64  # files that a process has open besides its connections


def run(
    workloads: Mapping[str, Workload], loop: str | None, *, blocking: bool = False, statistics: bool = False
) -> int:
    """Measure each transport with its workload, print the report, and return the exit status.

    *loop* names the event loop; None selects the fastest one available. *blocking* selects blocking clients.
    *statistics* shows the numbers of the servers while they run.

    Raises:
        CommandError: a transport is not available, or lacks something that it needs.
    """
    if not workloads.keys() <= TRANSPORTS.keys():
        raise CommandError("this system has no Unix sockets", status=2)
    allow_open_files(max(workload.connections for workload in workloads.values()) + _OTHER_FILES)
    loops = event_loops()
    loop = loop or next(iter(loops))
    with (
        tempfile.TemporaryDirectory(prefix="easynetwork-demo-") as folder,
        asyncio.Runner(loop_factory=loops[loop]) as runner,
    ):
        rows = [
            runner.run(_measure(key, Path(folder), workload, loop, blocking, statistics))
            for key, workload in workloads.items()
        ]
    print_report(rows)
    return 0 if all(row.good for row in rows) else 1


async def _measure(key: str, folder: Path, workload: Workload, loop: str, blocking: bool, has_statistics: bool) -> Row:
    transport: Transport = TRANSPORTS[key](folder)
    transport.prepare()
    async with (
        running_server(
            key, loop, workload.frame_limit, folder, ("traffic", "stalls") if has_statistics else ()
        ) as server,
        open_load(transport, server.address, workload, blocking=blocking) as load,
    ):
        print(
            f"{transport.name} server on {loop} ({describe()}), process {server.pid}: {workload.connections:,} "
            f"{'blocking clients' if blocking else 'connections'}, "
            f"{workload.in_flight:,} packets in flight on each, payload {workload.payload:,} B",
            flush=True,
        )
        cpu_before = await server.cpu_seconds()
        async with showing_statistics(server) if has_statistics else nullcontext():
            with progress(workload.packets, "packets") as report:
                start = time.perf_counter()
                await load.run(report, _SECONDS_OF_PATIENCE)
                seconds = time.perf_counter() - start
        cpu_seconds = await server.cpu_seconds() - cpu_before
        await load.finish()
    return Row(
        transport=f"{transport.name}, blocking clients" if blocking else transport.name,
        loop=loop,
        packets=workload.packets,
        seconds=seconds,
        server_cpu_seconds=cpu_seconds,
        latencies=load.latencies,
        faults=load.faults(),
        failures=load.failures(),
    )
