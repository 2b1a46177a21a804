"""`pytest -m soak`: after twenty thousand connections, as many objects and references are there as before."""

from __future__ import annotations

import asyncio
import collections
import gc
import os
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.support import datagram_servers, stream_servers
from tests.support.descriptors import open_descriptors
from tests.support.peers import Peer

from easynetwork.lowlevel._core.requirements import BYTES, DATAGRAM
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler

CONNECTIONS = int(os.environ.get("SOAK_OPENED", "20000"))
AT_ONCE = 100
ANSWER = "answer"


class Handler(AsyncStreamRequestHandler[str, str]):
    """Answers in several ways, the first letter of the first request says which."""

    async def handle(self, client: Any, /) -> AsyncGenerator[float | None, str]:
        request = yield None
        match request[:1]:
            case "l":
                while True:
                    await client.send_packet(ANSWER)
                    yield None
            case "s":
                await asyncio.sleep(0)
                await client.send_packet(ANSWER)
            case "t":
                await client.send_packet(ANSWER)
                yield 5.0
                await client.send_packet(ANSWER)
            case "r":
                await client.send_packet(ANSWER)
                await client.recv_packet()
                await client.send_packet(ANSWER)
            case "c":
                await client.send_packet(ANSWER)
                await client.aclose()
            case _:
                await client.send_packet(ANSWER)


class Datagrams(AsyncDatagramRequestHandler[str, str]):
    async def handle(self, client: Any, /) -> AsyncGenerator[float | None, str]:
        request = yield None
        await client.send_packet(request)
        if request.startswith("two"):
            await client.send_packet((yield 5.0))


def counts() -> dict[str, int]:
    """Return how many there are of what a connection may leave behind."""
    for _ in range(3):
        gc.collect()
    objects = collections.Counter(type(item).__name__ for item in gc.get_objects())
    shared = {"BYTES": BYTES, "DATAGRAM": DATAGRAM, "answer": ANSWER}
    return {
        **{name: count for name, count in objects.items() if name not in ("frame", "cell", "weakref")},
        **{f"references to {name}": sys.getrefcount(item) for name, item in shared.items()},
        "descriptors": open_descriptors(),
    }


def check(before: dict[str, int], after: dict[str, int]) -> None:
    """A few objects more may be those of caches; one for each hundredth connection is a leak."""
    grown = {name: count - before.get(name, 0) for name, count in after.items()}
    assert {name: count for name, count in grown.items() if count > CONNECTIONS // 200} == {}


async def talk(peer: Peer, number: int) -> None:
    kind = b"lstrc1"[number % 6 : number % 6 + 1]
    await peer.send(kind + b"\n" + b"2\n" * (number % 3))
    assert await peer.line() == b"answer"


@pytest.mark.soak
async def test_connections_leave_nothing_behind() -> None:
    async with stream_servers.serving(Handler(), log_client_connection=False) as it:

        async def connect(numbers: range) -> None:
            peers = [await it.connect() for _ in numbers]
            await asyncio.gather(*(talk(peer, number) for peer, number in zip(peers, numbers, strict=True)))
            it.hang_up()
            it._peers.clear()
            await asyncio.sleep(0.01)

        await connect(range(AT_ONCE))
        before = counts()
        for start in range(0, CONNECTIONS, AT_ONCE):
            await connect(range(start, start + AT_ONCE))
        await asyncio.sleep(0.2)
        check(before, counts())


@pytest.mark.soak
async def test_senders_of_datagrams_leave_nothing_behind(backend: AsyncBackend) -> None:
    async with datagram_servers.serving(backend, Datagrams()) as it:

        async def ask(count: int) -> None:
            for number in range(count):
                peer = it.peer()
                for request in (b"two", b"2") if number % 2 else (b"one",):
                    assert await peer.ask(request) == request
            it.hang_up()
            it._peers.clear()

        await ask(AT_ONCE)
        before = counts()
        for _ in range(0, CONNECTIONS // 10, AT_ONCE):
            await ask(AT_ONCE)
        await asyncio.sleep(0.2)
        check(before, counts())
