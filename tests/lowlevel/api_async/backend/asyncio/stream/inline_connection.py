"""An inline driver on a transport without a socket."""

from __future__ import annotations

__all__ = [
    "KINDS",
    "Connection",
    "Handler",
    "Requests",
    "echo",
    "ended_in_words",
    "in_a_turn",
    "lines",
    "numbers",
    "suspending",
]

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias

from tests.lowlevel.api_async.backend.asyncio.stream.fake_transport import FakeTransport
from tests.support.lines import buffered_line_protocol, line_protocol
from tests.support.manual_loop import ManualLoop

from easynetwork.lowlevel._core.handler_generators import single_generator
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_dispatch import Ending, StreamDispatcher
from easynetwork.lowlevel.api_async.backend._asyncio.stream.driver import (
    InlineDriver,
    OwnBufferDriver,
    SharedBufferDriver,
    UnixOwnBufferDriver,
    UnixSharedBufferDriver,
)
from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
from easynetwork.lowlevel.request_handler import RecvParams

KINDS = ["shared buffer", "own buffer"]

Requests: TypeAlias = AsyncGenerator[float | RecvParams | None, str]
Handler: TypeAlias = "Callable[[Connection], Requests]"


class Connection:
    """A connection of lines. Its bytes come from the test, through `transport`.

    Parameters:
        kind: one of `KINDS`: who has the buffer for received bytes.
        handler: a generator function, called with this object.
        starts: whether to start the carrier. If not, `start` does.
    """

    def __init__(
        self,
        loop: ManualLoop,
        kind: str,
        handler: Handler,
        *,
        starts: bool = True,
        stream_type: type[AsyncioStream] = AsyncioStream,
        async_transport: Any = None,
        is_disconnection: Callable[[Exception], bool] | None = None,
        max_recv_size: int = 1024,
        protocol: Any = None,
    ) -> None:
        self.loop = loop
        self.handled: list[object] = []
        """What the handler has noted."""
        self.stream = stream_type(loop)
        self.transport = FakeTransport(loop, self.stream)
        driver_type: type[InlineDriver]
        if kind == "own buffer":
            driver_type = OwnBufferDriver if stream_type.reads_ahead else UnixOwnBufferDriver
            protocol = protocol or buffered_line_protocol()
        else:
            driver_type = SharedBufferDriver if stream_type.reads_ahead else UnixSharedBufferDriver
            protocol = protocol or line_protocol()
        decoder = decoder_factory(protocol, max_recv_size, by_chunks=False)()
        self.dispatcher = StreamDispatcher(decoder, max_recv_size, 64, is_disconnection)
        self.driver = driver_type(async_transport, self.stream, self.dispatcher)
        self._handler = handler
        self.carrier: asyncio.Task[Ending]
        if starts:
            self.start()

    def start(self) -> None:
        self.carrier = self.loop.start(self.run())

    async def run(self) -> Ending:
        return await self.driver.run(single_generator(self._handler(self)))

    def answer(self, text: str) -> None:
        """Send a line, as a client object does if that needs no waiting."""
        data, batch = text.encode() + b"\n", self.stream
        if len(data) <= batch.capacity:
            batch.parts.append(data)
            batch.capacity -= len(data)
        else:
            batch.write_nowait(data)


async def echo(connection: Connection) -> Requests:
    """Note each request, and send it back."""
    while True:
        request = yield None
        connection.handled.append(request)
        connection.answer(request)


def suspending(gate: asyncio.Future[None]) -> Handler:
    """Return a handler that waits for *gate* when it gets the request ``wait``."""

    async def handler(connection: Connection) -> Requests:
        while True:
            request = yield None
            connection.handled.append(request)
            if request == "wait":
                await gate
            connection.answer(request)

    return handler


async def ended_in_words(connection: Connection) -> Requests:
    """Note requests, and what is raised at the yield."""
    try:
        while True:
            try:
                request = yield None
            except Exception as exc:
                connection.handled.append(type(exc).__name__)
            else:
                connection.handled.append(request)
    finally:
        connection.handled.append("closed")


def lines(count: int, first: int = 0) -> bytes:
    return b"".join(b"%d\n" % i for i in range(first, first + count))


def numbers(count: int) -> list[object]:
    return [str(i) for i in range(count)]


def in_a_turn(loop: ManualLoop, kind: str, handler: Handler, **options: Any) -> Connection:
    """Return a connection with 300 requests, whose driver has given everything else a turn."""
    connection = Connection(loop, kind, handler, max_recv_size=10_000, **options)
    connection.transport.receive(lines(300))
    assert len(connection.handled) < 300
    assert not connection.driver.is_waiting()
    return connection
