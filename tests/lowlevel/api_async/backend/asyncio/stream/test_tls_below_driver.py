"""TLS that starts below an inline driver: handlers go on in the callbacks, and get nothing that came before TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import KINDS, Connection, lines
from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import Requests as FakeRequests
from tests.support.certificates import the_certificates
from tests.support.lines import LINE_PROTOCOLS
from tests.support.lowlevel_stream_servers import Client, Requests, RunningServer, run
from tests.support.manual_loop import ManualLoop
from tests.support.peers import turns_of_the_loop
from tests.support.tls_connections import TLSPeer

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_async.backend._asyncio.stream.driver import InlineDriver
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.api_async.transports._hooks import write_batch
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAttribute

every_kind = pytest.mark.parametrize("kind", KINDS)
Serve = Callable[..., contextlib.AbstractAsyncContextManager[RunningServer]]


@pytest.fixture(params=["TCP", "Unix"])
def family(request: pytest.FixtureRequest) -> str:
    family: str = request.param
    return family


@pytest.fixture(params=LINE_PROTOCOLS)
def serving(request: pytest.FixtureRequest, family: str, tmp_path: Path) -> Serve:
    """Serve a handler of lines. Each driver takes its bytes in its own way."""

    @contextlib.asynccontextmanager
    async def serve(handler: Callable[[Client], Requests], **options: Any) -> AsyncIterator[RunningServer]:
        backend = ensure_backend(None)
        if family == "TCP":
            [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
            address = listener.extra(SocketAttribute.sockname)
        else:
            listener = await backend.create_unix_stream_listener(path := str(tmp_path / "socket"), 10)
            address = path
        server = AsyncStreamServer(listener, LINE_PROTOCOLS[request.param](), 1 << 16)
        async with run(server, address, handler, **options) as running:
            yield running

    return serve


async def start_tls(client: Client, **options: Any) -> None:
    tls = await AsyncTLSStreamTransport._start(
        client._transport, the_certificates().server_context(), received=b"", server_side=True, **options
    )
    client._transport, client._batch = tls, write_batch(tls)


async def agree_and_start_tls(client: Client, **options: Any) -> None:
    await client.send_packet("agreed")
    await start_tls(client, **options)


async def upgraded(server: RunningServer) -> TLSPeer:
    """Connect, ask for TLS and do the handshake. The server closes the connection at its end."""
    plain = await server.connect()
    assert await plain.ask(b"STARTTLS") == b"agreed"
    peer = tls_client(plain.sock)
    await peer.handshake()
    return peer


def tls_client(sock: Any) -> TLSPeer:
    return TLSPeer(sock, the_certificates().client_context(), server_side=False, server_hostname="localhost")


def is_in_callback() -> bool:
    """Return whether the calling handler is stepped by a callback of the driver, not by its carrier."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code is not InlineDriver.carry.__code__:
        frame = frame.f_back
    return frame is None


async def ask(peer: TLSPeer, request: bytes) -> bytes:
    await peer.send_plaintext(request + b"\n")
    return await peer.receive_plaintext()


async def test_handler_goes_on_in_the_callback(serving: Serve) -> None:
    where: list[bool] = []

    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            where.append(is_in_callback())
            if request == "STARTTLS":
                await agree_and_start_tls(client)
            else:
                await client.send_packet(request)

    async with serving(handler) as server:
        peer = await upgraded(server)
        for number in range(3):
            assert await ask(peer, b"%d" % number) == b"%d\n" % number
        await peer.send_plaintext(b"x\ny\n")
        assert await peer.receive_plaintext() == b"x\ny\n"  # in one record
        assert len(where) == 6
        assert all(where[2:])  # the first may come together with the end of the handshake


async def test_handler_may_start_tls_before_its_first_request(serving: Serve, family: str) -> None:
    received: list[str] = []

    async def handler(client: Client) -> Requests:
        await start_tls(client)
        while True:
            received.append((yield None))
            await client.send_packet(received[-1])

    async with serving(handler) as server:
        peer = tls_client((await server.connect()).sock)
        await peer.handshake(b"with the last message\n")
        assert await peer.receive_plaintext() == b"with the last message\n"
        assert await ask(peer, b"a") == b"a\n"
    assert received == ["with the last message", "a"]


async def test_bytes_that_come_while_the_handler_is_busy_begin_the_handshake(serving: Serve) -> None:
    busy, may_go_on = asyncio.Event(), asyncio.Event()

    async def handler(client: Client) -> Requests:
        _ = yield None
        busy.set()
        await may_go_on.wait()
        await start_tls(client)
        while True:
            await client.send_packet((yield None))

    async with serving(handler) as server:
        plain = await server.connect()
        await plain.send(b"STARTTLS\n")
        await busy.wait()
        peer = tls_client(plain.sock)
        handshake = asyncio.create_task(peer.handshake())
        await asyncio.sleep(0.02)  # let the first message come before TLS starts
        may_go_on.set()
        await handshake
        assert await ask(peer, b"a") == b"a\n"


