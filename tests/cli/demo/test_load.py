from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from easynetwork.cli.demo.answers import Faults
from easynetwork.cli.demo.load import Load, open_load
from easynetwork.cli.demo.server import Echo
from easynetwork.cli.demo.transport import Address
from easynetwork.cli.demo.transports import TCPTransport
from easynetwork.cli.demo.workload import Workload
from easynetwork.cli.errors import CommandError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

SMALL = Workload(connections=2, packets=40, in_flight=8, payload=10)
TRANSPORT = TCPTransport(Path())


class FaultyEcho(AsyncStreamRequestHandler[Any, Any]):
    """Answers each packet with the same one, but does something else with number 5 of each client."""

    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        while True:
            packet = yield
            if packet["number"] == 5:
                await self.misbehave(client, packet)
            else:
                await client.send_packet(packet)

    async def misbehave(self, client: AsyncStreamClient[Any], packet: Any) -> None:
        raise NotImplementedError


class Losing(FaultyEcho):
    async def misbehave(self, client: AsyncStreamClient[Any], packet: Any) -> None:
        pass


class Doubling(FaultyEcho):
    async def misbehave(self, client: AsyncStreamClient[Any], packet: Any) -> None:
        await client.send_packet(packet)
        await client.send_packet(packet)


class DoublingLast(AsyncStreamRequestHandler[Any, Any]):
    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        packet = yield
        await client.send_packet(packet)
        if packet["number"] == 19:
            await client.send_packet(packet)


class Altering(FaultyEcho):
    async def misbehave(self, client: AsyncStreamClient[Any], packet: Any) -> None:
        await client.send_packet({**packet, "payload": packet["payload"].swapcase()})


class Delaying(AsyncStreamRequestHandler[Any, Any]):
    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        delayed = None
        while True:
            packet = yield
            if packet["number"] == 5:
                delayed = packet
                continue
            await client.send_packet(packet)
            if delayed is not None:
                await client.send_packet(delayed)
                delayed = None


class HangingUp(FaultyEcho):
    async def misbehave(self, client: AsyncStreamClient[Any], packet: Any) -> None:
        await client.aclose()


class Babbling(AsyncStreamRequestHandler[str, str]):
    """Works on the lines themselves, and sends a line that is not JSON before it answers."""

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet("what?")
        while True:
            await client.send_packet(line)
            line = yield


@asynccontextmanager
async def demo_server(
    handler: AsyncStreamRequestHandler[Any, Any],
    workload: Workload = SMALL,
    protocol: StreamProtocol[Any, Any] | None = None,
) -> AsyncIterator[Address]:
    async with TRANSPORT.server(protocol or TRANSPORT.protocol(workload.frame_limit), handler) as server:
        task = asyncio.create_task(server.serve_forever())
        try:
            yield TRANSPORT.address(server)
        finally:
            task.cancel()
            await asyncio.wait({task})


async def run_load(
    handler: AsyncStreamRequestHandler[Any, Any],
    workload: Workload = SMALL,
    protocol: StreamProtocol[Any, Any] | None = None,
    patience: float = 30.0,
    *,
    blocking: bool = False,
) -> Load:
    async with (
        demo_server(handler, workload, protocol) as address,
        open_load(TRANSPORT, address, workload, blocking=blocking) as load,
    ):
        await load.run(lambda answered: None, patience)
        await load.finish()
    return load


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
@pytest.mark.parametrize(
    "workload",
    [
        SMALL,
        Workload(connections=1, packets=1, in_flight=1, payload=1),
        Workload(connections=4, packets=2, in_flight=5, payload=1),
        Workload(connections=2, packets=20, in_flight=20, payload=1 << 20),  # far more than all buffers hold
    ],
)
async def test_an_echo_server_is_found_without_fault(workload: Workload, blocking: bool) -> None:
    load = await run_load(Echo(), workload, blocking=blocking)
    assert load.faults() == Faults()
    assert load.failures() == []
    assert len(load.latencies) == workload.packets


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
@pytest.mark.parametrize(
    ("handler", "faults"),
    [
        (Doubling(), Faults(doubled=2)),
        (DoublingLast(), Faults(doubled=2)),
        (Altering(), Faults(altered=2)),
        (Delaying(), Faults(reordered=2)),
    ],
)
async def test_what_a_server_does_wrong_is_counted(
    handler: AsyncStreamRequestHandler[Any, Any], faults: Faults, blocking: bool
) -> None:
    load = await run_load(handler, blocking=blocking)
    assert load.faults() == faults
    assert load.failures() == []


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
async def test_answers_that_do_not_come_are_awaited_for_a_while_and_then_lost(blocking: bool) -> None:
    load = await run_load(Losing(), patience=0.5, blocking=blocking)
    assert load.faults() == Faults(lost=2)
    assert len(load.latencies) == SMALL.packets - 2


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
async def test_a_server_that_hangs_up_loses_packets_and_fails_the_connection(blocking: bool) -> None:
    load = await run_load(HangingUp(), blocking=blocking)
    assert load.faults() == Faults(lost=2 * 15)
    assert len(load.failures()) == 2


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
async def test_answers_that_are_no_packets_are_altered_and_the_others_still_checked(blocking: bool) -> None:
    load = await run_load(Babbling(), protocol=StreamProtocol(StringLineSerializer()), blocking=blocking)
    assert load.faults() == Faults(altered=2)
    assert len(load.latencies) == SMALL.packets


async def test_progress_is_reported_until_all_packets_are_answered() -> None:
    seen: list[int] = []
    async with demo_server(Echo()) as address, open_load(TRANSPORT, address, SMALL) as load:
        await load.run(seen.append, patience=30.0)
    assert seen == sorted(seen)
    assert seen[-1] == SMALL.packets


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
async def test_no_server_is_one_clear_error(blocking: bool) -> None:
    async with demo_server(Echo()) as address:
        pass
    with pytest.raises(CommandError, match="cannot connect"):
        async with open_load(TRANSPORT, address, SMALL, blocking=blocking):
            pass
