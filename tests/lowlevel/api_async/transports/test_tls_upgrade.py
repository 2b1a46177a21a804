"""TLS that starts on a connection after an exchange of plaintext, on every backend."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background import spawn
from tests.support.certificates import Certificates
from tests.support.sockets import stream_pair
from tests.support.tls_connections import Hidden, TLSPeer, until_closed

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import TLSAttribute

EVERY_BACKEND = True

FAMILIES = [pytest.param(socket.AF_INET, id="TCP"), pytest.param(socket.AF_UNIX, id="Unix")]

Connection = tuple[AsyncStreamTransport, TLSPeer]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> socket.AddressFamily:
    family: socket.AddressFamily = request.param
    return family


@contextlib.asynccontextmanager
async def connected(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, context: ssl.SSLContext, **options: Any
) -> AsyncIterator[Connection]:
    """Connect our transport, after an exchange of plaintext, to a peer with the settings of the other side."""
    ours, theirs = stream_pair(family)
    plain = await backend.wrap_stream_socket(ours)
    with contextlib.closing(TLSPeer(theirs, context, **options)) as peer:
        await plain.send_all(b"ready\n")
        assert await peer.line() == b"ready"
        await peer.send(b"STARTTLS\n")
        assert await plain.recv(100) == b"STARTTLS\n"
        try:
            yield Hidden(plain) if mode == "pulled" else plain, peer
        finally:
            await aclose_forcefully(plain)
    await until_closed(ours)


def to_client(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates, **options: Any
) -> Any:
    """Connect our transport to a client."""
    context = certificates.client_context()
    return connected(backend, mode, family, context, **{"server_side": False, "server_hostname": "localhost"} | options)


def to_server(backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates) -> Any:
    """Connect our transport to a server."""
    return connected(backend, mode, family, certificates.server_context(), server_side=True)


@contextlib.asynccontextmanager
async def started(
    plain: AsyncStreamTransport, context: ssl.SSLContext, received: bytes = b"", **options: Any
) -> AsyncIterator[AsyncTLSStreamTransport]:
    """Start TLS, and close the connection abruptly at the end."""
    tls = await AsyncTLSStreamTransport._start(plain, context, received=received, **options)
    try:
        yield tls
    finally:
        await aclose_forcefully(tls)


async def say_hello(peer: TLSPeer) -> bytes:
    """Return what the peer sends first. Nothing is sent."""
    assert not peer.engine.handshake()
    return peer.engine.take_outgoing()


@pytest.mark.parametrize("size", [0, 1, 2, 5, 6, 100, None])
async def test_bytes_that_were_taken_from_the_transport_begin_the_handshake(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates, size: int | None
) -> None:
    async with to_client(backend, mode, family, certificates) as (plain, peer):
        hello = await say_hello(peer)
        received, rest = hello[:size], hello[size:] if size is not None else b""
        if rest:
            await peer.send(rest)
        handshake = spawn(peer.handshake(b"with the last message"))
        async with started(plain, certificates.server_context(), received) as tls:
            await handshake.result()
            assert await tls.recv(100) == b"with the last message"
            await tls.send_all(b"answer")
            assert await peer.receive_plaintext() == b"answer"


async def test_handshake_begins_with_a_message_that_comes_byte_by_byte(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates
) -> None:
    async with to_client(backend, mode, family, certificates) as (plain, peer):
        hello = await say_hello(peer)

        async def handshake() -> None:
            for byte in hello[1:]:
                await peer.send(bytes([byte]))
                await backend.coro_yield()
            await peer.handshake()

        client = spawn(handshake())
        async with started(plain, certificates.server_context(), hello[:1]) as tls:
            await client.result()
            assert tls.extra(TLSAttribute.server_name) == "localhost"


async def test_client_starts_tls(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates
) -> None:
    async with to_server(backend, mode, family, certificates) as (plain, peer):
        server = spawn(peer.handshake())
        async with started(plain, certificates.client_context(), server_hostname="localhost") as tls:
            await server.result()
            await tls.send_all(b"question")
            assert await peer.receive_plaintext() == b"question"
            await peer.send_plaintext(b"answer")
            assert await tls.recv(100) == b"answer"
            closing = spawn(tls.aclose())
            assert await peer.plaintext_rest() == b""
            await peer.close_tls()
            await closing.result()


@pytest.mark.parametrize("where", ["taken", "unread", "late"])
@pytest.mark.parametrize("side", ["client", "server"])
async def test_plaintext_before_the_handshake_is_refused(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates, where: str, side: str
) -> None:
    """Also if the handshake follows."""
    options: dict[str, Any]
    if side == "server":
        connecting = to_client(backend, mode, family, certificates)
        context, options = certificates.server_context(), {"server_side": True}
    else:
        connecting = to_server(backend, mode, family, certificates)
        context, options = certificates.client_context(), {"server_hostname": "localhost"}
    async with connecting as (plain, peer):
        injected = b"RCPT TO:<a>\r\n"
        if side == "server":
            injected += await say_hello(peer)
        if where == "unread":
            await peer.send(injected)
        taken = injected if where == "taken" else b""
        start = spawn(AsyncTLSStreamTransport._start(plain, context, received=taken, **options))
        if where == "late":
            await backend.coro_yield()
            await peer.send(injected)
        with pytest.raises(ssl.SSLError, match=r"bytes of plaintext arrived before the TLS handshake.*CVE-2011-0411"):
            await start.result()
        assert plain.is_closing()
        assert await peer.gone()


async def test_handshake_that_takes_too_long_closes_the_connection(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates
) -> None:
    async with to_client(backend, mode, family, certificates) as (plain, peer):
        with pytest.raises(TimeoutError):
            await AsyncTLSStreamTransport._start(
                plain, certificates.server_context(), received=(await say_hello(peer))[:10], handshake_timeout=0.02
            )
        assert plain.is_closing()
        assert await peer.gone()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_cancelled_handshake_closes_the_connection(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates, turns: int
) -> None:
    async with to_client(backend, mode, family, certificates) as (plain, peer):
        hello = await say_hello(peer)
        start = spawn(AsyncTLSStreamTransport._start(plain, certificates.server_context(), received=hello))
        for _ in range(turns):
            await backend.coro_yield()
        start.cancel()
        await start.wait()
        if turns:  # otherwise the task may not have begun
            assert start.cancelled()
            assert plain.is_closing()
            assert await peer.gone()


async def test_peer_that_leaves_is_an_error(
    backend: AsyncBackend, mode: str, family: socket.AddressFamily, certificates: Certificates
) -> None:
    async with to_client(backend, mode, family, certificates) as (plain, peer):
        hello = await say_hello(peer)
        peer.half_close()
        with pytest.raises(ssl.SSLEOFError):
            await AsyncTLSStreamTransport._start(plain, certificates.server_context(), received=hello)
        assert await peer.gone()


@pytest.mark.parametrize("protocols", [["h2", "http/1.1"], ["other"], []])
@pytest.mark.parametrize("name", ["Server.Example", None])
async def test_protocol_and_name_are_attributes(
    backend: AsyncBackend,
    mode: str,
    family: socket.AddressFamily,
    certificates: Certificates,
    protocols: list[str],
    name: str | None,
) -> None:
    async with to_client(backend, mode, family, certificates) as (plain, peer):
        client_context, context = certificates.client_context(), certificates.server_context()
        client_context.check_hostname = False
        context.set_alpn_protocols(["http/1.1"])
        if protocols:
            client_context.set_alpn_protocols(protocols)
        peer = TLSPeer(peer.sock, client_context, server_side=False, server_hostname=name)
        handshake = spawn(peer.handshake())
        async with started(plain, context) as tls:
            await handshake.result()
            assert tls.extra(TLSAttribute.alpn_protocol, None) == ("http/1.1" if "http/1.1" in protocols else None)
            assert tls.extra(TLSAttribute.server_name, None) == (name and name.lower())
            if name is None:
                with pytest.raises(TypedAttributeLookupError):
                    tls.extra(TLSAttribute.server_name)
