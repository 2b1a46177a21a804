"""Methods that a user overrides in a subclass of a transport of ours are called, although there are shorter ways."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, NoReturn

import pytest
from tests.support.background import new_event, spawn
from tests.support.certificates import Certificates
from tests.support.lines import buffered_line_protocol, line_protocol
from tests.support.socket_calls import socket_calls

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

CHUNKS: StreamProtocol[str, str] = line_protocol()
BUFFER: BufferedStreamProtocol[str, str, Any] = buffered_line_protocol()
DATAGRAM: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer())

either_protocol = pytest.mark.parametrize("protocol", [CHUNKS, BUFFER], ids=["chunks", "buffer"])


def become_counting(transport: Any, calls: list[str], *methods: str) -> None:
    """Make *transport* an object of a subclass that notes the calls of *methods*."""

    def counting(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        original = getattr(type(transport), name)

        async def method(self: Any, *args: Any) -> Any:
            calls.append(name)
            return await original(self, *args)

        return method

    namespace = {name: counting(name) for name in methods}
    transport.__class__ = type("Counting", (type(transport),), {"__slots__": (), **namespace})


class CountingListener(AsyncListener[AsyncStreamTransport]):
    """A listener whose connections are of such a subclass."""

    def __init__(self, listener: AsyncListener[AsyncStreamTransport], calls: list[str], *methods: str) -> None:
        self._listener, self._calls, self._methods = listener, calls, methods

    async def serve(
        self, handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]], task_group: TaskGroup | None = None
    ) -> NoReturn:
        def handle(transport: AsyncStreamTransport) -> Coroutine[Any, Any, None]:
            become_counting(transport, self._calls, *self._methods)
            return handler(transport)

        await self._listener.serve(handle, task_group)

    def is_closing(self) -> bool:
        return self._listener.is_closing()

    async def aclose(self) -> None:
        await self._listener.aclose()

    def backend(self) -> AsyncBackend:
        return self._listener.backend()


@contextlib.asynccontextmanager
async def listening(backend: AsyncBackend) -> AsyncIterator[tuple[AsyncListener[AsyncStreamTransport], Any]]:
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
    async with listener:
        yield listener, listener.extra(SocketAttribute.sockname)


@either_protocol
async def test_an_endpoint_calls_what_is_overridden(backend: AsyncBackend, protocol: Any) -> None:
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = await backend.create_tcp_connection(*server.getsockname())
        become_counting(transport, calls, "recv", "recv_into", "send_all")
        peer, _ = server.accept()
    with peer:
        async with AsyncStreamEndpoint(transport, protocol, 1024) as endpoint:
            await endpoint.send_packet("abc")
            peer.sendall(b"def\n")
            assert await endpoint.recv_packet() == "def"
    # recv_into() may be made of recv(), as it is in the class below.
    assert calls[:2] == ["send_all", "recv" if protocol is CHUNKS else "recv_into"]


@pytest.mark.parametrize(
    ("protocol", "method"),
    [
        (CHUNKS, "recv"),
        (BUFFER, "recv_into"),
        *[
            (protocol, name)
            for protocol in (CHUNKS, BUFFER)
            for name in ("send_all", "send_all_from_iterable", "aclose")
        ],
    ],
)
async def test_a_server_calls_what_is_overridden(backend: AsyncBackend, protocol: Any, method: str) -> None:
    calls: list[str] = []

    async def handle(client: ConnectedStreamClient[str]) -> AsyncGenerator[None, str]:
        await client.send_packet((yield).upper())

    async with listening(backend) as (listener, address):
        server: Any = AsyncStreamServer(CountingListener(listener, calls, method), protocol, 1024)
        serving = spawn(server.serve(handle))
        with socket.create_connection(address) as peer:
            peer.setblocking(False)
            await socket_calls().send_all(peer, b"abc\n")
            assert await socket_calls().receive(peer) == b"ABC\n"
            assert await socket_calls().receive(peer) == b""
        serving.cancel()
        await serving.wait()
        await server.aclose()
    assert method in calls


@pytest.mark.parametrize("method", ["recv", "send_all"])
async def test_tls_is_pulled_through_what_is_overridden(
    backend: AsyncBackend, certificates: Certificates, method: str
) -> None:
    calls: list[str] = []
    received = new_event()
    packets: list[bytes] = []

    async def answer(transport: AsyncStreamTransport) -> None:
        tls = await AsyncTLSStreamTransport.wrap(transport, certificates.server_context(), server_side=True)
        async with tls:
            packets.append(await tls.recv(100))
            received.set()

    async with listening(backend) as (listener, address):
        serving = spawn(listener.serve(answer))
        transport = await backend.create_tcp_connection(*address)
        become_counting(transport, calls, method)
        context = certificates.client_context()
        async with await AsyncTLSStreamTransport.wrap(transport, context, server_hostname="localhost") as tls:
            await tls.send_all(b"abc")
            await received.wait()
        serving.cancel()
        await serving.wait()
    assert packets == [b"abc"]
    assert len(calls) > 1


@pytest.mark.parametrize("method", ["serve", "send_to"])
async def test_a_datagram_server_calls_what_is_overridden(backend: AsyncBackend, method: str) -> None:
    calls: list[str] = []

    async def handle(client: DatagramClientContext[str, Any]) -> AsyncGenerator[None, str]:
        await client.server.send_packet_to((yield).upper(), client.address)

    [listener] = await backend.create_udp_listeners("127.0.0.1", 0)
    become_counting(listener, calls, method)
    server: Any = AsyncDatagramServer(listener, DATAGRAM)
    serving = spawn(server.serve(handle))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.setblocking(False)
        peer.connect(server.extra(SocketAttribute.sockname))
        peer.send(b"abc")
        assert await socket_calls().receive(peer) == b"ABC"
    serving.cancel()
    await serving.wait()
    await server.aclose()
    assert set(calls) == {method}
