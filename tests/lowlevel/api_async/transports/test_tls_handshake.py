"""The handshake of TLS transports, and what becomes of the connection if it fails."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.certificates import Certificates
from tests.support.peers import turns_of_the_loop
from tests.support.sockets import tcp_pair
from tests.support.tls_connections import (
    PATIENCE,
    Hidden,
    TLSPeer,
    connected,
    until_closed,
    wrap,
)

from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.socket import TLSAttribute

SERVER = {"server_side": True}


@contextlib.asynccontextmanager
async def unconnected(certificates: Certificates) -> AsyncIterator[tuple[socket.socket, TLSPeer]]:
    """Our socket, and a peer that may be the server of a handshake. At the end, our socket is closed."""
    ours, theirs = tcp_pair()
    peer = TLSPeer(theirs, certificates.server_context(), server_side=True)
    with contextlib.closing(peer):
        async with asyncio.timeout(PATIENCE):
            yield ours, peer
    await until_closed(ours)


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("options", [{}, SERVER], ids=["client", "server"])
@pytest.mark.parametrize("timeout", [0, 0.02])
async def test_silent_peer_is_not_waited_for_long(
    mode: str, certificates: Certificates, options: dict[str, Any], timeout: float
) -> None:
    context = certificates.server_context() if options else certificates.client_context()
    async with unconnected(certificates) as (ours, peer):
        with pytest.raises(TimeoutError):
            await wrap(ours, mode, context, handshake_timeout=timeout, **options)
        assert await peer.gone()


async def test_peer_that_falls_silent_is_not_waited_for_long(mode: str, certificates: Certificates) -> None:
    async with unconnected(certificates) as (ours, peer):
        handshake = asyncio.create_task(wrap(ours, mode, certificates.client_context(), handshake_timeout=0.05))
        peer.engine.handshake(await peer._receive())
        await peer.send(peer.engine.take_outgoing()[:-1])
        with pytest.raises(TimeoutError):
            await handshake
        assert await peer.gone()


@pytest.mark.parametrize("options", [{}, SERVER], ids=["client", "server"])
@pytest.mark.parametrize("leave", [TLSPeer.half_close, TLSPeer.close])
@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_peer_that_leaves_is_an_error(
    mode: str, certificates: Certificates, options: dict[str, Any], leave: Any, standard_compatible: bool
) -> None:
    context = certificates.server_context() if options else certificates.client_context()
    async with unconnected(certificates) as (ours, peer):
        handshake = asyncio.create_task(wrap(ours, mode, context, standard_compatible=standard_compatible, **options))
        await turns_of_the_loop(5)
        leave(peer)
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)) as info:
            await handshake
        if leave is TLSPeer.half_close:
            assert isinstance(info.value, ssl.SSLEOFError)
            assert await peer.gone()


async def test_peer_that_resets_is_an_error(mode: str, certificates: Certificates) -> None:
    async with unconnected(certificates) as (ours, peer):
        handshake = asyncio.create_task(wrap(ours, mode, certificates.client_context()))
        await turns_of_the_loop(5)
        peer.reset()
        with pytest.raises(ConnectionResetError):
            await handshake


async def test_peer_that_has_gone_before_is_an_error(mode: str, certificates: Certificates) -> None:
    async with unconnected(certificates) as (ours, peer):
        peer.close()
        with pytest.raises((ssl.SSLEOFError, ConnectionError)):
            await wrap(ours, mode, certificates.client_context())


@pytest.mark.parametrize("options", [{}, SERVER], ids=["client", "server"])
@pytest.mark.parametrize("leaves", [True, False])
async def test_plain_text_is_an_error(
    mode: str, certificates: Certificates, options: dict[str, Any], leaves: bool
) -> None:
    context = certificates.server_context() if options else certificates.client_context()
    async with unconnected(certificates) as (ours, peer):
        await peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if leaves:
            peer.half_close()
        with pytest.raises(ssl.SSLError) as info:
            await wrap(ours, mode, context, **options)
        assert not isinstance(info.value, ssl.SSLEOFError)
        assert await peer.gone()


@pytest.mark.parametrize("reason", ["authority", "name"])
async def test_refused_certificate_is_an_error_that_the_server_is_told(
    mode: str, tls_version: str, certificates: Certificates, reason: str
) -> None:
    context = certificates.client_context(tls_version, trusting=reason != "authority")
    async with unconnected(certificates) as (ours, peer):
        server = asyncio.create_task(peer.handshake())
        with pytest.raises(ssl.SSLCertVerificationError):
            await wrap(ours, mode, context, server_hostname="other.example" if reason == "name" else "localhost")
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            await server
        assert await peer.gone()


async def test_missing_certificate_of_a_client_is_an_error_that_it_is_told(
    mode: str, tls_version: str, certificates: Certificates
) -> None:
    ours, theirs = tcp_pair()
    peer = TLSPeer(theirs, certificates.client_context(tls_version), server_side=False, server_hostname="localhost")
    client = asyncio.create_task(peer.handshake())
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        await wrap(ours, mode, certificates.server_context(tls_version, ask_client=True), **SERVER)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        await client
        await peer.receive_plaintext()  # with TLS 1.3, the client has been ready before the server
    await until_closed(ours)
    peer.close()


async def test_context_that_wants_a_name_needs_one(mode: str, certificates: Certificates) -> None:
    async with unconnected(certificates) as (ours, peer):
        with pytest.raises(ValueError, match="server_hostname"):
            await wrap(ours, mode, certificates.client_context(), server_side=False, server_hostname="")
        assert await peer.gone()


@pytest.mark.parametrize("name", ["handshake_timeout", "shutdown_timeout"])
@pytest.mark.parametrize("value", [-1, math.nan])
async def test_times_are_not_negative(mode: str, certificates: Certificates, name: str, value: float) -> None:
    async with unconnected(certificates) as (ours, peer):
        with pytest.raises(ValueError, match=name):
            await wrap(ours, mode, certificates.client_context(), **{name: value})
        assert await peer.gone()


async def test_closed_transport_is_an_error(mode: str, certificates: Certificates) -> None:
    async with unconnected(certificates) as (ours, _):
        transport = await AsyncIOBackend().wrap_stream_socket(ours)
        await transport.aclose()
        with pytest.raises(OSError):
            await AsyncTLSStreamTransport.wrap(
                Hidden(transport) if mode == "pulled" else transport,
                certificates.client_context(),
                server_hostname="localhost",
            )


# ------------------------------------------------------------------------------------------------------ cancellation


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5])
async def test_cancelled_handshake_closes_the_connection(mode: str, certificates: Certificates, turns: int) -> None:
    async with unconnected(certificates) as (ours, peer):
        transport = await AsyncIOBackend().wrap_stream_socket(ours)
        below = Hidden(transport) if mode == "pulled" else transport
        handshake = asyncio.create_task(
            AsyncTLSStreamTransport.wrap(below, certificates.client_context(), server_hostname="localhost")
        )
        await turns_of_the_loop(1 + turns)
        handshake.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handshake
        assert transport.is_closing()
        assert await peer.gone()


async def test_handshake_that_is_cancelled_at_any_moment_completes_or_closes(
    mode: str, certificates: Certificates
) -> None:
    outcomes = set()
    for turns in range(1, 40):
        async with unconnected(certificates) as (ours, peer):
            server = asyncio.create_task(peer.handshake())
            handshake = asyncio.create_task(wrap(ours, mode, certificates.client_context()))
            await turns_of_the_loop(turns)
            handshake.cancel()
            await asyncio.wait([handshake])
            outcomes.add(handshake.cancelled())
            if not handshake.cancelled():
                await server
                peer.close()
                await handshake.result().aclose()
            else:
                server.cancel()
                await asyncio.wait([server])
                assert await peer.gone()
    assert True in outcomes


# ----------------------------------------------------------------------------------------------------------- success


async def test_side_follows_from_the_name(mode: str, certificates: Certificates) -> None:
    """Without a name for the server, ours is the server."""
    ours, theirs = tcp_pair()
    backend = AsyncIOBackend()
    one, other = await backend.wrap_stream_socket(ours), await backend.wrap_stream_socket(theirs)
    client, server = await asyncio.gather(
        AsyncTLSStreamTransport.wrap(
            Hidden(one) if mode == "pulled" else one, certificates.client_context(), server_hostname="server.example"
        ),
        AsyncTLSStreamTransport.wrap(other, certificates.server_context()),
    )
    await client.send_all(b"x")
    assert await server.recv(10) == b"x"
    await asyncio.gather(client.aclose(), server.aclose())


async def test_both_sides_show_their_certificates(mode: str, tls_version: str, certificates: Certificates) -> None:
    client = certificates.client_context(tls_version, with_certificate=True)
    server = certificates.server_context(tls_version, ask_client=True)
    async with connected(mode, client=client, server=server, server_side=True) as (tls, _):
        assert ("email", "client@example.org") in tls.extra(TLSAttribute.peercert)["subjectAltName"]


@pytest.mark.parametrize("name", ["server.example", "localhost", "127.0.0.1"])
async def test_server_is_asked_by_its_name(mode: str, certificates: Certificates, name: str) -> None:
    names: list[str | None] = []
    server = certificates.server_context()
    server.sni_callback = lambda _tls, name, _context: names.append(name)
    async with connected(mode, server=server, server_hostname=name):
        pass
    assert names == [None if name == "127.0.0.1" else name]  # RFC 6066: no addresses


async def test_session_is_resumed(mode: str, certificates: Certificates) -> None:
    client, server = certificates.client_context("TLSv1.2"), certificates.server_context("TLSv1.2")
    async with connected(mode, client=client, server=server) as (tls, peer):
        session = tls._engine.ssl_object.session
        assert not peer.engine.ssl_object.session_reused
    async with connected(mode, client=client, server=server, session=session) as (tls, peer):
        assert tls._engine.ssl_object.session_reused
        await peer.send_plaintext(b"x")
        assert await tls.recv(100) == b"x"


async def test_plaintext_that_comes_with_the_last_message_is_received(
    mode: str, tls_version: str, certificates: Certificates
) -> None:
    """The version says which side is done last."""
    is_client_last = tls_version == "TLSv1.2"
    ours, theirs = tcp_pair()
    peer = TLSPeer(
        theirs,
        certificates.server_context(tls_version) if is_client_last else certificates.client_context(tls_version),
        server_side=is_client_last,
        server_hostname=None if is_client_last else "localhost",
    )
    context = certificates.client_context(tls_version) if is_client_last else certificates.server_context(tls_version)
    handshake = asyncio.create_task(wrap(ours, mode, context, server_side=not is_client_last))
    data = b""
    while not peer.engine.handshake(data):
        await peer.flush()
        data = await peer._receive()
    peer.engine.encrypt(b"x" * 20_000)
    await peer.close_tls()
    tls = await handshake
    received = b""
    while data := await tls.recv(100_000):
        received += data
    assert received == b"x" * 20_000
    await tls.aclose()
    peer.close()
    await until_closed(ours)


async def test_connection_can_begin_in_the_clear(mode: str, certificates: Certificates) -> None:
    """What was sent before, or has come already, belongs to the receiver."""
    async with unconnected(certificates) as (ours, peer):
        transport = await AsyncIOBackend().wrap_stream_socket(ours)
        await transport.send_all(b"STARTTLS?")
        assert await peer._receive() == b"STARTTLS?"
        peer = TLSPeer(peer.sock, certificates.client_context(), server_side=False, server_hostname="localhost")
        peer.engine.handshake()
        await peer.send(b"OK" + peer.engine.take_outgoing())
        assert await transport.recv(2) == b"OK"
        handshake = asyncio.create_task(peer.handshake())
        tls = await AsyncTLSStreamTransport.wrap(
            Hidden(transport) if mode == "pulled" else transport, certificates.server_context()
        )
        await handshake
        await peer.send_plaintext(b"x")
        assert await tls.recv(100) == b"x"
        peer.close()
        await tls.aclose()


async def test_times_may_be_without_limit(mode: str) -> None:
    async with connected(mode, handshake_timeout=math.inf, shutdown_timeout=math.inf) as (tls, peer):
        closing = asyncio.create_task(tls.aclose())
        await peer.plaintext_rest()
        await peer.close_tls()
        await closing
