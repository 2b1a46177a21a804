"""Mocks made with ``spec=`` of the abstract classes work with nothing configured but the documented methods."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any
from unittest.mock import ANY, AsyncMock, Mock, call

import pytest
from tests.support.certificates import Certificates
from tests.support.lines import buffered_line_protocol, line_protocol

from easynetwork.exceptions import IncompletePacketError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.datagram import AsyncDatagramEndpoint
from easynetwork.lowlevel.api_async.endpoints.stream import (
    AsyncStreamEndpoint,
    AsyncStreamReceiverEndpoint,
    AsyncStreamSenderEndpoint,
)
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramListener,
    AsyncDatagramTransport,
    AsyncListener,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.lowlevel.api_async.transports.composite import AsyncStapledStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener, AsyncTLSStreamTransport
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

ROOM = 1024

CHUNKS: StreamProtocol[str, str] = line_protocol()
BUFFER: BufferedStreamProtocol[str, str, Any] = buffered_line_protocol()
DATAGRAM: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer())

Received = list[bytes]
either_protocol = pytest.mark.parametrize("protocol", [CHUNKS, BUFFER], ids=["chunks", "buffer"])


def new_mock(cls: type[Any], backend: AsyncBackend) -> Any:
    mock = Mock(spec=cls)
    mock.backend.return_value = backend
    mock.is_closing.return_value = False
    if issubclass(cls, (AsyncListener, AsyncDatagramListener)):
        mock.aclose.side_effect = lambda: mock.is_closing.configure_mock(return_value=True)
    return mock


def receiving(mock: Any, protocol: Any, *chunks: bytes, ancillary_data: Any = None) -> Any:
    """Let *mock* receive *chunks*, by the methods that *protocol* wants. Any other receiving method fails the test."""
    remaining = [*chunks, b"", b""]

    async def recv(bufsize: int) -> bytes:
        assert bufsize == ROOM
        return remaining.pop(0)

    async def recv_into(buffer: Any) -> int:
        chunk = remaining.pop(0)
        memoryview(buffer)[: len(chunk)] = chunk
        return len(chunk)

    async def recv_with_ancillary(bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return await recv(bufsize), ancillary_data

    async def recv_with_ancillary_into(buffer: Any, ancillary_bufsize: int) -> tuple[int, Any]:
        return await recv_into(buffer), ancillary_data

    wrong = AssertionError("not the method for this protocol object")
    by_chunks = isinstance(protocol, StreamProtocol)
    mock.recv.side_effect = recv if by_chunks else wrong
    mock.recv_into.side_effect = wrong if by_chunks else recv_into
    mock.recv_with_ancillary.side_effect = recv_with_ancillary if by_chunks else wrong
    mock.recv_with_ancillary_into.side_effect = wrong if by_chunks else recv_with_ancillary_into
    return mock


def reads(mock: Any) -> int:
    """Return how many receiving calls there were."""
    methods = (mock.recv, mock.recv_into, mock.recv_with_ancillary, mock.recv_with_ancillary_into)
    return sum(method.await_count for method in methods)


def sent(mock: Any) -> list[bytes]:
    assert mock.send_all.mock_calls == mock.send_all_with_ancillary.mock_calls == []
    return [b"".join(args[0][0]) for args in mock.send_all_from_iterable.await_args_list]


# ----------------------------------------------------------------------------------------------------------- endpoints


@either_protocol
async def test_an_endpoint_sends_each_packet_in_one_call(backend: AsyncBackend, protocol: Any) -> None:
    for cls, kind in (
        (AsyncStreamSenderEndpoint, AsyncStreamWriteTransport),
        (AsyncStreamEndpoint, AsyncStreamTransport),
    ):
        transport = new_mock(kind, backend)
        endpoint: Any = cls(transport, protocol, *([ROOM] if cls is AsyncStreamEndpoint else []))
        await endpoint.send_packet("abc")
        await endpoint.send_packet("def")
        assert sent(transport) == [b"abc\n", b"def\n"]
        transport.is_closing.return_value = True


@either_protocol
async def test_an_endpoint_receives_by_one_method_only(backend: AsyncBackend, protocol: Any) -> None:
    for cls, kind in (
        (AsyncStreamReceiverEndpoint, AsyncStreamReadTransport),
        (AsyncStreamEndpoint, AsyncStreamTransport),
    ):
        transport = receiving(new_mock(kind, backend), protocol, b"ab", b"c\nde", b"f\ngh")
        endpoint: Any = cls(transport, protocol, ROOM)
        assert await endpoint.recv_packet() == "abc"
        assert reads(transport) == 2
        assert await endpoint.recv_packet() == "def"
        assert reads(transport) == 3
        with pytest.raises(IncompletePacketError):
            await endpoint.recv_packet()
        transport.is_closing.return_value = True


@either_protocol
async def test_stapled_mocks_are_asked_the_same_way(backend: AsyncBackend, protocol: Any) -> None:
    receiver = receiving(new_mock(AsyncStreamReadTransport, backend), protocol, b"abc\n")
    sender = new_mock(AsyncStreamWriteTransport, backend)
    endpoint: Any = AsyncStreamEndpoint(AsyncStapledStreamTransport(sender, receiver), protocol, ROOM)
    assert await endpoint.recv_packet() == "abc"
    await endpoint.send_packet("def")
    assert reads(receiver) == 1
    assert sent(sender) == [b"def\n"]
    sender.is_closing.return_value = receiver.is_closing.return_value = True


@either_protocol
async def test_ancillary_data_comes_by_one_method_only(backend: AsyncBackend, protocol: Any) -> None:
    data = object()
    transport = receiving(new_mock(AsyncStreamTransport, backend), protocol, b"a\nb\n", b"c", ancillary_data=data)
    endpoint: Any = AsyncStreamEndpoint(transport, protocol, ROOM)
    claimed: list[Any] = []
    assert await endpoint.recv_packet_with_ancillary(100, claimed.append) == "a"
    assert claimed == [data]
    assert await endpoint.recv_packet_with_ancillary(100, claimed.append) == "b"
    assert reads(transport) == 1  # that one was complete already
    with pytest.raises(EOFError):
        await endpoint.recv_packet_with_ancillary(100, claimed.append)
    with pytest.raises(ConnectionAbortedError):
        await endpoint.recv_packet_with_ancillary(100, claimed.append)
    assert claimed == [data, data]
    method = transport.recv_with_ancillary if protocol is CHUNKS else transport.recv_with_ancillary_into
    assert method.await_args_list == [call(ROOM if protocol is CHUNKS else ANY, 100)] * 3
    transport.is_closing.return_value = True


@either_protocol
async def test_bytes_that_do_not_complete_a_packet_are_kept(backend: AsyncBackend, protocol: Any) -> None:
    transport = receiving(new_mock(AsyncStreamTransport, backend), protocol, b"ab", b"c\n")
    endpoint: Any = AsyncStreamEndpoint(transport, protocol, ROOM)
    with pytest.raises(EOFError):
        await endpoint.recv_packet_with_ancillary(100, Mock())
    assert await endpoint.recv_packet() == "abc"
    transport.is_closing.return_value = True


@either_protocol
async def test_bytes_are_lost_if_the_callback_fails(backend: AsyncBackend, protocol: Any) -> None:
    transport = receiving(new_mock(AsyncStreamTransport, backend), protocol, b"abc\n", b"def\n")
    endpoint: Any = AsyncStreamEndpoint(transport, protocol, ROOM)
    with pytest.raises(RuntimeError):
        await endpoint.recv_packet_with_ancillary(100, Mock(side_effect=LookupError))
    assert await endpoint.recv_packet() == "def"
    transport.is_closing.return_value = True


@pytest.mark.parametrize("spec", [StreamProtocol, BufferedStreamProtocol])
async def test_nothing_is_encoded_after_the_end_was_sent(backend: AsyncBackend, spec: Any) -> None:
    protocol = Mock(spec=spec)
    transport = new_mock(AsyncStreamTransport, backend)
    endpoint: Any = AsyncStreamEndpoint(transport, protocol, ROOM)
    await endpoint.send_eof()
    for send in (endpoint.send_packet, lambda packet: endpoint.send_packet_with_ancillary(packet, [])):
        with pytest.raises(RuntimeError, match="send_eof"):
            await send("abc")
    assert protocol.generate_chunks.mock_calls == []
    assert sent(transport) == []
    transport.is_closing.return_value = True


async def test_a_datagram_endpoint_works_on_mocks(backend: AsyncBackend) -> None:
    transport = new_mock(AsyncDatagramTransport, backend)
    transport.recv.return_value = b"def"
    endpoint: Any = AsyncDatagramEndpoint(transport, DATAGRAM)
    await endpoint.send_packet("abc")
    assert await endpoint.recv_packet() == "def"
    assert transport.send.await_args_list == [call(b"abc")]
    transport.is_closing.return_value = True


# ------------------------------------------------------------------------------------------------------ stream servers


def accepting(backend: AsyncBackend, *connections: Any) -> Any:
    """Return a mock of a listener that hands over *connections*, and keeps what their handlers raise."""
    listener = new_mock(AsyncListener, backend)
    listener.errors = []

    async def serve(handler: Callable[[Any], Coroutine[Any, Any, None]], task_group: Any = None) -> None:
        for connection in connections:
            try:
                await handler(connection)
            except Exception as exc:
                listener.errors.append(exc)

    listener.serve.side_effect = serve
    return listener


@either_protocol
@pytest.mark.parametrize("timeout", [None, 10])
async def test_a_stream_server_works_on_mocks(backend: AsyncBackend, protocol: Any, timeout: float | None) -> None:
    transport = receiving(new_mock(AsyncStreamTransport, backend), protocol, b"a", b"bc\nde", b"f\n")
    listener = accepting(backend, transport)

    async def handle(client: ConnectedStreamClient[str]) -> AsyncGenerator[float | None, str]:
        while True:
            await client.send_packet((yield timeout).upper())

    server: Any = AsyncStreamServer(listener, protocol, ROOM)
    group = Mock()
    await server.serve(handle, group)
    await server.aclose()
    assert listener.errors == []
    assert listener.serve.await_args_list == [call(ANY, group)]
    assert sent(transport) == [b"ABC\n", b"DEF\n"]
    assert reads(transport) == 4
    assert transport.aclose.await_count == 1


@either_protocol
async def test_a_stream_server_closes_when_the_handler_ends(backend: AsyncBackend, protocol: Any) -> None:
    transport = receiving(new_mock(AsyncStreamTransport, backend), protocol, b"abc\n")
    listener = accepting(backend, transport)

    async def handle(client: ConnectedStreamClient[str]) -> AsyncGenerator[None, str]:
        yield

    server: Any = AsyncStreamServer(listener, protocol, ROOM)
    await server.serve(handle)
    await server.aclose()
    assert reads(transport) == 1
    assert transport.aclose.await_count == 1


@either_protocol
async def test_requests_with_ancillary_data_come_by_one_method_only(backend: AsyncBackend, protocol: Any) -> None:
    data = object()
    transport = receiving(new_mock(AsyncStreamTransport, backend), protocol, b"abc\n", b"de", ancillary_data=data)
    listener = accepting(backend, transport)
    claimed: list[Any] = []
    requests: list[str] = []

    async def handle(client: ConnectedStreamClient[str]) -> AsyncGenerator[RecvParams, str]:
        params = RecvParams(recv_with_ancillary=RecvAncillaryDataParams(claimed.append))
        requests.append((yield params))
        with pytest.raises(EOFError):
            yield params

    server: Any = AsyncStreamServer(listener, protocol, ROOM)
    await server.serve(handle, ancillary_bufsize=100)
    await server.aclose()
    assert listener.errors == []
    assert requests == ["abc"]
    assert claimed == [data, data]
    method = transport.recv_with_ancillary if protocol is CHUNKS else transport.recv_with_ancillary_into
    assert method.await_args_list == [call(ROOM if protocol is CHUNKS else ANY, 100)] * 2


async def test_a_connection_that_is_not_a_transport_is_refused(backend: AsyncBackend) -> None:
    connections = (object(), Mock(), new_mock(AsyncDatagramTransport, backend), new_mock(AsyncBaseTransport, backend))
    listener = accepting(backend, *connections)
    connected = Mock()
    server: Any = AsyncStreamServer(listener, CHUNKS, ROOM)
    await server.serve(connected)
    await server.aclose()
    assert [type(error) for error in listener.errors] == [TypeError] * 4
    assert connected.mock_calls == []


# ---------------------------------------------------------------------------------------------------- datagram servers


def receiving_datagrams(backend: AsyncBackend, *datagrams: tuple[bytes, Any, Any]) -> Any:
    """Return a mock of a listener that receives bytes, ancillary data and address of each datagram."""
    listener = new_mock(AsyncDatagramListener, backend)

    async def serve(handler: Callable[..., Coroutine[Any, Any, None]], task_group: Any = None) -> None:
        for data, _, address in datagrams:
            await handler(data, address)

    async def serve_with_ancillary(
        handler: Callable[..., Coroutine[Any, Any, None]], bufsize: int, task_group: Any = None
    ) -> None:
        for datagram in datagrams:
            await handler(*datagram)

    listener.serve.side_effect = serve
    listener.serve_with_ancillary.side_effect = serve_with_ancillary
    return listener


async def test_a_datagram_server_works_on_mocks(backend: AsyncBackend) -> None:
    listener = receiving_datagrams(backend, (b"abc", None, "here"), (b"def", None, "there"))

    async def handle(client: DatagramClientContext[str, Any]) -> AsyncGenerator[None, str]:
        await client.server.send_packet_to((yield).upper(), client.address)

    server: Any = AsyncDatagramServer(listener, DATAGRAM)
    group = Mock()
    await server.serve(handle, group)
    await server.send_packet_with_ancillary_to("x", [], "away")
    await server.aclose()
    assert listener.serve.await_args_list == [call(ANY, group)]
    assert listener.send_to.await_args_list == [call(b"ABC", "here"), call(b"DEF", "there")]
    assert listener.send_with_ancillary_to.await_args_list == [call(b"x", [], "away")]
    assert listener.serve_with_ancillary.await_count == 0


@pytest.mark.parametrize("data", [object(), 12, "text", b"bytes", [1], [(1, 2)], [(1, 1, "x")], Mock()])
async def test_unknown_ancillary_data_is_handed_over_or_dropped(
    backend: AsyncBackend, data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    listener = receiving_datagrams(backend, (b"plain", data, "here"), (b"claim", data, "here"), (b"end", data, "here"))
    claimed: list[Any] = []
    requests: list[str] = []

    async def handle(client: DatagramClientContext[str, Any]) -> AsyncGenerator[RecvParams | None, str]:
        requests.append((yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(claimed.append))))

    async def handle_plainly(client: DatagramClientContext[str, Any]) -> AsyncGenerator[None, str]:
        requests.append((yield))

    async def return_at_once(client: DatagramClientContext[str, Any]) -> AsyncGenerator[None, str]:
        if client is None:
            yield

    server: Any = AsyncDatagramServer(listener, DATAGRAM)
    group = Mock()
    for handler in (handle, handle_plainly, return_at_once):
        await server.serve_with_ancillary(handler, 100, None, group)
    await server.aclose()
    assert requests == ["plain", "claim", "end"] * 2
    assert claimed == [data] * 3
    assert caplog.records == []
    assert listener.serve_with_ancillary.await_args_list == [call(ANY, 100, group)] * 3


# ----------------------------------------------------------------------------------------------------------------- TLS


async def test_a_tls_transport_that_is_forgotten_warns_and_closes_nothing(
    backend: AsyncBackend, certificates: Certificates
) -> None:
    transport = new_mock(AsyncStreamTransport, backend)
    tls = AsyncTLSStreamTransport(_plain=transport, _engine=Mock())
    with pytest.warns(ResourceWarning, match="AsyncTLSStreamTransport"):
        del tls
    assert transport.aclose.mock_calls == []


async def test_a_tls_listener_that_is_forgotten_warns_and_closes_nothing(
    backend: AsyncBackend, certificates: Certificates
) -> None:
    listener = new_mock(AsyncListener, backend)
    tls = AsyncTLSListener(listener, certificates.server_context())
    with pytest.warns(ResourceWarning, match="unclosed listener <AsyncTLSListener"):
        del tls
    assert listener.aclose.mock_calls == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tls = AsyncTLSListener(listener, certificates.server_context())
        await tls.aclose()
        del tls
        gc.collect()


async def test_tls_pulls_ciphertext_out_of_a_mock(backend: AsyncBackend, certificates: Certificates) -> None:
    transport = new_mock(AsyncStreamTransport, backend)
    transport.recv.return_value = b""
    transport.aclose = AsyncMock()
    with pytest.raises(OSError):
        await AsyncTLSStreamTransport.wrap(transport, certificates.client_context(), server_hostname="localhost")
    assert transport.recv.await_count == 1
    assert transport.send_all.await_count == 1
    assert transport.aclose.await_count == 1
