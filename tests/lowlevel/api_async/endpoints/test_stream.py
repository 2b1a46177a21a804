from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any

import pytest
from tests.lowlevel.api_async.endpoints.transports import MinimalTransport
from tests.support.framing_cases import BufferedProtocolByGenerators, LengthPrefix, Line, ProtocolByGenerators
from tests.support.sockets import reset

from easynetwork.exceptions import BusyResourceError, StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.stream import (
    AsyncStreamEndpoint,
    AsyncStreamReceiverEndpoint,
    AsyncStreamSenderEndpoint,
)
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol

Endpoint = AsyncStreamEndpoint[Any, Any]
LINE: StreamProtocol[Any, Any] = StreamProtocol(Line(b"\n"))


@pytest.fixture(
    params=[
        StreamProtocol(Line(b"\n")),
        BufferedStreamProtocol(Line(b"\n")),
        ProtocolByGenerators(Line(b"\n")),
        BufferedProtocolByGenerators(Line(b"\n")),
    ],
    ids=["frames", "frames, buffered", "generators", "generators, buffered"],
)
def protocol(request: pytest.FixtureRequest) -> AnyStreamProtocolType[Any, Any]:
    kind: AnyStreamProtocolType[Any, Any] = request.param
    return kind


@pytest.fixture
async def connection(backend: AsyncBackend) -> AsyncIterator[tuple[AsyncStreamTransport, socket.socket]]:
    """A transport over TCP, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = await backend.create_tcp_connection(*server.getsockname())
        peer, _ = server.accept()
    peer.settimeout(5)
    with peer:
        async with transport:
            yield transport, peer


@pytest.fixture
def peer(connection: tuple[AsyncStreamTransport, socket.socket]) -> socket.socket:
    return connection[1]


@pytest.fixture
async def endpoint(
    connection: tuple[AsyncStreamTransport, socket.socket], protocol: AnyStreamProtocolType[Any, Any]
) -> AsyncIterator[Endpoint]:
    endpoint: Endpoint = AsyncStreamEndpoint(connection[0], protocol, 1024)
    yield endpoint
    with contextlib.suppress(OSError):
        await endpoint.aclose()


async def receive(peer: socket.socket) -> bytes:
    return await asyncio.to_thread(peer.recv, 65536)


# --- minimal transports, as a user would write them


class Reader(MinimalTransport, AsyncStreamReadTransport):
    def __init__(self, backend: AsyncBackend, *chunks: bytes | Exception) -> None:
        super().__init__(backend)
        self.chunks = list(chunks)
        self.calls = 0

    async def recv_into(self, buffer: Any) -> int:
        self.calls += 1
        await self.used_backend.coro_yield()
        if not self.chunks:
            return 0
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        with memoryview(buffer).cast("B") as view:
            if len(chunk) > len(view):
                self.chunks.insert(0, chunk[len(view) :])
            chunk = chunk[: len(view)]
            view[: len(chunk)] = chunk
        return len(chunk)


class Writer(MinimalTransport, AsyncStreamWriteTransport):
    def __init__(self, backend: AsyncBackend) -> None:
        super().__init__(backend)
        self.sent: list[bytes] = []

    async def send_all(self, data: Any) -> None:
        await self.used_backend.coro_yield()
        self.sent.append(bytes(data))


class Both(Reader, Writer, AsyncStreamTransport):
    eof_calls = 0
    eof_error: Exception | None = None

    def __init__(self, backend: AsyncBackend, *chunks: bytes | Exception) -> None:
        super().__init__(backend, *chunks)
        self.sent = []

    async def send_eof(self) -> None:
        self.eof_calls += 1
        if self.eof_error is not None:
            raise self.eof_error


# --- arguments


async def test_a_wrong_transport_is_refused(backend: AsyncBackend) -> None:
    reader, writer = Reader(backend), Writer(backend)
    bad: list[Callable[[], object]] = [
        lambda: AsyncStreamEndpoint(reader, LINE, 1024),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncStreamEndpoint(writer, LINE, 1024),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncStreamReceiverEndpoint(writer, LINE, 1024),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncStreamSenderEndpoint(reader, LINE),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncStreamEndpoint(None, LINE, 1024),  # type: ignore[arg-type]  # on purpose
    ]
    for make in bad:
        with pytest.raises(TypeError):
            make()


@pytest.mark.parametrize("bad", [None, Line(b"\n"), StreamProtocol])
async def test_a_wrong_protocol_is_refused(backend: AsyncBackend, bad: Any) -> None:
    transport = Both(backend)
    makers: list[Callable[[], object]] = [
        lambda: AsyncStreamEndpoint(transport, bad, 1024),
        lambda: AsyncStreamReceiverEndpoint(transport, bad, 1024),
        lambda: AsyncStreamSenderEndpoint(transport, bad),
    ]
    for make in makers:
        with pytest.raises(TypeError):
            make()


@pytest.mark.parametrize("bad", [0, -1, 1.5, None, "1"])
async def test_a_bad_max_recv_size_is_refused(backend: AsyncBackend, bad: Any) -> None:
    for kind in (AsyncStreamEndpoint, AsyncStreamReceiverEndpoint):
        with pytest.raises(ValueError, match="max_recv_size"):
            kind(Both(backend), LINE, bad)


async def test_endpoints_delegate_to_their_transport(backend: AsyncBackend) -> None:
    transport = Both(backend)
    endpoints: list[Any] = [
        AsyncStreamEndpoint(transport, LINE, 1024),
        AsyncStreamReceiverEndpoint(transport, LINE, 1024),
        AsyncStreamSenderEndpoint(transport, LINE),
    ]
    for endpoint in endpoints:
        assert isinstance(endpoint, AsyncBaseTransport)
        assert endpoint.backend() is backend
        assert endpoint.extra(SocketAttribute.peername) == "somebody"
        transport.closed = False
        assert not endpoint.is_closing()
        async with endpoint:
            pass
        assert transport.closed
        assert endpoint.is_closing()


# --- receiving


async def test_packets_come_out_one_by_one_in_order(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.sendall(b"one\ntwo\nthr")
    assert await endpoint.recv_packet() == b"one"
    assert await endpoint.recv_packet() == b"two"
    peer.sendall(b"ee\n")
    assert await endpoint.recv_packet() == b"three"


async def test_a_packet_kept_from_earlier_does_not_touch_the_transport(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    transport = Reader(backend, b"one\ntwo\n")
    async with AsyncStreamReceiverEndpoint(transport, protocol, 1024) as endpoint:
        assert await endpoint.recv_packet() == b"one"
        assert transport.calls == 1
        with pytest.raises(StopIteration) as info:
            endpoint.recv_packet().send(None)
        assert info.value.value == b"two"
        assert transport.calls == 1


async def test_chunks_are_no_larger_than_asked_for(backend: AsyncBackend) -> None:
    class Sized(Reader):
        sizes: list[int]

        async def recv(self, bufsize: int) -> bytes:
            self.sizes.append(bufsize)
            return await super().recv(bufsize)

    transport = Sized(backend, b"a long packet\n")
    transport.sizes = []
    async with AsyncStreamReceiverEndpoint(transport, LINE, 5) as endpoint:
        assert await endpoint.recv_packet() == b"a long packet"
    assert transport.sizes == [5, 5, 5]


async def test_the_end_of_the_stream_is_remembered(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    transport = Reader(backend, b"last\nincomp")
    async with AsyncStreamReceiverEndpoint(transport, protocol, 1024) as endpoint:
        assert await endpoint.recv_packet() == b"last"
        with pytest.raises(ConnectionAbortedError):
            await endpoint.recv_packet()
        calls = transport.calls
        transport.chunks.append(b"lete\n")
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError):
                await endpoint.recv_packet()
        assert transport.calls == calls


async def test_after_the_end_of_the_stream_sending_is_still_possible(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionAbortedError):
        await endpoint.recv_packet()
    await endpoint.send_packet(b"still here")
    assert await receive(peer) == b"still here\n"


async def test_an_invalid_packet_is_an_error_and_the_next_one_comes(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.sendall(b"!bad\ngood\n")
    with pytest.raises(StreamProtocolParseError):
        await endpoint.recv_packet()
    assert await endpoint.recv_packet() == b"good"


async def test_a_crash_of_the_protocol_is_a_runtime_error(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.sendall(b"?\n")
    with pytest.raises(RuntimeError) as info:
        await endpoint.recv_packet()
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    peer.sendall(b"good\n")
    assert await endpoint.recv_packet() == b"good"


async def test_errors_of_the_transport_propagate_unchanged_and_lose_nothing(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    error = OSError("odd")
    transport = Reader(backend, b"on", error, b"e\n")
    async with AsyncStreamReceiverEndpoint(transport, protocol, 1024) as endpoint:
        with pytest.raises(OSError) as info:
            await endpoint.recv_packet()
        assert info.value is error
        assert await endpoint.recv_packet() == b"one"


async def test_a_reset_is_a_connection_error(endpoint: Endpoint, peer: socket.socket) -> None:
    reset(peer)
    with pytest.raises(ConnectionError):
        await endpoint.recv_packet()


@pytest.mark.parametrize("kind", [StreamProtocol, BufferedStreamProtocol, BufferedProtocolByGenerators])
@pytest.mark.parametrize("serializer", [Line(b"\n"), LengthPrefix()], ids=["line", "length prefix"])
async def test_a_thousand_cancelled_receptions_lose_no_packet(
    connection: tuple[AsyncStreamTransport, socket.socket],
    backend: AsyncBackend,
    kind: Callable[[Any], AnyStreamProtocolType[Any, Any]],
    serializer: Any,
    rng: random.Random,
) -> None:
    transport, peer = connection
    endpoint: Endpoint = AsyncStreamEndpoint(transport, kind(serializer), 16)
    packets = [b"packet %d %s" % (i, b"x" * rng.randrange(40)) for i in range(300)]
    stream = b"".join(b"".join(serializer.incremental_serialize(packet)) for packet in packets)
    received: list[bytes] = []
    cancelled = position = 0
    while len(received) < len(packets) or cancelled < 1000:
        size = rng.randrange(15)
        peer.sendall(stream[position : position + size])
        position += size
        with backend.move_on_after(0 if rng.random() < 0.9 else 0.0002) as scope:
            received.append(await endpoint.recv_packet())
        cancelled += scope.cancelled_caught()
    assert received == packets
    assert cancelled >= 1000
    await endpoint.aclose()


# --- ancillary data


async def test_ancillary_data_is_not_supported_over_tcp(endpoint: Endpoint) -> None:
    with pytest.raises(UnsupportedOperation):
        await endpoint.recv_packet_with_ancillary(100, lambda _: None)
    with pytest.raises(UnsupportedOperation):
        await endpoint.send_packet_with_ancillary(b"packet", [])


class Ancillary(Both):
    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        data = await self.recv(bufsize)
        return data, [("level", ancillary_bufsize, data)]

    async def recv_with_ancillary_into(self, buffer: Any, ancillary_bufsize: int) -> tuple[int, Any]:
        nbytes = await self.recv_into(buffer)
        return nbytes, [("level", ancillary_bufsize, bytes(buffer[:nbytes]))]

    async def send_all_with_ancillary(self, iterable_of_data: Any, ancillary_data: Any) -> None:
        self.sent.append(b"".join(iterable_of_data) + b"+" + ancillary_data)


async def test_ancillary_data_is_given_before_the_packet_is_parsed(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    transport = Ancillary(backend, b"!bad\none\ntwo\n", b"thr", b"ee\n")
    got: list[Any] = []
    async with AsyncStreamEndpoint(transport, protocol, 1024) as endpoint:
        with pytest.raises(StreamProtocolParseError):
            await endpoint.recv_packet_with_ancillary(7, got.append)
        assert got == [[("level", 7, b"!bad\none\ntwo\n")]]
        assert await endpoint.recv_packet_with_ancillary(7, got.append) == b"one"
        assert await endpoint.recv_packet() == b"two"
        assert len(got) == 1
        with pytest.raises(EOFError):
            await endpoint.recv_packet_with_ancillary(7, got.append)
        assert len(got) == 2
        assert await endpoint.recv_packet_with_ancillary(7, got.append) == b"three"
        assert len(got) == 3
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError):
                await endpoint.recv_packet_with_ancillary(7, got.append)
        assert len(got) == 3


async def test_a_failing_callback_is_a_runtime_error_and_drops_the_bytes(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    def fail(_: Any) -> None:
        raise ZeroDivisionError

    transport = Ancillary(backend, b"lost\n", b"good\n")
    async with AsyncStreamEndpoint(transport, protocol, 1024) as endpoint:
        with pytest.raises(RuntimeError) as info:
            await endpoint.recv_packet_with_ancillary(7, fail)
        assert isinstance(info.value.__cause__, ZeroDivisionError)
        assert await endpoint.recv_packet() == b"good"


async def test_ancillary_data_is_sent_with_its_packet(backend: AsyncBackend) -> None:
    transport = Ancillary(backend)
    async with AsyncStreamEndpoint(transport, LINE, 1024) as endpoint:
        await endpoint.send_packet_with_ancillary(b"packet", b"data")
        assert transport.sent == [b"packet\n+data"]
        with pytest.raises(RuntimeError) as info:
            await endpoint.send_packet_with_ancillary(b"a\nb", b"data")
        assert isinstance(info.value.__cause__, ValueError)
        await endpoint.send_eof()
        with pytest.raises(RuntimeError):
            await endpoint.send_packet_with_ancillary(b"packet", b"data")
        assert len(transport.sent) == 1


# --- sending


async def test_packets_are_sent_in_order(endpoint: Endpoint, peer: socket.socket) -> None:
    for i in range(100):
        await endpoint.send_packet(b"%d" % i)
    await endpoint.send_eof()
    received = b""
    while piece := await receive(peer):
        received += piece
    assert received == b"".join(b"%d\n" % i for i in range(100))


async def test_a_packet_goes_to_the_transport_in_one_piece(backend: AsyncBackend) -> None:
    transport = Writer(backend)
    async with AsyncStreamSenderEndpoint(transport, StreamProtocol(LengthPrefix())) as endpoint:
        await endpoint.send_packet(b"abc")
        await endpoint.send_packet(b"")
    assert transport.sent == [b"\x03abc", b"\0"]


async def test_a_serializer_that_crashes_sends_nothing(endpoint: Endpoint, peer: socket.socket) -> None:
    with pytest.raises(RuntimeError) as info:
        await endpoint.send_packet(b"a\nb")
    assert isinstance(info.value.__cause__, ValueError)
    await endpoint.send_packet(b"good")
    assert await receive(peer) == b"good\n"


async def test_a_packet_without_bytes_sends_nothing(backend: AsyncBackend) -> None:
    class Silent(LengthPrefix):
        def incremental_serialize(self, packet: bytes) -> Generator[bytes]:
            yield from ()

    transport = Both(backend)
    async with AsyncStreamEndpoint(transport, StreamProtocol(Silent()), 10) as endpoint:
        await endpoint.send_packet(b"abc")
    assert b"".join(transport.sent) == b""


async def test_send_eof_closes_one_direction(endpoint: Endpoint, peer: socket.socket) -> None:
    await endpoint.send_packet(b"last")
    await endpoint.send_eof()
    await endpoint.send_eof()
    assert await receive(peer) == b"last\n"
    assert await receive(peer) == b""
    with pytest.raises(RuntimeError):
        await endpoint.send_packet(b"more")
    peer.sendall(b"answer\n")
    assert await endpoint.recv_packet() == b"answer"


async def test_send_eof_is_remembered_only_once_it_has_succeeded(backend: AsyncBackend) -> None:
    transport = Both(backend)
    async with AsyncStreamEndpoint(transport, LINE, 1024) as endpoint:
        transport.eof_error = UnsupportedOperation()
        with pytest.raises(UnsupportedOperation):
            await endpoint.send_eof()
        await endpoint.send_packet(b"possible")
        transport.eof_error = None
        await endpoint.send_eof()
        await endpoint.send_eof()
        assert transport.eof_calls == 2
        with pytest.raises(RuntimeError):
            await endpoint.send_packet(b"impossible")
        assert transport.sent == [b"possible\n"]


async def test_sending_to_a_closed_endpoint_is_an_oserror(endpoint: Endpoint) -> None:
    await endpoint.aclose()
    with pytest.raises(OSError):
        await endpoint.send_packet(b"x")


# --- concurrency


async def test_a_second_receiver_is_refused_and_disturbs_nothing(
    backend: AsyncBackend, endpoint: Endpoint, peer: socket.socket
) -> None:
    async with backend.create_task_group() as group:
        first = await group.start(endpoint.recv_packet)
        await asyncio.sleep(0)
        with pytest.raises(BusyResourceError):
            await endpoint.recv_packet()
        with pytest.raises(BusyResourceError):
            await endpoint.recv_packet_with_ancillary(10, lambda _: None)
        await endpoint.send_packet(b"meanwhile")
        peer.sendall(b"one\n")
        assert await first.join() == b"one"
    assert await receive(peer) == b"meanwhile\n"


@contextlib.contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(BusyResourceError):
        yield


async def test_while_one_sends_no_other_may_send_nor_close(backend: AsyncBackend, peer: socket.socket) -> None:
    class Slow(Both):
        async def send_all(self, data: Any) -> None:
            await blocked.wait()
            await super().send_all(data)

    blocked = backend.create_event()
    transport = Slow(backend)
    endpoint: Endpoint = AsyncStreamEndpoint(transport, LINE, 1024)
    async with backend.create_task_group() as group:
        first = await group.start(endpoint.send_packet, b"first")
        await asyncio.sleep(0)
        operations: list[Callable[[], Coroutine[Any, Any, None]]] = [
            lambda: endpoint.send_packet(b"second"),
            lambda: endpoint.send_packet_with_ancillary(b"second", []),
            endpoint.send_eof,
            endpoint.aclose,
        ]
        for operation in operations:
            with refused():
                await operation()
        assert not transport.closed
        blocked.set()
        await first.join()
    await endpoint.aclose()
    assert transport.sent == [b"first\n"]
    assert transport.closed


async def test_endpoints_of_one_direction_close_without_asking(backend: AsyncBackend) -> None:
    class Slow(Writer):
        async def send_all(self, data: Any) -> None:
            await self.used_backend.sleep(0.005)

    transport = Slow(backend)
    endpoint: AsyncStreamSenderEndpoint[Any] = AsyncStreamSenderEndpoint(transport, LINE)
    async with backend.create_task_group() as group:
        await group.start(endpoint.send_packet, b"x")
        await asyncio.sleep(0)
        await endpoint.aclose()
        assert transport.closed


async def test_a_guard_is_free_again_after_cancellation(backend: AsyncBackend, endpoint: Endpoint) -> None:
    for _ in range(3):
        with backend.move_on_after(0.001) as scope:
            await endpoint.recv_packet()
        assert scope.cancelled_caught()


# --- closing


async def test_closing_forgets_what_was_received(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    endpoint = AsyncStreamReceiverEndpoint(Reader(backend, b"one\ntwo\n"), protocol, 1024)
    assert await endpoint.recv_packet() == b"one"
    await endpoint.aclose()
    with pytest.raises(OSError):
        await endpoint.recv_packet()


async def test_closing_forgets_what_was_received_even_if_it_fails(
    backend: AsyncBackend, protocol: AnyStreamProtocolType[Any, Any]
) -> None:
    class Failing(Both):
        async def aclose(self) -> None:
            self.closed = True
            raise OSError("odd")

    endpoint: Endpoint = AsyncStreamEndpoint(Failing(backend, b"one\ntwo\n"), protocol, 1024)
    assert await endpoint.recv_packet() == b"one"
    with pytest.raises(OSError, match="odd"):
        await endpoint.aclose()
    with pytest.raises(ConnectionAbortedError):
        await endpoint.recv_packet()


async def test_receiving_after_closing_does_not_hang(
    backend: AsyncBackend, endpoint: Endpoint, peer: socket.socket
) -> None:
    async def fails() -> bool:
        try:
            await endpoint.recv_packet()
        except OSError:
            return True
        return False

    async with backend.create_task_group() as group:
        waiting = await group.start(fails)
        await asyncio.sleep(0)
        await endpoint.aclose()
        assert await asyncio.wait_for(waiting.join(), 5)
        assert await asyncio.wait_for(fails(), 5)


async def test_a_forgotten_endpoint_warns(backend: AsyncBackend) -> None:
    makers: list[Callable[[], Any]] = [
        lambda: AsyncStreamEndpoint(Both(backend), LINE, 1024),
        lambda: AsyncStreamReceiverEndpoint(Reader(backend), LINE, 1024),
        lambda: AsyncStreamSenderEndpoint(Writer(backend), LINE),
    ]
    for make in makers:
        endpoints = [make()]
        with pytest.warns(ResourceWarning, match="unclosed endpoint"):
            endpoints.clear()
        endpoints = [make()]
        await endpoints[0].aclose()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            endpoints.clear()
        gc.collect()
