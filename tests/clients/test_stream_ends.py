"""The end of a stream, as clients and endpoints receive it, asynchronous and blocking ones."""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import pickle
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.support.blocking_tls import cut as cut_tls
from tests.support.blocking_tls import send_closing_alert, shakes_hands
from tests.support.certificates import the_certificates
from tests.support.framing_cases import BufferedProtocolByGenerators, LengthPrefix, Line, ProtocolByGenerators
from tests.support.peers import PATIENCE
from tests.support.sockets import stream_pair
from tests.support.tls_connections import TLSPeer

from easynetwork.clients import AsyncTCPNetworkClient, TCPNetworkClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.exceptions import IncompletePacketError
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.lowlevel.socket import enable_socket_linger
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, StructSerializer
from easynetwork.serializers.wrapper import ZlibCompressorSerializer

EVERY_BACKEND = True

ABORTED = f"[Errno {errno.ECONNABORTED}]"
CLOSED = f"{ABORTED} the peer closed the connection"
RESET = f"{ABORTED} the connection was lost: {os.strerror(errno.ECONNRESET)}"

PROTOCOLS: dict[str, Any] = {
    "lines": StreamProtocol(Line(b"\r\n")),
    "lines, buffered": BufferedStreamProtocol(Line(b"\r\n")),
    "lines by generators": ProtocolByGenerators(Line(b"\r\n")),
    "lines by generators, buffered": BufferedProtocolByGenerators(Line(b"\r\n")),
    "length prefix": StreamProtocol(LengthPrefix()),
    "length prefix, buffered": BufferedStreamProtocol(LengthPrefix()),
    "blocks": StreamProtocol(StructSerializer("20s")),
    "blocks, buffered": BufferedStreamProtocol(StructSerializer("20s")),
    "zlib": StreamProtocol(ZlibCompressorSerializer(JSONSerializer())),
    "raw json": StreamProtocol(JSONSerializer(use_lines=False)),
    "raw json, buffered": BufferedStreamProtocol(JSONSerializer(use_lines=False)),
}

STREAMS: dict[str, tuple[bytes, bytes]] = {
    "lines": (b"packet\r\n", b"incompl\r"),
    "length prefix": (b"\x03abc", b"\x09incompl"),
    "blocks": (b"x" * 20, b"incomple"),
    "zlib": (ZlibCompressorSerializer(JSONSerializer()).serialize([1]), b"\x78\xda\x8b\x36\xd4\x51\x30\xd2"),
    "raw json": (b'{"a":1}\n', b'["incomp'),
}


def streams_of(name: str) -> tuple[bytes, bytes]:
    """Return a packet, and eight bytes of another one."""
    return next(stream for prefix, stream in STREAMS.items() if name.startswith(prefix))


protocols = pytest.mark.parametrize("name", PROTOCOLS)
cuts = pytest.mark.parametrize("size", [0, 1, 8])


def check(error: BaseException, size: int) -> None:
    """Check what the end of a stream after that many bytes of a packet has raised."""
    assert isinstance(error, ConnectionAbortedError)
    assert error.errno == errno.ECONNABORTED
    if size:
        assert isinstance(error, IncompletePacketError)
        assert error.nbytes == size
        text = f"in the middle of a packet ({size} byte{'s' if size > 1 else ''})"
        assert str(error) == f"{CLOSED} {text}"
    else:
        assert type(error) is ConnectionAbortedError
        assert str(error) == CLOSED


def test_the_exception_survives_copies() -> None:
    error = IncompletePacketError(7)
    for same in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(same), same.nbytes, same.errno, str(same)) == (type(error), 7, error.errno, str(error))


# ----------------------------------------------------------------------------------------------------------- blocking


@protocols
@cuts
@pytest.mark.parametrize("kind", ["tcp", "unix", "endpoint"])
def test_blocking_receivers_tell_an_incomplete_packet_from_an_end(name: str, size: int, kind: str) -> None:
    packet, incomplete = streams_of(name)
    ours, theirs = stream_pair(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
    receiver: Any
    if kind == "endpoint":
        receiver = StreamEndpoint(SocketStreamTransport(ours, 1.0), PROTOCOLS[name], 1024)
    else:
        receiver = (TCPNetworkClient if kind == "tcp" else UnixStreamClient)(ours, PROTOCOLS[name])
    with theirs, receiver:
        theirs.sendall(packet + incomplete[:size])
        theirs.shutdown(socket.SHUT_WR)
        receiver.recv_packet(timeout=PATIENCE)
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError) as caught:
                receiver.recv_packet(timeout=PATIENCE)
            check(caught.value, size)