@pytest.mark.parametrize("is_busy", [True, False])
async def test_injected_plaintext_is_refused_and_never_decoded(serving: Serve, is_busy: bool) -> None:
    received: list[str] = []
    errors: list[Exception] = []
    starting = asyncio.Event()

    async def handler(client: Client) -> Requests:
        received.append((yield None))
        starting.set()
        if is_busy:
            await asyncio.sleep(0.02)
        try:
            await start_tls(client)
        except ssl.SSLError as exc:
            errors.append(exc)
        received.append((yield None))

    async with serving(handler) as server:
        plain = await server.connect()
        await plain.send(b"STARTTLS\n")
        await starting.wait()
        await plain.send(b"injected\n")
        assert await plain.gone()
    assert received == ["STARTTLS"]
    [error] = errors
    assert "plaintext arrived before the TLS handshake" in str(error)


async def test_packets_that_are_sent_during_the_handshake_are_encrypted(serving: Serve) -> None:
    async def handler(client: Client) -> Requests:
        _ = yield None
        starting = asyncio.create_task(agree_and_start_tls(client))
        await turns_of_the_loop(2)
        sending = asyncio.create_task(client.send_packet("secret"))
        await starting
        await sending
        _ = yield None

    async with serving(handler) as server:
        peer = await upgraded(server)
        assert await peer.receive_plaintext() == b"secret\n"


async def test_timeouts_go_on(serving: Serve) -> None:
    async def handler(client: Client) -> Requests:
        _ = yield None
        await agree_and_start_tls(client)
        with contextlib.suppress(TimeoutError):
            yield 0.01
        await client.send_packet("timeout")
        _ = yield None

    async with serving(handler) as server:
        peer = await upgraded(server)
        assert await peer.receive_plaintext() == b"timeout\n"


async def test_handshake_that_takes_too_long_closes_the_connection(serving: Serve) -> None:
    errors: list[Exception] = []

    async def handler(client: Client) -> Requests:
        _ = yield None
        try:
            await agree_and_start_tls(client, handshake_timeout=0.02)
        except TimeoutError as exc:
            errors.append(exc)
        _ = yield None
        errors.append(AssertionError("a request after the end"))

    async with serving(handler) as server:
        plain = await server.connect()
        await plain.send(b"STARTTLS\n")
        assert await plain.gone()
    assert [type(error) for error in errors] == [TimeoutError]


async def test_cancelled_handshake_closes_the_connection(serving: Serve) -> None:
    async def handler(client: Client) -> Requests:
        _ = yield None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await agree_and_start_tls(client)
        _ = yield None

    async with serving(handler) as server:
        plain = await server.connect()
        await plain.send(b"STARTTLS\n")
        assert await plain.gone()


async def test_closing_alert_of_the_peer_ends_the_requests(serving: Serve) -> None:
    ended = asyncio.Event()

    async def handler(client: Client) -> Requests:
        try:
            _ = yield None
            await agree_and_start_tls(client)
            while True:
                await client.send_packet((yield None))
        finally:
            ended.set()

    async with serving(handler) as server:
        peer = await upgraded(server)
        await peer.send_plaintext(b"last\n")
        await peer.close_tls()
        assert await peer.plaintext_rest() == b"last\n"
        await ended.wait()


async def test_many_bytes_in_both_directions(serving: Serve) -> None:
    line = b"x" * 1000 + b"\n"

    async def handler(client: Client) -> Requests:
        _ = yield None
        await agree_and_start_tls(client)
        while True:
            await client.send_packet((yield None))

    async with serving(handler) as server:
        peer = await upgraded(server)
        sending = asyncio.create_task(peer.send_plaintext(line * 2000))
        received = bytearray()
        while len(received) < len(line) * 2000:
            received += await peer.receive_plaintext()
        await sending
        assert received == line * 2000


async def test_handler_gets_no_ancillary_data_with_tls(serving: Serve) -> None:
    errors: list[Exception] = []

    async def handler(client: Client) -> Requests:
        _ = yield None
        await agree_and_start_tls(client)
        try:
            yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(data_received=print))
        except UnsupportedOperation as exc:
            errors.append(exc)
        await client.send_packet((yield None))

    async with serving(handler, ancillary_bufsize=100) as server:
        peer = await upgraded(server)
        assert await ask(peer, b"a") == b"a\n"
    assert len(errors) == 1


# ------------------------------------------------------------------------------------- the chunk before the first step


@every_kind
def test_chunk_before_the_carrier_starts_is_not_for_the_decoder_if_tls_takes_it(loop: ManualLoop, kind: str) -> None:
    taken: list[bytes] = []

    async def handler(connection: Connection) -> FakeRequests:
        taken.append(connection.driver.take_early() + connection.stream.take_received())
        taken.append(connection.driver.take_early() + connection.stream.take_received())
        connection.handled.append((yield None))

    connection = Connection(loop, kind, handler, starts=False)
    connection.transport.receive(b"\x16\x03\x01")
    connection.start()
    assert taken == [b"\x16\x03\x01", b""]
    connection.transport.receive(b"a\n")
    assert connection.handled == ["a"]


@every_kind
def test_chunks_before_the_carrier_starts_are_taken_in_their_order(loop: ManualLoop, kind: str) -> None:
    connection = Connection(loop, kind, lambda connection: pytest.fail("it does not start"), starts=False)
    connection.transport.receive(b"a")
    connection.transport.receive(b"b")
    connection.transport.receive(b"c")
    assert connection.driver.take_early() + connection.stream.take_received() == b"abc"
    connection.transport.receive(lines(1))
    assert connection.driver.take_early() + connection.stream.take_received() == lines(1)
