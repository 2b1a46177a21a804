"""Bytes that arrive while some task is running: a transport in the same process may deliver them there."""

from __future__ import annotations

import asyncio
import time

from tests.support.lowlevel_stream_servers import Client, Requests, serving

from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
from easynetwork.lowlevel.api_async.backend._asyncio.stream.transport import AsyncioStreamTransport


def callbacks_of(client: Client) -> AsyncioStream:
    assert isinstance(client._transport, AsyncioStreamTransport)
    return client._transport._stream


async def test_handler_is_never_run_on_top_of_another_task() -> None:
    clients: list[Client] = []
    seen: list[asyncio.Task[object] | None] = []

    async def handler(client: Client) -> Requests:
        clients.append(client)
        while True:
            request = yield None
            seen.append(asyncio.current_task())
            await client.send_packet(request)

    async with serving(handler) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        callbacks_of(clients[0]).data_received(b"b\nc\n")
        assert len(seen) == 1
        assert await peer.lines(2) == [b"b", b"c"]
        assert await peer.ask(b"d") == b"d"
    assert len(seen) == 4
    assert len(set(seen)) == 1


async def test_timeout_is_not_lost_when_it_expires_just_after_a_piece_of_a_request_came() -> None:
    clients: list[Client] = []

    async def handler(client: Client) -> Requests:
        clients.append(client)
        request = yield None
        try:
            request = yield 0.02
        except TimeoutError:
            request = yield None
            await client.send_packet(f"{request} after the timeout")
        else:
            await client.send_packet(f"{request} without a timeout")

    async with serving(handler) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        await asyncio.sleep(0.01)
        time.sleep(0.03)  # the time-out has expired: its callback comes after this task, in the next turn
        await asyncio.sleep(0)
        callbacks_of(clients[0]).data_received(b"par")
        await asyncio.sleep(0.01)
        assert await peer.ask(b"t") == b"part after the timeout"