@contextlib.contextmanager
def blocking_tls(standard_compatible: bool) -> Iterator[tuple[Any, ssl.SSLSocket]]:
    ours, theirs = stream_pair(socket.AF_INET)
    handshake = shakes_hands(theirs, the_certificates().server_context())
    with TCPNetworkClient(
        ours,
        PROTOCOLS["lines"],
        ssl=the_certificates().client_context(),
        server_hostname="localhost",
        ssl_standard_compatible=standard_compatible,
        ssl_shutdown_timeout=0.02,  # the peer does not answer
    ) as client:
        with handshake.result() as peer:
            yield client, peer


@cuts
@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("standard_compatible", [True, False])
def test_blocking_clients_tell_an_incomplete_packet_over_tls(
    size: int, is_cut: bool, standard_compatible: bool
) -> None:
    with blocking_tls(standard_compatible) as (client, peer):
        peer.sendall(b"packet\r\n" + b"incompl\r"[:size])
        (cut_tls if is_cut else send_closing_alert)(peer)
        assert client.recv_packet(timeout=PATIENCE) == b"packet"
        with pytest.raises(ConnectionAbortedError) as caught:
            client.recv_packet(timeout=PATIENCE)
        check_tls(caught.value, size, is_cut and standard_compatible)


def check_tls(error: BaseException, size: int, is_cut: bool) -> None:
    if is_cut:
        assert str(error) == f"{ABORTED} the connection was lost: the peer ended TLS without a closing alert"
        assert isinstance(error.__cause__, ssl.SSLEOFError)
    else:
        check(error, size)


# ------------------------------------------------------------------------------------------------------- asynchronous


@contextlib.asynccontextmanager
async def receiving(kind: str, protocol: Any) -> AsyncIterator[tuple[Any, socket.socket]]:
    ours, theirs = stream_pair(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    backend = ensure_backend(None)
    receiver: Any
    if kind == "endpoint":
        receiver = AsyncStreamEndpoint(await backend.wrap_stream_socket(ours), protocol, 1024)
    elif kind == "tcp":
        receiver = AsyncTCPNetworkClient(ours, protocol)
    else:
        receiver = AsyncUnixStreamClient(ours, protocol)
    with theirs, backend.timeout(PATIENCE):
        async with receiver:
            yield receiver, theirs


@protocols
@cuts
@pytest.mark.parametrize("kind", ["tcp", "unix", "endpoint"])
async def test_receivers_tell_an_incomplete_packet_from_an_end(name: str, size: int, kind: str) -> None:
    packet, incomplete = streams_of(name)
    async with receiving(kind, PROTOCOLS[name]) as (receiver, peer):
        peer.sendall(packet + incomplete[:size])
        peer.shutdown(socket.SHUT_WR)
        await receiver.recv_packet()
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError) as caught:
                await receiver.recv_packet()
            check(caught.value, size)


@pytest.mark.parametrize("use_lines", [True, False])
async def test_whitespace_after_a_json_document_is_not_an_incomplete_packet(use_lines: bool) -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(JSONSerializer(use_lines=use_lines))
    async with receiving("tcp", protocol) as (client, peer):
        peer.sendall(b"[1]\n")
        assert await client.recv_packet() == [1]
        peer.sendall(b" \t")
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionAbortedError) as caught:
            await client.recv_packet()
        check(caught.value, 2 if use_lines else 0)  # a line is a packet, whatever it consists of


@cuts
@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_clients_tell_an_incomplete_packet_over_tls(size: int, is_cut: bool, standard_compatible: bool) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    client: AsyncTCPNetworkClient[Any, Any] = AsyncTCPNetworkClient(
        ours,
        PROTOCOLS["lines"],
        ssl=the_certificates().client_context(),
        server_hostname="localhost",
        ssl_standard_compatible=standard_compatible,
        ssl_shutdown_timeout=0.02,  # the peer does not answer
    )
    with theirs, ensure_backend(None).timeout(PATIENCE):
        peer = TLSPeer(theirs, the_certificates().server_context(), server_side=True)
        async with ensure_backend(None).create_task_group() as group:
            group.start_soon(peer.handshake)
            await client.wait_connected()
        async with client:
            await peer.send_plaintext(b"packet\r\n" + b"incompl\r"[:size])
            if is_cut:
                peer.half_close()
            else:
                await peer.close_tls()
            assert await client.recv_packet() == b"packet"
            with pytest.raises(ConnectionAbortedError) as caught:
                await client.recv_packet()
            check_tls(caught.value, size, is_cut and standard_compatible)


# ---------------------------------------------------------------------------------------- a stream that cannot continue


