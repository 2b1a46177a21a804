"""What type checkers infer about clients, servers, handlers and endpoints.

mypy and pyright check each ``assert_type``; pytest runs it, and compares the packet that has this type.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, assert_type

from tests.support.background import spawn
from tests.support.sockets import stream_pair
from tests.typing.thermometer import (
    DatagramThermometer,
    Reading,
    StreamThermometer,
    Verdict,
    client_converter,
    server_converter,
    verdict_on,
)

from easynetwork.clients import AsyncTCPNetworkClient, AsyncUDPNetworkClient, TCPNetworkClient, UDPNetworkClient
from easynetwork.clients.abc import AbstractAsyncNetworkClient, AbstractNetworkClient
from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.datagram import (
    AsyncDatagramEndpoint,
    AsyncDatagramReceiverEndpoint,
    AsyncDatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_async.endpoints.stream import (
    AsyncStreamEndpoint,
    AsyncStreamReceiverEndpoint,
    AsyncStreamSenderEndpoint,
)
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_sync.endpoints.datagram import (
    DatagramEndpoint,
    DatagramReceiverEndpoint,
    DatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.endpoints.stream import (
    StreamEndpoint,
    StreamReceiverEndpoint,
    StreamSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport, SocketStreamTransport
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import SocketAddress, UnixSocketAddress
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import (
    AsyncTCPNetworkServer,
    AsyncUDPNetworkServer,
    StandaloneTCPNetworkServer,
    StandaloneUDPNetworkServer,
)
from easynetwork.servers.abc import AbstractAsyncNetworkServer, AbstractNetworkServer
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler, INETClientAttribute
from easynetwork.servers.standalone_unix_datagram import StandaloneUnixDatagramServer
from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer
from easynetwork.servers.threads_helper import NetworkServerThread

EVERY_BACKEND = True

LINES = StringLineSerializer()
STREAM_CLIENT = StreamProtocol(LINES, client_converter())
STREAM_SERVER = StreamProtocol(LINES, server_converter())
DATAGRAM_CLIENT = DatagramProtocol(LINES, client_converter())
DATAGRAM_SERVER = DatagramProtocol(LINES, server_converter())


# ------------------------------------------------------------------------------------------- asynchronous, high level


@asynccontextmanager
async def served(server: AbstractAsyncNetworkServer) -> AsyncIterator[None]:
    is_up = server.backend().create_event()
    async with server:
        spawn(server.serve_forever(is_up_event=is_up))
        await is_up.wait()
        yield
        await server.shutdown()


async def ask(client: AbstractAsyncNetworkClient[Reading, Verdict]) -> None:
    async with client:
        await client.send_packet(Reading(31))
        verdict = await client.recv_packet()
        assert_type(verdict, Verdict)
        assert verdict == Verdict("hot")
        packets = client.iter_received_packets(timeout=0)
        assert_type(packets, AsyncIterator[Verdict])
        assert [packet async for packet in packets] == []


async def test_tcp(backend: AsyncBackend) -> None:
    server = AsyncTCPNetworkServer("127.0.0.1", 0, STREAM_SERVER, StreamThermometer(), backend)
    assert_type(server, AsyncTCPNetworkServer[Reading, Verdict])
    async with served(server):
        addresses = server.get_addresses()
        assert_type(addresses, Sequence[SocketAddress])
        client = AsyncTCPNetworkClient(("127.0.0.1", addresses[0].port), STREAM_CLIENT, backend)
        assert_type(client, AsyncTCPNetworkClient[Reading, Verdict])
        await ask(client)


async def test_tcp_with_a_buffered_protocol(backend: AsyncBackend) -> None:
    buffered_server = BufferedStreamProtocol(LINES, server_converter())
    server = AsyncTCPNetworkServer("127.0.0.1", 0, buffered_server, StreamThermometer(), backend)
    assert_type(server, AsyncTCPNetworkServer[Reading, Verdict])
    async with served(server):
        address = ("127.0.0.1", server.get_addresses()[0].port)
        client = AsyncTCPNetworkClient(address, BufferedStreamProtocol(LINES, client_converter()), backend)
        assert_type(client, AsyncTCPNetworkClient[Reading, Verdict])
        await ask(client)


async def test_udp(backend: AsyncBackend) -> None:
    server = AsyncUDPNetworkServer("127.0.0.1", 0, DATAGRAM_SERVER, DatagramThermometer(), backend)
    assert_type(server, AsyncUDPNetworkServer[Reading, Verdict])
    async with served(server):
        addresses = server.get_addresses()
        assert_type(addresses, Sequence[SocketAddress])
        client = AsyncUDPNetworkClient(("127.0.0.1", addresses[0].port), DATAGRAM_CLIENT, backend)
        assert_type(client, AsyncUDPNetworkClient[Reading, Verdict])
        await ask(client)


async def test_unix_streams(backend: AsyncBackend, tmp_path: Path) -> None:
    server = AsyncUnixStreamServer(tmp_path / "socket", STREAM_SERVER, StreamThermometer(), backend)
    assert_type(server, AsyncUnixStreamServer[Reading, Verdict])
    async with served(server):
        assert_type(server.get_addresses(), Sequence[UnixSocketAddress])
        client = AsyncUnixStreamClient(tmp_path / "socket", STREAM_CLIENT, backend)
        assert_type(client, AsyncUnixStreamClient[Reading, Verdict])
        await ask(client)


async def test_unix_datagrams(backend: AsyncBackend, tmp_path: Path) -> None:
    server = AsyncUnixDatagramServer(tmp_path / "server", DATAGRAM_SERVER, DatagramThermometer(), backend)
    assert_type(server, AsyncUnixDatagramServer[Reading, Verdict])
    async with served(server):
        assert_type(server.get_addresses(), Sequence[UnixSocketAddress])
        client = AsyncUnixDatagramClient(tmp_path / "server", DATAGRAM_CLIENT, backend, local_path=tmp_path / "client")
        assert_type(client, AsyncUnixDatagramClient[Reading, Verdict])
        await ask(client)


async def test_facts_about_a_client_have_types(backend: AsyncBackend) -> None:
    class Curious(AsyncStreamRequestHandler[Reading, Verdict]):
        async def on_connection(self, client: AsyncStreamClient[Verdict], /) -> None:
            address = client.extra(INETClientAttribute.remote_address)
            assert_type(address, SocketAddress)
            assert_type(client.extra(INETClientAttribute.remote_address, None), SocketAddress | None)
            self.host = address.host

        async def handle(
            self, client: AsyncStreamClient[Verdict], /
        ) -> AsyncGenerator[float | RecvParams | None, Reading]:
            await client.send_packet(verdict_on((yield None)))

    handler = Curious()
    server = AsyncTCPNetworkServer("127.0.0.1", 0, STREAM_SERVER, handler, backend)
    async with served(server):
        port = server.get_addresses()[0].port
        await ask(AsyncTCPNetworkClient(("127.0.0.1", port), STREAM_CLIENT, backend))
    assert handler.host == "127.0.0.1"


# ----------------------------------------------------------------------------------------------- blocking, high level


def ask_and_wait(client: AbstractNetworkClient[Reading, Verdict]) -> None:
    with client:
        client.send_packet(Reading(31))
        verdict = client.recv_packet(timeout=30)
        assert_type(verdict, Verdict)
        assert verdict == Verdict("hot")
        packets = client.iter_received_packets(timeout=0)
        assert_type(packets, Iterator[Verdict])
        assert list(packets) == []


@contextmanager
def running(server: AbstractNetworkServer) -> Iterator[None]:
    with server:
        thread = NetworkServerThread(server)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def test_standalone_tcp() -> None:
    server = StandaloneTCPNetworkServer("127.0.0.1", 0, STREAM_SERVER, StreamThermometer())
    assert_type(server, StandaloneTCPNetworkServer[Reading, Verdict])
    with running(server):
        client = TCPNetworkClient(("127.0.0.1", server.get_addresses()[0].port), STREAM_CLIENT)
        assert_type(client, TCPNetworkClient[Reading, Verdict])
        ask_and_wait(client)


def test_standalone_udp() -> None:
    server = StandaloneUDPNetworkServer("127.0.0.1", 0, DATAGRAM_SERVER, DatagramThermometer())
    assert_type(server, StandaloneUDPNetworkServer[Reading, Verdict])
    with running(server):
        client = UDPNetworkClient(("127.0.0.1", server.get_addresses()[0].port), DATAGRAM_CLIENT)
        assert_type(client, UDPNetworkClient[Reading, Verdict])
        ask_and_wait(client)


def test_standalone_unix_streams(tmp_path: Path) -> None:
    server = StandaloneUnixStreamServer(tmp_path / "socket", STREAM_SERVER, StreamThermometer())
    assert_type(server, StandaloneUnixStreamServer[Reading, Verdict])
    with running(server):
        client = UnixStreamClient(tmp_path / "socket", STREAM_CLIENT)
        assert_type(client, UnixStreamClient[Reading, Verdict])
        ask_and_wait(client)


def test_standalone_unix_datagrams(tmp_path: Path) -> None:
    server = StandaloneUnixDatagramServer(tmp_path / "server", DATAGRAM_SERVER, DatagramThermometer())
    assert_type(server, StandaloneUnixDatagramServer[Reading, Verdict])
    with running(server):
        client = UnixDatagramClient(tmp_path / "server", DATAGRAM_CLIENT, local_path=tmp_path / "client")
        assert_type(client, UnixDatagramClient[Reading, Verdict])
        ask_and_wait(client)


# ------------------------------------------------------------------------------------------------ low level, servers


async def test_a_low_level_stream_server(backend: AsyncBackend) -> None:
    async def handle(
        client: ConnectedStreamClient[Verdict],
    ) -> AsyncGenerator[float | RecvParams | None, Reading]:
        await client.send_packet(verdict_on((yield None)))

    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 5)
    server = AsyncStreamServer(listener, STREAM_SERVER, 1024)
    assert_type(server, AsyncStreamServer[Reading, Verdict])
    async with server:
        spawn(server.serve(handle))
        port = server.extra(INETClientAttribute.local_address)[1]
        await ask(AsyncTCPNetworkClient(("127.0.0.1", port), STREAM_CLIENT, backend))


async def test_a_low_level_datagram_server(backend: AsyncBackend) -> None:
    async def handle(
        client: DatagramClientContext[Verdict, tuple[Any, ...]],
    ) -> AsyncGenerator[float | RecvParams | None, Reading]:
        verdict = verdict_on((yield None))
        assert_type(client.server, AsyncDatagramServer[Any, Verdict, tuple[Any, ...]])
        await client.server.send_packet_to(verdict, client.address)

    [listener] = await backend.create_udp_listeners("127.0.0.1", 0)
    server = AsyncDatagramServer(listener, DATAGRAM_SERVER)
    assert_type(server, AsyncDatagramServer[Reading, Verdict, tuple[Any, ...]])
    async with server:
        spawn(server.serve(handle))
        port = server.extra(INETClientAttribute.local_address)[1]
        await ask(AsyncUDPNetworkClient(("127.0.0.1", port), DATAGRAM_CLIENT, backend))


# ---------------------------------------------------------------------------------------------- low level, endpoints


async def test_asynchronous_stream_endpoints(backend: AsyncBackend) -> None:
    ours, theirs = [await backend.wrap_stream_socket(sock) for sock in stream_pair(socket.AF_INET)]
    client = AsyncStreamEndpoint(ours, STREAM_CLIENT, 1024)
    server = AsyncStreamEndpoint(theirs, STREAM_SERVER, 1024)
    assert_type(client, AsyncStreamEndpoint[Reading, Verdict])
    assert_type(server, AsyncStreamEndpoint[Verdict, Reading])
    async with client, server:
        await client.send_packet(Reading(31))
        reading = await server.recv_packet()
        assert_type(reading, Reading)
        assert reading == Reading(31)


async def test_asynchronous_stream_endpoints_of_one_direction(backend: AsyncBackend) -> None:
    ours, theirs = [await backend.wrap_stream_socket(sock) for sock in stream_pair(socket.AF_INET)]
    sender = AsyncStreamSenderEndpoint(ours, STREAM_CLIENT)
    receiver = AsyncStreamReceiverEndpoint(theirs, STREAM_SERVER, 1024)
    assert_type(sender, AsyncStreamSenderEndpoint[Reading])
    assert_type(receiver, AsyncStreamReceiverEndpoint[Reading])
    async with sender, receiver:
        await sender.send_packet(Reading(31))
        reading = await receiver.recv_packet()
        assert_type(reading, Reading)
        assert reading == Reading(31)


def datagram_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


async def test_asynchronous_datagram_endpoints(backend: AsyncBackend) -> None:
    ours, theirs = [await backend.wrap_connected_datagram_socket(sock) for sock in datagram_pair()]
    client = AsyncDatagramEndpoint(ours, DATAGRAM_CLIENT)
    server = AsyncDatagramEndpoint(theirs, DATAGRAM_SERVER)
    assert_type(client, AsyncDatagramEndpoint[Reading, Verdict])
    assert_type(server, AsyncDatagramEndpoint[Verdict, Reading])
    async with client, server:
        await client.send_packet(Reading(31))
        reading = await server.recv_packet()
        assert_type(reading, Reading)
        assert reading == Reading(31)


async def test_asynchronous_datagram_endpoints_of_one_direction(backend: AsyncBackend) -> None:
    ours, theirs = [await backend.wrap_connected_datagram_socket(sock) for sock in datagram_pair()]
    sender = AsyncDatagramSenderEndpoint(ours, DATAGRAM_CLIENT)
    receiver = AsyncDatagramReceiverEndpoint(theirs, DATAGRAM_SERVER)
    assert_type(sender, AsyncDatagramSenderEndpoint[Reading])
    assert_type(receiver, AsyncDatagramReceiverEndpoint[Reading])
    async with sender, receiver:
        await sender.send_packet(Reading(31))
        reading = await receiver.recv_packet()
        assert_type(reading, Reading)
        assert reading == Reading(31)


def test_blocking_stream_endpoints() -> None:
    ours, theirs = [SocketStreamTransport(sock, 1) for sock in stream_pair(socket.AF_INET)]
    client = StreamEndpoint(ours, STREAM_CLIENT, 1024)
    server = StreamEndpoint(theirs, STREAM_SERVER, 1024)
    assert_type(client, StreamEndpoint[Reading, Verdict])
    assert_type(server, StreamEndpoint[Verdict, Reading])
    with client, server:
        client.send_packet(Reading(31))
        reading = server.recv_packet(timeout=30)
        assert_type(reading, Reading)
        assert reading == Reading(31)


def test_blocking_stream_endpoints_of_one_direction() -> None:
    ours, theirs = [SocketStreamTransport(sock, 1) for sock in stream_pair(socket.AF_INET)]
    sender = StreamSenderEndpoint(ours, STREAM_CLIENT)
    receiver = StreamReceiverEndpoint(theirs, STREAM_SERVER, 1024)
    assert_type(sender, StreamSenderEndpoint[Reading])
    assert_type(receiver, StreamReceiverEndpoint[Reading])
    with sender, receiver:
        sender.send_packet(Reading(31))
        reading = receiver.recv_packet(timeout=30)
        assert_type(reading, Reading)
        assert reading == Reading(31)


def test_blocking_datagram_endpoints() -> None:
    ours, theirs = [SocketDatagramTransport(sock, 1) for sock in datagram_pair()]
    client = DatagramEndpoint(ours, DATAGRAM_CLIENT)
    server = DatagramEndpoint(theirs, DATAGRAM_SERVER)
    assert_type(client, DatagramEndpoint[Reading, Verdict])
    assert_type(server, DatagramEndpoint[Verdict, Reading])
    with client, server:
        client.send_packet(Reading(31))
        reading = server.recv_packet(timeout=30)
        assert_type(reading, Reading)
        assert reading == Reading(31)


def test_blocking_datagram_endpoints_of_one_direction() -> None:
    ours, theirs = [SocketDatagramTransport(sock, 1) for sock in datagram_pair()]
    sender = DatagramSenderEndpoint(ours, DATAGRAM_CLIENT)
    receiver = DatagramReceiverEndpoint(theirs, DATAGRAM_SERVER)
    assert_type(sender, DatagramSenderEndpoint[Reading])
    assert_type(receiver, DatagramReceiverEndpoint[Reading])
    with sender, receiver:
        sender.send_packet(Reading(31))
        reading = receiver.recv_packet(timeout=30)
        assert_type(reading, Reading)
        assert reading == Reading(31)
