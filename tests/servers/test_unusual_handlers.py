"""Handlers, decoders and limits that few write, but that work: as pure Python, and with the compiled module."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from tests.support import datagram_servers as datagrams
from tests.support import lowlevel_stream_servers as lowlevel
from tests.support import stream_servers as network
from tests.support.background import until
from tests.support.lines import line_protocol

from easynetwork.clients import TCPNetworkClient
from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel.api_async._packet_streams import PacketSender
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import JSONSerializer, StringLineSerializer
from easynetwork.serializers.base_stream import AutoSeparatedPacketSerializer, FixedSizePacketSerializer
from easynetwork.serializers.framing import CutFrames, FramedPacketSerializer, LengthPrefixedFrames
from easynetwork.servers._datagram_server import DatagramSender
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler

Requests = AsyncGenerator[float | None, Any]
Act = Callable[[bytes], object]


class _Acting:
    """Calls a function of the test with each frame, which may raise."""

    act: Act = staticmethod(lambda frame: None)

    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        self.act(data)
        return data


class Blocks(_Acting, FixedSizePacketSerializer[bytes, bytes]):
    pass


class Lines(_Acting, AutoSeparatedPacketSerializer[bytes, bytes]):
    pass


class Counted(_Acting, FramedPacketSerializer[bytes, bytes]):
    def frame_format(self) -> LengthPrefixedFrames:
        return LengthPrefixedFrames(1)


SERIALIZERS: dict[str, tuple[Any, Callable[[bytes], bytes]]] = {
    "blocks": (lambda: Blocks(1), lambda packet: packet),
    "lines": (lambda: Lines(b"\n"), lambda packet: packet + b"\n"),
    "counted": (Counted, lambda packet: bytes([len(packet)]) + packet),
}


@pytest.fixture(params=SERIALIZERS)
def framing(request: pytest.FixtureRequest) -> tuple[Any, Callable[[bytes], bytes]]:
    """A serializer of bytes, and the function that frames a packet."""
    make, frame = SERIALIZERS[request.param]
    return make(), frame


def stream(frame: Callable[[bytes], bytes], packets: bytes) -> bytes:
    return b"".join(frame(packets[i : i + 1]) for i in range(len(packets)))


async def test_requests_after_an_abort_are_dropped(framing: Any) -> None:
    serializer, frame = framing
    received: list[bytes] = []

    async def handler(client: Any) -> Requests:
        while True:
            received.append((yield None))
            if received[-1] == b"b":
                client.abort()

    async with lowlevel.serving(handler, protocol=StreamProtocol(serializer)) as it:
        peer = await it.connect()
        await peer.send(stream(frame, b"abcde"))
        assert await peer.gone()
    assert received == [b"a", b"b"]


async def test_decoding_may_close_the_connection(framing: Any) -> None:
    serializer, frame = framing
    clients: list[Any] = []
    serializer.act = lambda data: clients[0].abort() if data == b"b" else None

    async def handler(client: Any) -> Requests:
        clients.append(client)
        while True:
            yield None

    async with lowlevel.serving(handler, protocol=StreamProtocol(serializer)) as it:
        peer = await it.connect()
        await peer.send(stream(frame, b"abc"))
        assert await peer.gone()


async def test_a_decoding_error_is_not_the_context_of_later_errors(framing: Any) -> None:
    serializer, frame = framing

    def refuse(data: bytes) -> None:
        if data == b"!":
            raise ValueError("refused")

    serializer.act = refuse
    seen: list[Any] = []

    async def handler(client: Any) -> Requests:
        while True:
            try:
                request = yield None
            except (StreamProtocolParseError, RuntimeError):
                seen.append("refused")
                continue
            try:
                raise KeyError
            except KeyError as exc:
                seen.append((request, exc.__context__, sys.exc_info()[0]))
            await client.send_packet(request)

    async with lowlevel.serving(handler, protocol=StreamProtocol(serializer)) as it:
        peer = await it.connect()
        await peer.send(stream(frame, b"a!b"))
        peer.half_close()
        assert await peer.rest() == stream(frame, b"ab")
    assert seen == [(b"a", None, KeyError), "refused", (b"b", None, KeyError)]


def noting_interrupts(seen: list[Any]) -> Callable[[Any], Requests]:
    """Return a handler that answers each request with itself, and notes it, or what is raised at the yield."""

    async def handler(client: Any) -> Requests:
        while True:
            try:
                seen.append((yield None))
                await client.send_packet(seen[-1])
            except (KeyboardInterrupt, SystemExit) as exc:
                seen.append(type(exc))

    return handler


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_what_ends_a_program_is_raised_at_the_yield_first(framing: Any, error: type[BaseException]) -> None:
    serializer, frame = framing
    errors: list[BaseException] = [error()]

    def interrupt(data: bytes) -> None:
        if data == b"b" and errors:
            raise errors.pop()

    serializer.act = interrupt
    seen: list[Any] = []
    async with lowlevel.serving(noting_interrupts(seen), protocol=StreamProtocol(serializer)) as it:
        peer = await it.connect()
        await peer.send(stream(frame, b"abc"))
        peer.half_close()
        assert await peer.rest() == stream(frame, b"abc")
    assert seen == [b"a", error, b"b", b"c"]  # nothing was consumed


async def test_what_ends_a_program_in_a_function_that_cuts_frames_is_raised_at_the_yield() -> None:
    errors: list[BaseException] = [KeyboardInterrupt()]

    def cut(data: bytes, start: int) -> int:
        if errors:
            raise errors.pop()
        return start + 1

    class Cut(_Acting, FramedPacketSerializer[bytes, bytes]):
        def frame_format(self) -> CutFrames:
            return CutFrames(cut)

    seen: list[Any] = []
    async with lowlevel.serving(noting_interrupts(seen), protocol=StreamProtocol[Any, Any](Cut())) as it:
        peer = await it.connect()
        await peer.send(b"ab")
        peer.half_close()
        assert await peer.rest() == b"ab"
    assert seen == [KeyboardInterrupt, b"a", b"b"]


class _Bytes(bytes):
    pass


@pytest.mark.parametrize(
    "serializer",
    [
        StringLineSerializer(limit=1 << 70),
        Lines(b"\n", limit=1 << 70),
        Lines(_Bytes(b"\n")),
    ],
    ids=["text with a huge limit", "bytes with a huge limit", "a separator of another class"],
)
async def test_parameters_of_unusual_types_and_sizes_work(serializer: Any) -> None:
    async def handler(client: Any) -> Requests:
        while True:
            await client.send_packet((yield None))

    async with lowlevel.serving(handler, protocol=StreamProtocol(serializer)) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await peer.send(b"b\nc\n")
        peer.half_close()
        assert await peer.rest() == b"b\nc\n"


class Duck:
    """Has the methods of an asynchronous generator."""

    def __init__(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)


async def one(client: Any) -> Requests:
    await client.send_packet((yield None))


async def test_what_has_the_methods_of_a_generator_is_a_generator() -> None:
    class Handler(AsyncStreamRequestHandler[str, str]):
        made = 0

        def handle(self, client: Any, /) -> Any:
            self.made += 1
            return Duck(one(client)) if self.made % 2 else one(client)

    async with network.serving(Handler()) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a", b"b"]
        await peer.send(b"c\nd\n")
        peer.half_close()
        assert await peer.rest() == b"c\nd\n"


async def test_generators_of_handlers_do_not_register_at_the_event_loop() -> None:
    registered: list[Any] = []

    async def handle_one(client: Any) -> Requests:
        request = yield None
        if request in "bd":
            await asyncio.sleep(0)
        if request in "ce":
            request += yield 10.0
        await client.send_packet(request)

    class Handler(AsyncStreamRequestHandler[str, str]):
        def handle(self, client: Any, /) -> Any:
            return handle_one(client)

    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=registered.append)
    try:
        async with network.serving(Handler()) as it:
            peer = await it.connect()
            # The compiled module starts the generators after those that answer at once.
            for request, answer in (b"a", b"a"), (b"b", b"b"), (b"a", b"a"), (b"c\n1", b"c1"), (b"a", b"a"):
                assert await peer.ask(request) == answer
            await peer.send(b"d\ne\n2\na\n")
            peer.half_close()
            assert await peer.rest() == b"d\ne2\na\n"
        assert [agen for agen in registered if agen.__name__ == "handle_one"] == []
    finally:
        sys.set_asyncgen_hooks(*hooks)


Foreign = Callable[[AsyncGenerator[Any, Any]], Any]
FOREIGN: dict[str, Foreign] = {
    "asend": lambda agen: agen.asend("foreign"),
    "athrow": lambda agen: agen.athrow(ValueError("foreign")),
    "aclose": lambda agen: agen.aclose(),
}


@pytest.mark.parametrize("call", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("is_awaiting", [True, False], ids=["awaiting", "not awaiting"])
async def test_a_generator_in_use_refuses_others(call: Foreign, is_awaiting: bool) -> None:
    made: list[Any] = []
    refusals: list[str] = []

    async def interfere() -> None:
        with pytest.raises(RuntimeError, match="already running") as info:
            await call(made[-1])
        refusals.append(str(info.value))

    async def handle_one(client: Any) -> Requests:
        request = yield None
        assert made[-1].ag_running
        if is_awaiting:
            task = asyncio.create_task(interfere())
            for _ in range(3):
                await asyncio.sleep(0)
            await task
            assert made[-1].ag_running
        else:
            await interfere()
        await client.send_packet(request)

    class Handler(AsyncStreamRequestHandler[str, str]):
        def handle(self, client: Any, /) -> Any:
            made.append(handle_one(client))
            return made[-1]

    async with network.serving(Handler()) as it:
        peer = await it.connect()
        for request in b"a", b"b", b"c":
            assert await peer.ask(request) == request
        await peer.send(b"d\ne\n")
        assert await peer.lines(2) == [b"d", b"e"]
        assert not made[-1].ag_running
    assert len(refusals) == 5


async def test_a_suspended_generator_may_catch_what_is_thrown_and_wait_again() -> None:
    events: list[object] = []

    async def handle_one(client: Any) -> Requests:
        request = yield None
        if request == "b":
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                events.append(task.uncancel())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        await client.send_packet(request)

    class Handler(AsyncStreamRequestHandler[str, str]):
        def handle(self, client: Any, /) -> Any:
            return handle_one(client)

    async with network.serving(Handler()) as it:
        peer = await it.connect()
        for request in b"a", b"b", b"a", b"b":
            assert await peer.ask(request) == request
    assert events == [0, 0]


async def test_an_exception_is_not_handled_any_more_after_its_except_block() -> None:
    handled: list[object] = []

    async def handler(client: Any) -> Requests:
        while True:
            request = yield None
            handled.append(sys.exc_info()[1])
            if request == "a":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0):
                        await asyncio.sleep(10)
            await client.send_packet(request)
            handled.append(sys.exc_info()[1])

    async with lowlevel.serving(handler, protocol=StreamProtocol(StringLineSerializer())) as it:
        peer = await it.connect()
        for request in b"b", b"a", b"b", b"c":
            assert await peer.ask(request) == request
        large = b"x" * 5000
        await peer.send(large + b"\n" + large + b"\n")
        assert await peer.lines(2) == [large, large]
    assert handled == [None] * 12


async def test_an_exception_is_not_handled_any_more_in_a_datagram_handler(backend: AsyncBackend) -> None:
    handled: list[object] = []

    class Handler(AsyncDatagramRequestHandler[str, str]):
        async def handle(self, client: Any, /) -> Requests:
            while True:
                request = yield None
                handled.append(sys.exc_info()[1])
                if request == "a":
                    with contextlib.suppress(TimeoutError):
                        with backend.timeout(0):
                            await backend.sleep(10)
                await client.send_packet(request)
                handled.append(sys.exc_info()[1])

    async with datagrams.serving(backend, Handler()) as it:
        peer = it.peer()
        for request in b"b", b"a", b"b", b"c":
            assert await peer.ask(request) == request
    assert handled == [None] * 8


@pytest.mark.parametrize("serializer", [JSONSerializer(), StringLineSerializer()], ids=["JSON", "lines"])
def test_a_client_does_not_keep_what_its_caller_handles(serializer: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = socket.create_connection(listener.getsockname())
        peer = listener.accept()[0]
    with peer, TCPNetworkClient(connection, StreamProtocol[Any, Any](serializer)) as client:

        def packets() -> Iterator[object]:
            while True:
                client.recv_packet()
                yield sys.exc_info()[1]

        receiving = packets()
        error = ValueError()
        peer.sendall(b"1\n2\n3\n")
        try:
            raise error
        except ValueError:
            assert next(receiving) is error
        assert next(receiving) is None
        assert next(receiving) is None


async def test_the_protocol_may_change_before_a_generator_is_made() -> None:
    class Handler(AsyncStreamRequestHandler[str, str]):
        def handle(self, client: Any, /) -> Any:
            client.set_protocol(line_protocol())
            return one(client)

    async with network.serving(Handler()) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\nc\n")
        peer.half_close()
        assert await peer.rest() == b"a\nb\nc\n"


async def test_a_handler_that_fails_to_make_its_second_generator_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Handler(AsyncStreamRequestHandler[str, str]):
        made = 0

        def handle(self, client: Any, /) -> Any:
            self.made += 1
            return one(client) if self.made == 1 else None

    async with network.serving(Handler()) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\n")
        assert await peer.gone()
        await until(lambda: any(record.exc_info for record in caplog.records))
    [error] = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert isinstance(error, TypeError)
    assert "must be an asynchronous generator function" in str(error)


def test_a_replaced_method_of_a_serializer_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StringLineSerializer, "deserialize", lambda self, data: "replaced")
    decoder = decoder_factory(StreamProtocol(StringLineSerializer()), 1024)()
    decoder.feed(b"a\n")
    assert decoder.next_packet() == "replaced"


async def test_what_has_the_methods_of_a_generator_handles_datagrams(backend: AsyncBackend) -> None:
    class Handler(AsyncDatagramRequestHandler[str, str]):
        made = 0

        def handle(self, client: Any, /) -> Any:
            self.made += 1
            return Duck(one(client)) if self.made % 2 else one(client)

    async with datagrams.serving(backend, Handler()) as it:
        peer = it.peer()
        for request in b"a", b"b", b"c":
            assert await peer.ask(request) == request


async def test_a_datagram_handler_that_fails_to_make_a_generator_fails_alone(
    backend: AsyncBackend, caplog: pytest.LogCaptureFixture
) -> None:
    class Handler(AsyncDatagramRequestHandler[str, str]):
        made = 0

        def handle(self, client: Any, /) -> Any:
            self.made += 1
            if self.made == 1:
                raise KeyError("handle")
            return one(client) if self.made == 3 else None

    async with datagrams.serving(backend, Handler()) as it:
        peer = it.peer()
        peer.send(b"a", b"b")
        assert await peer.ask(b"c") == b"c"
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in errors] == [KeyError, TypeError]
    assert errors[0] is not None
    assert errors[0].__context__ is None


async def test_a_mocked_server_sends_datagrams() -> None:
    class Sender(DatagramSender[bytes]):
        __slots__ = ()

        @property
        def address(self) -> object:
            return None

        @property
        def extra_attributes(self) -> dict[Any, Any]:
            return {}

    server = Mock()
    server._send_packet_nowait.return_value = None
    await Sender(Mock(_is_in_service=True), server, ("127.0.0.1", 5)).send_packet(b"x")
    server._send_packet_nowait.assert_called_once_with(b"x", ("127.0.0.1", 5))


async def test_a_batch_of_another_class_takes_packets() -> None:
    class Batch:
        def __init__(self) -> None:
            self.capacity = 10
            self.parts: list[bytes] = []

    class Transport:
        batch = Batch()

        def _hook_write_batch(self) -> Batch:
            return self.batch

    sender: PacketSender[bytes] = PacketSender(Transport(), lambda packet: packet)  # type: ignore[arg-type]
    await sender.send_packet(b"abc")
    assert Transport.batch.parts == [b"abc"]
    assert Transport.batch.capacity == 7
