"""Handlers that receive by calls, in the company of everything else that goes on around a connection."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.background import Running, sleep, spawn, until
from tests.support.certificates import the_certificates
from tests.support.descriptors import all_closed, asking_for, give, text_in
from tests.support.lines import line_protocol
from tests.support.network_servers import problems
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Requests, run, serving
from tests.support.tls_servers import TLSClient

from easynetwork.exceptions import BusyResourceError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import RawSerializer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncStreamClient
from easynetwork.servers.misc import build_lowlevel_stream_server_handler

EVERY_BACKEND = True

RAW = StreamProtocol(RawSerializer())


async def test_task_group_around_a_call() -> None:
    """A task that fails cancels the call. Nothing is lost."""

    class Grouping(Handler):
        async def handle(self, client: Client, /) -> Requests:
            _ = yield None

            async def fail() -> None:
                await until(lambda: "part sent" in self.diary)
                await sleep(0.005)
                raise LookupError

            with contextlib.suppress(ExceptionGroup):
                async with client.backend().create_task_group() as tasks:
                    tasks.start_soon(fail)
                    await client.recv_packet()
            self.diary.append("failed")
            await client.send_packet(await client.recv_packet())

    handler = Grouping()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nhal")
        handler.diary.append("part sent")
        await until(lambda: "failed" in handler.diary)
        assert await peer.ask(b"f") == b"half"


async def test_generators_around_a_call() -> None:
    class Nested(Handler):
        async def handle(self, client: Client, /) -> Requests:
            _ = yield None
            async with contextlib.aclosing(self.pairs(client)) as pairs:
                async for first, second in pairs:
                    await client.send_packet(f"{first} {second}")
                    if second == "end":
                        break
            await client.send_packet((yield None))

        async def pairs(self, client: Client) -> AsyncGenerator[tuple[str, str]]:
            while True:
                yield await client.recv_packet(), await client.recv_packet()

    async with serving(Nested()) as it:
        peer = await it.connect()
        await peer.send(b"start\na\nb\nc\nend\nby yield\n")
        assert await peer.lines(3) == [b"a b", b"c end", b"by yield"]


async def test_task_that_receives_for_on_connection_and_goes_on_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server reports the mistake, and goes on."""

    class Careless(Handler):
        other: Running[str]

        async def on_connection(self, client: Client, /) -> None:
            self.other = spawn(client.recv_packet())
            await sleep(0.005)

    handler = Careless()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.gone()
        await until(lambda: handler.other.done())
        await until(lambda: problems(caplog.records))
    [record] = problems(caplog.records)
    assert "Another task receives" in str(record.exc_info[1])


async def test_connection_that_floods_leaves_others_their_turn() -> None:
    class Flooded(Handler):
        received = 0

        async def handle(self, client: Client, /) -> Requests:
            if (request := (yield None)) != "flood":
                await client.send_packet(request)
                return
            while True:
                await client.recv_packet()
                self.received += 1

    handler = Flooded()
    async with serving(handler) as it:
        flooding, other = await it.connect(), await it.connect()

        async def flood() -> None:
            while True:
                await flooding.send(b"flood\n" * 20_000)

        task = spawn(flood())
        await until(lambda: handler.received > 1000)
        for _ in range(20):
            before = handler.received
            assert await other.ask(b"a") == b"a"
            assert handler.received - before < 20_000
        task.cancel()
        await task.wait()


async def test_idle_connection_keeps_nothing_of_a_large_batch() -> None:
    class Counting(Handler):
        received = 0

        async def handle(self, client: Client, /) -> Requests:
            _ = yield None
            while True:
                client.set_protocol(line_protocol())
                await client.recv_packet()
                self.received += 1

    handler = Counting()
    async with serving(handler, max_recv_size=1 << 16) as it:
        peers = [await it.connect() for _ in range(20)]
        for peer in peers:
            await peer.send(b"a\na\n")
        await until(lambda: handler.received == 20)
        gc.collect()
        tracemalloc.start()
        try:
            for peer in peers:
                await peer.send(b"x" * 30_000 + b"\ny\ny\n")
            await until(lambda: handler.received == 20 * 4)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 20 * 15_000
        finally:
            tracemalloc.stop()


async def test_protocol_changes_while_other_tasks_wait_to_send() -> None:
    """Each packet is encoded when it is sent, and the order is that of the calls."""

    class Sending(Handler):
        async def handle(self, client: Client, /) -> Requests:
            _ = yield None
            large = spawn(client.send_packet("x" * 3_000_000))
            await sleep(0.01)
            raw = spawn(client.set_protocol(RAW).send_packet(b"raw "))
            await sleep(0.01)
            client.set_protocol(line_protocol())
            await client.send_packet("line")
            await large.result()
            await raw.result()

    async with serving(Sending()) as it:
        peer = await it.connect(receive_buffer=1 << 14)
        await peer.send(b"a\n")
        await sleep(0.03)
        assert await peer.line() == b"x" * 3_000_000
        assert await peer.line() == b"raw line"


