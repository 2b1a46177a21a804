"""Request handlers on low-level servers: driven by `AsyncStreamServer`, and as plain asynchronous generators."""

from __future__ import annotations

import contextlib
import gc
import logging
import types
from collections.abc import AsyncIterator, Generator
from typing import Any, cast

import pytest
from tests.support import lowlevel_stream_servers as lowlevel
from tests.support.background import settle, spawn, until
from tests.support.lines import line_protocol
from tests.support.stream_servers import Client, Handler, Requests

from easynetwork.exceptions import ClientClosedError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.servers.handlers import AsyncStreamClient
from easynetwork.servers.misc import build_lowlevel_stream_server_handler

EVERY_BACKEND = True


WITHOUT_CONNECTION: Any = types.SimpleNamespace(_dispatcher=types.SimpleNamespace())
"""Stands for the low-level client of a connection that is not there."""


class FakeClient(AsyncStreamClient[str]):
    """Keeps what is sent, or passes it on."""

    __slots__ = ("closed", "lowlevel_client", "sent")

    def __init__(self, lowlevel_client: Any = WITHOUT_CONNECTION) -> None:
        self.lowlevel_client = lowlevel_client
        self.sent: list[str] = []
        self.closed = False

    async def send_packet(self, packet: str, /) -> None:
        if self.is_closing():
            raise ClientClosedError
        self.sent.append(packet)
        if self.lowlevel_client is not WITHOUT_CONNECTION:
            await self.lowlevel_client.send_packet(packet)

    def is_closing(self) -> bool:
        return self.closed

    async def aclose(self) -> None:
        self.closed = True
        if self.lowlevel_client is not WITHOUT_CONNECTION:
            await self.lowlevel_client.aclose()
        else:
            await settle()

    def backend(self) -> Any:
        return ensure_backend(None)

    @property
    def extra_attributes(self) -> dict[Any, Any]:
        return {}


class Diarist(Handler):
    """Notes everything, after a wait for the event loop each time."""

    login = False

    async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
        await self.note("connected")
        if self.login:
            await self.note("login " + (yield 1.5))

    async def handle(self, client: Client, /) -> Requests:
        try:
            request = yield None
        except BaseException as exc:
            await self.note(type(exc).__name__)
            raise
        match request:
            case "fail":
                raise LookupError("on purpose")
            case "close":
                await client.aclose()
            case _:
                await client.send_packet(request)

    async def on_disconnection(self, client: Client, /) -> None:
        await self.note("disconnected")

    async def note(self, text: str) -> None:
        await ensure_backend(None).ignore_cancellation(settle())  # in a cancelled scope, each wait is cancelled
        self.diary.append(text)


@contextlib.asynccontextmanager
async def initialize(lowlevel_client: Any, diary: list[str]) -> AsyncIterator[Any]:
    await settle()
    diary.append("init")
    try:
        yield FakeClient(lowlevel_client)
    except BaseException as exc:
        diary.append(f"exit by {type(exc).__name__}")
        raise
    else:
        diary.append("exit")


@contextlib.asynccontextmanager
async def refuse(lowlevel_client: Any, diary: list[str]) -> AsyncIterator[None]:
    diary.append("init")
    yield None
    diary.append("exit")


def by_hand(handler: Diarist, initializer: Any = initialize) -> Requests:
    build: Any = build_lowlevel_stream_server_handler
    return cast("Requests", build(initializer, handler, handler.diary)(WITHOUT_CONNECTION))


# ---------------------------------------------------------------------------------------------- by AsyncStreamServer


async def test_server_drives_every_hook_inside_of_the_context() -> None:
    handler = Diarist()
    handler.login = True
    build: Any = build_lowlevel_stream_server_handler
    async with lowlevel.serving(build(initialize, handler, handler.diary)) as server:
        peer = await server.connect()
        await peer.send(b"me\na\nclose\nb\n")
        assert await peer.rest() == b"a\n"
        await until(lambda: "exit" in handler.diary)
    assert handler.diary == ["init", "connected", "login me", "disconnected", "exit"]


async def test_server_drops_a_connection_that_is_refused() -> None:
    handler = Diarist()
    build: Any = build_lowlevel_stream_server_handler
    async with lowlevel.serving(build(refuse, handler, handler.diary)) as server:
        assert await (await server.connect()).gone()
        await until(lambda: "exit" in handler.diary)
    assert handler.diary == ["init", "exit"]


# ----------------------------------------------------------------------------------------------------------- by hand


async def test_plain_generator_hands_requests_to_one_generator_after_another() -> None:
    handler = Diarist()
    handler.login = True
    agen = by_hand(handler)
    assert await anext(agen) == 1.5
    assert await agen.asend("me") is None
    assert await agen.asend("a") is None
    with pytest.raises(StopAsyncIteration):
        await agen.asend("close")
    assert handler.diary == ["init", "connected", "login me", "disconnected", "exit"]


async def test_plain_generator_throws_into_the_generator_of_the_handler() -> None:
    class Surviving(Diarist):
        async def handle(self, client: Client, /) -> Requests:
            try:
                request = yield 3.0
            except UnsupportedOperation:
                await self.note("caught")
                request = yield 4.0
            await client.send_packet(request)

    handler = Surviving()
    agen = by_hand(handler)
    assert await anext(agen) == 3.0
    assert await agen.athrow(UnsupportedOperation()) == 4.0
    assert await agen.asend("a") == 3.0
    with pytest.raises(ZeroDivisionError):
        await agen.athrow(ZeroDivisionError())
    assert handler.diary == ["init", "connected", "caught", "disconnected", "exit by ZeroDivisionError"]


