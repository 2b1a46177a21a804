"""Another TLS context for a server that runs: new handshakes get it, and nobody else notices."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
from tests.support.background import new_event, spawn, until
from tests.support.certificates import the_certificates
from tests.support.lines import line_protocol
from tests.support.peers import Peer
from tests.support.slow_backend import slow_backend
from tests.support.stream_servers import Client, Handler, Requests, Serving, run, serving
from tests.support.tls_connections import TLSPeer
from tests.support.tls_servers import TLSClient, connect

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel.api_async.backend.abc import IEvent
from easynetwork.lowlevel.socket import TLSAttribute
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer

EVERY_BACKEND = True

OLD = the_certificates().server_certificate()
NEW = the_certificates().server_certificate(renewed=True)


def old_context(version: str | None = None, **options: Any) -> ssl.SSLContext:
    return the_certificates().server_context(version, **options)


def new_context(version: str | None = None, **options: Any) -> ssl.SSLContext:
    return the_certificates().server_context(version, renewed=True, **options)


def shown_to(peer: TLSClient | TLSPeer) -> bytes | None:
    """The certificate that the server has shown."""
    engine = peer.below.engine if isinstance(peer, TLSClient) else peer.engine
    return engine.ssl_object.getpeercert(binary_form=True)


def tls_server(it: Serving) -> AsyncTCPNetworkServer[Any, Any]:
    assert isinstance(it.server, AsyncTCPNetworkServer)
    return it.server


# -------------------------------------------------------------------------------------------- new and old connections


async def test_new_handshakes_get_the_new_certificate_and_connections_live_on(tls_version: str) -> None:
    client = the_certificates().client_context(tls_version)
    async with serving(Handler(), ssl=old_context(tls_version)) as it:
        before = await connect(it, client)
        assert await before.ask(b"before") == b"before"
        await before.send(b"in pie")
        tls_server(it).reload_tls(new_context(tls_version))
        await before.send(b"ces\n")
        assert await before.line() == b"in pieces"
        after = await connect(it, client)
        for peer in (before, after):
            for number in range(100):
                assert await peer.ask(b"%d" % number) == b"%d" % number
        assert (shown_to(before), shown_to(after)) == (OLD, NEW)
        tls_server(it).reload_tls(old_context(tls_version))
        again = await connect(it, client)
        assert shown_to(again) == OLD
        for peer in (before, after, again):
            assert await peer.ask(b"last") == b"last"
            await peer.leave()


async def test_a_handshake_that_has_begun_ends_with_the_old_context(tls_version: str) -> None:
    async with serving(Handler(), ssl=old_context(tls_version)) as it:
        sock = (await it.connect()).sock
        client = the_certificates().client_context(tls_version)
        begun = TLSPeer(sock, client, server_side=False, server_hostname="localhost")
        begun.engine.handshake()
        await begun.flush()
        begun.engine.handshake(await begun._receive())
        tls_server(it).reload_tls(new_context(tls_version))
        await begun.flush()
        await begun.handshake()
        await begun.send_plaintext(b"a\n")
        assert await begun.receive_plaintext() == b"a\n"
        assert shown_to(begun) == OLD
        assert shown_to(await connect(it)) == NEW


async def test_a_client_that_is_connected_before_its_first_byte_has_begun() -> None:
    """The server has accepted it, so the context is chosen."""
    async with serving(Handler(), ssl=old_context()) as it:
        silent = await it.connect()
        await connect(it)  # accepted after it
        tls_server(it).reload_tls(new_context())
        peer = TLSPeer(silent.sock, the_certificates().client_context(), server_side=False, server_hostname="localhost")
        await peer.handshake()
        assert shown_to(peer) == OLD


async def test_all_listeners_change_together() -> None:
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        ["127.0.0.1", "127.0.0.2"], 0, line_protocol(), Handler(), ssl=old_context()
    )

    async def shown_at(address: tuple[str, int]) -> bytes | None:
        with socket.socket() as sock:
            await Peer(sock).connect(address)
            peer = TLSPeer(sock, the_certificates().client_context(), server_side=False, server_hostname="localhost")
            await peer.handshake()
            return shown_to(peer)

    async with run(server):
        addresses = [(address.host, address.port) for address in server.get_addresses()]
        assert [await shown_at(address) for address in addresses] == [OLD, OLD]
        context = new_context()
        server.reload_tls(context)
        assert [await shown_at(address) for address in addresses] == [NEW, NEW]
        for listener in server._servers or ():
            assert listener.extra(TLSAttribute.sslcontext) is context


async def test_a_served_client_knows_the_context_of_its_own_handshake() -> None:
    handler = Handler()
    contexts = old_context(), new_context()
    async with serving(handler, ssl=contexts[0]) as it:
        clients = []
        for context in contexts:
            tls_server(it).reload_tls(context)
            await (await connect(it)).ask(b"a")
            clients.append(handler.client)
        assert [client.extra(TLSAttribute.sslcontext) for client in clients] == list(contexts)


async def test_every_setting_of_the_new_context_counts() -> None:
    async with serving(Handler(), ssl=old_context()) as it:
        stranger = await connect(it, the_certificates().client_context("TLSv1.2"))
        tls_server(it).reload_tls(new_context("TLSv1.2", ask_client=True))
        with pytest.raises((ssl.SSLError, OSError)):
            await (await connect(it, the_certificates().client_context("TLSv1.2"))).ask(b"a")
        known = await connect(it, the_certificates().client_context("TLSv1.2", with_certificate=True))
        for peer in (stranger, known):
            assert await peer.ask(b"a") == b"a"


# ----------------------------------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize("reloads", [False, True])
async def test_a_session_of_the_old_context_costs_a_full_handshake_and_no_error(
    tls_version: str, reloads: bool
) -> None:
    client = the_certificates().client_context(tls_version)
    async with serving(Handler(), ssl=old_context(tls_version)) as it:
        first = await connect(it, client)
        assert await first.ask(b"a") == b"a"  # and the tickets of TLS 1.3
        session = first.below.engine.ssl_object.session
        assert session is not None
        if reloads:
            tls_server(it).reload_tls(new_context(tls_version))
        sock = (await it.connect()).sock
        second = TLSPeer(sock, client, server_side=False, server_hostname="localhost", session=session)
        await second.handshake()
        await second.send_plaintext(b"b\n")
        assert await second.receive_plaintext() == b"b\n"
        assert second.engine.ssl_object.session_reused is not reloads
        assert shown_to(second) == (NEW if reloads else OLD)
        assert await first.ask(b"c") == b"c"


# ---------------------------------------------------------------------------------------------------- names of servers


async def test_a_context_chooses_certificates_by_name_as_before() -> None:
    asked: list[str | None] = []
    other = new_context()

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, own_context: object) -> None:
        asked.append(name)
        connection.context = other

    choosing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate of its own
    choosing.sni_callback = choose
    async with serving(Handler(), ssl=old_context()) as it:
        tls_server(it).reload_tls(choosing)
        assert asked == []
        assert choosing.sni_callback is choose
        peer = await connect(it)
        assert shown_to(peer) == NEW
        assert await peer.ask(b"a") == b"a"
        tls_server(it).reload_tls(old_context())
        assert shown_to(await connect(it)) == OLD
    assert asked == ["localhost"]


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make_context", "error", "message"),
    [
        (lambda: None, TypeError, "certificate of the server, got None"),
        (lambda: True, TypeError, "certificate of the server, got True"),
        (lambda: the_certificates().client_context(with_certificate=True), ValueError, "for clients only"),
        (lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ValueError, "has no certificate"),
        (lambda: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ValueError, "has no certificate"),
    ],
)
async def test_a_context_that_no_server_can_use_is_refused_and_the_old_one_stays(
    make_context: Any, error: type[Exception], message: str
) -> None:
    async with serving(Handler(), ssl=old_context()) as it:
        with pytest.raises(error, match=message):
            tls_server(it).reload_tls(make_context())
        peer = await connect(it)
        assert shown_to(peer) == OLD
        assert await peer.ask(b"a") == b"a"


async def test_a_server_without_tls_has_nothing_to_reload() -> None:
    async with serving(Handler()) as it:
        with pytest.raises(RuntimeError, match="does not use TLS"):
            tls_server(it).reload_tls(new_context())
        assert await (await it.connect()).ask(b"a") == b"a"


# ---------------------------------------------------------------------------------------------- the life of the server


async def test_before_it_is_up_and_after_a_shutdown() -> None:
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), Handler(), ssl=old_context()
    )
    server.reload_tls(new_context())
    await server.server_activate()
    task = spawn(server.serve_forever())
    await until(server.is_serving)
    it = Serving(server, task)
    assert shown_to(await connect(it)) == NEW
    await server.shutdown()
    server.reload_tls(old_context())
    task = spawn(server.serve_forever())
    await until(server.is_serving)
    assert shown_to(await connect(it)) == OLD
    await server.shutdown()
    await server.server_close()
    it.hang_up()


@pytest.mark.parametrize("cancels", [False, True])
async def test_while_the_sockets_are_being_opened(cancels: bool) -> None:
    backend, slow = slow_backend("create_tcp_listeners")
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), Handler(), backend, ssl=old_context()
    )
    activation = spawn(server.server_activate())
    await until(lambda: slow.calls)
    server.reload_tls(new_context())
    if cancels:
        activation.cancel()  # the next call opens them
        await activation.wait()
    slow.go_on.set()
    async with run(server) as it:
        assert shown_to(await connect(it)) == NEW


async def test_while_it_drains_but_not_when_it_is_closed() -> None:
    class Slow(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await self.go_on.wait()
            await client.send_packet(request)

        go_on: IEvent

    handler = Slow()
    handler.go_on = new_event()
    async with serving(handler, ssl=old_context()) as it:
        server = tls_server(it)
        peer = await connect(it)
        await peer.send(b"a\n")
        draining = spawn(server.drain())
        server.reload_tls(new_context())
        await until(lambda: not server.is_listening())
        server.reload_tls(new_context())  # there is nobody to get it, which is no error
        handler.go_on.set()
        assert await peer.rest() == b"a\n"
        peer.close()
        await draining.result()
        with pytest.raises(ServerClosedError):
            server.reload_tls(new_context())


async def test_a_closed_server_takes_none() -> None:
    async with serving(Handler(), ssl=old_context()) as it:
        peer = await connect(it)
        await it.server.server_close()
        with pytest.raises(ServerClosedError):
            tls_server(it).reload_tls(new_context())
        assert await peer.ask(b"a") == b"a"
        await peer.leave()


async def test_a_cancelled_handshake_and_a_cancelled_server_leave_the_new_context() -> None:
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), Handler(), ssl=old_context()
    )
    task = spawn(server.serve_forever())
    await until(server.is_serving)
    it = Serving(server, task)
    silent = await it.connect()
    await connect(it)
    server.reload_tls(new_context())
    task.cancel()
    assert await silent.gone()
    await task.wait()
    task = spawn(server.serve_forever())
    await until(server.is_serving)
    assert shown_to(await connect(it)) == NEW
    await server.shutdown()
    await server.server_close()
    it.hang_up()
