"""Typical mistakes: the error says what was wrong, and what is allowed."""

from __future__ import annotations

import functools
import pickle
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sniffio
from tests.support.certificates import the_certificates

from easynetwork.clients import AsyncTCPNetworkClient, AsyncUDPNetworkClient, TCPNetworkClient, UDPNetworkClient
from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener, AsyncTLSStreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport, SSLStreamTransport
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer, StructSerializer
from easynetwork.serializers.base_stream import FileBasedPacketSerializer
from easynetwork.serializers.wrapper.compressor import AbstractCompressorSerializer
from easynetwork.servers import (
    AsyncTCPNetworkServer,
    AsyncUDPNetworkServer,
    StandaloneTCPNetworkServer,
    StandaloneUDPNetworkServer,
)
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler

EVERY_BACKEND = True

STREAM: Any = StreamProtocol(StringLineSerializer())
DATAGRAM: Any = DatagramProtocol(StringLineSerializer())
ADDRESS = ("127.0.0.1", 9)


class StreamHandler(AsyncStreamRequestHandler[Any, Any]):
    async def handle(self, client: Any, /) -> Any:
        yield None


class DatagramHandler(AsyncDatagramRequestHandler[Any, Any]):
    async def handle(self, client: Any, /) -> Any:
        yield None


new_tcp_server: Any = functools.partial(AsyncTCPNetworkServer, protocol=STREAM, request_handler=StreamHandler())
new_udp_server: Any = functools.partial(AsyncUDPNetworkServer, protocol=DATAGRAM, request_handler=DatagramHandler())
new_unix_stream_server: Any = functools.partial(AsyncUnixStreamServer, protocol=STREAM, request_handler=StreamHandler())
new_unix_datagram_server: Any = functools.partial(
    AsyncUnixDatagramServer, protocol=DATAGRAM, request_handler=DatagramHandler()
)
new_standalone_server: Any = functools.partial(
    StandaloneTCPNetworkServer, "127.0.0.1", 0, STREAM, StreamHandler(), "asyncio"
)

Mistake = tuple[Callable[[], Any], type[Exception], str]


# ------------------------------------------------------------------------------------------------------ constructors


def mistakes_of_inet_clients() -> Iterator[tuple[str, Mistake]]:
    clients: list[tuple[Any, Any]] = [
        (TCPNetworkClient, STREAM),
        (UDPNetworkClient, DATAGRAM),
        (AsyncTCPNetworkClient, STREAM),
        (AsyncUDPNetworkClient, DATAGRAM),
    ]
    for cls, protocol in clients:
        name = cls.__name__
        for address in (("127.0.0.1", "9"), ("127.0.0.1", None), ("127.0.0.1", True), (127, 9), "127.0.0.1:9"):
            new = functools.partial(cls, address, protocol)
            yield f"{name} {address}", (new, TypeError, r"host \(str\) and port \(int\), got .*127")
        for local in ("127.0.0.1", ("127.0.0.1", "0"), ("127.0.0.1", 0, 0), 0):
            new = functools.partial(cls, ADDRESS, protocol, local_address=local)
            yield f"{name} local_address={local}", (new, TypeError, r"'local_address' .* host \(str\) and port \(int\)")
        if name.startswith("Async"):
            new = functools.partial(cls, "127.0.0.1", 9, protocol)
            yield f"{name} host and port apart", (new, TypeError, "pair of host .*, got '127.0.0.1'")


