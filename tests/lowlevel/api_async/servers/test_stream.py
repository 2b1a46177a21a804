"""The server object: what it refuses, what it delegates, and what it says when it is forgotten."""

from __future__ import annotations

import errno
import gc
import logging
import math
from typing import Any

import pytest
from tests.lowlevel.api_async.servers.pulling import PullingListener
from tests.support.background import spawn
from tests.support.lines import line_protocol
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import turns_of_the_loop

from easynetwork.exceptions import BusyResourceError, TypedAttributeLookupError
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.socket import INETSocketAttribute
from easynetwork.protocol import StreamProtocol

EVERY_BACKEND = True

PROTOCOL: StreamProtocol[str, str] = line_protocol()


async def echo(client: Client) -> Requests:
    while True:
        request = yield None
        await client.send_packet(request)


async def test_listener_and_protocol_of_a_wrong_type_are_refused() -> None:
    anything: Any = object()
    with pytest.raises(TypeError):
        AsyncStreamServer(anything, PROTOCOL, 1024)
    async with PullingListener() as listener:
        with pytest.raises(TypeError):
            AsyncStreamServer(listener, anything, 1024)


@pytest.mark.parametrize("max_recv_size", [0, -1, 1.5, "1024", None])
async def test_max_recv_size_that_is_no_strictly_positive_integer_is_refused(max_recv_size: Any) -> None:
    async with PullingListener() as listener:
        with pytest.raises(ValueError):
            AsyncStreamServer(listener, PROTOCOL, max_recv_size)


@pytest.mark.parametrize("ancillary_bufsize", [0, -1, 1.5, math.inf, "1024"])
async def test_ancillary_bufsize_that_is_no_strictly_positive_integer_is_refused(ancillary_bufsize: Any) -> None:
    async with AsyncStreamServer(PullingListener(), PROTOCOL, 1024) as server:
        with pytest.raises(ValueError):
            await server.serve(echo, ancillary_bufsize=ancillary_bufsize)


async def test_second_concurrent_serve_is_refused_and_the_first_goes_on(driver: str) -> None:
    async with serving(echo, driver) as server:
        for _ in range(2):
            with pytest.raises(BusyResourceError):
                await server.server.serve(echo)
        assert await (await server.connect()).ask(b"a") == b"a"


async def test_server_can_serve_again_after_it_was_cancelled() -> None:
    async with serving(echo) as server:
        assert await (await server.connect()).ask(b"a") == b"a"
        server.task.cancel()
        await server.task.wait()
        again = spawn(server.server.serve(echo))
        assert await (await server.connect()).ask(b"b") == b"b"
        again.cancel()
        await again.wait()


async def test_serve_on_a_closed_server_raises_ebadf() -> None:
    [listener] = await ensure_backend(None).create_tcp_listeners("127.0.0.1", 0, 10)
    server: AsyncStreamServer[str, str] = AsyncStreamServer(listener, PROTOCOL, 1024)
    await server.aclose()
    assert server.is_closing()
    with pytest.raises(OSError) as caught:
        await server.serve(echo)
    assert caught.value.errno == errno.EBADF


async def test_closing_a_server_that_is_serving_ends_serve_with_ebadf() -> None:
    [listener] = await ensure_backend(None).create_tcp_listeners("127.0.0.1", 0, 10)
    server: AsyncStreamServer[str, str] = AsyncStreamServer(listener, PROTOCOL, 1024)
    task = spawn(server.serve(echo))
    await turns_of_the_loop(3)
    assert not server.is_closing()
    await server.aclose()
    with pytest.raises(OSError) as caught:
        await task.result()
    assert caught.value.errno == errno.EBADF


async def test_tasks_live_in_the_given_task_group_and_outlive_serve() -> None:
    async with ensure_backend(None).create_task_group() as group:
        async with serving(echo, task_group=group) as server:
            peer = await server.connect()
            assert await peer.ask(b"a") == b"a"
            await server.server.aclose()
            await turns_of_the_loop(3)
            assert await peer.ask(b"b") == b"b"
            peer.half_close()
            assert await peer.rest() == b""


async def test_server_delegates_to_its_listener() -> None:
    [listener] = await ensure_backend(None).create_tcp_listeners("127.0.0.1", 0, 10)
    async with AsyncStreamServer(listener, PROTOCOL, 1024) as server:
        assert server.backend() is listener.backend()
        assert server.extra(INETSocketAttribute.sockname) == listener.extra(INETSocketAttribute.sockname)
        with pytest.raises(TypedAttributeLookupError):
            server.extra(INETSocketAttribute.peername)
        assert not server.is_closing()
    assert server.is_closing()
    assert listener.is_closing()


async def test_forgotten_server_warns() -> None:
    listener = PullingListener()
    forgotten: list[AsyncStreamServer[str, str]] = [AsyncStreamServer(listener, PROTOCOL, 1024)]
    with pytest.warns(ResourceWarning, match="unclosed server"):
        forgotten.clear()
    await listener.aclose()


async def test_server_that_was_refused_its_arguments_does_not_warn() -> None:
    async with PullingListener() as listener:
        with pytest.raises(ValueError):
            AsyncStreamServer(listener, PROTOCOL, 0)
        gc.collect()
        assert not listener.is_closing()


async def test_connected_client_shows_the_attributes_of_its_connection() -> None:
    async def handler(client: Client) -> Requests:
        assert isinstance(client, ConnectedStreamClient)
        _ = yield None
        await client.send_packet(f"{client.extra(INETSocketAttribute.peername)[1]} {client.is_closing()}")

    async with serving(handler) as server:
        peer = await server.connect()
        assert await peer.ask(b"") == f"{peer.sock.getsockname()[1]} False".encode()


def test_connected_client_cannot_be_made_by_users() -> None:
    constructor: Any = ConnectedStreamClient
    with pytest.raises(TypeError):
        constructor()


async def test_callback_that_fails_is_logged_and_ends_this_connection_only(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    count = 0

    def callback(client: Client) -> Requests:
        nonlocal count
        count += 1
        if count == 1:
            raise LookupError("on purpose")
        return echo(client)

    async with serving(callback, driver) as server:
        assert await (await server.connect()).gone()
        assert await (await server.connect()).ask(b"a") == b"a"
    assert [(record.levelno, record.exc_info and record.exc_info[0]) for record in caplog.records] == [
        (logging.ERROR, LookupError)
    ]
