"""The server on a Unix stream socket: its path, its clients, ancillary data. The rest is tested with that of TCP."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import sys
from typing import Any

import pytest
from tests.support.background import results, sleep, spawn, spawn_in_order, until
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message
from tests.support.lines import buffered_line_protocol, line_protocol
from tests.support.stream_servers import Client, Handler, Requests, run

from easynetwork.exceptions import ClientClosedError, ServerClosedError, TypedAttributeLookupError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import (
    SocketAncillary,
    SocketAttribute,
    UnixCredentials,
    UnixSocketAddress,
)
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.draining import DrainReport
from easynetwork.servers.handlers import UNIXClientAttribute

EVERY_BACKEND = True

Server = AsyncUnixStreamServer[str, str]


def new_server(path: Any, handler: Handler | None = None, **options: Any) -> Server:
    return AsyncUnixStreamServer(path, line_protocol(), handler or Handler(), **options)


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("value", [0, -1, 1.5, "1"])
async def test_room_for_ancillary_data_must_be_a_strictly_positive_integer(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match="ancillary_bufsize"):
        new_server(path, ancillary_bufsize=value)


# -------------------------------------------------------------------------------------------------------------- paths


async def test_a_server_closed_while_it_is_activated_leaves_nothing(path: str) -> None:
    running: Any = type(ensure_backend(None))

    async def create_slowly(self: AsyncBackend, *args: Any, **options: Any) -> Any:
        listener = await running.create_unix_stream_listener(self, *args, **options)
        await self.ignore_cancellation(sleep(0.02))
        return listener

    backend: AsyncBackend = type("SlowBackend", (running,), {"create_unix_stream_listener": create_slowly})()
    async with all_closed():
        server = new_server(path, backend=backend)
        activating = spawn(server.server_activate())
        await until(lambda: os.path.exists(path))
        await server.server_close()
        with pytest.raises(ServerClosedError):
            await activating.result()
    assert not os.path.lexists(path)


# ------------------------------------------------------------------------------------------------------------ clients


@pytest.mark.parametrize("kind", ["stream", "buffered"])
async def test_clients_are_served(path: str, kind: str) -> None:
    protocol: Any = line_protocol() if kind == "stream" else buffered_line_protocol()
    handler = Handler()
    async with all_closed():
        async with run(AsyncUnixStreamServer(path, protocol, handler, max_recv_size=3)) as it:
            peers = [await it.connect() for _ in range(5)]
            for number, peer in enumerate(peers):
                await peer.send(b"number %d\nmore\n" % number)
            for number, peer in enumerate(peers):
                assert await peer.lines(2) == [b"number %d" % number, b"more"]
    assert handler.diary.count("connected") == handler.diary.count("disconnected") == 5


async def test_a_client_that_half_closes_gets_all_answers(path: str) -> None:
    class Generous(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            for _ in range(100):
                await client.send_packet("x" * 10_000)

    async with run(new_server(path, Generous())) as it:
        peer = await it.connect()
        await peer.send(b"go\n")
        peer.half_close()
        assert len(await peer.rest()) == 100 * 10_001


async def test_the_handler_sees_who_the_client_is(path: str) -> None:
    handler = Handler()
    async with run(new_server(path, handler)) as it:
        peer = await it.connect()
        assert await peer.ask(b"hello") == b"hello"
        client = handler.client
        assert client.extra(UNIXClientAttribute.local_name) == UnixSocketAddress.from_pathname(path)
        assert client.extra(UNIXClientAttribute.peer_name).is_unnamed()
        credentials = client.extra(UNIXClientAttribute.peer_credentials)
        assert credentials == UnixCredentials(
            os.getpid() if sys.platform == "linux" else credentials.pid, os.geteuid(), os.getegid()
        )
        assert client.extra(UNIXClientAttribute.peer_credentials) is credentials
        assert client.extra(UNIXClientAttribute.socket).family == socket.AF_UNIX
        assert client.extra(SocketAttribute.sockname) == path


async def test_the_name_of_a_client_is_looked_up_until_it_has_one_and_outlives_it(path: str) -> None:
    handler = Handler()
    async with run(new_server(path, handler)) as it:
        peer = await it.connect()
        assert await peer.ask(b"hello") == b"hello"
        name = handler.client.extra(UNIXClientAttribute.peer_name)
        assert name.is_unnamed()
        peer.sock.bind(path + ".client")
        name = handler.client.extra(UNIXClientAttribute.peer_name)
        assert name == UnixSocketAddress.from_pathname(path + ".client")
        peer.close()
        await until(lambda: "disconnected" in handler.diary)
        assert handler.client.extra(UNIXClientAttribute.peer_name) is name
        assert str(handler.client.extra(UNIXClientAttribute.local_name)) == path


async def test_credentials_that_cannot_be_had_are_a_lookup_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Handler()
    async with run(new_server(path, handler)) as it:
        peer = await it.connect()
        assert await peer.ask(b"hello") == b"hello"
        for error in (OSError(errno.EINVAL, "on purpose"), NotImplementedError()):

            def fail(sock: Any, error: Exception = error) -> Any:
                raise error

            monkeypatch.setattr("easynetwork.servers.async_unix_stream.get_peer_credentials", fail)
            with pytest.raises(TypedAttributeLookupError):
                handler.client.extra(UNIXClientAttribute.peer_credentials)


async def test_log_records_name_the_client(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    handler = Handler()
    async with run(new_server(path, handler)) as it:
        peer = await it.connect()
        assert await peer.ask(b"hello") == b"hello"
        peer.close()
        await until(lambda: "disconnected" in handler.diary)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("<unnamed>" in message for message in messages) == 2
    assert any(path in message for message in messages)


async def test_a_handler_that_fails_closes_its_connection_only(path: str, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            if request == "fail":
                raise ZeroDivisionError
            await client.send_packet(request)

    async with run(new_server(path, Failing())) as it:
        good, bad = await it.connect(), await it.connect()
        await bad.send(b"fail\n")
        assert await bad.gone()
        assert await good.ask(b"hello") == b"hello"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "<unnamed>" in errors[0].getMessage()


async def test_clients_are_served_to_their_end_by_a_closed_server(path: str) -> None:
    async with run(new_server(path)) as it:
        peer = await it.connect()
        assert await peer.ask(b"one") == b"one"
        await it.server.server_close()
        assert not os.path.lexists(path)
        assert await peer.ask(b"two") == b"two"
        peer.close()
        await it.task.result()


# ------------------------------------------------------------------------------------------------------ ancillary data


class Exchange(Handler):
    """Gives back each file that it gets, as a copy of its own."""

    async def handle(self, client: Client, /) -> Requests:
        ancillary = SocketAncillary()
        request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(ancillary.update_from_raw))
        if list(ancillary.iter_fds()):
            with Gift("copy of " + received_text(ancillary)) as gift:
                await client.send_packet_with_ancillary(request, gift.raw)
        else:
            await client.send_packet(request)


@pytest.mark.parametrize("options", [{}, {"ancillary_bufsize": 1024}], ids=["default room", "room"])
async def test_files_go_both_ways(path: str, options: dict[str, Any]) -> None:
    async with all_closed():
        async with run(new_server(path, Exchange(), **options)) as it:
            peer = await it.connect()
            for number in range(3):
                with Gift(f"file {number}") as gift:
                    send_message(peer.sock, b"file\n", gift)
                await until(lambda: select.select([peer.sock], [], [], 0)[0])
                assert receive_message(peer.sock) == (b"file\n", f"copy of file {number}")
                assert await peer.ask(b"no file") == b"no file"


async def test_a_closed_client_takes_no_ancillary_data(path: str) -> None:
    handler = Handler()
    async with run(new_server(path, handler)) as it:
        peer = await it.connect()
        assert await peer.ask(b"hello") == b"hello"
        await handler.client.aclose()
        with pytest.raises(ClientClosedError), Gift() as gift:
            await handler.client.send_packet_with_ancillary("late", gift.raw)


async def test_two_tasks_send_files_to_one_client_one_after_the_other(path: str) -> None:
    handler = Handler()
    async with run(new_server(path, handler)) as it:
        peer = await it.connect()
        assert await peer.ask(b"hello") == b"hello"

        async def give(text: str) -> None:
            with Gift(text) as gift:
                await handler.client.send_packet_with_ancillary(text, gift.raw)

        await results(*(await spawn_in_order(give("one"), give("two"))))
        assert receive_message(peer.sock) == (b"one\n", "one")
        assert receive_message(peer.sock) == (b"two\n", "two")


async def test_what_on_connection_sends_comes_first_and_whole(path: str) -> None:
    class Greeting(Handler):
        async def on_connection(self, client: Client, /) -> None:
            for word in ("one", "two", "three"):
                await client.send_packet(word)

    async with run(new_server(path, Greeting())) as it:
        peer = await it.connect()
        assert await peer.lines(3) == [b"one", b"two", b"three"]
        assert await peer.ask(b"four") == b"four"


# ----------------------------------------------------------------------------------------------------------- draining


async def test_a_handler_that_waits_for_ancillary_data_is_drained_too(path: str) -> None:
    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            ancillary = SocketAncillary()
            line = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(ancillary.update_from_raw))
            await client.send_packet(line)

    async with run(new_server(path, Asking(), ancillary_bufsize=1024)) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        draining = spawn(it.server.drain())
        assert await peer.rest() == b""
        peer.close()
        assert await draining.result() == DrainReport(finished=0, idle=1, cut=0)
