from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import pytest
from tests.lowlevel.api_async.endpoints.transports import MinimalTransport
from tests.support.lines import line_protocol, text_protocol
from tests.support.sockets import PATIENCE, udp_socket

from easynetwork.exceptions import BusyResourceError, DatagramProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.datagram import (
    AsyncDatagramEndpoint,
    AsyncDatagramReceiverEndpoint,
    AsyncDatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramReadTransport,
    AsyncDatagramTransport,
    AsyncDatagramWriteTransport,
)
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

Endpoint: TypeAlias = AsyncDatagramEndpoint[str, str]
TEXT: DatagramProtocol[str, str] = text_protocol()


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A blocking socket without any of our code."""
    with udp_socket() as sock:
        yield sock


@pytest.fixture
async def endpoint(backend: AsyncBackend, peer: socket.socket) -> AsyncIterator[Endpoint]:
    """Connected to `peer`, which is connected to it."""
    endpoint: Endpoint = AsyncDatagramEndpoint(await backend.create_udp_endpoint(*peer.getsockname()), TEXT)
    peer.connect(endpoint.extra(SocketAttribute.sockname))
    async with endpoint:
        yield endpoint


# --- minimal transports, as a user would write them


class Reader(MinimalTransport, AsyncDatagramReadTransport):
    def __init__(self, backend: AsyncBackend, *datagrams: bytes) -> None:
        super().__init__(backend)
        self.datagrams = list(datagrams)
        self.ancillary_bufsizes: list[int] = []

    async def recv(self) -> bytes:
        await self.used_backend.coro_yield()
        return self.datagrams.pop(0)

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        self.ancillary_bufsizes.append(ancillary_bufsize)
        return await self.recv(), ["ancillary"]


class Writer(MinimalTransport, AsyncDatagramWriteTransport):
    def __init__(self, backend: AsyncBackend) -> None:
        super().__init__(backend)
        self.sent: list[Any] = []

    async def send(self, data: Any) -> None:
        await self.used_backend.coro_yield()
        self.sent.append(data)

    async def send_with_ancillary(self, data: Any, ancillary_data: Any) -> None:
        await self.used_backend.coro_yield()
        self.sent.append((data, ancillary_data))


class Both(Reader, Writer, AsyncDatagramTransport):
    def __init__(self, backend: AsyncBackend, *datagrams: bytes) -> None:
        super().__init__(backend, *datagrams)
        self.sent = []


# --- arguments


async def test_a_wrong_transport_is_refused(backend: AsyncBackend) -> None:
    reader, writer = Reader(backend), Writer(backend)
    bad: list[Callable[[], object]] = [
        lambda: AsyncDatagramEndpoint(reader, TEXT),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncDatagramEndpoint(writer, TEXT),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncDatagramReceiverEndpoint(writer, TEXT),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncDatagramSenderEndpoint(reader, TEXT),  # type: ignore[arg-type]  # on purpose
        lambda: AsyncDatagramEndpoint(None, TEXT),  # type: ignore[arg-type]  # on purpose
    ]
    for make in bad:
        with pytest.raises(TypeError):
            make()


@pytest.mark.parametrize("bad", [None, StringLineSerializer(), line_protocol()])
async def test_a_wrong_protocol_is_refused(backend: AsyncBackend, bad: Any) -> None:
    transport = Both(backend)
    for cls in (AsyncDatagramEndpoint, AsyncDatagramReceiverEndpoint, AsyncDatagramSenderEndpoint):
        with pytest.raises(TypeError):
            cls(transport, bad)


async def test_endpoints_delegate_to_their_transport(backend: AsyncBackend) -> None:
    endpoints: list[AsyncBaseTransport] = [
        AsyncDatagramEndpoint(Both(backend), TEXT),
        AsyncDatagramReceiverEndpoint(Reader(backend), TEXT),
        AsyncDatagramSenderEndpoint(Writer(backend), TEXT),
    ]
    for endpoint in endpoints:
        assert endpoint.backend() is backend
        assert endpoint.extra(SocketAttribute.peername) == "somebody"
        assert not endpoint.is_closing()
        async with endpoint:
            pass
        assert endpoint.is_closing()


# --- receiving


async def test_each_datagram_is_one_packet_and_an_empty_one_too(endpoint: Endpoint, peer: socket.socket) -> None:
    for datagram in (b"first", b"", b"with\nnewline", b"last"):
        peer.send(datagram)
    assert [await endpoint.recv_packet() for _ in range(4)] == ["first", "", "with\nnewline", "last"]


async def test_an_invalid_datagram_is_an_error_and_is_gone(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.send("é".encode())
    peer.send(b"valid")
    with pytest.raises(DatagramProtocolParseError):
        await endpoint.recv_packet()
    assert await endpoint.recv_packet() == "valid"


async def test_a_crash_of_the_protocol_is_a_runtime_error_and_the_datagram_is_gone(backend: AsyncBackend) -> None:
    class Crashing(DatagramProtocol[str, str]):
        def build_packet_from_datagram(self, datagram: bytes) -> str:
            if datagram == b"crash":
                raise LookupError
            return super().build_packet_from_datagram(datagram)

    async with AsyncDatagramEndpoint(Both(backend, b"crash", b"next"), Crashing(StringLineSerializer())) as endpoint:
        with pytest.raises(RuntimeError) as info:
            await endpoint.recv_packet()
        assert isinstance(info.value.__cause__, LookupError)
        assert await endpoint.recv_packet() == "next"


async def test_a_refused_datagram_is_told_once(backend: AsyncBackend) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = nobody.getsockname()
    async with AsyncDatagramEndpoint(await backend.create_udp_endpoint(*address), TEXT) as endpoint:
        await endpoint.send_packet("anybody?")
        with pytest.raises(ConnectionRefusedError):
            await endpoint.recv_packet()
        receiving = asyncio.create_task(endpoint.recv_packet())
        await asyncio.sleep(0.01)
        assert not receiving.done()
        receiving.cancel()
        await asyncio.wait([receiving])


async def test_cancelled_receptions_lose_no_packet(endpoint: Endpoint, peer: socket.socket, rng: Any) -> None:
    received: list[str] = []
    async with asyncio.timeout(PATIENCE):
        for i in range(200):
            peer.send(b"%d" % i)
            receiving = asyncio.create_task(endpoint.recv_packet())
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received.append(await receiving)
        while len(received) < 200:
            received.append(await endpoint.recv_packet())
    assert received == [str(i) for i in range(200)]


# --- ancillary data


async def test_ancillary_data_is_not_supported_over_udp(endpoint: Endpoint) -> None:
    with pytest.raises(UnsupportedOperation):
        await endpoint.recv_packet_with_ancillary(1024, lambda data: None)
    with pytest.raises(UnsupportedOperation):
        await endpoint.send_packet_with_ancillary("packet", [])


@pytest.mark.parametrize("cls", [AsyncDatagramEndpoint, AsyncDatagramReceiverEndpoint])
async def test_ancillary_data_is_given_before_the_packet_is_parsed(backend: AsyncBackend, cls: Any) -> None:
    seen: list[Any] = []
    transport = Both(backend, "é".encode(), b"valid")
    async with cls(transport, TEXT) as endpoint:
        with pytest.raises(DatagramProtocolParseError):
            await endpoint.recv_packet_with_ancillary(1024, seen.append)
        assert seen == [["ancillary"]]
        assert await endpoint.recv_packet_with_ancillary(2048, seen.append) == "valid"
    assert transport.ancillary_bufsizes == [1024, 2048]


async def test_a_failing_callback_is_a_runtime_error_and_the_datagram_is_gone(backend: AsyncBackend) -> None:
    async with AsyncDatagramEndpoint(Both(backend, b"first", b"second"), TEXT) as endpoint:
        with pytest.raises(RuntimeError) as info:
            await endpoint.recv_packet_with_ancillary(1024, lambda data: data["not an index"])
        assert isinstance(info.value.__cause__, TypeError)
        assert await endpoint.recv_packet() == "second"


# --- sending


async def test_packets_are_sent_in_order_and_an_empty_one_is_a_datagram(
    endpoint: Endpoint, peer: socket.socket
) -> None:
    for packet in ("first", "", "last"):
        await endpoint.send_packet(packet)
    assert [peer.recv(100) for _ in range(3)] == [b"first", b"", b"last"]


async def test_ancillary_data_is_sent_with_its_packet(backend: AsyncBackend) -> None:
    transport = Writer(backend)
    async with AsyncDatagramSenderEndpoint(transport, TEXT) as endpoint:
        await endpoint.send_packet("without")
        await endpoint.send_packet_with_ancillary("with", ["ancillary"])
    assert transport.sent == [b"without", (b"with", ["ancillary"])]


async def test_a_serializer_that_crashes_sends_nothing(backend: AsyncBackend) -> None:
    transport = Writer(backend)
    async with AsyncDatagramSenderEndpoint(transport, TEXT) as endpoint:
        for sending in (endpoint.send_packet("é"), endpoint.send_packet_with_ancillary("é", [])):
            with pytest.raises(RuntimeError) as info:
                await sending
            assert isinstance(info.value.__cause__, UnicodeError)
        await endpoint.send_packet("fine")
    assert transport.sent == [b"fine"]


async def test_an_oversized_packet_is_told(endpoint: Endpoint) -> None:
    with pytest.raises(OSError) as info:
        await endpoint.send_packet("x" * 65508)
    assert info.value.errno == errno.EMSGSIZE


# --- concurrency and closing


async def test_a_second_receiver_is_refused_and_disturbs_nothing(endpoint: Endpoint, peer: socket.socket) -> None:
    async with asyncio.timeout(PATIENCE):
        receiving = asyncio.create_task(endpoint.recv_packet())
        await asyncio.sleep(0)
        for second in (endpoint.recv_packet(), endpoint.recv_packet_with_ancillary(10, lambda data: None)):
            with pytest.raises(BusyResourceError):
                await second
        await endpoint.send_packet("sending is another matter")
        peer.send(b"for the first")
        assert await receiving == "for the first"


@pytest.mark.lazy_tasks(reason="has the second sender come in the turn in which the first one sends")
async def test_a_second_sender_is_refused_and_disturbs_nothing(backend: AsyncBackend) -> None:
    transport = Both(backend)
    async with AsyncDatagramEndpoint(transport, TEXT) as endpoint:
        sending = asyncio.create_task(endpoint.send_packet("first"))
        await asyncio.sleep(0)
        for second in (endpoint.send_packet("second"), endpoint.send_packet_with_ancillary("second", [])):
            with pytest.raises(BusyResourceError):
                await second
        await sending
        await endpoint.send_packet("third")
    assert transport.sent == [b"first", b"third"]


async def test_an_endpoint_can_be_closed_while_others_use_it(endpoint: Endpoint) -> None:
    async with asyncio.timeout(PATIENCE):
        receiving = asyncio.create_task(endpoint.recv_packet())
        await asyncio.sleep(0)
        await endpoint.aclose()
        with pytest.raises(OSError) as info:
            await receiving
    assert info.value.errno == errno.EBADF


async def test_everything_on_a_closed_endpoint_is_an_oserror(endpoint: Endpoint) -> None:
    await endpoint.aclose()
    operations: list[Coroutine[Any, Any, Any]] = [endpoint.recv_packet(), endpoint.send_packet("x")]
    for operation in operations:
        with pytest.raises(OSError) as info:
            await operation
        assert info.value.errno == errno.EBADF


async def test_a_forgotten_endpoint_warns(backend: AsyncBackend) -> None:
    for make in (
        lambda: AsyncDatagramEndpoint(Both(backend), TEXT),
        lambda: AsyncDatagramReceiverEndpoint(Reader(backend), TEXT),
        lambda: AsyncDatagramSenderEndpoint(Writer(backend), TEXT),
    ):
        endpoint: AsyncBaseTransport | None = make()
        with pytest.warns(ResourceWarning, match="unclosed endpoint"):
            endpoint = None
        endpoint = make()
        await endpoint.aclose()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            endpoint = None
            gc.collect()
        del endpoint


async def test_a_transport_that_does_not_count_drops_has_none(backend: AsyncBackend) -> None:
    async with AsyncDatagramReceiverEndpoint(Reader(backend), TEXT) as receiver:
        assert receiver.dropped_datagrams == 0


async def test_an_endpoint_tells_the_drops_of_its_transport(backend: AsyncBackend) -> None:
    class Dropping(Reader):
        dropped_datagrams = 3

    async with AsyncDatagramReceiverEndpoint(Dropping(backend), TEXT) as receiver:
        assert receiver.dropped_datagrams == 3
