"""Connections that end abruptly: a client that was sent a part of an answer must not take it for the whole."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.support.background import spawn, until
from tests.support.certificates import Certificates
from tests.support.lines import line_protocol
from tests.support.stream_servers import Client, Handler, Requests, run, serving
from tests.support.tls_servers import connect

from easynetwork.exceptions import ClientClosedError
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

EVERY_BACKEND = True


class Aborting(Handler):
    """Aborts the connection when it is told so, or by another task."""

    async def handle(self, client: Client, /) -> Requests:
        try:
            while (line := (yield None)) != "abort":
                await client.send_packet(line)
            client.abort()
            client.abort()
            assert client.is_closing()
            with pytest.raises(ClientClosedError):
                await client.send_packet("late")
            yield None
            self.diary.append("unreachable")
        finally:
            self.diary.append("closed")


async def test_abort_resets_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    handler = Aborting()
    with caplog.at_level(logging.WARNING):
        async with serving(handler) as it:
            peer = await it.connect()
            assert await peer.ask(b"a") == b"a"
            await peer.send(b"abort\nb\n")
            with pytest.raises(ConnectionResetError):
                await peer.rest()
            await until(lambda: "disconnected" in handler.diary)
            other = await it.connect()
            assert await other.ask(b"a") == b"a"
    assert handler.diary[:3] == ["connected", "closed", "disconnected"]
    assert not caplog.records


async def test_another_task_aborts_the_connection() -> None:
    handler = Aborting()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        handler.client.abort()
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        await until(lambda: "disconnected" in handler.diary)


async def test_abort_over_tls(certificates: Certificates) -> None:
    handler = Aborting()
    async with serving(handler, ssl=certificates.server_context()) as it:
        client = await connect(it)
        assert await client.ask(b"a") == b"a"
        await client.send(b"abort\n")
        with pytest.raises(OSError):  # a reset, or the end without an alert
            await client.rest()
        await until(lambda: "disconnected" in handler.diary)


async def test_abort_over_a_unix_socket_is_the_ordinary_end(tmp_path: Path) -> None:
    handler = Aborting()
    server: Any = AsyncUnixStreamServer(str(tmp_path / "socket"), line_protocol(), handler)
    async with run(server) as it:
        peer = await it.connect()
        await peer.send(b"abort\n")
        assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)


async def test_torn_answer_is_a_reset_when_the_server_is_shut_down() -> None:
    class Answering(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            self.diary.append("answering")
            await client.send_packet("x" * 20_000_000)

    handler = Answering()
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        await until(lambda: "answering" in handler.diary)
        await it.server.shutdown()
        with pytest.raises(ConnectionResetError):
            await peer.rest()


async def test_answer_that_was_sent_is_complete_when_the_server_is_shut_down() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        task = spawn(it.server.shutdown())
        assert await peer.rest() == b""
        await task.wait()
