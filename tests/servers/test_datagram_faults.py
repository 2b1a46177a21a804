"""Faults of a datagram handler cost one generator and one record, never the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import Any

import pytest
from tests.support.background import settle, spawn, until
from tests.support.datagram_servers import Client, Handler, Requests, Server, Serving, run
from tests.support.faults import (
    GROUPS,
    Panic,
    RaisingConverter,
    RaisingSerializer,
    broken_logger,
    one_error,
    stray_cancellation,
)
from tests.support.lines import text_protocol
from tests.support.lowlevel_datagram_servers import WrappedListener
from tests.support.network_servers import problems
from tests.support.peers import DatagramPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.misc import build_lowlevel_datagram_server_handler

EVERY_BACKEND = True


class PulledServer(AsyncUDPNetworkServer[str, str]):
    """Its listeners could be written by a user: each datagram comes in a task."""

    __slots__ = ()

    async def _open_listeners(self) -> Sequence[AsyncDatagramListener[Any]]:
        return [WrappedListener(listener) for listener in await super()._open_listeners()]


class BuiltServer(AsyncUDPNetworkServer[str, str]):
    """Its handler is one of `servers.misc`."""

    __slots__ = ()

    def _handle(self, client: Any) -> Any:
        handler: Any = self._request_handler
        return build_lowlevel_datagram_server_handler(lambda _: contextlib.nullcontext(client), handler)(client)


@pytest.fixture(params=[AsyncUDPNetworkServer, PulledServer, BuiltServer])
def make_server(request: pytest.FixtureRequest, backend: AsyncBackend) -> Callable[..., Server]:
    def make(handler: Any, protocol: Any = None, **options: Any) -> Server:
        server: Server = request.param("127.0.0.1", 0, protocol or text_protocol(), handler, backend, **options)
        return server

    return make


MakeServer = Callable[..., Server]


@contextlib.asynccontextmanager
async def another_peer(it: Serving) -> AsyncIterator[DatagramPeer]:
    """One that is answered before, and after all that happens meanwhile."""
    bystander = it.peer()
    assert await bystander.ask(b"a") == b"a"
    yield it.peer()
    assert await bystander.ask(b"b") == b"b"


@pytest.mark.parametrize("new_group", GROUPS)
async def test_generator_with_a_task_group_is_closed_with_the_server_without_a_word(
    new_group: Any, make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    endings: list[str] = []

    class Grouped(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                async with new_group(), new_group():
                    while True:
                        await client.send_packet((yield None))
            finally:
                endings.append("end")

    async with run(make_server(Grouped())) as it:
        first, second = it.peer(), it.peer()
        assert [await first.ask(b"a"), await second.ask(b"b")] == [b"a", b"b"]
        await it.server.server_close()
        await it.task.wait()
        assert it.task.error is None
    assert endings == ["end"] * 2
    assert problems(caplog.records) == []


class Faulty(Handler):
    def __init__(self, where: str, make_fault: Callable[[], BaseException]) -> None:
        self.where = where
        self.make_fault = make_fault
        self.is_armed = False

    async def handle(self, client: Client, /) -> Requests:
        self.raise_in("before the yield")
        request = yield None
        self.raise_in("after the yield")
        await settle()
        self.raise_in("after a wait")
        await client.send_packet(request)

    def raise_in(self, where: str) -> None:
        if self.is_armed and where == self.where:
            raise self.make_fault()


@pytest.mark.parametrize("where", ["before the yield", "after the yield", "after a wait"])
async def test_fault_of_a_handler_costs_one_generator_and_one_record(
    where: str, make_fault: Any, make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Faulty(where, make_fault)
    async with run(make_server(handler)) as it, another_peer(it) as peer:
        handler.is_armed = True
        peer.send(b"x")
        error = await one_error(caplog)
        handler.is_armed = False
        assert await peer.ask(b"y") == b"y"
    assert type(error) is type(make_fault())


@pytest.mark.parametrize("kind", ["decode", "encode", "serializer"])
async def test_fault_of_a_codec_costs_one_generator_and_one_record(
    kind: str, make_fault: Any, make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    faulty: Any = RaisingSerializer() if kind == "serializer" else RaisingConverter(kind)
    faulty.make_fault = make_fault
    protocol: DatagramProtocol[str, str]
    protocol = DatagramProtocol(faulty) if kind == "serializer" else DatagramProtocol(StringLineSerializer(), faulty)
    async with run(make_server(Handler(), protocol)) as it, another_peer(it) as peer:
        peer.send(b"fail")
        assert await peer.ask(b"y") == b"y"
        error = await one_error(caplog)
    assert type(error) is type(make_fault())


async def test_cancellation_of_another_task_is_an_error_like_any_other(
    make_server: MakeServer, caplog: pytest.LogCaptureFixture, backend: AsyncBackend
) -> None:
    class Careless(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            if request == "fail":
                await stray_cancellation()
            await client.send_packet(request)

    async with run(make_server(Careless())) as it, another_peer(it) as peer:
        peer.send(b"fail")
        assert await peer.ask(b"y") == b"y"
        assert isinstance(await one_error(caplog), backend.get_cancelled_exc_class())


async def test_cancellation_in_a_group_ends_the_generator_and_the_rest_of_the_group_is_logged(
    make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Grouping(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                while True:
                    await client.send_packet((yield None))
            except BaseException as exc:
                raise BaseExceptionGroup("", [exc, LookupError("on purpose")]) from None

    async with run(make_server(Grouping())) as it:
        assert await it.peer().ask(b"a") == b"a"
        await it.server.shutdown()
        await it.task.wait()
        assert it.task.error is None
        error = await one_error(caplog)
    assert isinstance(error, ExceptionGroup)
    assert [type(item) for item in error.exceptions] == [LookupError]


async def test_group_with_a_fatal_exception_propagates_and_the_rest_of_it_is_logged(
    make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Fatal(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            raise BaseExceptionGroup("", [SystemExit(), LookupError(), Panic()])

    raised: list[BaseException] = []

    async def serve(server: Server) -> None:
        try:
            await server.serve_forever()
        except BaseException as exc:
            raised.append(exc)

    async with make_server(Fatal()) as server:
        task = spawn(serve(server))
        await until(server.is_serving)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", server.get_sockets()[0].getsockname())
            await task.wait()
    error = raised[0]
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert type(error) is SystemExit
    rest = await one_error(caplog)
    assert isinstance(rest, BaseExceptionGroup)
    assert [type(item) for item in rest.exceptions] == [LookupError, Panic]


@pytest.mark.parametrize("how", ["handler", "filter"])
@pytest.mark.parametrize("make_error", [OSError, Panic, asyncio.CancelledError])
async def test_logging_that_fails_costs_records_and_nothing_else(
    how: str, make_error: Any, make_server: MakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            if request == "fail":
                raise LookupError
            await client.send_packet(request)

    with broken_logger(how, make_error) as logger:
        async with run(make_server(Failing(), logger=logger)) as it, another_peer(it) as peer:
            peer.send(b"fail", b"\xff")
            assert await peer.ask(b"y") == b"y"
    assert "Logging error" in capsys.readouterr().err


class NoYield(Handler):
    async def handle(self, client: Client, /) -> None:  # type: ignore[override]
        pass


class PlainGenerator(Handler):
    def handle(self, client: Client, /) -> Generator[None, str]:  # type: ignore[override]
        yield None


class Nothing(Handler):
    def handle(self, client: Client, /) -> None:  # type: ignore[override]
        pass


@pytest.mark.parametrize("handler_type", [NoYield, PlainGenerator, Nothing])
async def test_handler_of_the_wrong_kind_is_told_what_is_allowed(
    handler_type: type[Handler], make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with run(make_server(handler_type())) as it:
        it.peer().send(b"a")
        error = await one_error(caplog)
        assert not it.task.done()
    with pytest.raises(TypeError, match=r"must be an asynchronous generator function .* returned"):
        raise error


async def test_invalid_datagram_of_another_origin_is_an_error_like_any_other(
    make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caught: list[Exception] = []

    class Confusing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                await client.send_packet((yield None))
            except Exception as exc:
                caught.append(exc)
                text_protocol().build_packet_from_datagram(b"\xff")

    async with run(make_server(Confusing())) as it, another_peer(it) as peer:
        peer.send(b"\xff")
        error = await one_error(caplog)
        [record] = problems(caplog.records)
        assert record.levelno == logging.ERROR
    assert error is not caught[0]
