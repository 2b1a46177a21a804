"""The asynchronous TCP client with TLS."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background import sleep, spawn, until
from tests.support.certificates import Certificates, the_certificates
from tests.support.lines import line_protocol
from tests.support.peers import turns_of_the_loop
from tests.support.socket_calls import socket_calls
from tests.support.sockets import tcp_pair
from tests.support.stream_servers import Handler, serving
from tests.support.tls_connections import PATIENCE, TLSPeer, until_closed

from easynetwork.clients import _tls
from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import ClientClosedError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

Client = AsyncTCPNetworkClient[str, str]


def new_client(arg: Any = ("127.0.0.1", 9), protocol: Any = None, **options: Any) -> Client:
    return AsyncTCPNetworkClient(arg, protocol or line_protocol(), **options)


class Remote:
    """A server that does what a test tells it to."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        self.listener = listener
        self.names: list[str | None] = []
        context.sni_callback = lambda _tls, name, _context: self.names.append(name)
        self._context = context
        self._peers: list[TLSPeer] = []

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()
        return host, port

    async def accept(self) -> TLSPeer:
        peer = TLSPeer(await socket_calls().accept(self.listener), self._context, server_side=True)
        self._peers.append(peer)
        return peer

    async def welcome(self) -> TLSPeer:
        """Accept, and do the handshake."""
        peer = await self.accept()
        await peer.handshake()
        return peer

    def close(self) -> None:
        self.listener.close()
        for peer in self._peers:
            peer.close()


@contextlib.asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[Remote]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    with contextlib.closing(Remote(listener, context or the_certificates().server_context())) as remote:
        with ensure_backend(None).timeout(PATIENCE):
            yield remote


@contextlib.asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[Client, TLSPeer]]:
    options.setdefault("ssl", the_certificates().client_context())
    options.setdefault("ssl_shutdown_timeout", 0.02)  # the peer seldom answers
    async with listening() as remote:
        welcome = spawn(remote.welcome())
        async with new_client(remote.address, **options) as client:
            yield client, await welcome.result()


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("use_tls", [True, "context"])
@pytest.mark.parametrize("address", [("", 9), "a socket"])
async def test_tls_without_any_host_name_is_refused(certificates: Certificates, use_tls: Any, address: Any) -> None:
    ours, theirs = tcp_pair()
    with theirs, ours, pytest.raises(ValueError, match="server_hostname"):
        new_client(
            ours if address == "a socket" else address,
            ssl=certificates.client_context() if use_tls == "context" else True,
        )


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [-1, math.nan])
async def test_times_are_not_negative(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        new_client(ssl=True, **{name: value})


async def test_tls_needs_a_python_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tls, "_ssl", None)
    with pytest.raises(RuntimeError):
        new_client(ssl=True)
    new_client()


async def test_default_context_does_not_hide_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def create_and_hide() -> ssl.SSLContext:
        contexts.append(create())
        contexts[-1].options |= ssl.OP_IGNORE_UNEXPECTED_EOF
        return contexts[-1]

    monkeypatch.setattr(ssl, "create_default_context", create_and_hide)
    new_client(ssl=True)
    new_client(ssl=True, server_hostname="")
    assert [context.check_hostname for context in contexts] == [True, False]
    assert all(context.verify_mode is ssl.CERT_REQUIRED for context in contexts)
    assert not any(context.options & ssl.OP_IGNORE_UNEXPECTED_EOF for context in contexts)


async def test_context_is_used_as_it_is(certificates: Certificates) -> None:
    context = certificates.client_context()
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    before = (context.options, context.check_hostname, context.verify_mode)
    async with connected(ssl=context, server_hostname="server.example"):
        assert (context.options, context.check_hostname, context.verify_mode) == before


# -------------------------------------------------------------------------------------------------------- connecting


@pytest.mark.parametrize(
    ("host", "server_hostname", "name"),
    [
        ("localhost", None, "localhost"),
        ("127.0.0.1", None, None),  # valid for the certificate, and never sent: RFC 6066, section 3
        ("127.0.0.1", "server.example", "server.example"),
        ("localhost", "server.example", "server.example"),
    ],
)
async def test_server_has_to_have_the_right_name(
    certificates: Certificates, host: str, server_hostname: str | None, name: str | None
) -> None:
    async with listening() as remote:
        welcome = spawn(remote.welcome())
        context = certificates.client_context()
        async with new_client(
            (host, remote.address[1]), ssl=context, server_hostname=server_hostname, ssl_shutdown_timeout=0
        ):
            await welcome.result()
        assert remote.names == [name]


@pytest.mark.usefixtures("local_names")
@pytest.mark.parametrize(("host", "name"), [("server.example.", "server.example"), ("127.0.0.1%lo", None)])
async def test_default_name_has_neither_a_final_dot_nor_a_zone(
    certificates: Certificates, host: str, name: str | None
) -> None:
    async with listening() as remote:
        welcome = spawn(remote.welcome())
        context = certificates.client_context()
        async with new_client((host, remote.address[1]), ssl=context, ssl_shutdown_timeout=0):
            await welcome.result()
        assert remote.names == [name]