@pytest.mark.parametrize("kind", ["tcp", "unix", "endpoint"])
@pytest.mark.parametrize("name", ["length prefix", "length prefix, buffered"])
async def test_every_receive_after_a_crash_says_that_the_stream_cannot_continue(kind: str, name: str) -> None:
    async with receiving(kind, PROTOCOLS[name]) as (receiver, peer):
        peer.sendall(b"\x01a\x01?\x01b")
        assert await receiver.recv_packet() == b"a"
        with pytest.raises(RuntimeError) as crash:
            await receiver.recv_packet()
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError, match="the stream cannot continue") as caught:
                await receiver.recv_packet()
            assert caught.value.errno == errno.ECONNABORTED
            assert caught.value.__cause__ is crash.value.__cause__
        await receiver.send_packet(b"still possible")
        assert peer.recv(100) == b"\x0estill possible"


@pytest.mark.parametrize("kind", [TCPNetworkClient, UnixStreamClient])
@pytest.mark.parametrize("name", ["length prefix", "length prefix, buffered"])
def test_every_blocking_receive_after_a_crash_says_that_the_stream_cannot_continue(kind: Any, name: str) -> None:
    ours, theirs = stream_pair(socket.AF_INET if kind is TCPNetworkClient else socket.AF_UNIX)
    with theirs, kind(ours, PROTOCOLS[name]) as client:
        theirs.sendall(b"\x01a\x01?\x01b")
        assert client.recv_packet(timeout=PATIENCE) == b"a"
        with pytest.raises(RuntimeError) as crash:
            client.recv_packet(timeout=PATIENCE)
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError, match="the stream cannot continue") as caught:
                client.recv_packet(timeout=PATIENCE)
            assert caught.value.__cause__ is crash.value.__cause__
        assert list(client.iter_received_packets(timeout=PATIENCE)) == []


@pytest.mark.parametrize("name", ["lines", "lines, buffered", "lines by generators", "lines by generators, buffered"])
async def test_a_crash_costs_one_line(name: str) -> None:
    async with receiving("tcp", PROTOCOLS[name]) as (client, peer):
        peer.sendall(b"a\r\n?\r\nb\r\nc")
        assert await client.recv_packet() == b"a"
        with pytest.raises(RuntimeError):
            await client.recv_packet()
        assert await client.recv_packet() == b"b"
        peer.sendall(b"d\r\n")
        assert await client.recv_packet() == b"cd"


# -------------------------------------------------------------------------------------------------------------- texts


async def test_texts_of_a_lost_connection_say_one_thing_once() -> None:
    async with receiving("tcp", PROTOCOLS["lines"]) as (client, peer):
        enable_socket_linger(peer, 0)
        peer.close()
        with pytest.raises(ConnectionAbortedError) as caught:
            await client.recv_packet()
        assert str(caught.value) == RESET
        with pytest.raises(ConnectionAbortedError) as caught:
            while True:
                await client.send_packet(b"x")
        assert str(caught.value).count("[Errno") == 1


def test_texts_of_a_lost_connection_say_one_thing_once_to_blocking_clients() -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    with TCPNetworkClient(ours, PROTOCOLS["lines"]) as client:
        enable_socket_linger(theirs, 0)
        theirs.close()
        with pytest.raises(ConnectionAbortedError) as caught:
            client.recv_packet(timeout=PATIENCE)
        assert str(caught.value) == RESET
        with pytest.raises(ConnectionAbortedError) as caught:
            while True:
                client.send_packet(b"x")
        assert str(caught.value) == f"{ABORTED} the connection was lost: {os.strerror(errno.EPIPE)}"


async def test_text_of_a_packet_that_is_sent_too_late_says_one_thing_once() -> None:
    """The peer has closed in an orderly way: no error of the system tells more."""
    async with receiving("tcp", PROTOCOLS["lines"]) as (client, peer):
        peer.close()
        with pytest.raises(ConnectionAbortedError) as caught:
            while True:
                await client.send_packet(b"x")
                await ensure_backend(None).coro_yield()
        assert str(caught.value).count("[Errno") == 1
        assert "Software" not in str(caught.value)


async def test_the_first_packet_to_a_unix_peer_that_has_gone_is_an_error() -> None:
    ours, peer = socket.socketpair()
    async with AsyncUnixStreamClient(ours, PROTOCOLS["lines"]) as client:
        peer.close()
        with pytest.raises(ConnectionAbortedError) as info:
            await client.send_packet(b"lost")
        assert isinstance(info.value.__cause__, BrokenPipeError)


async def test_the_first_bytes_to_a_unix_peer_that_has_gone_are_an_error() -> None:
    ours, peer = socket.socketpair()
    async with await ensure_backend(None).wrap_stream_socket(ours) as transport:
        peer.close()
        with pytest.raises(BrokenPipeError):
            await transport.send_all(b"lost")