def mistakes_with_tls() -> Iterator[tuple[str, Mistake]]:
    certificates = the_certificates()
    for cls in (TCPNetworkClient, AsyncTCPNetworkClient):
        new: Any = functools.partial(cls, ADDRESS, STREAM)
        for value in ("yes", 1, ssl.SSLContext):
            yield f"{cls.__name__} ssl={value}", (functools.partial(new, ssl=value), TypeError, "ssl.SSLContext, got")
        # A context that is certainly for servers only: older ways to make one allow both sides.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        yield f"{cls.__name__} server's", (functools.partial(new, ssl=context), ValueError, "for servers only")
        for hostname in (b"localhost", 12):
            options: Any = {"ssl": True, "server_hostname": hostname}
            new_named = functools.partial(new, **options)
            yield f"{cls.__name__} {hostname!r}", (new_named, TypeError, "'server_hostname' must be a str, got")
        timed = functools.partial(new, ssl=True, ssl_handshake_timeout="1")
        yield f"{cls.__name__} timeout", (timed, TypeError, "'ssl_handshake_timeout' must be a number of seconds")
    servers = [functools.partial(new_tcp_server, "127.0.0.1", 0), new_standalone_server]
    for name, new in zip(("AsyncTCPNetworkServer", "StandaloneTCPNetworkServer"), servers, strict=True):
        for wrong in (True, False, ("cert.pem", "key.pem")):
            error = "an ssl.SSLContext with the certificate of the server, got"
            yield f"{name} ssl={wrong}", (functools.partial(new, ssl=wrong), TypeError, error)
        context = certificates.client_context()
        yield f"{name} client's", (functools.partial(new, ssl=context), ValueError, "for clients only")
    not_used: Any = None
    yield "AsyncTLSListener", (functools.partial(AsyncTLSListener, not_used, not_used), TypeError, "ssl.SSLContext")


def mistakes_of_servers() -> Iterator[tuple[str, Mistake]]:
    for port in ("9", None, 1.5, True):
        error = "A port must be an int from 0 to 65535, got"
        yield f"TCP port={port}", (functools.partial(new_tcp_server, "127.0.0.1", port), TypeError, error)
        yield f"UDP port={port}", (functools.partial(new_udp_server, "127.0.0.1", port), TypeError, error)
    for new in (new_unix_stream_server, new_unix_datagram_server):
        name = new.func.__name__
        yield f"{name} mode=str", (functools.partial(new, "x", mode="600"), TypeError, "an int, such as 0o600, .*'600'")
        for mode in (-1, 0o10000):
            yield f"{name} mode={mode}", (functools.partial(new, "x", mode=mode), ValueError, "from 0 to 0o7777")
    options: Any = functools.partial(new_standalone_server, runner_options=[1])
    yield "runner_options", (options, TypeError, r"'runner_options' must be a mapping or None, got \[1\]")


def mistakes_with_paths() -> Iterator[tuple[str, Mistake]]:
    error = "A path must be a str, bytes, a path object or a UnixSocketAddress, got"
    clients: list[tuple[Any, Any]] = [
        (UnixStreamClient, STREAM),
        (UnixDatagramClient, DATAGRAM),
        (AsyncUnixStreamClient, STREAM),
        (AsyncUnixDatagramClient, DATAGRAM),
    ]
    for path in (None, 3, ("127.0.0.1", 9)):
        for cls, protocol in clients:
            yield f"{cls.__name__} {path}", (functools.partial(cls, path, protocol), TypeError, error)
            local = functools.partial(cls, "x", protocol, local_path=path or 0)
            yield f"{cls.__name__} local_path={path}", (local, TypeError, error)
        for new in (new_unix_stream_server, new_unix_datagram_server):
            yield f"{new.func.__name__} {path}", (functools.partial(new, path), TypeError, error)


def mistakes_with_numbers() -> Iterator[tuple[str, Mistake]]:
    seconds = "must be a number of seconds, got"
    tcp: Any = functools.partial(TCPNetworkClient, ADDRESS, STREAM)
    yield "retry_interval", (functools.partial(tcp, retry_interval="1"), TypeError, f"'retry_interval' {seconds}")
    yield "connect_timeout", (functools.partial(tcp, connect_timeout="1"), TypeError, f"'connect_timeout' {seconds}")
    yield "negative connect_timeout", (functools.partial(tcp, connect_timeout=-1), ValueError, "'connect_timeout' must")
    new: Any = functools.partial(AsyncTCPNetworkClient, ADDRESS, STREAM)
    delayed = functools.partial(new, happy_eyeballs_delay="1")
    yield "happy_eyeballs_delay", (delayed, TypeError, f"'happy_eyeballs_delay' {seconds}")
    delayed = functools.partial(new, happy_eyeballs_delay=-1)
    yield "negative happy_eyeballs_delay", (delayed, ValueError, "'happy_eyeballs_delay' must not be negative")
    not_a_socket: Any = 3
    transport = functools.partial(SocketStreamTransport, not_a_socket, 1)
    yield "SocketStreamTransport", (transport, TypeError, "Expected a socket.socket, got 3")


