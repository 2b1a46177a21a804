"""What the handler of a server gets of the bytes of a peer, without a socket: requests and errors."""

from __future__ import annotations

__all__ = ["Handler", "looping", "one_per_request", "receive_handled"]

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, TypeAlias

from tests.lowlevel.api_async.backend.asyncio.stream.fake_transport import FakeTransport
from tests.support.manual_loop import ManualLoop

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_dispatch import StreamDispatcher
from easynetwork.lowlevel.api_async.backend._asyncio.stream.driver import SharedBufferDriver
from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer

Handler: TypeAlias = Callable[[list[Any]], AsyncGenerator[None, Any]]
"""A generator function that notes what it gets in a list."""


async def looping(received: list[Any]) -> AsyncGenerator[None, Any]:
    """One generator for all requests."""
    while True:
        try:
            received.append((yield))
        except StreamProtocolParseError as exc:
            received.append(exc)


async def one_per_request(received: list[Any]) -> AsyncGenerator[None, Any]:
    """A generator for each request."""
    try:
        received.append((yield))
    except StreamProtocolParseError as exc:
        received.append(exc)


def receive_handled(
    serializer: AbstractIncrementalPacketSerializer[Any, Any], chunks: Iterable[bytes], handler: Handler = looping
) -> list[Any]:
    """Return the packets and parse errors (as objects) that *handler* gets of *chunks*, each in its own callback."""
    received: list[Any] = []
    loop = ManualLoop()
    try:
        stream = AsyncioStream(loop)
        transport = FakeTransport(loop, stream)
        dispatcher = StreamDispatcher(decoder_factory(StreamProtocol(serializer), 2**16)(), 2**16)
        driver = SharedBufferDriver(None, stream, dispatcher)  # type: ignore[arg-type]  # it is for ancillary data

        async def handle() -> None:
            await driver.run(lambda: handler(received))

        carrier = loop.start(handle())
        for chunk in chunks:
            if carrier.done():
                break
            loop.call(driver.data_received, chunk)
            loop.settle()
        if not carrier.done():
            transport.end()
            loop.settle()
        carrier.result()
        transport.lose()
        loop.settle()
    finally:
        loop.close()
    return received