async def test_server_of_another_name_is_refused(certificates: Certificates) -> None:
    async with listening() as remote:
        welcome = spawn(remote.welcome())
        client = new_client(remote.address, ssl=certificates.client_context(), server_hostname="other.example")
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.wait_connected()
        assert not client.is_connected()
        assert not client.is_closing()
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            await welcome.result()
        await client.aclose()


async def test_without_a_name_none_is_sent_or_checked(certificates: Certificates) -> None:
    context = certificates.client_context()
    context.check_hostname = False
    async with listening() as remote:
        welcome = spawn(remote.welcome())
        async with new_client(remote.address, ssl=context, server_hostname="", ssl_shutdown_timeout=0):
            await welcome.result()
        assert remote.names == [None]


async def test_without_a_name_a_context_that_checks_names_is_refused(certificates: Certificates) -> None:
    async with listening() as remote:
        client = new_client(remote.address, ssl=certificates.client_context(), server_hostname="")
        with pytest.raises(ValueError, match="server_hostname"):
            await client.wait_connected()
        await client.aclose()


@pytest.mark.parametrize("server_hostname", [None, ""])
async def test_default_context_trusts_no_unknown_authority(
    server_hostname: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Handler()
    async with serving(handler, ssl=the_certificates().server_context()) as it:
        [address] = it.server.get_addresses()
        client = new_client(("localhost", address.port), ssl=True, server_hostname=server_hostname)
        for use in (client.wait_connected, client.recv_packet, lambda: client.send_packet("x")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await use()
        await client.aclose()
        await until(lambda: [record for record in caplog.records if "TLS handshake" in record.getMessage()])
    assert handler.diary == []


@pytest.mark.parametrize("server_hostname", [None, ""])
async def test_default_context_trusts_the_authorities_of_the_system(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, server_hostname: str | None
) -> None:
    with certificates.authority_file() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        async with serving(Handler(), ssl=certificates.server_context()) as it:
            [address] = it.server.get_addresses()
            async with new_client(("localhost", address.port), ssl=True, server_hostname=server_hostname) as client:
                await client.send_packet("a")
                assert await client.recv_packet() == "a"


async def test_connected_socket_is_adopted(certificates: Certificates) -> None:
    ours, theirs = tcp_pair()
    peer = TLSPeer(theirs, certificates.server_context(), server_side=True)
    handshake = spawn(peer.handshake())
    client = new_client(ours, ssl=certificates.client_context(), server_hostname="localhost")
    await client.send_packet("a")
    await handshake.result()
    assert await peer.receive_plaintext() == b"a\n"
    await peer.close_tls()
    await client.aclose()
    await until_closed(ours)
    peer.close()


async def test_handshake_has_a_time_limit(certificates: Certificates) -> None:
    async with listening() as remote:
        client = new_client(remote.address, ssl=certificates.client_context(), ssl_handshake_timeout=0.02)
        with pytest.raises(TimeoutError):
            await client.wait_connected()
        assert await (await remote.accept()).gone()
        await client.aclose()


@pytest.mark.parametrize("leave", [TLSPeer.half_close, TLSPeer.reset])
async def test_server_that_leaves_during_the_handshake_can_be_tried_again(
    certificates: Certificates, leave: Any
) -> None:
    async with listening() as remote:
        client = new_client(remote.address, ssl=certificates.client_context(), ssl_shutdown_timeout=0)
        connecting = spawn(client.wait_connected())
        peer = await remote.accept()
        await peer._receive()
        leave(peer)
        with pytest.raises(ConnectionAbortedError):
            await connecting.result()
        assert not client.is_connected()
        welcome = spawn(remote.welcome())
        await client.wait_connected()
        await welcome.result()
        await client.aclose()


async def test_closing_during_the_handshake_ends_it(certificates: Certificates) -> None:
    async with listening() as remote:
        client = new_client(remote.address, ssl=certificates.client_context())
        connecting = spawn(client.wait_connected())
        peer = await remote.accept()
        await peer._receive()
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await connecting.result()
        assert await peer.gone()


async def test_handshake_that_is_cancelled_closes_the_connection(certificates: Certificates) -> None:
    async with listening() as remote:
        client = new_client(remote.address, ssl=certificates.client_context(), ssl_shutdown_timeout=0)
        connecting = spawn(client.wait_connected())
        peer = await remote.accept()
        await peer._receive()
        connecting.cancel()
        await connecting.wait()
        assert connecting.cancelled()
        assert await peer.gone()
        welcome = spawn(remote.welcome())
        await client.wait_connected()
        await welcome.result()
        await client.aclose()


# ----------------------------------------------------------------------------------------------------------- packets


@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
async def test_packets_go_both_ways(tls_version: str, certificates: Certificates, protocol_class: Any) -> None:
    context = certificates.client_context(tls_version)
    async with connected(ssl=context, protocol=protocol_class(StringLineSerializer())) as (client, peer):
        for number in range(10):
            await client.send_packet(f"question {number}")
            assert await peer.receive_plaintext() == b"question %d\n" % number
            await peer.send_plaintext(b"answer %d\n" % number)
            assert await client.recv_packet() == f"answer {number}"
        await peer.send_plaintext(b"".join(b"%d\n" % number for number in range(10_000)))
        assert [await client.recv_packet() for _ in range(10_000)] == [str(number) for number in range(10_000)]
        assert client.get_remote_address() == peer.sock.getsockname()


async def test_client_and_server_understand_each_other(tls_version: str, certificates: Certificates) -> None:
    async with serving(Handler(), ssl=certificates.server_context(tls_version)) as it:
        [address] = it.server.get_addresses()
        clients = [
            new_client(("localhost", address.port), ssl=certificates.client_context(tls_version)) for _ in range(10)
        ]

        async def use(client: Client, name: str) -> None:
            async with client:
                for number in range(20):
                    await client.send_packet(f"{name} {number}")
                for number in range(20):
                    assert await client.recv_packet() == f"{name} {number}"
                await client.send_packet("x" * 60_000)
                assert await client.recv_packet() == "x" * 60_000

        with ensure_backend(None).timeout(PATIENCE):
            await ensure_backend(None).gather(*(use(client, str(number)) for number, client in enumerate(clients)))


async def test_packet_that_came_in_part_is_kept_by_a_cancelled_reception(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        receiving = spawn(client.recv_packet())
        await peer.send_plaintext(b"one and ")
        await sleep(0.01)
        receiving.cancel()
        await receiving.wait()
        await peer.send_plaintext(b"the same\n")
        assert await client.recv_packet() == "one and the same"


async def test_one_direction_alone_cannot_be_closed() -> None:
    async with connected() as (client, peer):
        with pytest.raises(UnsupportedOperation):
            await client.send_eof()
        await client.send_packet("still there")
        assert await peer.receive_plaintext() == b"still there\n"
        await peer.send_plaintext(b"yes\n")
        assert await client.recv_packet() == "yes"


# ----------------------------------------------------------------------------------------------------------- the end


async def test_server_that_closes_tls_ends_its_direction() -> None:
    async with connected() as (client, peer):
        await peer.send_plaintext(b"last words\nnot compl")
        await peer.close_tls()
        assert await client.recv_packet() == "last words"
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError):
                await client.recv_packet()
            await client.send_packet("goodbye")
            assert await peer.receive_plaintext() == b"goodbye\n"
        assert not client.is_closing()


@pytest.mark.parametrize("leave", [TLSPeer.half_close, TLSPeer.close, TLSPeer.reset])
@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_server_that_just_leaves_ends_the_connection(leave: Any, standard_compatible: bool) -> None:
    async with connected(ssl_standard_compatible=standard_compatible) as (client, peer):
        if leave is not TLSPeer.reset:
            await peer.send_plaintext(b"last words\n")
        leave(peer)
        if leave is not TLSPeer.reset:
            assert await client.recv_packet() == "last words"
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError) as info:
                await client.recv_packet()
        if standard_compatible:
            expected = ConnectionResetError if leave is TLSPeer.reset else ssl.SSLEOFError
            assert isinstance(info.value.__cause__, expected)
        assert not client.is_closing()


async def test_bad_record_is_an_error_as_it_is() -> None:
    async with connected() as (client, peer):
        await peer.send(b"nonsense" * 10)
        for _ in range(2):
            with pytest.raises(ssl.SSLError) as info:
                await client.recv_packet()
            assert not isinstance(info.value, ssl.SSLEOFError)
        assert not client.is_closing()


async def test_client_closes_tls_and_waits_for_the_server() -> None:
    async with connected(ssl_shutdown_timeout=None) as (client, peer):
        await client.send_packet("last words")
        closing = spawn(client.aclose())
        assert await peer.plaintext_rest() == b"last words\n"
        await turns_of_the_loop(5)
        assert not closing.done()
        await peer.close_tls()
        await closing.result()


async def test_task_that_receives_is_told_that_the_client_was_closed() -> None:
    async with connected() as (client, _):
        receiving = spawn(client.recv_packet())
        await turns_of_the_loop(3)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await receiving.result()
        with pytest.raises(ClientClosedError):
            await client.send_packet("x")


async def test_close_that_is_cancelled_closes_at_once() -> None:
    async with connected(ssl_shutdown_timeout=math.inf) as (client, peer):
        closing = spawn(client.aclose())
        await turns_of_the_loop(3)
        closing.cancel()
        await closing.wait()
        assert closing.cancelled()
        assert await peer.gone()
        assert client.is_closing()