MISTAKES = dict(
    [
        *mistakes_of_inet_clients(),
        *mistakes_with_tls(),
        *mistakes_of_servers(),
        *mistakes_with_paths(),
        *mistakes_with_numbers(),
    ]
)


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_constructor_says_what_is_wrong(mistake: Mistake) -> None:
    new, error, match = mistake
    with pytest.raises(error, match=match):
        new()


# --------------------------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize("function", ["create_tcp_connection", "create_udp_endpoint"])
async def test_connecting_to_a_port_that_is_not_a_number(function: str) -> None:
    connect: Any = getattr(ensure_backend(None), function)
    with pytest.raises(TypeError, match="A port must be an int from 0 to 65535, got '9'"):
        await connect("127.0.0.1", "9")
    with pytest.raises(socket.gaierror, match="A port must be from 0 to 65535, got 70000"):
        await connect("127.0.0.1", 70000)


async def test_listening_on_a_port_that_is_not_a_number_is_no_group_of_errors() -> None:
    port: Any = "9"
    with pytest.raises(TypeError, match="A port must be an int"):
        await ensure_backend(None).create_tcp_listeners("127.0.0.1", port, 1)
    with pytest.raises(TypeError, match="A port must be an int"):
        await ensure_backend(None).create_udp_listeners("127.0.0.1", port)


async def test_wrapping_what_is_not_a_socket() -> None:
    not_a_socket: Any = 3
    with pytest.raises(TypeError, match=r"Expected a socket\.socket, got 3"):
        await ensure_backend(None).wrap_stream_socket(not_a_socket)


async def test_wrapping_with_what_is_not_a_tls_context() -> None:
    context: Any = True
    ours, theirs = socket.socketpair()
    with theirs:
        transport = await ensure_backend(None).wrap_stream_socket(ours)
        with pytest.raises(TypeError, match=r"TLS needs an ssl\.SSLContext, got True"):
            await AsyncTLSStreamTransport.wrap(transport, context, server_hostname="localhost")


def test_blocking_transport_with_what_is_not_a_tls_context() -> None:
    context: Any = True
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(TypeError, match=r"TLS needs an ssl\.SSLContext, got True"):
        SSLStreamTransport(ours, context, 1, server_hostname="localhost")
    assert ours.fileno() == -1


@pytest.mark.parametrize(
    "new",
    [
        functools.partial(AsyncTCPNetworkClient, ADDRESS, STREAM),
        functools.partial(AsyncUDPNetworkClient, ADDRESS, DATAGRAM),
        functools.partial(AsyncUnixStreamClient, "x", STREAM),
        functools.partial(AsyncUnixDatagramClient, "x", DATAGRAM),
        functools.partial(new_tcp_server, "127.0.0.1", 0),
        functools.partial(new_udp_server, "127.0.0.1", 0),
        functools.partial(new_unix_stream_server, "x"),
        functools.partial(new_unix_datagram_server, "x"),
    ],
    ids=lambda new: new.func.__name__,
)
def test_asynchronous_objects_outside_of_a_loop(new: Callable[[], object]) -> None:
    with pytest.raises(sniffio.AsyncLibraryNotFoundError, match="Call this from a coroutine, or say which backend"):
        new()


async def test_asking_a_client_that_is_not_connected() -> None:
    for client in (AsyncTCPNetworkClient(ADDRESS, STREAM), AsyncUDPNetworkClient(ADDRESS, DATAGRAM)):
        with pytest.raises(OSError, match="await wait_connected\\(\\) first"):
            client.get_local_address()
        with pytest.raises(AttributeError, match="await wait_connected\\(\\)"):
            _ = client.socket
        await client.aclose()


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1"])
async def test_budget_of_an_iterator(timeout: Any) -> None:
    ours, theirs = socket.socketpair()
    with theirs, UnixStreamClient(ours, STREAM) as blocking:
        with pytest.raises((TypeError, ValueError), match="'timeout' must"):
            blocking.iter_received_packets(timeout=timeout)
    client: AsyncTCPNetworkClient[Any, Any] = AsyncTCPNetworkClient(ADDRESS, STREAM)
    with pytest.raises((TypeError, ValueError), match="'timeout' must"):
        client.iter_received_packets(timeout=timeout)
    await client.aclose()


