"""The clients that keep a server busy, time its answers and check them."""

from __future__ import annotations

__all__ = ["Load", "open_load"]

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from easynetwork.cli.demo.answers import Faults
from easynetwork.cli.demo.async_client import open_async_client
from easynetwork.cli.demo.blocking_client import open_blocking_client
from easynetwork.cli.demo.load_client import LoadClient, reason
from easynetwork.cli.demo.transport import Address, Transport
from easynetwork.cli.demo.workload import PacketMaker, Workload
from easynetwork.cli.errors import CommandError

_SECONDS_BETWEEN_LOOKS = 0.1


class Load:
    """Connected clients and their work. Use :func:`open_load`."""

    __slots__ = ("_clients", "latencies")

    def __init__(self, clients: Sequence[LoadClient], latencies: array[float]) -> None:
        self._clients = clients
        self.latencies: array[float] = latencies
        """Seconds from sending to answer of each answered packet."""

    async def run(self, report: Callable[[int], None], patience: float) -> None:
        """Send everything and wait for the answers. Give up if no client receives one for *patience* seconds.

        Call *report* ten times a second with the number of packets answered so far.
        """
        tasks = pending = {asyncio.create_task(client.run()) for client in self._clients}
        answered, heard = 0, time.monotonic()
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=_SECONDS_BETWEEN_LOOKS)
                if answered < len(self.latencies):
                    answered, heard = len(self.latencies), time.monotonic()
                elif time.monotonic() - heard > patience:
                    break
                report(answered)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def finish(self) -> None:
        """End the conversations, and check answers that still arrive."""
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(client.finish())

    def faults(self) -> Faults:
        """Return the faults of the answers to all clients."""
        return sum((client.checker.faults() for client in self._clients), Faults())

    def failures(self) -> list[str]:
        """Return a reason for each connection that ended early."""
        return [client.failure for client in self._clients if client.failure is not None]


@asynccontextmanager
async def open_load(
    transport: Transport, address: Address, workload: Workload, *, blocking: bool = False
) -> AsyncIterator[Load]:
    """Connect the clients of *workload*, *blocking* or asynchronous ones, and disconnect them at the end.

    Raises:
        CommandError: a client cannot connect.
    """
    open_client = open_blocking_client if blocking else open_async_client
    clients: list[LoadClient] = []
    latencies = array("d")
    async with AsyncExitStack() as connections:
        for number, share in enumerate(workload.shares()):
            make_packet = PacketMaker(f"client {number}", workload.payload)
            client = open_client(transport, address, workload, make_packet, share, latencies)
            try:
                clients.append(await connections.enter_async_context(client))
            except (OSError, ExceptionGroup) as error:
                raise CommandError(f"cannot connect to the server: {reason(error)}") from error
        yield Load(clients, latencies)
