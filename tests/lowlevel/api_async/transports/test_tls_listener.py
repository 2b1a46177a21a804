"""Accepting TLS connections, and surviving peers that want something else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from tests.lowlevel.api_async.servers.pulling import PullingListener
from tests.support.background import running_task
from tests.support.certificates import Certificates, the_certificates
from tests.support.loop_errors import nothing_reported
from tests.support.peers import PATIENCE
from tests.support.tls_connections import TLSPeer

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.transports import tls as tls_module
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener, AsyncTLSStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute, TLSAttribute

LOGGER = "easynetwork.lowlevel.api_async.transports.tls"


async def echo(tls: AsyncTLSStreamTransport) -> None:
    async with tls:
        with contextlib.suppress(OSError):
            while data := await tls.recv(1 << 16):
                await tls.send_all(data)


class Serving:
    """A listener that is served, and the peers that connect to it."""

    def __init__(self, listener: AsyncTLSListener, address: tuple[str, int]) -> None:
        self.listener = listener
        self.address = address
        self.peers: list[TLSPeer] = []

    async def connect(self, context: ssl.SSLContext | None = None) -> TLSPeer:
        """Connect, and leave the handshake to the caller."""
        context = context or the_certificates().client_context()
        peer = TLSPeer(socket.socket(), context, server_side=False, server_hostname="localhost")
        self.peers.append(peer)
        await asyncio.get_running_loop().sock_connect(peer.sock, self.address)
        return peer

    async def ask(self, question: bytes = b"hello") -> bytes:
        """Connect, asks, closes."""
        peer = await self.connect()
        await peer.handshake()
        await peer.send_plaintext(question)
        answer = await peer.receive_plaintext()
        await peer.close_tls()
        assert await peer.plaintext_rest() == b""
        peer.close()
        return answer


@contextlib.asynccontextmanager
async def tls_server(
    mode: str, handler: Callable[[AsyncTLSStreamTransport], Any] = echo, **options: Any
) -> AsyncIterator[Serving]:
    """Serve on a free port. In the end, no task is left, and nothing was reported to the event loop as an error."""
    context = options.pop("context", None) or the_certificates().server_context()
    options.setdefault("shutdown_timeout", 0.02)  # the peers of these tests seldom answer
    if mode == "pulled":
        pulling = PullingListener()
        listener, address = AsyncTLSListener(pulling, context, **options), pulling.address
    else:
        [plain] = await AsyncIOBackend().create_tcp_listeners("127.0.0.1", 0, 300)
        listener, address = AsyncTLSListener(plain, context, **options), plain.extra(SocketAttribute.sockname)
    it = Serving(listener, address)
    before = asyncio.all_tasks()
    async with nothing_reported(), listener, asyncio.timeout(PATIENCE):
        try:
            async with running_task(listener.backend(), partial(listener.serve, handler)):
                yield it
        finally:
            for peer in it.peers:
                peer.close()
    assert asyncio.all_tasks() == before


async def test_connections_are_served(mode: str) -> None:
    async with tls_server(mode) as server:
        assert await asyncio.gather(*(server.ask(b"%d" % number) for number in range(20))) == [
            b"%d" % number for number in range(20)
        ]


async def test_silent_handshakes_keep_nobody_waiting(mode: str) -> None:
    async with tls_server(mode) as server:
        silent = [await server.connect() for _ in range(200)]
        for number, peer in enumerate(silent):
            if number % 2:
                peer.engine.handshake()
                await peer.send(peer.engine.take_outgoing()[: number % 100])
        for _ in range(5):
            assert await server.ask() == b"hello"
        await silent[0].handshake()
        await silent[0].send_plaintext(b"late")
        assert await silent[0].receive_plaintext() == b"late"


async def test_slow_handshake_fails_in_time_and_the_rest_goes_on(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []
    async with tls_server(mode, handshake_timeout=0.05, handshake_error_handler=errors.append) as server:
        silent = [await server.connect() for _ in range(3)]
        for peer in silent:
            assert await peer.gone()
        assert await server.ask() == b"hello"
    assert [type(error) for error in errors] == [TimeoutError] * 3
    assert not caplog.records


async def leave(peer: TLSPeer) -> None:
    peer.close()


async def reset(peer: TLSPeer) -> None:
    peer.reset()


async def leave_in_the_midst(peer: TLSPeer) -> None:
    peer.engine.handshake()
    await peer.send(peer.engine.take_outgoing())
    await peer._receive()
    peer.close()


async def speak_plain_text(peer: TLSPeer) -> None:
    await peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await peer.gone()


async def trust_nobody(peer: TLSPeer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await peer.handshake()
    await peer.flush()
    assert await peer.gone()


async def close_tls_in_the_midst(peer: TLSPeer) -> None:
    await peer.send(b"\x15\x03\x01\x00\x02\x01\x00")  # RFC 8446, section 6.1
    assert await peer.gone()


FAULTS = [
    (leave, (ssl.SSLEOFError,)),
    (reset, (ConnectionResetError,)),
    (leave_in_the_midst, (ssl.SSLEOFError, ConnectionError)),
    (speak_plain_text, (ssl.SSLError,)),
    (trust_nobody, (ssl.SSLError,)),
    (close_tls_in_the_midst, (ssl.SSLError,)),
]
faults = pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])


@faults
async def test_failed_handshake_is_told_and_the_listener_goes_on(
    mode: str, fault: Callable[[TLSPeer], Any], expected: tuple[type[Exception], ...], certificates: Certificates
) -> None:
    errors: list[Exception] = []
    served: list[AsyncTLSStreamTransport] = []

    async def handler(tls: AsyncTLSStreamTransport) -> None:
        served.append(tls)
        await echo(tls)

    async with tls_server(mode, handler, handshake_error_handler=errors.append) as server:
        peer = await server.connect(certificates.client_context(trusting=fault is not trust_nobody))
        await fault(peer)
        while not errors:
            await asyncio.sleep(0.001)
        assert not served
        assert await server.ask() == b"hello"
    assert len(errors) == 1
    assert isinstance(errors[0], expected)


@faults
async def test_failed_handshake_is_logged_in_one_line_by_default(
    mode: str, fault: Callable[[TLSPeer], Any], expected: object, certificates: Certificates, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with tls_server(mode) as server:
        await fault(await server.connect(certificates.client_context(trusting=fault is not trust_nobody)))
        while not caplog.records:
            await asyncio.sleep(0.001)
        assert await server.ask() == b"hello"
    [record] = caplog.records
    assert record.name == LOGGER
    # In TLS 1.3, a closing alert in place of the first message is a protocol error.
    its_fault = (speak_plain_text, trust_nobody, close_tls_in_the_midst)
    assert record.levelno == (logging.WARNING if fault in its_fault else logging.DEBUG)
    assert record.exc_info is None
    assert re.fullmatch(r"(\('127.0.0.1', \d+\)|an unknown peer): the TLS handshake failed: .+", record.getMessage())


async def test_slow_handshake_is_logged_at_debug(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with tls_server(mode, handshake_timeout=0.05) as server:
        peer = await server.connect()
        # The transport of these tests that is pulled has no names.
        address = "an unknown peer" if mode == "pulled" else peer.sock.getsockname()
        assert await server.ask() == b"hello"
        while not caplog.records:
            await asyncio.sleep(0.001)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.exc_info is None
    assert record.getMessage().startswith(f"{address}: the TLS handshake failed: ")


async def test_bug_in_a_callback_of_the_context_is_logged_with_its_traceback(
    mode: str, certificates: Certificates, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine(TLSEngine):
        def handshake(self, ciphertext: bytes = b"") -> bool:
            raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(tls_module, "TLSEngine", Engine)
    async with tls_server(mode) as server:
        await server.connect(certificates.client_context())
        while not caplog.records:
            await asyncio.sleep(0.001)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_error_handler_that_fails_is_a_warning(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(exc: Exception) -> None:
        raise ZeroDivisionError

    async with tls_server(mode, handshake_error_handler=fail) as server:
        for _ in range(2):
            await speak_plain_text(await server.connect())
        assert await server.ask() == b"hello"
    assert [(record.name, record.levelno) for record in caplog.records] == [(LOGGER, logging.WARNING)] * 2
    assert all(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


async def test_clients_without_a_certificate_are_refused(
    mode: str, tls_version: str, certificates: Certificates
) -> None:
    errors: list[Exception] = []
    context = certificates.server_context(tls_version, ask_client=True)
    async with tls_server(mode, context=context, handshake_error_handler=errors.append) as server:
        peer = await server.connect()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await peer.handshake()
            await peer.receive_plaintext()
        good = await server.connect(certificates.client_context(with_certificate=True))
        await good.handshake()
        await good.send_plaintext(b"x")
        assert await good.receive_plaintext() == b"x"
    assert [getattr(error, "reason", None) for error in errors] == ["PEER_DID_NOT_RETURN_A_CERTIFICATE"]


async def test_cancelling_serve_ends_handshakes_and_handlers(mode: str) -> None:
    ended: list[str] = []

    async def handler(tls: AsyncTLSStreamTransport) -> None:
        try:
            async with tls:
                await tls.send_all(b"hello")
                await tls.recv(1)
        finally:
            ended.append("handler")

    async with tls_server(mode, handler) as server:
        await server.connect()
        good = await server.connect()
        await good.handshake()
        assert await good.receive_plaintext() == b"hello"
        assert not ended
    assert ended == ["handler"]


async def test_handlers_run_in_the_given_group(mode: str, certificates: Certificates) -> None:
    backend = AsyncIOBackend()
    pulling = PullingListener()
    async with AsyncTLSListener(pulling, certificates.server_context()) as listener:
        server = Serving(listener, pulling.address)
        async with backend.create_task_group() as group:
            accepting = await group.start(listener.serve, echo, group)
            peer = await server.connect()
            await peer.handshake()
            accepting.cancel()
            await accepting.wait()
            await peer.send_plaintext(b"still there")
            assert await peer.receive_plaintext() == b"still there"
            await peer.close_tls()
        peer.close()


async def test_it_is_a_listener_like_the_one_below(certificates: Certificates) -> None:
    backend = AsyncIOBackend()
    context = certificates.server_context()
    [plain] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
    listener = AsyncTLSListener(plain, context, standard_compatible=False)
    assert listener.backend() is backend
    assert listener.extra(SocketAttribute.sockname) == plain.extra(SocketAttribute.sockname)
    assert listener.extra(TLSAttribute.sslcontext) is context
    assert listener.extra(TLSAttribute.standard_compatible) is False
    assert listener.extra(TLSAttribute.cipher, None) is None
    assert repr(listener)
    async with backend.create_task_group() as group:
        serving_task = await group.start(listener.serve, echo)
        await backend.coro_yield()
        with pytest.raises(BusyResourceError):
            await listener.serve(echo)
        serving_task.cancel()
    assert not listener.is_closing()
    await listener.aclose()
    assert listener.is_closing()
    assert plain.is_closing()
    with pytest.raises(OSError) as info:
        await listener.serve(echo)
    assert info.value.errno == errno.EBADF


@pytest.mark.parametrize("name", ["handshake_timeout", "shutdown_timeout"])
@pytest.mark.parametrize("value", [-1, float("nan")])
async def test_times_are_not_negative(certificates: Certificates, name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    async with PullingListener() as pulling:
        with pytest.raises(ValueError, match=name):
            AsyncTLSListener(pulling, certificates.server_context(), **options)


@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_options_reach_the_connections(mode: str, standard_compatible: bool) -> None:
    async def handler(tls: AsyncTLSStreamTransport) -> None:
        async with tls:
            await tls.send_all(str(tls.extra(TLSAttribute.standard_compatible)).encode())
            await tls.recv(1)

    async with tls_server(mode, handler, standard_compatible=standard_compatible) as server:
        peer = await server.connect()
        await peer.handshake()
        assert await peer.receive_plaintext() == str(standard_compatible).encode()
        await peer.send_plaintext(b"x")
        if standard_compatible:
            assert await peer.plaintext_rest() == b""
        else:
            with pytest.raises(ssl.SSLEOFError):
                await peer.plaintext_rest()
