"""TLS on every backend: the handshake and its failures. What streams promise is checked by the conformance kit."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background import new_event, spawn, until
from tests.support.certificates import Certificates
from tests.support.lines import line_protocol
from tests.support.sockets import tcp_pair
from tests.support.stream_servers import Handler

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener, AsyncTLSStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer

EVERY_BACKEND = True

Pair = tuple[AsyncStreamTransport, AsyncStreamTransport]


@pytest.fixture
@contextlib.asynccontextmanager
async def pair(backend: AsyncBackend) -> AsyncIterator[Pair]:
    """Both ends of a plain connection."""
    ours, theirs = [await backend.wrap_stream_socket(sock) for sock in tcp_pair()]
    try:
        yield ours, theirs
    finally:
        for transport in (ours, theirs):
            await aclose_forcefully(transport)


async def wrap(transport: AsyncStreamTransport, context: ssl.SSLContext, **options: Any) -> Any:
    """Do the handshake. Return the TLS transport, or what went wrong."""
    try:
        return await AsyncTLSStreamTransport.wrap(transport, context, **options)
    except Exception as exc:
        return exc


async def test_both_ends_understand_each_other_and_close(
    backend: AsyncBackend, pair: Pair, tls_version: str, certificates: Certificates
) -> None:
    client: AsyncTLSStreamTransport
    server: AsyncTLSStreamTransport
    client, server = await backend.gather(
        wrap(pair[0], certificates.client_context(tls_version), server_hostname="localhost"),
        wrap(pair[1], certificates.server_context(tls_version)),
    )
    data = bytes(range(256)) * 4000

    async def receive(tls: AsyncTLSStreamTransport) -> None:
        received = bytearray()
        while len(received) < len(data):
            received += await tls.recv(1 << 16)
        assert received == data

    await backend.gather(client.send_all(data), server.send_all(data), receive(client), receive(server))
    assert client.backend() is server.backend() is backend
    await backend.gather(client.aclose(), server.aclose(), client.aclose())
    with pytest.raises(ConnectionAbortedError):
        await client.send_all(b"x")
    assert await client.recv(1) == b""


async def test_refused_certificate_is_an_error_on_both_sides(
    backend: AsyncBackend, pair: Pair, tls_version: str, certificates: Certificates
) -> None:
    client, server = await backend.gather(
        wrap(pair[0], certificates.client_context(tls_version, trusting=False), server_hostname="localhost"),
        wrap(pair[1], certificates.server_context(tls_version)),
    )
    assert isinstance(client, ssl.SSLCertVerificationError)
    assert isinstance(server, ssl.SSLError)
    assert "ALERT" in server.reason
    assert all(transport.is_closing() for transport in pair)


async def test_silent_peer_is_not_waited_for_long(
    backend: AsyncBackend, pair: Pair, certificates: Certificates
) -> None:
    error = await wrap(pair[0], certificates.server_context(), handshake_timeout=0.02)
    assert isinstance(error, TimeoutError)
    assert pair[0].is_closing()
    assert await pair[1].recv(100) == b""


async def test_end_of_the_stream_and_plain_text_are_errors(
    backend: AsyncBackend, pair: Pair, certificates: Certificates
) -> None:
    await pair[1].aclose()
    assert isinstance(await wrap(pair[0], certificates.server_context()), ssl.SSLEOFError)
    ours, theirs = [await backend.wrap_stream_socket(sock) for sock in tcp_pair()]
    async with theirs:
        await theirs.send_all(b"hello\n" * 10)
        error = await wrap(ours, certificates.server_context())
        assert isinstance(error, ssl.SSLError)
        assert not isinstance(error, ssl.SSLEOFError)


async def test_cancelled_handshake_closes_the_connection(
    backend: AsyncBackend, pair: Pair, certificates: Certificates
) -> None:
    with backend.move_on_after(0.01) as scope:
        await AsyncTLSStreamTransport.wrap(pair[0], certificates.client_context(), server_hostname="localhost")
    assert scope.cancelled_caught()
    assert pair[0].is_closing()
    while await pair[1].recv(1 << 16):
        pass


async def test_listener_survives_bad_handshakes(backend: AsyncBackend, certificates: Certificates) -> None:
    async def echo(tls: AsyncTLSStreamTransport) -> None:
        async with tls:
            while data := await tls.recv(1000):
                await tls.send_all(data)

    errors: list[Exception] = []
    [plain] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
    context = certificates.server_context()
    async with AsyncTLSListener(plain, context, handshake_error_handler=errors.append) as listener:
        address = listener.extra(SocketAttribute.sockname)
        spawn(listener.serve(echo))
        silent = await backend.create_tcp_connection(*address)
        async with await backend.create_tcp_connection(*address) as bad:
            await bad.send_all(b"hello\n" * 10)
            while await bad.recv(1000):
                pass
        good = await wrap(
            await backend.create_tcp_connection(*address), certificates.client_context(), server_hostname="localhost"
        )
        async with good:
            await good.send_all(b"x")
            assert await good.recv(100) == b"x"
        assert [type(error) for error in errors] == [ssl.SSLError]
        await silent.aclose()


async def test_server_and_client_understand_each_other(backend: AsyncBackend, certificates: Certificates) -> None:
    handler = Handler()
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), handler, backend, ssl=certificates.server_context()
    )
    async with server:
        is_up = new_event()
        spawn(server.serve_forever(is_up_event=is_up))
        await is_up.wait()
        [address] = server.get_addresses()
        async with AsyncTCPNetworkClient(
            ("localhost", address.port), line_protocol(), backend, ssl=certificates.client_context()
        ) as client:
            for number in range(10):
                await client.send_packet(str(number))
                assert await client.recv_packet() == str(number)
        await until(lambda: "disconnected" in handler.diary)
        await server.shutdown()
    assert handler.diary == ["connected", "disconnected"]
