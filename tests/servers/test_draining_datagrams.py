"""Draining of datagram servers: what has arrived is handled."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.support.background import new_event, sleep, spawn, until
from tests.support.datagram_servers import Requests
from tests.support.lines import text_protocol
from tests.support.network_servers import run_in_task
from tests.support.peers import PATIENCE, DatagramPeer

from easynetwork.servers import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler

EVERY_BACKEND = True


class Slow(AsyncDatagramRequestHandler[str, str]):
    """Answers each datagram when it is told to go on."""

    def __init__(self) -> None:
        self.go_on = new_event()
        self.received: list[str] = []

    async def handle(self, client: Any, /) -> Requests:
        while True:
            text = yield None
            self.received.append(text)
            await self.go_on.wait()
            await client.send_packet(text)


async def connected(server: AsyncUDPNetworkServer[Any, Any]) -> DatagramPeer:
    peer = DatagramPeer(socket.socket(type=socket.SOCK_DGRAM))
    [address] = server.get_addresses()
    peer.sock.connect(tuple(address))
    return peer


async def test_datagrams_that_have_arrived_are_answered() -> None:
    handler = Slow()
    server: AsyncUDPNetworkServer[Any, Any] = AsyncUDPNetworkServer("127.0.0.1", 0, text_protocol(), handler)
    async with run_in_task(server) as task:
        peers = [await connected(server) for _ in range(3)]
        for peer in peers:
            peer.send(*(b"%d" % number for number in range(10)))
        draining = spawn(server.drain(PATIENCE))
        await until(lambda: len(handler.received) == 3)
        await sleep(0.05)
        assert not draining.done()
        handler.go_on.set()
        for peer in peers:
            assert await peer.answers(10) == [b"%d" % number for number in range(10)]
            peer.close()
        await draining.result()
        await task.wait()
        assert not server.is_listening()


async def test_handlers_are_cancelled_at_the_deadline() -> None:
    handler = Slow()
    server: AsyncUDPNetworkServer[Any, Any] = AsyncUDPNetworkServer("127.0.0.1", 0, text_protocol(), handler)
    async with run_in_task(server) as task:
        peer = await connected(server)
        peer.send(b"a")
        await until(lambda: handler.received)
        await server.drain(0.05)
        await task.wait()
        peer.close()


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_an_idle_server_ends_at_once(is_waiting: bool) -> None:
    handler = Slow()
    handler.go_on.set()
    server: AsyncUDPNetworkServer[Any, Any] = AsyncUDPNetworkServer("127.0.0.1", 0, text_protocol(), handler)
    async with run_in_task(server) as task:
        if is_waiting:
            peer = await connected(server)
            assert await peer.ask(b"a") == b"a"
            peer.close()
        await server.drain(PATIENCE)
        await task.wait()
