"""Many packets at once: order, back-pressure, and the turns of others."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections import Counter

import pytest
import trio
from tests.lowlevel.api_async.servers.pulling import PullingTransport
from tests.support.background import Queue, new_event, sleep, spawn
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import PATIENCE, Peer

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._core.stream_dispatch import StreamDispatcher
from easynetwork.lowlevel.api_async.backend._asyncio.stream.driver import InlineDriver
from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
from easynetwork.lowlevel.api_async.backend._asyncio.stream.transport import AsyncioStreamTransport
from easynetwork.lowlevel.api_async.backend._trio.stream.driver import BatchingDriver
from easynetwork.lowlevel.api_async.backend._trio.stream.transport import TrioStreamTransport
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import ConnectedStreamClient

EVERY_BACKEND = True


async def test_thousand_packets_that_arrive_while_a_handler_is_suspended_keep_their_order(driver: str) -> None:
    go_on = new_event()

    async def handler(client: Client) -> Requests:
        request = yield None
        await go_on.wait()
        while True:
            await client.send_packet(request)
            request = yield None

    async with serving(handler, driver) as server:
        peer = await server.connect()
        for i in range(1000):
            await peer.send(b"%d\n" % i)
            if i % 100 == 0:
                await ensure_backend(None).coro_yield()
        go_on.set()
        assert await peer.lines(1000) == [b"%d" % i for i in range(1000)]


@pytest.mark.parametrize("count", [1, 2], ids=["alone", "two at once"])
async def test_connection_that_waits_keeps_nothing_of_what_it_received(count: int) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            await client.send_packet(str(len((yield None))))

    line = b"x" * 40_000
    async with serving(handler) as server:
        peers = [await server.connect() for _ in range(20)]
        assert [await peer.ask(b"warm") for peer in peers] == [b"4"] * 20
        tracemalloc.start()
        try:
            for peer in peers:
                await peer.send((line + b"\n") * count)
                assert await peer.lines(count) == [b"40000"] * count
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < 20 * len(line) / 4


async def test_peer_that_sends_and_never_reads_is_stopped_by_back_pressure(driver: str) -> None:
    handled = 0

    async def handler(client: Client) -> Requests:
        nonlocal handled
        while True:
            request = yield None
            await client.send_packet(request * 10)
            handled += 1

    async with serving(handler, driver) as server:
        peer = await server.connect(receive_buffer=4096)
        await peer.send_until_it_blocks(b"x" * 99 + b"\n")
        count = handled
        await sleep(0.05)
        assert handled == count  # suspended in send_packet()
        received = spawn(peer.rest())
        while handled < count + 100:
            await sleep(0.001)
        received.cancel()
        await received.wait()


@pytest.mark.parametrize("flooding", [b"a\n" * 100_000, b"\xff\n" * 20_000], ids=["requests", "errors"])
async def test_quiet_peer_is_answered_in_a_bounded_number_of_turns_beside_a_flooding_one(
    driver: str, flooding: bytes
) -> None:
    handled: Counter[str] = Counter()
    handled_in_turn: Counter[int] = Counter()

    async def handler(client: Client) -> Requests:
        is_quiet = (yield None) == "quiet"
        await client.send_packet("hello")
        while True:
            try:
                request = yield None
            except StreamProtocolParseError:
                request = "error"
            if is_quiet:
                await client.send_packet(request)
            else:
                handled["flood"] += 1
                handled_in_turn[handled["turn"]] += 1

    async def count_turns() -> None:
        while True:
            handled["turn"] += 1
            await ensure_backend(None).coro_yield()

    async with serving(handler, driver) as server:
        quiet, flood = await server.connect(), await server.connect()
        assert await quiet.ask(b"quiet") == b"hello"
        assert await flood.ask(b"flood") == b"hello"
        counting = spawn(count_turns())
        sending = spawn(flood.send(flooding))
        while not handled["flood"]:
            await ensure_backend(None).coro_yield()
        for _ in range(5):
            turn, before = handled["turn"], handled["flood"]
            quiet.sock.send(b"a\n")
            assert await quiet.line() == b"a"
            assert handled["turn"] - turn < 20
            assert handled["flood"] - before < 20 * 2 * STEPS_PER_TURN
        assert handled["flood"] < flooding.count(b"\n")  # or all of it was over before
        with ensure_backend(None).timeout(PATIENCE):
            await sending.result()
            while handled["flood"] < flooding.count(b"\n"):
                await sleep(0.001)
        counting.cancel()
        assert max(handled_in_turn.values()) <= 3 * STEPS_PER_TURN


async def test_flooding_peer_that_goes_away_ends_while_it_waits_for_its_turn(driver: str) -> None:
    ended: Queue[int] = Queue()

    async def handler(client: Client) -> Requests:
        count = 0
        try:
            while True:
                yield None
                count += 1
        finally:
            ended.put_nowait(count)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n" * 10_000)
        peer.close()
        assert await ended.get() == 10_000


async def test_timeout_runs_beside_a_connection_that_floods(driver: str) -> None:
    """Deadlines are kept while a connection's packets are handled turn by turn, and raise nothing wrongly."""
    timeouts = 0

    async def handler(client: Client) -> Requests:
        nonlocal timeouts
        count = 0
        while True:
            try:
                request = yield 0.01
            except TimeoutError:
                timeouts += 1
            else:
                count += 1
                if request == "end":
                    await client.send_packet(f"{count}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        for _ in range(20):
            await peer.send(b"a\n" * 1000)
            await sleep(0.002)
        assert await peer.ask(b"end") == b"20001"
        before = timeouts
        await sleep(0.05)
        assert timeouts > before


async def test_thousand_connections_leave_no_descriptor_no_task_and_no_object(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield 60
            if request.endswith("5"):
                await ensure_backend(None).coro_yield()
            await client.send_packet(request)

    async def visit(peer: Peer, number: int) -> None:
        assert await peer.ask(b"hello %d" % number) == b"hello %d" % number
        if number % 3:
            peer.half_close()
            assert await peer.rest() == b""
            peer.close()
        else:
            peer.reset()

    kinds = (
        asyncio.Task,
        trio.lowlevel.Task,
        AsyncioStream,
        InlineDriver,
        StreamDispatcher,
        ConnectedStreamClient,
        AsyncioStreamTransport,
        TrioStreamTransport,
        BatchingDriver,
        PullingTransport,
    )

    def census() -> tuple[int, int]:
        gc.collect()
        objects = sum(isinstance(obj, kinds) for obj in gc.get_objects())
        return len(os.listdir("/proc/self/fd")), objects

    async with serving(handler, driver, disconnect_error_filter=lambda exc: isinstance(exc, OSError)) as server:
        await visit(await server.connect(), 1)
        await sleep(0.01)
        at_first = census()
        for _ in range(10):
            peers = [await server.connect() for _ in range(100)]
            await ensure_backend(None).gather(*(visit(peer, i) for i, peer in enumerate(peers)))
        for _ in range(100):
            if census() == at_first:
                break
            await sleep(0.02)
        assert census() == at_first
