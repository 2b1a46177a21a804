"""`pytest -m soak`: hardly any packets for a server, with each serializer that can be used for streams."""

from __future__ import annotations

import contextlib
import logging
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import Target, make_targets
from tests.support.serializer_drivers import comparable, pieces, receive

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

EVERY_BACKEND = True

STREAMS = int(os.environ.get("SOAK_STREAMS", "300"))
HOST = "127.0.0.1"


def protocols(target: Target) -> dict[str, AnyStreamProtocolType[Any, Any]]:
    found: dict[str, AnyStreamProtocolType[Any, Any]] = {"stream": StreamProtocol(target.serializer)}
    if isinstance(target.serializer, BufferedIncrementalPacketSerializer):
        found["buffered"] = BufferedStreamProtocol(target.serializer)
    return found


CASES = [
    pytest.param(target, protocol, id=f"{target.name}-{name}")
    for target in make_targets()
    for name, protocol in protocols(target).items()
]


class Recorder(AsyncStreamRequestHandler[Any, Any]):
    """Keeps packets and parse errors of the last connection. Anything else that is raised is logged by the server."""

    received: list[Any]

    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        received = self.received = []
        while True:
            try:
                received.append((yield))
            except StreamProtocolParseError as exc:
                received.append(exc)


@contextlib.asynccontextmanager
async def recording_server(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any], handler: Recorder
) -> AsyncIterator[int]:
    """Serve until the end of the context; give the port."""
    is_up = backend.create_event()
    async with (
        AsyncTCPNetworkServer(HOST, 0, protocol, handler, backend, max_recv_size=512) as server,
        backend.create_task_group() as tasks,
    ):
        await tasks.start(lambda: server.serve_forever(is_up_event=is_up))
        await is_up.wait()
        yield server.get_addresses()[0].port
        await server.shutdown()


async def send(backend: AsyncBackend, port: int, chunks: list[bytes], *, to_the_end: bool) -> None:
    """Send a stream, and wait until the server has closed its connection, or leave half-way."""
    transport = await backend.create_tcp_connection(HOST, port)
    if not to_the_end:
        await transport.send_all_from_iterable(chunks[: len(chunks) // 2])
        await aclose_forcefully(transport)
        return
    async with transport:
        for chunk in chunks:
            await transport.send_all(chunk)
            await backend.coro_yield()
        await transport.send_eof()
        assert await transport.recv(1) == b""


async def exchange_streams(
    backend: AsyncBackend, target: Target, protocol: AnyStreamProtocolType[Any, Any], rng: random.Random, count: int
) -> None:
    handler = Recorder()
    async with recording_server(backend, protocol, handler) as port:
        for _ in range(count):
            data = mutate(rng, target.seeds)
            to_the_end = rng.random() < 0.8
            await send(backend, port, pieces(data, rng.randrange(1, 2000)), to_the_end=to_the_end)
            expected = receive(target.serializer, [data] if data else [])
            if to_the_end and not any(isinstance(item, StreamProtocolParseError) for item in expected):
                assert comparable(handler.received) == comparable(expected), data
        for seed in target.seeds[:3]:  # the server goes on as if nothing had happened
            await send(backend, port, [seed], to_the_end=True)
            assert comparable(handler.received) == comparable(receive(target.serializer, [seed]))


@pytest.mark.soak
@pytest.mark.parametrize(("target", "protocol"), CASES)
async def test_a_server_survives_any_stream(
    backend: AsyncBackend,
    target: Target,
    protocol: AnyStreamProtocolType[Any, Any],
    rng: random.Random,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        await exchange_streams(backend, target, protocol, rng, STREAMS)
    assert caplog.messages == []


@pytest.mark.parametrize(("target", "protocol"), CASES[::7])
async def test_a_server_survives_a_few_streams(
    backend: AsyncBackend,
    target: Target,
    protocol: AnyStreamProtocolType[Any, Any],
    rng: random.Random,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        await exchange_streams(backend, target, protocol, rng, 3)
    assert caplog.messages == []