# ----------------------------------------------------------------------------------------------------------- packets


class Unknown:
    """Unknown to serializers."""

    def __reduce__(self) -> str:
        raise pickle.PicklingError("on purpose")


PACKETS = {
    "JSON": (
        JSONSerializer(),
        Unknown(),
        "of type Unknown: TypeError: Object of type Unknown is not JSON serializable",
    ),
    "line": (StringLineSerializer(), 12, "of type int: TypeError: "),
    "encoding": (
        StringLineSerializer(encoding="ascii"),
        "\xe9",
        "of type str: UnicodeEncodeError: 'ascii' codec can't",
    ),
}


@pytest.mark.parametrize(("serializer", "packet", "reason"), PACKETS.values(), ids=PACKETS)
async def test_packet_of_the_wrong_type(serializer: Any, packet: Any, reason: str, tmp_path: Path) -> None:
    match = f"The protocol object cannot serialize a packet {reason}"
    stream: Any = StreamProtocol(serializer)
    ours, theirs = socket.socketpair()
    with theirs, UnixStreamClient(ours, stream) as blocking, pytest.raises(RuntimeError, match=match) as caught:
        blocking.send_packet(packet)
    assert type(caught.value.__cause__).__name__ in reason
    ours, theirs = socket.socketpair()
    with theirs:
        async with AsyncUnixStreamClient(ours, stream) as client:
            with pytest.raises(RuntimeError, match=match):
                await client.send_packet(packet)
    ours, theirs = socket.socketpair()
    with theirs:
        async with AsyncStreamEndpoint(await ensure_backend(None).wrap_stream_socket(ours), stream, 1000) as endpoint:
            with pytest.raises(RuntimeError, match=match):
                await endpoint.send_packet(packet)


@pytest.mark.parametrize(
    ("serializer", "packet", "reason"),
    [*PACKETS.values(), (PickleSerializer(), Unknown(), "of type Unknown: PicklingError: on purpose")],
    ids=[*PACKETS, "pickle"],
)
async def test_packet_of_the_wrong_type_for_datagrams(serializer: Any, packet: Any, reason: str) -> None:
    match = f"The protocol object cannot serialize a packet {reason}"
    protocol: Any = DatagramProtocol(serializer)
    with UDPNetworkClient(ADDRESS, protocol) as blocking, pytest.raises(RuntimeError, match=match):
        blocking.send_packet(packet)
    async with AsyncUDPNetworkClient(ADDRESS, protocol) as client:
        with pytest.raises(RuntimeError, match=match):
            await client.send_packet(packet)
    [listener] = await ensure_backend(None).create_udp_listeners("127.0.0.1", 0)
    async with AsyncDatagramServer(listener, protocol) as server:
        with pytest.raises(RuntimeError, match=match):
            await server.send_packet_to(packet, ADDRESS)


# -------------------------------------------------------------------------------------------------------- standalone


def test_other_mistakes_of_standalone_servers_come_out_of_serve_forever() -> None:
    port: Any = "9"
    with pytest.raises(TypeError, match="A port must be an int"):
        StandaloneTCPNetworkServer("127.0.0.1", port, STREAM, StreamHandler()).serve_forever()
    with pytest.raises(TypeError, match="A port must be an int"):
        StandaloneUDPNetworkServer("127.0.0.1", port, DATAGRAM, DatagramHandler()).serve_forever()


class Loading(FileBasedPacketSerializer[Any, Any]):
    def dump_to_file(self, packet: Any, file: Any, /) -> None:
        raise NotImplementedError

    def load_from_file(self, file: Any, /) -> Any:
        raise NotImplementedError


class Compressing(AbstractCompressorSerializer[Any, Any]):
    def new_compressor_stream(self) -> Any:
        raise NotImplementedError

    def new_decompressor_stream(self) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("wrong", [3, "ValueError", (ValueError, 3), ValueError()])
def test_what_is_not_an_exception_class_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected_load_error must be an exception class"):
        Loading(wrong)
    with pytest.raises(TypeError, match="expected_decompress_error must be an exception class"):
        Compressing(JSONSerializer(), wrong)


def test_a_structure_is_said_by_a_str() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="format must be a str, got 3"):
        StructSerializer(wrong)
