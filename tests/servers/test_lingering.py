"""Closing while the client is still sending: it gets all that it was sent."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.support.background import sleep, spawn, until
from tests.support.certificates import Certificates
from tests.support.framing_cases import LengthPrefix
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Requests, Serving, run, serving
from tests.support.tls_servers import connect

from easynetwork.protocol import StreamProtocol
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

EVERY_BACKEND = True

ANSWER = "x" * 300_000
TOO_LONG = 25.0
"""Seconds that nothing may take here: less than the deadline of a close that sends."""


class Closing(Handler):
    """Answers the first request, and closes."""

    async def handle(self, client: Client, /) -> Requests:
        yield None
        await client.send_packet(ANSWER)
        await client.aclose()
        self.diary.append("closed")


@pytest.fixture(params=["plain", "TLS", "TLS, not standard"])
def options(request: pytest.FixtureRequest, certificates: Certificates) -> dict[str, Any]:
    if request.param == "plain":
        return {}
    is_standard = request.param == "TLS"
    return {
        "ssl": certificates.server_context(),
        "ssl_standard_compatible": is_standard,
        "ssl_shutdown_timeout": 3.0,
    }


async def connected(it: Serving, options: dict[str, Any]) -> Peer:
    return await (connect(it) if options else it.connect())


async def answer(peer: Peer) -> bytes:
    """Receive the answer, whatever comes after it."""
    received = b""
    while len(received) < len(ANSWER) + 1:
        data = await peer._receive()
        assert data, f"the stream ended after {len(received)} bytes"
        received += data
    return received


@pytest.mark.parametrize("upload", [100_000, 3_000_000])
async def test_client_that_sends_too_much_gets_the_whole_answer(options: dict[str, Any], upload: int) -> None:
    """It receives nothing before it has sent everything."""
    handler = Closing()
    async with serving(handler, **options) as it:
        peer = await connected(it, options)
        await peer.send(b"request\n" + b"y" * upload)
        await sleep(0.05)
        assert await answer(peer) == ANSWER.encode() + b"\n"
        peer.close()
        await until(lambda: "disconnected" in handler.diary)


async def test_client_that_goes_on_sending_gets_the_whole_answer(options: dict[str, Any]) -> None:
    """What was received before is undelivered when the handler closes; more comes after that."""
    handler = Closing()
    async with serving(handler, **options) as it:
        peer = await connected(it, options)
        await peer.send(b"request\nnever delivered\n")
        await until(lambda: "connected" in handler.diary and handler.client.is_closing())
        for _ in range(20):
            await peer.send(b"y" * 1000)
            await sleep(0.001)
        assert await answer(peer) == ANSWER.encode() + b"\n"
        peer.close()
        await until(lambda: "disconnected" in handler.diary)


async def test_client_that_stays_is_not_waited_for_long(options: dict[str, Any]) -> None:
    """It has all of its answer, and the end of the stream; but it never ends the other direction."""
    handler = Closing()
    async with serving(handler, **options) as it:
        peer = await connected(it, options)
        await peer.send(b"request\n" + b"y" * 100_000)
        assert await answer(peer) == ANSWER.encode() + b"\n"
        began = time.monotonic()
        await until(lambda: "closed" in handler.diary)
        assert time.monotonic() - began < TOO_LONG


async def test_client_that_floods_is_cut(options: dict[str, Any]) -> None:
    handler = Closing()
    async with serving(handler, **options) as it:
        peer = await connected(it, options)

        async def flood() -> None:
            try:
                while True:
                    await peer.send(b"y" * 100_000)
            except ConnectionError:
                pass

        await peer.send(b"request\n" + b"y" * 100_000)
        flooding = spawn(flood())
        assert await answer(peer) == ANSWER.encode() + b"\n"
        began = time.monotonic()
        await flooding.wait()
        await until(lambda: "disconnected" in handler.diary)
        assert time.monotonic() - began < TOO_LONG


async def test_shutdown_waits_for_no_client(options: dict[str, Any]) -> None:
    """However long the close of its connection might still take."""
    handler = Closing()
    async with serving(handler, **options) as it:
        peer = await connected(it, options)
        await peer.send(b"request\n" + b"y" * 100_000)
        assert await answer(peer) == ANSWER.encode() + b"\n"
        await until(lambda: "connected" in handler.diary and handler.client.is_closing())
        await it.server.shutdown()
        assert "closed" not in handler.diary
        assert await peer.gone()


async def test_client_that_has_sent_nothing_more_is_not_waited_for() -> None:
    handler = Closing()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"request\n")
        assert await peer.rest() == ANSWER.encode() + b"\n"
        await until(lambda: "closed" in handler.diary)  # although the client stays
        peer.sock.send(b"too late")
        assert await peer.gone()


async def test_handler_that_sends_without_end_to_a_client_that_has_left_keeps_no_other_waiting() -> None:
    """Its packets are small, and leave in batches: no single one has to wait."""

    class Endless(Handler):
        async def handle(self, client: Client, /) -> Requests:
            if (yield None) == "endless":
                while True:
                    await client.send_packet("x" * 1000)
            await client.send_packet("here")

    async with serving(Endless()) as it:
        leaving, staying = await it.connect(), await it.connect()
        await leaving.send(b"endless\n")
        leaving.close()
        assert await staying.ask(b"are you there?") == b"here"


class AnsweringBugs(AsyncStreamRequestHandler[bytes, bytes]):
    """Says that it cannot read the packet. After that, the library cannot find the next one."""

    async def handle(self, client: AsyncStreamClient[bytes], /) -> AsyncGenerator[None, bytes]:
        try:
            yield
        except RuntimeError:
            await client.send_packet(b"x" * 200)


async def test_client_that_goes_on_sending_what_cannot_be_read_gets_the_answer(options: dict[str, Any]) -> None:
    server: AsyncTCPNetworkServer[bytes, bytes]
    server = AsyncTCPNetworkServer("127.0.0.1", 0, StreamProtocol(LengthPrefix()), AnsweringBugs(), **options)
    async with run(server) as it:
        peer = await connected(it, options)
        await peer.send(b"\x01?")
        for _ in range(20):
            await peer.send(b"y" * 1000)
            await sleep(0.001)
        received = b""
        while len(received) < 201:
            received += await peer._receive()
        assert received == bytes([200]) + b"x" * 200
