"""Request handlers on low-level servers of datagrams: driven by `AsyncDatagramServer`, and as plain generators."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import weakref
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from tests.support.background import until
from tests.support.datagram_servers import Client, Handler, Requests
from tests.support.lowlevel_datagram_servers import serving
from tests.support.peers import DatagramPeer

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.servers.datagram import DatagramClientContext
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.servers.handlers import AsyncDatagramClient
from easynetwork.servers.misc import build_lowlevel_datagram_server_handler

EVERY_BACKEND = True


class OwnClient(AsyncDatagramClient[str]):
    """What a user may write for his own server."""

    __slots__ = ("context", "sent")

    def __init__(self, context: DatagramClientContext[str, Any] | None) -> None:
        self.context = context
        self.sent: list[str] = []

    async def send_packet(self, packet: str, /) -> None:
        self.sent.append(packet)
        if self.context is not None:
            await self.context.server.send_packet_to(packet, self.context.address)

    def is_closing(self) -> bool:
        return self.context is not None and self.context.server.is_closing()

    def backend(self) -> Any:
        assert self.context is not None
        return self.context.backend()

    def __hash__(self) -> int:
        return hash(self.context)

    def __eq__(self, other: object, /) -> bool:
        return isinstance(other, OwnClient) and self.context == other.context

    @property
    def extra_attributes(self) -> dict[Any, Any]:
        return {}


class Initializer:
    """Notes what happens to the context of each client."""

    def __init__(self, *, refuses: bool = False, swallows: bool = False, fails: bool = False) -> None:
        self.diary: list[str] = []
        self.arguments: tuple[Any, ...] = ()
        self.clients: list[OwnClient] = []
        self._refuses, self._swallows, self._fails = refuses, swallows, fails

    @contextlib.asynccontextmanager
    async def __call__(self, context: Any, *arguments: Any) -> AsyncIterator[Any]:
        self.arguments = arguments
        self.diary.append("init")
        if self._fails:
            raise ZeroDivisionError
        self.clients.append(OwnClient(context))
        try:
            yield None if self._refuses else self.clients[-1]
        except BaseException as exc:
            self.diary.append(f"exit by {type(exc).__name__}")
            if not self._swallows:
                raise
        else:
            self.diary.append("exit")


class Diarist(Handler):
    """Notes how its generators end."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary

    async def handle(self, client: Client, /) -> Requests:
        try:
            await self.work(client, (yield None))
        except BaseException as exc:
            self.diary.append(type(exc).__name__)
            raise
        else:
            self.diary.append("done")

    async def work(self, client: Client, request: str) -> None:
        if request == "fail":
            raise LookupError("on purpose")
        await client.send_packet(request)


def by_hand(handler: Handler, initializer: Any, *arguments: Any) -> Requests:
    build: Any = build_lowlevel_datagram_server_handler
    return cast("Requests", build(initializer, handler, *arguments)(None))


# -------------------------------------------------------------------------------------------- by AsyncDatagramServer


@contextlib.asynccontextmanager
async def serving_with(handler: Handler, initializer: Initializer) -> AsyncIterator[DatagramPeer]:
    """Give a peer of a low-level server with *handler*."""
    async with serving(build_lowlevel_datagram_server_handler(initializer, handler, "an argument", 12)) as running:
        yield running.peer()


async def test_server_has_one_context_for_each_generator(backend: AsyncBackend) -> None:
    initializer = Initializer()
    handler = Diarist(initializer.diary)
    async with serving_with(handler, initializer) as peer:
        for request in (b"a", b"b"):
            assert await peer.ask(request) == request
        await until(lambda: len(initializer.diary) == 6)
    assert initializer.diary == ["init", "done", "exit"] * 2
    assert initializer.arguments == ("an argument", 12)
    assert initializer.clients[0] == initializer.clients[1]


async def test_server_discards_the_datagrams_of_who_is_refused(backend: AsyncBackend) -> None:
    initializer = Initializer(refuses=True)
    handler = Diarist(initializer.diary)
    async with serving_with(handler, initializer) as peer:
        peer.send(b"a", b"\xff")
        await until(lambda: len(initializer.diary) == 4)
    assert initializer.diary == ["init", "exit"] * 2


@pytest.mark.parametrize("where", ["handler", "initializer"])
async def test_server_logs_what_gets_out(backend: AsyncBackend, caplog: pytest.LogCaptureFixture, where: str) -> None:
    initializer = Initializer(fails=where == "initializer")
    handler = Diarist(initializer.diary)
    async with serving_with(handler, initializer) as peer:
        peer.send(b"fail")
        await until(lambda: caplog.records)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert initializer.diary == ["init"] if where == "initializer" else ["init", "LookupError", "exit by LookupError"]


