"""Stream clients and endpoints that exchange their protocol object."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.clients.kinds import ASYNC_KINDS, KINDS, Kind, stream_kinds, wrong_protocols
from tests.support.background import settle, sleep, spawn, until
from tests.support.blocking import InThread, receive_exactly
from tests.support.framing_cases import LengthPrefix
from tests.support.lines import LINE_PROTOCOLS, line_protocol
from tests.support.peers import Peer
from tests.support.sockets import PATIENCE, stream_pair

from easynetwork.exceptions import BusyResourceError, ClientClosedError, IncompletePacketError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.endpoints.stream import (
    AsyncStreamEndpoint,
    AsyncStreamReceiverEndpoint,
    AsyncStreamSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint, StreamReceiverEndpoint, StreamSenderEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, RawSerializer

EVERY_BACKEND = True

RAW = StreamProtocol(RawSerializer())
JSON = StreamProtocol(JSONSerializer())
PREFIXED = BufferedStreamProtocol(LengthPrefix())

async_kinds = pytest.mark.parametrize("kind", ["tcp", "unix stream", "endpoint"])
line_protocols = pytest.mark.parametrize("protocol", LINE_PROTOCOLS)


@contextlib.asynccontextmanager
async def connected(kind: str, protocol: Any = None) -> AsyncIterator[tuple[Any, Peer]]:
    """Connect a client or an endpoint to a peer."""
    ours, theirs = stream_pair(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
    made: Any
    if kind == "endpoint":
        transport = await ensure_backend(None).wrap_stream_socket(ours)
        made = AsyncStreamEndpoint(transport, protocol or line_protocol(), 1024)
    else:
        made = ASYNC_KINDS[kind].cls(ours, protocol or line_protocol())
    with contextlib.closing(Peer(theirs)) as peer:
        async with made:
            yield made, peer


@async_kinds
@line_protocols
async def test_all_protocols_may_arrive_in_one_segment(kind: str, protocol: str) -> None:
    async with connected(kind, LINE_PROTOCOLS[protocol]()) as (client, peer):
        await peer.send(b'first\n{"b": 1}\n\3abcraw\nlast line\nno line')
        assert await client.recv_packet() == "first"
        assert await client.set_protocol(JSON).recv_packet() == {"b": 1}
        await client.send_packet({"c": 2})
        assert await client.set_protocol(PREFIXED).recv_packet() == b"abc"
        await client.send_packet(b"de")
        assert await client.set_protocol(StreamProtocol(RawSerializer(exactly=4))).recv_packet() == b"raw\n"
        assert await client.set_protocol(line_protocol()).recv_packet() == "last line"
        await client.send_packet("f")
        assert await client.set_protocol(RAW).recv_packet() == b"no line"
        await client.send_packet(b"g")
        await client.send_eof()
        assert await peer.rest() == b'{"c":2}\n\2def\ng'


@async_kinds
async def test_what_was_decoded_ahead_is_decoded_again(kind: str) -> None:
    async with connected(kind) as (client, peer):
        await peer.send(b"first\n\xff\n\xfe\nlast\npart")
        assert await client.recv_packet() == "first"
        assert await client.set_protocol(RAW).recv_packet() == b"\xff\n\xfe\nlast\npart"


@async_kinds
async def test_part_of_a_packet_is_decoded_again(kind: str) -> None:
    async with connected(kind) as (client, peer):
        receiving = spawn(client.recv_packet())
        await peer.send(b"par")
        await sleep(0.01)
        with pytest.raises(BusyResourceError):
            client.set_protocol(RAW)
        receiving.cancel()
        await receiving.wait()
        client.set_protocol(StreamProtocol(RawSerializer(exactly=4)))
        receiving = spawn(client.recv_packet())
        await settle()
        await peer.send(b"ts")
        assert await receiving.result() == b"part"
        assert await client.set_protocol(RAW).recv_packet() == b"s"


@async_kinds
async def test_packet_that_a_generator_has_begun_is_finished_first(kind: str) -> None:
    async with connected(kind, StreamProtocol(LengthPrefix())) as (client, peer):
        receiving = spawn(client.recv_packet())
        await peer.send(b"\3a")
        await sleep(0.01)
        receiving.cancel()
        await receiving.wait()
        with pytest.raises(UnsupportedOperation, match="2 bytes"):
            client.set_protocol(RAW)
        await client.send_packet(b"still")
        await peer.send(b"bcrest")
        assert await client.recv_packet() == b"abc"
        assert await client.set_protocol(RAW).recv_packet() == b"rest"
        await client.send_eof()
        assert await peer.rest() == b"\5still"


@async_kinds
async def test_wrong_protocol_object_changes_nothing(kind: str) -> None:
    async with connected(kind) as (client, peer):
        for wrong in (*wrong_protocols(KINDS["tcp"]), None):
            with pytest.raises(TypeError):
                client.set_protocol(wrong)
        await client.send_packet("a")
        assert await peer.ask(b"b") == b"a"
        assert await client.recv_packet() == "b"


@async_kinds
async def test_protocol_changes_after_the_end_of_the_stream(kind: str) -> None:
    async with connected(kind) as (client, peer):
        await peer.send(b"a\n\1b\7c")
        peer.half_close()
        assert await client.recv_packet() == "a"
        await sleep(0.01)
        client.set_protocol(PREFIXED)
        assert await client.recv_packet() == b"b"
        with pytest.raises(IncompletePacketError):
            await client.recv_packet()
        with contextlib.suppress(UnsupportedOperation):
            client.set_protocol(RAW)
        with pytest.raises(ConnectionAbortedError):
            await client.recv_packet()


@async_kinds
async def test_sending_goes_on_while_the_protocol_changes(kind: str) -> None:
    """A packet is encoded by the protocol that is set when it is sent."""
    async with connected(kind) as (client, peer):
        large = spawn(client.send_packet("x" * 3_000_000))
        await sleep(0.01)
        client.set_protocol(RAW)
        after = spawn(client.send_packet(b"after")) if kind != "endpoint" else None
        assert await peer.line() == b"x" * 3_000_000
        await large.result()
        if after is None:
            await client.send_packet(b"after")
        else:
            await after.result()
        await client.send_eof()
        assert await peer.rest() == b"after"


@pytest.mark.parametrize("kind", ["tcp", "unix stream"])
async def test_protocol_changes_before_the_connection_exists(kind: str) -> None:
    with ASYNC_KINDS[kind].address() as (address, listener):
        client = ASYNC_KINDS[kind].cls(address, line_protocol())
        assert client.set_protocol(RAW) is client
        assert not client.is_connected()
        async with client:
            theirs, _ = listener.accept()
            with contextlib.closing(Peer(theirs)) as peer:
                await client.send_packet(b"raw")
                await client.send_eof()
                assert await peer.rest() == b"raw"
                await peer.send(b"too")
                assert await client.recv_packet() == b"too"
        with pytest.raises(ClientClosedError):
            client.set_protocol(RAW)


@pytest.mark.parametrize("kind", ["tcp", "unix stream"])
async def test_task_that_waits_to_receive_is_in_the_way(kind: str) -> None:
    async with connected(kind) as (client, peer):
        receiving = [spawn(client.recv_packet()) for _ in range(2)]
        await until(lambda: client._receive_lock.taken)
        with pytest.raises(BusyResourceError):
            client.set_protocol(RAW)
        await peer.send(b"a\na\n")
        for task in receiving:
            assert await task.result() == "a"
        client.set_protocol(RAW)


async def test_half_endpoints() -> None:
    backend = ensure_backend(None)
    ours, theirs = [await backend.wrap_stream_socket(sock) for sock in stream_pair(socket.AF_UNIX)]
    async with (
        AsyncStreamSenderEndpoint(ours, line_protocol()) as sender,
        AsyncStreamReceiverEndpoint(theirs, line_protocol(), 1024) as receiver,
    ):
        await sender.send_packet("a")
        await sender.set_protocol(RAW).send_packet(b"raw")
        assert await receiver.recv_packet() == "a"
        assert await receiver.set_protocol(RAW).recv_packet() == b"raw"
        with pytest.raises(TypeError):
            sender.set_protocol(None)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            receiver.set_protocol(None)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ blocking


@contextlib.contextmanager
def blocking_endpoint(protocol: Any = None) -> Iterator[tuple[Any, socket.socket]]:
    ours, theirs = stream_pair(socket.AF_UNIX)
    endpoint: Any = StreamEndpoint(SocketStreamTransport(ours, 1), protocol or line_protocol(), 1024)
    with theirs, endpoint:
        yield endpoint, theirs


def blocking_pair(kind: Kind | None, protocol: Any = None) -> Any:
    return blocking_endpoint(protocol) if kind is None else kind.pair(protocol=protocol)


blocking_kinds = pytest.mark.parametrize(
    "kind", [KINDS["tcp"], KINDS["unix stream"], None], ids=["tcp", "unix stream", "endpoint"]
)


@blocking_kinds
@line_protocols
def test_blocking_all_protocols_may_arrive_in_one_segment(kind: Kind | None, protocol: str) -> None:
    with blocking_pair(kind, LINE_PROTOCOLS[protocol]()) as (client, peer):
        peer.sendall(b'first\n{"b": 1}\n\3abcraw\nlast line\nno line')
        assert client.recv_packet(timeout=PATIENCE) == "first"
        assert client.set_protocol(JSON).recv_packet(timeout=PATIENCE) == {"b": 1}
        client.send_packet({"c": 2})
        assert client.set_protocol(PREFIXED).recv_packet(timeout=PATIENCE) == b"abc"
        client.send_packet(b"de")
        assert client.set_protocol(StreamProtocol(RawSerializer(4))).recv_packet(timeout=PATIENCE) == b"raw\n"
        assert client.set_protocol(line_protocol()).recv_packet(timeout=PATIENCE) == "last line"
        assert client.set_protocol(RAW).recv_packet(timeout=PATIENCE) == b"no line"
        client.send_packet(b"g")
        client.send_eof()
        assert receive_exactly(peer, 100) == b'{"c":2}\n\2deg'


@blocking_kinds
def test_blocking_part_of_a_packet_is_decoded_again(kind: Kind | None) -> None:
    with blocking_pair(kind) as (client, peer):
        peer.sendall(b"first\n\xffpart")
        assert client.recv_packet(timeout=PATIENCE) == "first"
        with pytest.raises(TimeoutError):
            client.recv_packet(timeout=0.01)
        assert client.set_protocol(RAW).recv_packet(timeout=0) == b"\xffpart"


@blocking_kinds
def test_blocking_packet_that_a_generator_has_begun_is_finished_first(kind: Kind | None) -> None:
    with blocking_pair(kind, StreamProtocol(LengthPrefix())) as (client, peer):
        peer.sendall(b"\3a")
        with pytest.raises(TimeoutError):
            client.recv_packet(timeout=0.01)
        with pytest.raises(UnsupportedOperation, match="2 bytes"):
            client.set_protocol(RAW)
        peer.sendall(b"bcrest")
        assert client.recv_packet(timeout=PATIENCE) == b"abc"
        assert client.set_protocol(RAW).recv_packet(timeout=PATIENCE) == b"rest"


@stream_kinds
def test_blocking_client_is_not_changed_below_a_thread_that_receives(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        receiving = InThread(client.recv_packet, timeout=PATIENCE)
        while client._receive_lock.lock.acquire(blocking=False):
            client._receive_lock.lock.release()
        with pytest.raises(BusyResourceError):
            client.set_protocol(RAW)
        peer.sendall(b"a\n")
        assert receiving.result() == "a"
        for wrong in wrong_protocols(kind):
            with pytest.raises(TypeError):
                client.set_protocol(wrong)
        client.close()
        with pytest.raises(ClientClosedError):
            client.set_protocol(RAW)


@stream_kinds
def test_blocking_client_changes_while_threads_send(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        stop = threading.Event()

        def send() -> int:
            count = 0
            while not stop.is_set():
                client.send_packet("x" * 100)
                count += 1
            return count

        # Both protocols write the same bytes for this packet.
        threads = [InThread(send) for _ in range(2)]
        draining = InThread(receive_exactly, peer, 1 << 40)
        for _ in range(200):
            client.set_protocol(line_protocol())
        stop.set()
        count = sum(thread.result() for thread in threads)
        client.send_eof()
        assert draining.result() == (b"x" * 100 + b"\n") * count


def test_blocking_half_endpoints() -> None:
    ours, theirs = [SocketStreamTransport(sock, 1) for sock in stream_pair(socket.AF_UNIX)]
    with (
        StreamSenderEndpoint(ours, line_protocol()) as sender,
        StreamReceiverEndpoint(theirs, line_protocol(), 1024) as receiver,
    ):
        sender.send_packet("a")
        sender.set_protocol(RAW).send_packet(b"raw")
        assert receiver.recv_packet(timeout=PATIENCE) == "a"
        assert receiver.set_protocol(RAW).recv_packet(timeout=PATIENCE) == b"raw"
