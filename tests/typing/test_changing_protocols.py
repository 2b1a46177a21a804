"""What type checkers infer after a change of the protocol object. Each ``assert_type`` is also run."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, assert_type

from tests.support.background import spawn
from tests.support.peers import Peer
from tests.support.sockets import PATIENCE, stream_pair
from tests.support.stream_servers import run

from easynetwork.clients import AsyncTCPNetworkClient, TCPNetworkClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.stream import (
    AsyncStreamEndpoint,
    AsyncStreamReceiverEndpoint,
    AsyncStreamSenderEndpoint,
)
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient, ServedClient
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint, StreamReceiverEndpoint, StreamSenderEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import RawSerializer, StringLineSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler, INETClientAttribute

EVERY_BACKEND = True

LINES = StreamProtocol(StringLineSerializer())
RAW = StreamProtocol(RawSerializer())


@contextmanager
def peer_of(*first: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a socket, and its peer, which has sent lines and then ``raw``."""
    ours, theirs = stream_pair(socket.AF_UNIX if "unix" in first else socket.AF_INET)
    with theirs:
        theirs.sendall(b"line\nraw")
        yield ours, theirs


async def test_protocols_have_types() -> None:
    assert_type(LINES, StreamProtocol[str, str])
    assert_type(RAW, StreamProtocol[bytes, bytes])


async def test_asynchronous_clients(backend: AsyncBackend) -> None:
    with peer_of() as (sock, _):
        async with AsyncTCPNetworkClient(sock, LINES, backend) as client:
            assert_type(await client.recv_packet(), str)
            raw = client.set_protocol(RAW)
            assert_type(raw, AsyncTCPNetworkClient[bytes, bytes])
            packet = await raw.recv_packet()
            assert_type(packet, bytes)
            assert packet == b"raw"
    with peer_of("unix") as (sock, _):
        async with AsyncUnixStreamClient(sock, LINES, backend) as unix_client:
            assert_type(await unix_client.recv_packet(), str)
            assert_type(unix_client.set_protocol(RAW), AsyncUnixStreamClient[bytes, bytes])
            assert await unix_client.set_protocol(RAW).recv_packet() == b"raw"


def test_blocking_clients() -> None:
    with peer_of() as (sock, _), TCPNetworkClient(sock, LINES) as client:
        assert_type(client.recv_packet(timeout=PATIENCE), str)
        assert_type(client.set_protocol(RAW), TCPNetworkClient[bytes, bytes])
        assert client.set_protocol(RAW).recv_packet(timeout=PATIENCE) == b"raw"
    with peer_of("unix") as (sock, _), UnixStreamClient(sock, LINES) as unix_client:
        assert_type(unix_client.recv_packet(timeout=PATIENCE), str)
        assert_type(unix_client.set_protocol(RAW), UnixStreamClient[bytes, bytes])
        assert unix_client.set_protocol(RAW).recv_packet(timeout=PATIENCE) == b"raw"


async def test_asynchronous_endpoints(backend: AsyncBackend) -> None:
    ours, theirs = [await backend.wrap_stream_socket(sock) for sock in stream_pair(socket.AF_INET)]
    async with AsyncStreamSenderEndpoint(ours, LINES) as sender:
        assert_type(sender.set_protocol(RAW), AsyncStreamSenderEndpoint[bytes])
        async with AsyncStreamReceiverEndpoint(theirs, LINES, 1024) as receiver:
            assert_type(receiver.set_protocol(RAW), AsyncStreamReceiverEndpoint[bytes])
    with peer_of() as (sock, _):
        async with AsyncStreamEndpoint(await backend.wrap_stream_socket(sock), LINES, 1024) as endpoint:
            assert_type(await endpoint.recv_packet(), str)
            assert_type(endpoint.set_protocol(RAW), AsyncStreamEndpoint[bytes, bytes])
            assert await endpoint.set_protocol(RAW).recv_packet() == b"raw"


def test_blocking_endpoints() -> None:
    ours, theirs = [SocketStreamTransport(sock, 1) for sock in stream_pair(socket.AF_INET)]
    with StreamSenderEndpoint(ours, LINES) as sender, StreamReceiverEndpoint(theirs, LINES, 1024) as receiver:
        assert_type(sender.set_protocol(RAW), StreamSenderEndpoint[bytes])
        assert_type(receiver.set_protocol(RAW), StreamReceiverEndpoint[bytes])
    with peer_of() as (sock, _), StreamEndpoint(SocketStreamTransport(sock, 1), LINES, 1024) as endpoint:
        assert_type(endpoint.recv_packet(timeout=PATIENCE), str)
        assert_type(endpoint.set_protocol(RAW), StreamEndpoint[bytes, bytes])
        assert endpoint.set_protocol(RAW).recv_packet(timeout=PATIENCE) == b"raw"


async def test_clients_of_handlers(backend: AsyncBackend) -> None:
    class Switching(AsyncStreamRequestHandler[str, str]):
        async def handle(self, client: AsyncStreamClient[str], /) -> AsyncGenerator[float | RecvParams | None, str]:
            assert_type(client, AsyncStreamClient[str, Any])
            assert_type((yield None), str)
            raw = client.set_protocol(RAW)
            assert_type(raw, AsyncStreamClient[bytes, bytes])
            packet = await raw.recv_packet(timeout=PATIENCE)
            assert_type(packet, bytes)
            await raw.send_packet(packet)
            client.set_protocol(LINES)

    server = AsyncTCPNetworkServer("127.0.0.1", 0, LINES, Switching(), backend)
    async with run(server) as it:
        peer = await it.connect()
        await peer.send(b"line\nraw")
        peer.half_close()
        assert await peer.rest() == b"raw"


async def test_clients_of_a_low_level_server(backend: AsyncBackend) -> None:
    async def handle(client: ConnectedStreamClient[str]) -> AsyncGenerator[float | RecvParams | None, str]:
        yield None
        raw = client.set_protocol(RAW)
        assert_type(raw, ServedClient[bytes, bytes])
        packet = await raw.recv_packet()
        assert_type(packet, bytes)
        await raw.send_packet(packet)
        await client.aclose()

    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 5)
    async with AsyncStreamServer(listener, LINES, 1024) as server:
        spawn(server.serve(handle))
        with socket.socket() as sock:
            peer = Peer(sock)
            await peer.connect(server.extra(INETClientAttribute.local_address))
            await peer.send(b"line\nraw")
            assert await peer.rest() == b"raw"
