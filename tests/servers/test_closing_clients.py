"""What other calls do while, and after, a client is closed on this side, or its connection is cut."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from tests.support.background import Running, settle, spawn, until
from tests.support.certificates import the_certificates
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Requests, Serving, serving
from tests.support.tls_servers import connect as connect_tls

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

EVERY_BACKEND = True


class Holding(Handler):
    """Does nothing with its client. The tests do."""

    async def handle(self, client: Client, /) -> Requests:
        self.client = client
        await client.backend().sleep_forever()
        yield None


async def client_of(handler: Handler) -> Client:
    await until(lambda: hasattr(handler, "client"))
    return handler.client


@pytest.fixture
def handler() -> Holding:
    return Holding()


@pytest.fixture
@contextlib.asynccontextmanager
async def it(handler: Holding) -> AsyncIterator[Serving]:
    async with serving(handler) as running:
        yield running


async def closing(handler: Handler, peer: Peer) -> tuple[Client, Running[None]]:
    """Begin a close that waits: the peer has sent what nothing reads, and does not close."""
    client = await client_of(handler)
    await peer.send(b"unread\n")
    await settle()
    task = spawn(client.aclose())
    await until(client.is_closing)
    await settle()
    assert not task.done()
    return client, task


async def test_a_client_that_is_being_closed_refuses_packets_at_once(it: Serving, handler: Holding) -> None:
    peer = await it.connect()
    client, task = await closing(handler, peer)
    with pytest.raises(ClientClosedError):
        await client.send_packet("late")
    with pytest.raises(ClientClosedError):
        await client.send_eof()
    assert not task.done()
    peer.close()
    await task.result()


async def test_a_packet_that_waits_fails_when_another_task_closes_the_client_abruptly(
    it: Serving, handler: Holding
) -> None:
    await it.connect(receive_buffer=1 << 14)
    client = await client_of(handler)
    sending = spawn(client.send_packet("x" * 20_000_000))
    await settle()
    assert not sending.done()
    await aclose_forcefully(client)
    with pytest.raises(ClientClosedError):
        await sending.result()


async def test_sending_over_tls_that_was_cut_is_a_connection_error(
    handler: Holding, caplog: pytest.LogCaptureFixture
) -> None:
    async def send_until_it_fails(client: Client) -> None:
        while True:
            await client.send_packet("x" * 1000)

    class Sending(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                with pytest.raises(ConnectionError):
                    await client.recv_packet()
                await send_until_it_fails(client)
            except ConnectionError:
                self.diary.append("a ConnectionError")
                raise
            yield None

    sender = Sending()
    async with serving(sender, ssl=the_certificates().server_context()) as it:
        peer = await connect_tls(it)
        peer.half_close()
        await until(lambda: "disconnected" in sender.diary)
    assert sender.diary == ["connected", "a ConnectionError", "disconnected"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