async def test_server_that_stops_cancels_the_generator_in_its_context(backend: AsyncBackend) -> None:
    class Waiting(Diarist):
        async def work(self, client: Client, request: str) -> None:
            await client.send_packet(request)
            await backend.sleep_forever()

    cancelled = backend.get_cancelled_exc_class().__name__
    initializer = Initializer()
    async with serving_with(Waiting(initializer.diary), initializer) as peer:
        assert await peer.ask(b"a") == b"a"
    assert initializer.diary == ["init", cancelled, f"exit by {cancelled}"]


async def test_scopes_and_time_outs_of_the_handler_work(backend: AsyncBackend) -> None:
    class Scoped(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with backend.timeout(10):
                request = yield None
            with backend.move_on_after(0.01) as scope:
                yield None
            assert scope.cancelled_caught()
            with pytest.raises(TimeoutError):
                yield 0.01
            await client.send_packet(request)

    async with serving_with(Scoped(), Initializer()) as peer:
        assert await peer.ask(b"a") == b"a"


# ----------------------------------------------------------------------------------------------------------- by hand


async def test_plain_generator_passes_on_what_is_yielded_and_sent() -> None:
    yielded: list[Any] = [None, 1.5, math.inf, RecvParams(timeout=3), "what the server will refuse"]
    received: list[Any] = []

    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            for value in yielded:
                request = yield value
                received.append(request)

    agen: Any = by_hand(Asking(), Initializer())
    value = await anext(agen)
    for number, expected in enumerate(yielded[1:]):
        assert value is yielded[number]
        value = await agen.asend(number)
        assert value is expected
    with pytest.raises(StopAsyncIteration):
        await agen.asend(None)
    assert received == [0, 1, 2, 3, None]


async def test_plain_generator_passes_on_what_is_thrown() -> None:
    class Surviving(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with pytest.raises(UnsupportedOperation) as caught:
                yield 1
            assert caught.value is error
            await client.send_packet((yield 2))
            yield 3

    error = UnsupportedOperation()
    initializer = Initializer()
    agen = by_hand(Surviving(), initializer)
    assert await anext(agen) == 1
    assert await agen.athrow(error) == 2
    assert await agen.asend("a") == 3
    with pytest.raises(ZeroDivisionError):
        await agen.athrow(ZeroDivisionError())
    assert initializer.clients[0].sent == ["a"]
    assert initializer.diary == ["init", "exit by ZeroDivisionError"]


async def test_plain_generator_lets_exceptions_of_the_handler_out_unless_the_context_swallows_them() -> None:
    for swallows in (False, True):
        initializer = Initializer(swallows=swallows)
        agen = by_hand(Diarist(initializer.diary), initializer)
        await anext(agen)
        with pytest.raises(StopAsyncIteration if swallows else LookupError):
            await agen.asend("fail")
        assert initializer.diary == ["init", "LookupError", "exit by LookupError"]


async def test_plain_generator_that_is_closed_closes_the_one_of_the_handler_first() -> None:
    initializer = Initializer()
    agen = by_hand(Diarist(initializer.diary), initializer)
    await anext(agen)
    await agen.aclose()
    assert initializer.diary == ["init", "GeneratorExit", "exit by GeneratorExit"]


async def test_plain_generator_closes_the_one_of_the_handler_in_its_own_task(backend: AsyncBackend) -> None:
    class Noting(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                yield None
            finally:
                await backend.coro_yield()
                tasks.append(backend.get_current_task())

    tasks: list[Any] = []
    agen = by_hand(Noting(), Initializer())
    await anext(agen)
    await agen.aclose()
    assert tasks == [backend.get_current_task()]


async def test_plain_generator_returns_at_once_without_a_client_or_a_yield() -> None:
    class Silent(Handler):
        async def handle(self, client: Client, /) -> Requests:
            return
            yield

    for handler, initializer in ((Handler(), Initializer(refuses=True)), (Silent(), Initializer())):
        assert [item async for item in by_hand(handler, initializer)] == []
        assert initializer.diary == ["init", "exit"]


async def test_plain_generator_that_waits_keeps_neither_request_nor_error() -> None:
    class Object(Exception):
        pass

    class Forgetful(Handler):
        async def handle(self, client: Client, /) -> Requests:
            while True:
                with contextlib.suppress(Object):
                    yield None

    agen: Any = by_hand(Forgetful(), Initializer())
    await anext(agen)
    request, error = Object(), Object()
    references = weakref.ref(request), weakref.ref(error)
    await agen.asend(request)
    del request
    gc.collect()
    assert references[0]() is None
    await agen.athrow(error)
    del error
    gc.collect()
    assert references[1]() is None
    await agen.aclose()