@pytest.mark.parametrize("in_one_segment", [True, False])
async def test_unix_connection_changes_between_ancillary_data_and_tls(tmp_path: Path, in_one_segment: bool) -> None:
    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            ancillary = SocketAncillary()
            self.diary.append((yield asking_for(ancillary)))
            self.diary.append(text_in(ancillary))
            raw = client.set_protocol(StreamProtocol(RawSerializer(exactly=3)))
            self.diary.append((await raw.recv_packet()).decode())
            client.set_protocol(line_protocol())
            ancillary = SocketAncillary()
            self.diary.append((yield asking_for(ancillary)))
            self.diary.append(text_in(ancillary))
            await client.send_packet("go")
            await client.start_tls(the_certificates().server_context())
            await client.send_packet((yield None))
            with pytest.raises(UnsupportedOperation):
                yield asking_for(SocketAncillary())
            while True:
                await client.send_packet(await client.recv_packet())

    handler = Asking()
    server: Any = AsyncUnixStreamServer(str(tmp_path / "socket"), line_protocol(), handler)
    async with all_closed(), run(server) as it:
        plain = await it.connect()
        give(plain.sock, b"one\n" + (b"abc" if in_one_segment else b""), "first")
        if not in_one_segment:
            await sleep(0.005)
            await plain.send(b"abc")
        await until(lambda: "abc" in handler.diary)
        give(plain.sock, b"two\n", "second")
        assert await plain.line() == b"go"
        peer = TLSClient(plain.sock, the_certificates().client_context())
        await peer.below.handshake()
        assert await peer.ask(b"x") == b"x"
        assert await peer.ask(b"y") == b"y"
        peer.close()
    assert handler.diary[:6] == ["connected", "one", "first", "abc", "two", "second"]


async def test_many_connections_start_tls_at_once() -> None:
    context, client_context = the_certificates().server_context(), the_certificates().client_context()

    class Upgrading(Handler):
        async def handle(self, client: Client, /) -> Requests:
            if (request := (yield None)) == "STARTTLS":
                await client.send_packet("go")
                await client.start_tls(context)
            else:
                await client.send_packet(request)

    async with serving(Upgrading(), backlog=200) as it:

        async def use(name: bytes) -> None:
            plain = await it.connect()
            assert await plain.ask(b"STARTTLS") == b"go"
            peer = TLSClient(plain.sock, client_context)
            await peer.below.handshake()
            assert await peer.ask(name) == name
            await peer.leave()

        for task in [spawn(use(b"%d" % number)) for number in range(100)]:
            await task.result()


# -------------------------------------------------------------------------------- handlers on a low-level server


class Wrapped(AsyncStreamClient[Any]):
    """A client object as a user may write it."""

    def __init__(self, client: ConnectedStreamClient[Any]) -> None:
        self._client = client

    async def send_packet(self, packet: Any, /) -> None:
        await self._client.send_packet(packet)

    async def recv_packet(self, *, timeout: float | None = None) -> Any:
        return await self._client.recv_packet(timeout=timeout)

    def set_protocol(self, protocol: Any, /) -> Any:
        self._client.set_protocol(protocol)
        return self

    async def aclose(self) -> None:
        await self._client.aclose()

    def is_closing(self) -> bool:
        return self._client.is_closing()

    def backend(self) -> AsyncBackend:
        return self._client.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._client.extra_attributes


@contextlib.asynccontextmanager
async def lowlevel(handler: Handler, *, is_relayed: bool) -> AsyncIterator[Peer]:
    """Run *handler* on a low-level server, directly or below another generator. Give a connected peer."""

    @contextlib.asynccontextmanager
    async def wrap(client: ConnectedStreamClient[Any]) -> AsyncIterator[Wrapped]:
        yield Wrapped(client)

    callback: Any = build_lowlevel_stream_server_handler(wrap, handler, logger=logging.getLogger("test"))

    async def relay(client: ConnectedStreamClient[Any]) -> Requests:
        async with contextlib.aclosing(callback(client)) as agen:
            yielded = await anext(agen)
            while True:
                request = yield yielded
                yielded = await agen.asend(request)

    [listener] = await ensure_backend(None).create_tcp_listeners("127.0.0.1", 0, 10)
    async with AsyncStreamServer(listener, line_protocol(), 1024) as server:
        task = spawn(server.serve(relay if is_relayed else callback))
        with contextlib.closing(Peer(socket.socket())) as peer:
            await peer.connect(listener.extra(SocketAttribute.sockname))
            yield peer
        task.cancel()
        await task.wait()


async def test_client_object_of_a_user_may_receive_and_change() -> None:
    class Switching(Handler):
        async def on_connection(self, client: Client, /) -> None:
            self.diary.append(await client.recv_packet())

        async def handle(self, client: Client, /) -> Requests:
            first, second = (yield None), await client.recv_packet()
            await client.set_protocol(RAW).send_packet(f"{first}{second}\n".encode())
            client.set_protocol(line_protocol())

    handler = Switching()
    async with lowlevel(handler, is_relayed=False) as peer:
        await peer.send(b"greeting\na\nb\nc\nd\n")
        assert await peer.lines(2) == [b"ab", b"cd"]
    assert handler.diary[0] == "greeting"


async def test_relayed_handler_is_told_that_it_cannot_receive_or_change() -> None:
    class Relayed(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            with pytest.raises(BusyResourceError):
                await client.recv_packet()
            with pytest.raises((BusyResourceError, UnsupportedOperation)):
                client.set_protocol(RAW)
            await client.send_packet(request)

    async with lowlevel(Relayed(), is_relayed=True) as peer:
        for request in (b"a", b"b"):
            assert await peer.ask(request) == request
