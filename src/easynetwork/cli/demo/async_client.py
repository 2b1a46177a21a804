"""Asynchronous clients under load: each runs in tasks."""

from __future__ import annotations

__all__ = ["open_async_client"]

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from easynetwork.cli.demo.load_client import LoadClient, reason
from easynetwork.cli.demo.transport import Address, Transport
from easynetwork.cli.demo.workload import PacketMaker, Workload
from easynetwork.exceptions import BaseProtocolParseError


@asynccontextmanager
async def open_async_client(
    transport: Transport,
    address: Address,
    workload: Workload,
    make_packet: PacketMaker,
    share: int,
    latencies: array[float],
) -> AsyncIterator[LoadClient]:
    """Connect a client, and disconnect it at the end of the context.

    Raises:
        OSError: the client cannot connect. TCP and UDP raise a group of OSErrors.
    """
    async with transport.async_client(address, transport.protocol(workload.frame_limit)) as connection:
        yield _AsyncClient(transport, connection, make_packet, share, workload.in_flight, latencies)


class _AsyncClient(LoadClient):
    __slots__ = ()

    async def run(self) -> None:
        # Send and receive in two tasks. In one task, a client that waits to send and a server that waits for the
        # client to read would deadlock.
        window = asyncio.Semaphore(self._in_flight)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(window))
                await self._receive(window)
        except* OSError as errors:
            self.failure = reason(errors)

    async def _send(self, window: asyncio.Semaphore) -> None:
        for number in range(self._share):
            await window.acquire()
            await self._connection.send_packet(self._next_packet(number))

    async def _receive(self, window: asyncio.Semaphore) -> None:
        while not self.checker.complete:
            try:
                answer = await self._connection.recv_packet()
            except BaseProtocolParseError:
                self.checker.undecodable()
                continue
            if self._take(answer):
                window.release()

    async def finish(self) -> None:
        if not self.checker.complete:
            return
        try:
            async with asyncio.timeout(self._seconds_to_finish):
                if self._has_half_close:
                    await self._connection.send_eof()
                while True:
                    self._take(await self._connection.recv_packet())
        except TimeoutError:
            self._not_closed_in_time()
        except ConnectionError:
            pass  # the expected end
