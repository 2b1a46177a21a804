"""The clients: they keep a server busy, time its answers and check them."""

from __future__ import annotations

__all__ = ["Load", "open_load"]

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from easynetwork.cli.demo.answers import AnswerChecker, Faults
from easynetwork.cli.demo.transports import Address, TCPTransport, json_lines
from easynetwork.cli.demo.workload import Packet, PacketMaker, Workload
from easynetwork.cli.errors import CommandError
from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.exceptions import StreamProtocolParseError

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_CLOSE = 10.0


class Load:
    """Connected clients and their work. Use :func:`open_load`."""

    __slots__ = ("_clients", "latencies")

    def __init__(self) -> None:
        self._clients: list[_Client] = []
        self.latencies = array("d")
        """Seconds from sending to answer of each answered packet."""

    def add(self, connection: AsyncTCPNetworkClient[Packet, object], share: int, workload: Workload) -> None:
        """Let one more client send its *share* of the packets."""
        make_packet = PacketMaker(f"client {len(self._clients)}", workload.payload)
        self._clients.append(_Client(connection, make_packet, share, workload.in_flight, self.latencies))

    async def run(self, report: Callable[[int], None], patience: float) -> None:
        """Send everything and wait for the answers, or until no client has got one for *patience* seconds.

        *report* is called ten times a second with the number of packets answered so far.
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
        """End the conversations, and take note of answers that come in spite of that."""
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(client.finish())

    def faults(self) -> Faults:
        """Return what was wrong with the answers, all clients together."""
        return sum((client.checker.faults() for client in self._clients), Faults())

    def failures(self) -> list[str]:
        """Return why connections ended early, a text for each that did."""
        return [client.failure for client in self._clients if client.failure is not None]


@asynccontextmanager
async def open_load(transport: TCPTransport, address: Address, workload: Workload) -> AsyncIterator[Load]:
    """Connect the clients of *workload*; disconnect them at the end of the context.

    Raises CommandError if one of them cannot connect.
    """
    protocol = json_lines(workload.frame_limit)
    load = Load()
    async with AsyncExitStack() as connections:
        for share in workload.shares():
            try:
                client = await connections.enter_async_context(transport.client(address, protocol))
            except (OSError, ExceptionGroup) as error:
                raise CommandError(f"cannot connect to the server: {_reason(error)}") from error
            load.add(client, share, workload)
        yield load


class _Client:
    """One client, the packets that it sends and the answers that it gets."""

    __slots__ = ("_connection", "_in_flight", "_latencies", "_make_packet", "_share", "checker", "failure")

    def __init__(
        self,
        connection: AsyncTCPNetworkClient[Packet, object],
        make_packet: PacketMaker,
        share: int,
        in_flight: int,
        latencies: array[float],
    ) -> None:
        self._connection = connection
        self._make_packet = make_packet
        self._share = share
        self._in_flight = in_flight
        self._latencies = latencies
        self.checker = AnswerChecker(share)
        self.failure: str | None = None

    async def run(self) -> None:
        # Two tasks: were there only one, a client that waits to send and a server that waits for it to read could
        # wait for each other for ever.
        window = asyncio.Semaphore(self._in_flight)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(window))
                await self._receive(window)
        except* OSError as errors:
            self.failure = _reason(errors)

    async def _send(self, window: asyncio.Semaphore) -> None:
        for number in range(self._share):
            await window.acquire()
            packet = self._make_packet(number)
            self.checker.sending(packet, time.perf_counter())
            await self._connection.send_packet(packet)

    async def _receive(self, window: asyncio.Semaphore) -> None:
        checker = self.checker
        while not checker.complete:
            try:
                answer = await self._connection.recv_packet()
            except StreamProtocolParseError:
                checker.undecodable()
                continue
            latency = checker.answered(answer, time.perf_counter())
            if latency is not None:
                self._latencies.append(latency)
                window.release()

    async def finish(self) -> None:
        if not self.checker.complete:
            return
        try:
            async with asyncio.timeout(_SECONDS_TO_CLOSE):
                await self._connection.send_eof()
                while True:
                    self.checker.answered(await self._connection.recv_packet(), time.perf_counter())
        except TimeoutError:
            self.failure = f"the server did not close the connection within {_SECONDS_TO_CLOSE:g} s"
        except ConnectionError:
            pass  # the end, as it should be


def _reason(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
