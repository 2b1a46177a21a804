"""Handlers of servers on Unix stream sockets that ask for ancillary data at some yields and not at others.

What a peer sends beside its bytes stays with them until the handler asks. This holds for low-level servers and for
network servers; the latter need no argument for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from tests.support import lowlevel_stream_servers as lowlevel
from tests.support.background import new_event, sleep, spawn, until
from tests.support.descriptors import Gift, all_closed, asking_for, give, text_in
from tests.support.lines import LINE_PROTOCOLS, line_protocol
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Requests, run

from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel.api_async.backend._asyncio.stream import lingering as asyncio_lingering
from easynetwork.lowlevel.api_async.backend._trio.stream import transport as trio_transport
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.socket import SocketAncillary
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

EVERY_BACKEND = True

Connect: TypeAlias = Callable[[], Awaitable[Peer]]
Serving: TypeAlias = Callable[..., contextlib.AbstractAsyncContextManager[Connect]]


@pytest.fixture(params=LINE_PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> AnyStreamProtocolType[str, str]:
    return LINE_PROTOCOLS[request.param]()


@contextlib.asynccontextmanager
async def serving_low_level(
    path: str, handle: Callable[[Client], Requests], protocol: AnyStreamProtocolType[str, str]
) -> AsyncIterator[Connect]:
    listener = await ensure_backend(None).create_unix_stream_listener(path, 100)
    server = AsyncStreamServer(listener, protocol, 1024)
    handler: Any = handle
    async with lowlevel.run(server, path, handler, ancillary_bufsize=1024) as it:
        yield it.connect


@contextlib.asynccontextmanager
async def serving_network(
    path: str, handle: Callable[[Client], Requests], protocol: AnyStreamProtocolType[str, str]
) -> AsyncIterator[Connect]:
    class Handling(Handler):
        def handle(self, client: Client, /) -> Requests:
            return handle(client)

    server: AsyncUnixStreamServer[str, str] = AsyncUnixStreamServer(path, protocol, Handling())
    async with run(server) as it:
        yield it.connect


def checked(serve: Any, path: str) -> Serving:
    @contextlib.asynccontextmanager
    async def serving(
        handle: Callable[[Client], Requests], protocol: AnyStreamProtocolType[str, str] | None = None
    ) -> AsyncIterator[Connect]:
        async with all_closed(), serve(path, handle, protocol or line_protocol()) as connect:
            yield connect

    return serving


@pytest.fixture(params=[serving_low_level, serving_network], ids=["low-level server", "network server"])
def serving(request: pytest.FixtureRequest, path: str) -> Serving:
    """Serve a handler by either server, and give what connects a peer. In the end, no descriptor is left."""
    return checked(request.param, path)


@pytest.fixture
def network_serving(path: str) -> Serving:
    """Do the same by a network server: it begins a new generator for the next request when the last one has ended."""
    return checked(serving_network, path)


async def ask(client: Client, ancillary: SocketAncillary, request: str) -> None:
    """Answer a request that was asked for together with ancillary data."""
    await client.send_packet(f"{request} {text_in(ancillary)}")


async def alternating(client: Client) -> Requests:
    """Ask at every second yield."""
    await client.send_packet((yield None))
    ancillary = SocketAncillary()
    request = yield asking_for(ancillary)
    await ask(client, ancillary, request)


async def test_a_descriptor_comes_with_the_very_first_bytes(
    network_serving: Serving, protocol: AnyStreamProtocolType[str, str]
) -> None:
    async def handle(client: Client) -> Requests:
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with network_serving(handle, protocol) as connect:
        peer = await connect()
        give(peer.sock, b"one\n", "first")
        assert await peer.line() == b"one first"
        give(peer.sock, b"two\n", "second")
        assert await peer.line() == b"two second"
        assert await peer.ask(b"three") == b"three -"


async def test_a_descriptor_comes_after_the_answer_to_a_plain_request(
    serving: Serving, protocol: AnyStreamProtocolType[str, str]
) -> None:
    async with serving(alternating, protocol) as connect:
        for _ in range(3):
            peer = await connect()
            assert await peer.ask(b"plain") == b"plain"
            give(peer.sock, b"asked\n", "after the answer")
            assert await peer.line() == b"asked after the answer"


async def test_plain_requests_and_others_take_turns(
    network_serving: Serving, protocol: AnyStreamProtocolType[str, str]
) -> None:
    async with network_serving(alternating, protocol) as connect:
        peers = [await connect() for _ in range(3)]
        for turn in range(100):  # more than one task may read in one turn of the event loop
            for peer in peers:
                assert await peer.ask(b"plain") == b"plain"
            for peer in peers:
                give(peer.sock, b"asked\n", f"turn {turn}")
            for peer in peers:
                assert await peer.line() == b"asked turn %d" % turn


async def test_requests_that_were_read_together_are_all_handled(network_serving: Serving) -> None:
    async with network_serving(alternating) as connect:
        peer = await connect()
        await peer.send(b"one\ntwo\nthree\nfour\nfi")
        assert await peer.lines(4) == [b"one", b"two -", b"three", b"four -"]
        await peer.send(b"ve\n")
        assert await peer.line() == b"five"


async def test_descriptors_at_plain_requests_are_closed(network_serving: Serving) -> None:
    async def handle(client: Client) -> Requests:
        await client.send_packet((yield None))

    async with network_serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"hello") == b"hello"
        async with all_closed():
            for _ in range(3):
                give(peer.sock, b"unclaimed\n")
                assert await peer.line() == b"unclaimed"


async def test_descriptors_that_are_never_read_are_closed_with_the_connection(serving: Serving) -> None:
    busy = new_event()

    async def handle(client: Client) -> Requests:
        yield None
        await client.send_packet("busy")
        await busy.wait()
        await client.aclose()

    async with serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"hello") == b"busy"
        give(peer.sock, b"unread\n")
        busy.set()
        assert await peer.gone()


async def test_a_handler_that_sleeps_before_its_first_yield_loses_nothing(serving: Serving) -> None:
    async def handle(client: Client) -> Requests:
        await sleep(0.02)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with serving(handle) as connect:
        peer = await connect()
        give(peer.sock, b"early\n", "kept")
        assert await peer.line() == b"early kept"


async def test_a_handler_that_is_busy_after_a_plain_request_loses_nothing(
    serving: Serving, protocol: AnyStreamProtocolType[str, str]
) -> None:
    go_on = new_event()

    async def handle(client: Client) -> Requests:
        await client.send_packet((yield None))
        await go_on.wait()
        await sleep(0.02)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with serving(handle, protocol) as connect:
        for _ in range(2):
            peer = await connect()
            assert await peer.ask(b"plain") == b"plain"
            give(peer.sock, b"asked\n", "kept")
            go_on.set()
            assert await peer.line() == b"asked kept"


async def test_a_handler_that_asks_in_the_step_after_a_sleep_loses_nothing(network_serving: Serving) -> None:
    async def handle(client: Client) -> Requests:
        request = yield None
        await sleep(0)
        await client.send_packet(request)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with network_serving(handle) as connect:
        peer = await connect()
        for turn in range(3):
            assert await peer.ask(b"plain") == b"plain"
            give(peer.sock, b"asked\n", f"turn {turn}")
            assert await peer.line() == b"asked turn %d" % turn


@pytest.mark.parametrize("first", [True, False], ids=["at once", "after a request"])
async def test_a_timeout_of_a_plain_request_reads_nothing_ahead(serving: Serving, first: bool) -> None:
    async def handle(client: Client) -> Requests:
        if not first:
            await client.send_packet((yield None))
        try:
            yield 0.01
        except TimeoutError:
            await client.send_packet("timeout")
        await sleep(0.05)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)
        yield None

    async with serving(handle) as connect:
        peer = await connect()
        if not first:
            assert await peer.ask(b"plain") == b"plain"
        assert await peer.line() == b"timeout"
        give(peer.sock, b"late\n", "kept")
        assert await peer.line() == b"late kept"


@pytest.mark.parametrize("delay", [0, 0.01])
@pytest.mark.parametrize("first", [True, False], ids=["at once", "after a request"])
async def test_a_scope_cancelled_around_a_plain_request_reads_nothing_ahead(
    serving: Serving, first: bool, delay: float
) -> None:
    async def handle(client: Client) -> Requests:
        if not first:
            await client.send_packet((yield None))
        with client.backend().move_on_after(delay):
            yield None
        await client.send_packet("gave up")
        await sleep(0.05)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)
        yield None

    async with serving(handle) as connect:
        peer = await connect()
        if not first:
            assert await peer.ask(b"plain") == b"plain"
        assert await peer.line() == b"gave up"
        give(peer.sock, b"late\n", "kept")
        assert await peer.line() == b"late kept"


async def test_a_plain_request_given_up_while_its_bytes_are_there_reads_nothing_ahead(serving: Serving) -> None:
    async def handle(client: Client) -> Requests:
        await sleep(0.05)
        with client.backend().move_on_after(0) as scope:
            await client.send_packet((yield None))
        if scope.cancelled_caught():
            await sleep(0.05)
            ancillary = SocketAncillary()
            request = yield asking_for(ancillary)
            await ask(client, ancillary, request)
        yield None

    async with serving(handle) as connect:
        peer = await connect()
        give(peer.sock, b"early\n", "kept")
        assert await peer.line() in (b"early kept", b"early")


async def test_a_timeout_of_asking_loses_nothing(network_serving: Serving) -> None:
    async def handle(client: Client) -> Requests:
        await client.send_packet((yield None))
        ancillary = SocketAncillary()
        try:
            request = yield asking_for(ancillary, timeout=0.01)
        except TimeoutError:
            await client.send_packet("timeout")
            request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with network_serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"plain") == b"plain"
        assert await peer.line() == b"timeout"
        give(peer.sock, b"late\n", "kept")
        assert await peer.line() == b"late kept"
        assert await peer.ask(b"plain again") == b"plain again"


async def test_the_greeting_of_a_connection_may_ask_for_plain_requests(path: str) -> None:
    class Greeting(Handler):
        async def on_connection(self, client: Client, /) -> Any:
            await client.send_packet("name?")
            await client.send_packet("hello " + (yield None))

        async def handle(self, client: Client, /) -> Requests:
            ancillary = SocketAncillary()
            request = yield asking_for(ancillary)
            await ask(client, ancillary, request)

    server: AsyncUnixStreamServer[str, str] = AsyncUnixStreamServer(path, line_protocol(), Greeting())
    async with all_closed(), run(server) as it:
        peer = await it.connect()
        assert await peer.line() == b"name?"
        assert await peer.ask(b"Ann") == b"hello Ann"
        give(peer.sock, b"asked\n", "gift")
        assert await peer.line() == b"asked gift"


@pytest.mark.parametrize("ends", ["half_close", "close"])
async def test_the_end_of_the_stream_ends_a_handler_that_asks(serving: Serving, ends: str) -> None:
    asks, ended = new_event(), new_event()

    async def handle(client: Client) -> Requests:
        await client.send_packet((yield None))
        try:
            asks.set()
            yield asking_for(SocketAncillary())
        finally:
            ended.set()

    async with serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"plain") == b"plain"
        await asks.wait()
        getattr(peer, ends)()
        await ended.wait()


async def test_a_handler_that_asks_ends_when_its_client_is_closed(serving: Serving) -> None:
    ended = new_event()
    clients: list[Client] = []

    async def handle(client: Client) -> Requests:
        clients.append(client)
        await client.send_packet((yield None))
        try:
            yield asking_for(SocketAncillary())
        finally:
            ended.set()

    async with serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"plain") == b"plain"
        await sleep(0.01)
        await clients[0].aclose()
        await ended.wait()
        assert await peer.gone()


async def test_answers_keep_their_order_with_descriptors_among_them(network_serving: Serving) -> None:
    async def handle(client: Client) -> Requests:
        request = yield None
        await client.send_packet(request)
        with Gift("answer") as gift:
            await client.send_packet_with_ancillary("with", gift.raw)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with network_serving(handle) as connect:
        peer = await connect()
        for _ in range(2):
            assert await peer.ask(b"plain") == b"plain"
            assert await peer.line() == b"with"
            give(peer.sock, b"asked\n")
            assert await peer.line() == b"asked gift"


@pytest.mark.not_on_trio(reason="cancellations of single tasks are a matter of asyncio")
async def test_a_task_cancelled_at_a_plain_request_reads_nothing_ahead(serving: Serving, backend: AsyncBackend) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def handle(client: Client) -> Requests:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await client.send_packet((yield None))
        try:
            yield None
        except asyncio.CancelledError:
            task.uncancel()
        await sleep(0.02)
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await ask(client, ancillary, request)

    async with serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"plain") == b"plain"
        await sleep(0.01)
        tasks[0].cancel()
        give(peer.sock, b"late\n", "kept")
        assert await peer.line() == b"late kept"


async def test_requests_of_a_peer_that_has_left_are_handled_after_an_answer_that_cannot_be_sent(
    serving: Serving,
) -> None:
    busy, go_on, ended = new_event(), new_event(), new_event()
    diary: list[str] = []

    async def handle(client: Client) -> Requests:
        try:
            while True:
                diary.append((yield None))
                busy.set()
                await go_on.wait()
                with contextlib.suppress(OSError):
                    await client.send_packet("nobody reads this")
                await sleep(0.01)
        finally:
            ended.set()

    async with serving(handle) as connect:
        peer = await connect()
        await peer.send(b"one\n")
        await busy.wait()
        await peer.send(b"two\nthree\n")
        peer.close()
        go_on.set()
        await ended.wait()
    assert diary == ["one", "two", "three"]


async def test_a_descriptor_of_a_peer_that_has_left_is_received_after_an_answer_that_cannot_be_sent(
    serving: Serving,
) -> None:
    busy, go_on, ended = new_event(), new_event(), new_event()
    diary: list[str] = []

    async def handle(client: Client) -> Requests:
        try:
            diary.append((yield None))
            busy.set()
            await go_on.wait()
            with contextlib.suppress(OSError):
                await client.send_packet("nobody reads this")
            await sleep(0.01)
            ancillary = SocketAncillary()
            request = yield asking_for(ancillary)
            diary.append(f"{request} {text_in(ancillary)}")
            with pytest.raises(OSError):
                await client.send_packet("nor this")
                await sleep(0.01)
                await client.send_packet("nor that")
            yield None
        finally:
            ended.set()

    async with serving(handle) as connect:
        peer = await connect()
        await peer.send(b"one\n")
        await busy.wait()
        give(peer.sock, b"two\n", "gift")
        peer.close()
        go_on.set()
        await ended.wait()
    assert diary == ["one", "two gift"]


async def test_a_handler_that_asks_hears_a_peer_that_takes_no_more_answers(serving: Serving) -> None:
    clients: list[Client] = []
    ended = new_event()
    diary: list[str] = []

    async def handle(client: Client) -> Requests:
        clients.append(client)
        await client.send_packet((yield None))
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        diary.append(f"{request} {text_in(ancillary)}")
        ended.set()

    async with serving(handle) as connect:
        peer = await connect()
        assert await peer.ask(b"plain") == b"plain"
        await sleep(0.01)
        peer.sock.shutdown(socket.SHUT_RD)
        with contextlib.suppress(OSError):  # asyncio finds out behind this call
            await clients[0].send_packet("too late")
        await sleep(0.01)
        give(peer.sock, b"asked\n")
        await ended.wait()
    assert diary == ["asked gift"]


async def test_a_client_closed_while_its_transport_changes_gets_what_was_sent(serving: Serving) -> None:
    """Its request is never read, and must not cost it the greeting."""

    async def handle(client: Client) -> Requests:
        await client.send_packet("hello")
        spawn(client.aclose())
        while True:
            yield None

    async with serving(handle) as connect:
        for _ in range(10):
            peer = await connect()
            with contextlib.suppress(OSError):  # the server may be quicker
                await peer.send(b"a request\n")
            received = b""
            while data := await peer._receive():
                received += data
            assert received == b"hello\n"


async def test_every_client_that_leaves_before_its_answer_is_noticed(serving: Serving, backend: AsyncBackend) -> None:
    left = 0

    async def handle(client: Client) -> Requests:
        nonlocal left
        try:
            while True:
                yield None
                await backend.sleep(0.005)
                await client.send_packet("too late")
        finally:
            left += 1

    async with serving(handle) as connect:
        for number in range(40):
            peer = await connect()
            await peer.send(b"a request\n")
            await sleep(0.002 * (number % 4))
            peer.close()
        await until(lambda: left == 40)


async def test_close_during_a_turn_of_others_sees_that_the_peer_has_gone(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (asyncio_lingering, trio_transport):
        monkeypatch.setattr(module, "LINGER_TIMEOUT", 1000.0)
    closed = new_event()

    async def handle(client: Client) -> Requests:
        async def close() -> None:
            await client.aclose()
            closed.set()

        for _ in range(STEPS_PER_TURN):
            yield None
        spawn(close())
        while True:
            yield None

    async with serving_network(path, handle, line_protocol()) as connect:
        peer = await connect()
        await peer.send(b"a\n" * 5000)
        await sleep(0.02)
        peer.close()
        with ensure_backend(None).timeout(5):
            await closed.wait()
