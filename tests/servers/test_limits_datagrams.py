"""Limits of datagram servers: the number of conversations, and the memory of waiting datagrams."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.support.background import new_event, sleep, until
from tests.support.datagram_servers import Client, Requests
from tests.support.lines import text_protocol
from tests.support.network_servers import problems, run_in_task
from tests.support.peers import DatagramPeer

from easynetwork.servers import AsyncUDPNetworkServer, ServerLimits
from easynetwork.servers.handlers import AsyncDatagramRequestHandler

EVERY_BACKEND = True


def new_server(handler: AsyncDatagramRequestHandler[str, str], **limits: Any) -> AsyncUDPNetworkServer[str, str]:
    return AsyncUDPNetworkServer("127.0.0.1", 0, text_protocol(), handler, limits=ServerLimits(**limits))


class Peers:
    """Datagram sockets, each with an address of its own."""

    def __init__(self, server: AsyncUDPNetworkServer[Any, Any], count: int) -> None:
        [address] = server.get_addresses()
        self.all = [DatagramPeer(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(count)]
        for peer in self.all:
            peer.sock.connect(tuple(address))

    def close(self) -> None:
        for peer in self.all:
            peer.close()


class Looping(AsyncDatagramRequestHandler[str, str]):
    """Answers all datagrams of a sender in one generator, and notes what ends it."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.go_on = new_event()

    async def handle(self, client: Client, /) -> Requests:
        names: list[str] = []
        try:
            while True:
                names.append((yield None))
                if "wait" in names[-1]:
                    await self.go_on.wait()
                await client.send_packet(names[-1])
        except BaseException as exc:
            self.diary.append(f"{names[0]} {'cancelled' if 'ance' in type(exc).__name__ else type(exc).__name__}")
            raise


async def test_least_recently_heard_sender_ends_first(caplog: pytest.LogCaptureFixture) -> None:
    handler = Looping()
    server = new_server(handler, conversations=3)
    async with run_in_task(server):
        peers = Peers(server, 5)
        a, b, c, d, e = peers.all
        for peer, name in ((a, b"a"), (b, b"b"), (c, b"c")):
            assert await peer.ask(name) == name
        assert await a.ask(b"a again") == b"a again"
        assert await d.ask(b"d") == b"d"
        await until(lambda: handler.diary == ["b GeneratorExit"])
        assert await c.ask(b"c again") == b"c again"
        assert await e.ask(b"e") == b"e"
        await until(lambda: handler.diary == ["b GeneratorExit", "a GeneratorExit"])
        assert await b.ask(b"b again") == b"b again"  # in a new generator
        peers.close()
    [record] = problems(caplog.records)
    assert record.getMessage() == "Over the limits: conversations: 3"


async def test_handler_that_awaits_something_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    handler = Looping()
    server = new_server(handler, conversations=2)
    async with run_in_task(server):
        peers = Peers(server, 4)
        for number, peer in enumerate(peers.all):
            peer.send(b"wait %d" % number)
            await sleep(0.02)
        await until(lambda: handler.diary == ["wait 0 cancelled", "wait 1 cancelled"])
        handler.go_on.set()
        assert [await peer.receive() for peer in peers.all[2:]] == [b"wait 2", b"wait 3"]
        peers.close()
    [record] = problems(caplog.records)
    assert record.getMessage() == "Over the limits: conversations: 2"


async def test_queued_datagrams_of_an_ended_conversation_are_counted_as_dropped() -> None:
    handler = Looping()
    server = new_server(handler, conversations=1)
    async with run_in_task(server):
        peers = Peers(server, 2)
        first, second = peers.all
        first.send(b"wait", b"queued", b"queued")
        await sleep(0.05)
        second.send(b"other")
        assert await second.receive() == b"other"
        await until(lambda: handler.diary == ["wait cancelled"])
        assert server.dropped_datagrams == 2
        peers.close()


async def test_handler_that_refuses_to_end_is_told_once() -> None:
    class Refusing(Looping):
        async def handle(self, client: Client, /) -> Requests:
            name = yield None
            await client.backend().ignore_cancellation(self.go_on.wait())
            await client.send_packet(name)

    handler = Refusing()
    server = new_server(handler, conversations=1)
    async with run_in_task(server):
        peers = Peers(server, 3)
        for number, peer in enumerate(peers.all):
            peer.send(b"%d" % number)
            await sleep(0.02)
        handler.go_on.set()
        assert await peers.all[2].receive() == b"2"
        peers.close()
        await sleep(0.02)
        again = Peers(server, 2)
        for peer in again.all:  # the limit counts correctly afterwards
            assert await peer.ask(b"a") == b"a"
        again.close()


async def test_memory_of_waiting_datagrams_is_limited() -> None:
    handler = Looping()
    server = new_server(handler, buffered_bytes_per_peer=1000, buffered_bytes=1500)
    async with run_in_task(server):
        peers = Peers(server, 2)
        for peer in peers.all:
            peer.send(b"wait")
        await sleep(0.02)
        for peer in peers.all:
            peer.send(*[b"x" * 172] * 5)  # 300 bytes with what each costs
        await until(lambda: server.dropped_datagrams == 5)
        await sleep(0.05)
        assert server.dropped_datagrams == 5  # 3 + 2 were kept
        handler.go_on.set()
        assert await peers.all[0].answers(4) == [b"wait"] + [b"x" * 172] * 3
        assert await peers.all[1].answers(3) == [b"wait"] + [b"x" * 172] * 2
        peers.close()
