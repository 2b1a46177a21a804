"""A handler that has had enough before its client has: the client gets all that it was sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.background import sleep
from tests.support.lines import buffered_line_protocol, line_protocol
from tests.support.lowlevel_stream_servers import Client, Requests, serving

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True


class ByGenerator(StringLineSerializer):
    """Lines again, but only its generators know that."""

    def incremental_deserialize(self) -> Any:
        return (yield from super().incremental_deserialize())


PROTOCOLS = [
    pytest.param(lambda: line_protocol(), id="frames"),
    pytest.param(lambda: StreamProtocol(ByGenerator()), id="generator"),
    pytest.param(lambda: buffered_line_protocol(), id="buffered"),
]


@pytest.mark.parametrize("new_protocol", PROTOCOLS)
@pytest.mark.parametrize("leftover", [b"another\n", b"half of"])
@pytest.mark.parametrize("closes", [True, False], ids=["aclose", "return"])
async def test_client_that_is_interrupted_gets_the_whole_answer(
    new_protocol: Any, leftover: bytes, closes: bool
) -> None:
    """What the server has of its next request tells that there may be more: the socket is empty for the moment."""
    answer = "x" * 300_000

    async def handler(client: Client) -> Requests:
        yield None
        await client.send_packet(answer)
        if closes:
            await client.aclose()

    async with serving(handler, protocol=new_protocol()) as server:
        peer = await server.connect()
        await peer.send(b"request\n" + leftover)
        received = await peer._receive()  # the answer is on its way, and all that was sent has been received
        for _ in range(10):
            await sleep(0.01)
            await peer.send(b"y" * 1000)
        while len(received) < len(answer) + 1:
            received += (data := await peer._receive())
            assert data
        assert await peer.gone()


async def test_handler_that_fails_does_not_wait_for_its_client(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        yield None
        raise ZeroDivisionError

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"request\n" + b"y" * 100_000)
        with ensure_backend(None).timeout(2.5):  # less than the close of a handler that does not fail might take
            assert await peer.gone()