async def test_plain_generator_lets_exceptions_of_the_handler_out() -> None:
    handler = Diarist()
    agen = by_hand(handler)
    await anext(agen)
    with pytest.raises(LookupError):
        await agen.asend("fail")
    assert handler.diary == ["init", "connected", "disconnected", "exit by LookupError"]


async def test_plain_generator_that_is_closed_closes_the_one_of_the_handler() -> None:
    handler = Diarist()
    agen = by_hand(handler)
    await anext(agen)
    await agen.aclose()
    assert handler.diary == ["init", "connected", "GeneratorExit", "disconnected", "exit by GeneratorExit"]


async def test_plain_generator_that_is_closed_during_the_login_does_not_call_on_disconnection() -> None:
    handler = Diarist()
    handler.login = True
    agen = by_hand(handler)
    await anext(agen)
    await agen.aclose()
    assert handler.diary == ["init", "connected", "exit by GeneratorExit"]


async def test_plain_generator_passes_a_cancellation_on() -> None:
    class Waiting(Diarist):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            await self.note("waiting")
            await ensure_backend(None).sleep_forever()

    handler = Waiting()
    agen = by_hand(handler)

    async def drive() -> None:
        await anext(agen)
        await agen.asend("a")

    task = spawn(drive())
    await until(lambda: "waiting" in handler.diary)
    task.cancel()
    await task.wait()
    assert task.cancelled()
    cancelled = ensure_backend(None).get_cancelled_exc_class().__name__
    assert handler.diary == ["init", "connected", "waiting", "disconnected", f"exit by {cancelled}"]


async def test_plain_generator_without_a_client_returns_at_once() -> None:
    handler = Diarist()
    assert [item async for item in by_hand(handler, refuse)] == []
    assert handler.diary == ["init", "exit"]


async def test_connection_error_at_the_end_is_a_warning_of_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Diarist):
        async def on_disconnection(self, client: Client, /) -> None:
            raise ConnectionResetError("on purpose")

    build: Any = build_lowlevel_stream_server_handler
    for logger, name in ((None, "easynetwork.servers.misc"), (logging.getLogger("mine"), "mine")):
        handler = Failing()
        caplog.clear()
        agen = build(initialize, handler, handler.diary, logger=logger)(WITHOUT_CONNECTION)
        await anext(agen)
        await agen.aclose()
        assert [(record.name, record.levelno) for record in caplog.records] == [(name, logging.WARNING)]


# --- relayed by a generator of the user


def relayed(handle: Any) -> Any:
    """Return a callback for a low-level server that hides the handler: the server drives it as a plain generator."""

    class Handling(Handler):
        def handle(self, client: Client, /) -> Requests:
            generator: Requests = handle(client)
            return generator

    @contextlib.asynccontextmanager
    async def new_client(lowlevel_client: Any) -> AsyncIterator[Any]:
        yield FakeClient(lowlevel_client)

    built = build_lowlevel_stream_server_handler(new_client, Handling())
    return lambda lowlevel_client: built(lowlevel_client)


async def test_relayed_handler_gets_ancillary_data_once(path: str) -> None:
    received: list[Any] = []
    ask = RecvParams(recv_with_ancillary=RecvAncillaryDataParams(received.append))

    async def handle(client: Client) -> Requests:
        while True:
            await client.send_packet((yield ask))

    listener = await ensure_backend(None).create_unix_stream_listener(path, 10)
    server = AsyncStreamServer(listener, line_protocol(), 1024)
    async with lowlevel.run(server, path, relayed(handle), ancillary_bufsize=1024) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        assert await peer.ask(b"b") == b"b"
    assert len(received) == 2


async def test_relayed_handler_that_yields_nonsense_lets_others_run() -> None:
    count = 0

    async def handle(client: Client) -> Requests:
        nonlocal count
        while True:
            try:
                yield -1.0
            except ValueError:
                count += 1

    async with lowlevel.serving(relayed(handle)) as it:
        await it.connect()
        await until(lambda: count > 200)


# Before Python 3.13, this leaves the generator of the handler to the finalizer of the event loop, and trio's warns.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator:pytest.PytestUnraisableExceptionWarning")
async def test_await_of_a_relayed_handler_that_is_closed_does_not_return() -> None:
    ends: list[str] = []

    @types.coroutine
    def suspend() -> Generator[str, None, None]:
        yield "suspended"

    async def handle(client: Client) -> Requests:
        yield None
        try:
            await suspend()
        except BaseException as exc:
            ends.append(type(exc).__name__)
            raise
        ends.append("returned")

    agen = relayed(handle)(WITHOUT_CONNECTION)
    assert await anext(agen) is None
    step = agen.asend("request")
    assert step.send(None) == "suspended"
    with pytest.raises(GeneratorExit):
        step.throw(GeneratorExit)
    assert "returned" not in ends
    del agen, step
    gc.collect()  # here, while the loop runs and the warning is ignored


async def test_iterator_that_is_not_a_generator_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    class Iterator:
        def __aiter__(self) -> Iterator:
            return self

        async def __anext__(self) -> None:
            return None

    handler: Any = lambda client: Iterator()  # noqa: E731
    async with lowlevel.serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        with contextlib.suppress(ConnectionError):
            assert await peer.rest() == b""
        await until(lambda: bool(caplog.records))
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)
