"""Event loops that cannot make a transport of a socket: the connection goes on without them, or is closed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import pytest
import uvloop
from tests.support.descriptors import all_closed
from tests.support.lines import line_protocol
from tests.support.stream_servers import Client, Handler, Requests, Serving, run, serving

from easynetwork.lowlevel._sockets.descriptors import DescriptorCounter
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

CLOSING = "after it has closed the socket"


class Echo(Handler):
    async def handle(self, client: Client, /) -> Requests:
        while True:
            await client.send_packet((yield None))


@pytest.fixture(params=["at once", "later", CLOSING])
def failure(request: pytest.FixtureRequest) -> str:
    """When `loop.connect_accepted_socket` fails."""
    return str(request.param)


@pytest.fixture(autouse=True)
def errors(failure: str, monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Make it fail. Return the list of the errors."""
    raised: list[OSError] = []

    async def fail(self: object, new_protocol: object, sock: socket.socket, **options: Any) -> NoReturn:
        if failure == "later":
            later = asyncio.get_running_loop().create_future()
            later.get_loop().call_soon(later.set_result, None)
            await later
        elif failure == CLOSING:
            sock.close()
        raised.append(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))
        raise raised[-1]

    for loop in (uvloop.Loop, asyncio.BaseEventLoop):
        monkeypatch.setattr(loop, "connect_accepted_socket", fail, raising=False)
    return raised


@contextlib.asynccontextmanager
async def unix_server(path: str) -> AsyncIterator[Serving]:
    async with all_closed(), run(AsyncUnixStreamServer(path, line_protocol(), Echo())) as it:
        yield it


async def test_a_unix_connection_goes_on_without_the_loop(path: str, failure: str, errors: list[OSError]) -> None:
    async with unix_server(path) as it:
        peer = await it.connect()
        if isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
            assert await peer.ask(b"a") == b"a"
            assert errors == []  # this loop is never asked
        elif failure == CLOSING:
            assert await peer.rest() == b""
        else:
            for text in (b"a", b"b", b"c"):
                assert await peer.ask(text) == text
            assert len(errors) == 1  # nor is it asked again


async def test_a_unix_connection_can_be_closed_meanwhile(path: str) -> None:
    async with unix_server(path) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        await it.server.shutdown()


async def test_a_tcp_connection_that_cannot_be_set_up_is_closed_and_logged(
    errors: list[OSError], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DescriptorCounter, "count_free", lambda self: 0)  # otherwise the loop accepts by itself
    async with all_closed(), serving(Echo()) as it:
        peer = await it.connect()
        assert await peer.rest() == b""
        assert len(errors) == 1
        assert [record.exc_info[1] for record in caplog.records if record.exc_info] == errors
