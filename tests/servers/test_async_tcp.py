"""Arguments of the TCP server, and what of its life concerns connections. test_life_cycle.py has the rest."""

from __future__ import annotations

import contextvars
import gc
import logging
import socket
import weakref
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.background import spawn, until
from tests.support.lines import buffered_line_protocol, line_protocol
from tests.support.peers import PATIENCE, turns_of_the_loop
from tests.support.socket_calls import socket_calls
from tests.support.stream_servers import Client, Handler, Requests, run, serving

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.protocol import BufferedStreamProtocol
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer

EVERY_BACKEND = True

Server = AsyncTCPNetworkServer[str, str]


def new_server(handler: Handler | None = None, host: Any = "127.0.0.1", **options: Any) -> Server:
    return AsyncTCPNetworkServer(host, 0, line_protocol(), handler or Handler(), **options)


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "options",
    [
        {"ssl_handshake_timeout": 1.0},
        {"ssl_shutdown_timeout": 0},
        {"ssl_standard_compatible": True},
        {"ssl_standard_compatible": False},
    ],
)
async def test_tls_arguments_need_a_tls_context(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        new_server(**options)


async def test_buffered_protocol_is_served() -> None:
    protocol: BufferedStreamProtocol[str, str, Any] = buffered_line_protocol()
    async with run(AsyncTCPNetworkServer("127.0.0.1", 0, protocol, Handler(), max_recv_size=3)) as it:
        assert await (await it.connect()).ask(b"longer than three") == b"longer than three"


async def test_several_hosts_are_listened_on() -> None:
    async with new_server(host=["127.0.0.1", "127.0.0.2"]) as server:
        assert [address.host for address in server.get_addresses()] == ["127.0.0.1", "127.0.0.2"]


# ------------------------------------------------------------------------------------------------------------ closing


async def test_closing_lets_connected_clients_finish() -> None:
    handler = Handler()
    async with serving(handler) as it:
        first, second = await it.connect(), await it.connect()
        assert await first.ask(b"a") == b"a"
        assert await second.ask(b"b") == b"b"
        [address] = it.server.get_addresses()
        await it.server.server_close()
        assert not it.server.is_serving()
        assert not it.server.is_listening()
        assert it.server.get_addresses() == ()
        with pytest.raises(ConnectionRefusedError), socket.socket() as sock:
            sock.connect(tuple(address))
        assert await first.ask(b"c") == b"c"
        first.close()
        await until(lambda: handler.diary.count("disconnected") == 1)
        assert await second.ask(b"d") == b"d"
        assert not it.task.done()
        second.close()
        await it.task.result()
    assert handler.diary.count("disconnected") == 2


async def test_shutdown_of_a_closed_server_ends_its_clients() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await it.server.server_close()
        await it.server.shutdown()
        assert it.task.done()
        assert await peer.gone()
    assert handler.diary == ["connected", "disconnected"]


async def test_cancelled_closing_closes_all_the_same() -> None:
    server = new_server(host=["127.0.0.1", "127.0.0.2"])
    await server.server_activate()
    sockets = server.get_sockets()
    closing = spawn(server.server_close())
    await ensure_backend(None).coro_yield()
    closing.cancel()
    await closing.wait()
    await turns_of_the_loop(5)
    assert not server.is_listening()
    assert [sock.fileno() for sock in sockets] == [-1, -1]


# ------------------------------------------------------------------------------------------------------------ serving


async def test_connection_made_between_two_runs_is_served_by_the_second() -> None:
    async with new_server() as server:
        first = spawn(server.serve_forever())
        await until(server.is_serving)
        await server.shutdown()
        await first.result()
        with socket.create_connection(server.get_sockets()[0].getsockname()) as sock:
            sock.sendall(b"early\n")
            sock.setblocking(False)
            second = spawn(server.serve_forever())
            with ensure_backend(None).timeout(PATIENCE):
                assert await socket_calls().receive(sock) == b"early\n"
            await server.shutdown()
            await second.result()


async def test_shutdown_without_serving_does_nothing() -> None:
    server = new_server()
    await server.shutdown()
    async with server:
        await server.shutdown()
        assert server.is_listening()


async def test_cancelling_tears_down_and_propagates() -> None:
    class Service(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(self.diary.append, "exit")

    handler = Service()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        it.task.cancel()
        await it.task.wait()
        assert it.task.cancelled()
        assert await peer.gone()
        assert not it.server.is_serving()
        assert it.server.is_listening()
    assert handler.diary == ["connected", "disconnected", "exit"]


async def test_tear_down_goes_from_the_clients_to_the_service() -> None:
    class Service(Handler):
        server: Any

        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(lambda: self.diary.append(f"exit, serving: {server.is_serving()}"))

    handler = Service()
    async with serving(handler) as it:
        assert await (await it.connect()).ask(b"a") == b"a"
        await it.server.shutdown()
    assert handler.diary == ["connected", "disconnected", "exit, serving: False"]


async def test_asynchronous_callbacks_of_the_service_are_cancelled_unless_they_ignore_it() -> None:
    class Service(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            backend = server.backend()
            exit_stack.push_async_callback(backend.ignore_cancellation, self.work("ignores"))
            exit_stack.push_async_callback(self.work, "does not")

        async def work(self, name: str) -> None:
            await ensure_backend(None).coro_yield()
            self.diary.append(name)

    handler = Service()
    async with serving(handler) as it:
        await it.server.shutdown()
    assert handler.diary == ["ignores"]


async def test_service_gets_a_weak_proxy_of_the_server() -> None:
    class Service(Handler):
        server: Any

        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            self.server = server

    handler = Service()
    async with serving(handler) as it:
        assert isinstance(handler.server, weakref.ProxyType)
        assert handler.server.get_addresses() == it.server.get_addresses()


async def test_clients_inherit_the_context_of_the_set_up() -> None:
    variable = contextvars.ContextVar("variable", default="default")

    class Service(Handler):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            variable.set("from the set-up")

        async def on_connection(self, client: Client, /) -> None:
            self.diary.append(variable.get())
            variable.set("from a client")

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            self.diary.append(variable.get())
            await client.send_packet(request)

        async def on_disconnection(self, client: Client, /) -> None:
            pass

    handler = Service()
    async with serving(handler) as it:
        for _ in range(2):
            assert await (await it.connect()).ask(b"a") == b"a"
    assert handler.diary == ["from the set-up", "from a client"] * 2


async def test_start_and_end_are_logged_with_all_addresses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with run(new_server(host=["127.0.0.1", "127.0.0.2"])) as it:
        addresses = [str(address) for address in it.server.get_addresses()]
        assert any(all(address in record.getMessage() for address in addresses) for record in caplog.records)
        started = len(caplog.records)
        await it.server.shutdown()
        assert len(caplog.records) >= started + 2
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    names = {record.name for record in caplog.records if record.name != "asyncio"}  # which logs them in debug mode
    assert names == {"easynetwork.servers.async_tcp"}


async def test_server_that_has_served_can_be_garbage_collected() -> None:
    server = new_server()
    async with run(server):
        pass
    reference = weakref.ref(server)
    del server
    gc.collect()
    assert reference() is None
