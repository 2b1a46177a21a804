"""TCP clients, asynchronous and blocking ones, that upgrade their connection to TLS."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.support.background import sleep, spawn, until
from tests.support.blocking import InThread, receive_exactly
from tests.support.blocking_tls import shake_hands, shakes_hands
from tests.support.certificates import Certificates, the_certificates
from tests.support.forks import in_child_process, needs_fork
from tests.support.lines import LINE_PROTOCOLS, line_protocol
from tests.support.peers import Peer
from tests.support.socket_calls import socket_calls
from tests.support.sockets import PATIENCE, reset, tcp_pair
from tests.support.stream_servers import Client as ServedClient
from tests.support.stream_servers import Handler, Requests, serving
from tests.support.tls_connections import TLSPeer, until_closed

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.clients.tcp import TCPNetworkClient
from easynetwork.exceptions import BusyResourceError, ClientClosedError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.socket import TLSAttribute
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import RawSerializer

EVERY_BACKEND = True

AsyncClient = AsyncTCPNetworkClient[str, str]
BlockingClient = TCPNetworkClient[str, str]

SOON = 10.0
"""Seconds, much less than the time limit of a handshake."""


@contextlib.asynccontextmanager
async def connected(
    protocol: Any = None, *, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[AsyncClient, TLSPeer]]:
    """Connect a client, in plaintext, and exchange a line each way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        client: AsyncClient = AsyncTCPNetworkClient(
            ("localhost", listener.getsockname()[1]), protocol or line_protocol(), local_address=("127.0.0.1", 0)
        )
        with ensure_backend(None).timeout(PATIENCE):
            async with client:
                sock = await socket_calls().accept(listener)
                peer = TLSPeer(sock, context or the_certificates().server_context(), server_side=True)
                with contextlib.closing(peer):
                    await client.send_packet("hello")
                    assert await peer.line() == b"hello"
                    yield client, peer


async def upgrade(client: AsyncClient, peer: TLSPeer, **options: Any) -> None:
    handshake = spawn(peer.handshake())
    options.setdefault("server_hostname", "localhost")
    options.setdefault("ssl_shutdown_timeout", 0.02)
    await client.start_tls(the_certificates().client_context(), **options)
    await handshake.result()


# ---------------------------------------------------------------------------------------------- the asynchronous client


@pytest.mark.parametrize("protocol", LINE_PROTOCOLS)
async def test_packets_go_both_ways_after_the_upgrade(
    tls_version: str, certificates: Certificates, protocol: str
) -> None:
    async with connected(LINE_PROTOCOLS[protocol](), context=certificates.server_context(tls_version)) as (
        client,
        peer,
    ):
        address = client.get_remote_address()
        await peer.send(b"ready\n")
        assert await client.recv_packet() == "ready"
        await upgrade(client, peer)
        for number in range(5):
            await client.send_packet(f"question {number}")
            assert await peer.receive_plaintext() == b"question %d\n" % number
            await peer.send_plaintext(b"answer %d\n" % number)
            assert await client.recv_packet() == f"answer {number}"
        await peer.send_plaintext(b"".join(b"%d\n" % number for number in range(10_000)))
        assert [await client.recv_packet() for _ in range(10_000)] == [str(number) for number in range(10_000)]
        assert client.get_remote_address() == address
        assert client.socket.getpeername() == peer.sock.getsockname()
        assert not client.is_closing()


async def test_client_and_server_agree(certificates: Certificates) -> None:
    class Upgrading(Handler):
        async def handle(self, client: ServedClient, /) -> Requests:
            if (request := (yield None)) == "STARTTLS":
                await client.send_packet("go")
                await client.start_tls(certificates.server_context())
            else:
                await client.send_packet(request)

    async with serving(Upgrading()) as it:
        [address] = it.server.get_addresses()

        async def use(name: str) -> None:
            client: AsyncClient = AsyncTCPNetworkClient(("127.0.0.1", address.port), line_protocol())
            async with client:
                await client.send_packet("STARTTLS")
                assert await client.recv_packet() == "go"
                await client.start_tls(certificates.client_context(), server_hostname="localhost")
                for number in range(10):
                    await client.send_packet(f"{name} {number}")
                    assert await client.recv_packet() == f"{name} {number}"
                await client.send_packet("x" * 60_000)
                assert await client.recv_packet() == "x" * 60_000

        await ensure_backend(None).gather(*(use(str(number)) for number in range(20)))


async def test_upgrade_connects_first(certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        client: AsyncClient = AsyncTCPNetworkClient(listener.getsockname(), line_protocol())

        async def accept() -> TLSPeer:
            peer = TLSPeer(await socket_calls().accept(listener), certificates.server_context(), server_side=True)
            await peer.handshake()
            return peer

        accepting = spawn(accept())
        await client.start_tls(
            certificates.client_context(), ssl_shutdown_timeout=0
        )  # the address is in the certificate
        with contextlib.closing(await accepting.result()) as peer:
            await client.send_packet("a")
            assert await peer.receive_plaintext() == b"a\n"
            await client.aclose()


async def test_default_name_is_the_host_of_the_address(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        handshake = spawn(peer.handshake())
        await client.start_tls(certificates.client_context(), ssl_shutdown_timeout=0)
        await handshake.result()
        assert peer.engine.server_name == "localhost"


async def test_adopted_socket_needs_a_name(certificates: Certificates) -> None:
    ours, theirs = tcp_pair()
    peer = TLSPeer(theirs, certificates.server_context(), server_side=True)
    client: AsyncClient = AsyncTCPNetworkClient(ours, line_protocol())
    with contextlib.closing(peer):
        async with client:
            await client.send_packet("a")
            assert await peer.line() == b"a"
            with pytest.raises(ValueError, match="server_hostname"):
                await client.start_tls(certificates.client_context())
            with pytest.raises(ValueError, match="server_hostname"):
                await client.start_tls()
            await client.send_packet("b")
            assert await peer.line() == b"b"
            await upgrade(client, peer, server_hostname="server.example")
            assert peer.engine.server_name == "server.example"
            await client.send_packet("c")
            assert await peer.receive_plaintext() == b"c\n"
    await until_closed(ours)


async def test_facts_about_tls(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        await upgrade(client, peer, ssl_standard_compatible=False)
        endpoint = client._endpoint
        assert endpoint is not None
        assert endpoint.extra(TLSAttribute.standard_compatible) is False
        assert endpoint.extra(TLSAttribute.server_name) == "localhost"


async def test_protocol_and_encryption_may_change_together() -> None:
    async with connected() as (client, peer):
        raw = client.set_protocol(StreamProtocol(RawSerializer()))
        await upgrade(client, peer)
        await raw.send_packet(b"no line")
        assert await peer.receive_plaintext() == b"no line"
        await peer.send_plaintext(b"none either")
        assert await raw.recv_packet() == b"none either"
        client = raw.set_protocol(line_protocol())
        await peer.send_plaintext(b"a line\n")
        assert await client.recv_packet() == "a line"


async def test_cancelled_reception_does_not_prevent_the_upgrade() -> None:
    async with connected() as (client, peer):
        receiving = spawn(client.recv_packet())
        await sleep(0.005)
        with pytest.raises(BusyResourceError):
            await client.start_tls(the_certificates().client_context())
        receiving.cancel()
        await receiving.wait()
        await upgrade(client, peer)
        await peer.send_plaintext(b"a\n")
        assert await client.recv_packet() == "a"


async def test_large_data_goes_both_ways() -> None:
    data = bytes(range(256)) * 12_000
    async with connected() as (client, peer):
        raw = client.set_protocol(StreamProtocol(RawSerializer()))
        await upgrade(client, peer)
        sending = spawn(raw.send_packet(data))
        received = bytearray()
        while len(received) < len(data):
            received += await peer.receive_plaintext()
        assert received == data
        await sending.result()
        back = spawn(peer.send_plaintext(data))
        received.clear()
        while len(received) < len(data):
            received += await raw.recv_packet()
        assert received == data
        await back.result()


# ------------------------------------------------------------------------------------ the asynchronous client: failures


@pytest.mark.parametrize("when", ["before the call", "decoded ahead", "during the handshake"])
async def test_plaintext_before_the_handshake_is_refused(when: str) -> None:
    async with connected() as (client, peer):
        await peer.send(b"ready\n" + (b"injected\n" if when == "decoded ahead" else b""))
        assert await client.recv_packet() == "ready"
        if when == "before the call":
            await peer.send(b"injected\n")
            await sleep(0.01)
        starting = spawn(client.start_tls(the_certificates().client_context()))
        if when == "during the handshake":
            await peer._receive()
            await peer.send(b"injected\n")
        with pytest.raises(ssl.SSLError, match="9 bytes of plaintext"):
            await starting.result()
        assert await peer.gone()
        with pytest.raises(ClientClosedError):
            await client.recv_packet()
        with pytest.raises(ClientClosedError):
            await client.send_packet("x")


async def test_server_of_another_name_is_refused() -> None:
    async with connected() as (client, peer):
        handshake = spawn(peer.handshake())
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.start_tls(the_certificates().client_context(), server_hostname="other.example")
        await handshake.wait()
        with pytest.raises(ClientClosedError):
            await client.send_packet("x")


async def test_default_context_trusts_no_unknown_authority() -> None:
    async with connected() as (client, peer):
        handshake = spawn(peer.handshake())
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.start_tls()
        await handshake.wait()


async def test_handshake_has_a_time_limit() -> None:
    async with connected() as (client, peer):
        with pytest.raises(TimeoutError):
            await client.start_tls(the_certificates().client_context(), ssl_handshake_timeout=0.02)
        assert await peer.gone()


@pytest.mark.parametrize("leave", [Peer.half_close, Peer.reset, Peer.close])
async def test_server_that_leaves_during_the_handshake(leave: Callable[[Peer], None]) -> None:
    async with connected() as (client, peer):
        starting = spawn(client.start_tls(the_certificates().client_context()))
        await peer._receive()
        leave(peer)
        with pytest.raises(ConnectionAbortedError):
            await starting.result()


async def test_closing_ends_the_handshake() -> None:
    async with connected() as (client, peer):
        starting = spawn(client.start_tls(the_certificates().client_context()))
        await peer._receive()
        with ensure_backend(None).timeout(SOON):
            await client.aclose()
        with pytest.raises(ClientClosedError):
            await starting.result()
        assert client.is_closing()
        assert await peer.gone()


async def test_cancelled_upgrade_closes_the_connection() -> None:
    async with connected() as (client, peer):
        starting = spawn(client.start_tls(the_certificates().client_context()))
        await peer._receive()
        starting.cancel()
        await starting.wait()
        assert starting.cancelled()
        assert await peer.gone()
        with pytest.raises(ClientClosedError):
            await client.send_packet("x")


async def test_tasks_that_use_the_client_meanwhile_wait_and_are_encrypted() -> None:
    async with connected() as (client, peer):
        starting = spawn(client.start_tls(the_certificates().client_context(), ssl_shutdown_timeout=0.02))
        await until(lambda: client._send_lock.taken and client._receive_lock.taken)
        sending = [spawn(client.send_packet(str(number) * 100)) for number in range(3)]
        receiving = spawn(client.recv_packet())
        await sleep(0.01)
        assert not receiving.done()
        assert not any(task.done() for task in sending)
        await peer.handshake(b"with the last message\n")
        await starting.result()
        assert await receiving.result() == "with the last message"
        received = b""
        while received.count(b"\n") < 3:
            received += await peer.receive_plaintext()
        assert sorted(received.split()) == [str(number).encode() * 100 for number in range(3)]
        for task in sending:
            await task.result()


async def test_tasks_that_use_the_client_meanwhile_learn_of_a_failure() -> None:
    async with connected() as (client, peer):
        starting = spawn(client.start_tls(the_certificates().client_context()))
        await until(lambda: client._send_lock.taken and client._receive_lock.taken)
        sending, receiving = spawn(client.send_packet("x")), spawn(client.recv_packet())
        await peer._receive()
        await peer.send(b"injected\n")
        with pytest.raises(ssl.SSLError):
            await starting.result()
        for task in (sending, receiving):
            with pytest.raises(ClientClosedError):
                await task.result()
        assert b"x\n" not in await peer.rest()


# ----------------------------------------------------------------------------------- the asynchronous client: arguments


async def test_wrong_arguments_change_nothing(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        for wrong in ("context", 12, ssl):
            with pytest.raises(TypeError):
                await client.start_tls(wrong)  # type: ignore[arg-type]
        for nothing in (None, False):
            with pytest.raises(ValueError, match="'ssl'"):
                await client.start_tls(nothing)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="servers only"):
            await client.start_tls(certificates.server_context())
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
            for value in (-1, math.nan):
                options: dict[str, Any] = {name: value}
                with pytest.raises(ValueError, match=name):
                    await client.start_tls(certificates.client_context(), **options)
        with pytest.raises(TypeError, match="server_hostname"):
            await client.start_tls(certificates.client_context(), server_hostname=b"localhost")  # type: ignore[arg-type]
        await client.send_packet("still there")
        assert await peer.line() == b"still there"
        await upgrade(client, peer)


async def test_empty_name_with_a_context_that_checks_names_changes_nothing(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        with pytest.raises(ValueError, match="server_hostname"):
            await client.start_tls(certificates.client_context(), server_hostname="")
        await client.send_packet("still there")
        assert await peer.line() == b"still there"


async def test_tls_starts_once(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        await upgrade(client, peer)
        with pytest.raises(RuntimeError, match="uses TLS already"):
            await client.start_tls(certificates.client_context())
        with pytest.raises(UnsupportedOperation):
            await client.send_eof()
        await client.send_packet("still there")
        assert await peer.receive_plaintext() == b"still there\n"


async def test_tls_does_not_start_after_the_end_of_sending(certificates: Certificates) -> None:
    async with connected() as (client, peer):
        await client.send_eof()
        with pytest.raises(RuntimeError, match="send_eof"):
            await client.start_tls(certificates.client_context())
        await peer.send(b"a\n")
        assert await client.recv_packet() == "a"


async def test_closed_client_starts_nothing(certificates: Certificates) -> None:
    async with connected() as (client, _):
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await client.start_tls(certificates.client_context())


async def test_close_exchanges_the_alerts() -> None:
    async with connected() as (client, peer):
        await upgrade(client, peer, ssl_shutdown_timeout=PATIENCE)
        closing = spawn(client.aclose())
        assert await peer.plaintext_rest() == b""
        assert peer.engine.closed_by_peer
        assert not closing.done()
        await peer.close_tls()
        await closing.result()


async def test_server_that_just_leaves_ends_the_connection() -> None:
    async with connected() as (client, peer):
        await upgrade(client, peer)
        await peer.send_plaintext(b"last words\n")
        peer.half_close()
        assert await client.recv_packet() == "last words"
        with pytest.raises(ConnectionAbortedError) as caught:
            await client.recv_packet()
        assert isinstance(caught.value.__cause__, ssl.SSLEOFError)


# -------------------------------------------------------------------------------------------------- the blocking client


@contextlib.contextmanager
def blocking(protocol: Any = None, **options: Any) -> Iterator[tuple[BlockingClient, socket.socket]]:
    """Connect a client, in plaintext, and exchange a line each way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = ("localhost", listener.getsockname()[1])
        client: BlockingClient = TCPNetworkClient(
            address, protocol or line_protocol(), local_address=("127.0.0.1", 0), **options
        )
        with client:
            peer = listener.accept()[0]
            peer.settimeout(PATIENCE)
            with contextlib.closing(peer):
                client.send_packet("hello")
                assert receive_exactly(peer, 6) == b"hello\n"
                peer.sendall(b"ready\n")
                assert client.recv_packet(timeout=PATIENCE) == "ready"
                yield client, peer


@contextlib.contextmanager
def upgraded(version: str | None = None, **options: Any) -> Iterator[tuple[BlockingClient, ssl.SSLSocket]]:
    with blocking() as (client, peer):
        handshake = shakes_hands(peer, the_certificates().server_context(version))
        client.start_tls(the_certificates().client_context(), **{"ssl_shutdown_timeout": 0.02} | options)
        with handshake.result() as tls:
            yield client, tls


def test_blocking_packets_go_both_ways_after_the_upgrade(tls_version: str) -> None:
    with upgraded(tls_version) as (client, peer):
        for number in range(5):
            client.send_packet(f"question {number}")
            assert peer.recv(100) == b"question %d\n" % number
            peer.sendall(b"answer %d\n" % number)
            assert client.recv_packet(timeout=PATIENCE) == f"answer {number}"
        lines = b"".join(b"%d\n" % number for number in range(10_000))
        sending = InThread(peer.sendall, lines)
        assert [client.recv_packet(timeout=PATIENCE) for _ in range(10_000)] == [str(n) for n in range(10_000)]
        sending.result()
        assert client.get_remote_address().port == peer.getsockname()[1]
        assert client.socket.getpeername() == peer.getsockname()


@pytest.mark.parametrize("decoded_ahead", [True, False])
def test_blocking_plaintext_before_the_handshake_is_refused(decoded_ahead: bool) -> None:
    with blocking() as (client, peer):
        if decoded_ahead:
            peer.sendall(b"go\ninjected\n")
            assert client.recv_packet(timeout=PATIENCE) == "go"
        else:
            peer.sendall(b"injected\n")
        with pytest.raises(ssl.SSLError, match="9 bytes of plaintext"):
            client.start_tls(the_certificates().client_context())
        for use in (lambda: client.send_packet("x"), client.recv_packet):
            with pytest.raises(ClientClosedError):
                use()


def test_blocking_default_name_is_the_host_of_the_address() -> None:
    names: list[str | None] = []
    context = the_certificates().server_context()
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    with blocking() as (client, peer):
        handshake = shakes_hands(peer, context)
        client.start_tls(the_certificates().client_context(), ssl_shutdown_timeout=0)
        handshake.result().close()
    assert names == ["localhost"]


def test_blocking_adopted_socket_needs_a_name() -> None:
    ours, theirs = tcp_pair()
    client: BlockingClient = TCPNetworkClient(ours, line_protocol())
    with client:
        with pytest.raises(ValueError, match="server_hostname"):
            client.start_tls(the_certificates().client_context())
        handshake = shakes_hands(theirs, the_certificates().server_context())
        client.start_tls(the_certificates().client_context(), server_hostname="server.example", ssl_shutdown_timeout=0)
        with handshake.result() as peer:
            client.send_packet("a")
            assert peer.recv(100) == b"a\n"


def test_blocking_wrong_arguments_change_nothing(certificates: Certificates) -> None:
    with blocking() as (client, peer):
        with pytest.raises(TypeError):
            client.start_tls("context")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="servers only"):
            client.start_tls(certificates.server_context())
        with pytest.raises(ValueError, match="ssl_handshake_timeout"):
            client.start_tls(certificates.client_context(), ssl_handshake_timeout=-1)
        with pytest.raises(ValueError, match="server_hostname"):
            client.start_tls(certificates.client_context(), server_hostname="")
        client.send_packet("still there")
        assert peer.recv(100) == b"still there\n"


def test_blocking_tls_starts_once_and_not_after_the_end_of_sending(certificates: Certificates) -> None:
    with upgraded() as (client, tls):
        with pytest.raises(RuntimeError, match="uses TLS already"):
            client.start_tls(certificates.client_context())
        with pytest.raises(UnsupportedOperation):
            client.send_eof()
        client.send_packet("a")
        assert tls.recv(100) == b"a\n"
    with blocking() as (client, _):
        client.send_eof()
        with pytest.raises(RuntimeError, match="send_eof"):
            client.start_tls(certificates.client_context())
    with pytest.raises(ClientClosedError):
        client.start_tls(certificates.client_context())


def test_blocking_handshake_has_a_time_limit() -> None:
    with blocking() as (client, peer):
        with pytest.raises(TimeoutError):
            client.start_tls(the_certificates().client_context(), ssl_handshake_timeout=0.02)
        with pytest.raises(ClientClosedError):
            client.send_packet("x")
        with contextlib.suppress(ConnectionError):
            while peer.recv(1 << 16):
                pass


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
def test_blocking_server_that_leaves_during_the_handshake(leave: Callable[[socket.socket], None]) -> None:
    with blocking() as (client, peer):
        starting = InThread(client.start_tls, the_certificates().client_context())
        peer.recv(1)
        leave(peer)
        assert isinstance(starting.error(), ConnectionAbortedError)


def test_blocking_thread_that_receives_is_in_the_way() -> None:
    with blocking() as (client, peer):
        receiving = InThread(client.recv_packet, timeout=PATIENCE)
        while client._receive_lock.lock.acquire(blocking=False):
            client._receive_lock.lock.release()
        with pytest.raises(BusyResourceError):
            client.start_tls(the_certificates().client_context())
        peer.sendall(b"a\n")
        assert receiving.result() == "a"


def test_blocking_threads_that_use_the_client_meanwhile_wait_and_are_encrypted() -> None:
    with blocking() as (client, peer):
        starting = InThread(client.start_tls, the_certificates().client_context(), ssl_shutdown_timeout=0.02)
        assert peer.recv(1, socket.MSG_PEEK)
        sending, receiving = InThread(client.send_packet, "a"), InThread(client.recv_packet, timeout=PATIENCE)
        with shake_hands(peer, the_certificates().server_context()) as tls:
            starting.result()
            assert tls.recv(100) == b"a\n"
            tls.sendall(b"b\n")
            sending.result()
            assert receiving.result() == "b"


def test_blocking_close_ends_the_handshake() -> None:
    with blocking() as (client, peer):
        starting = InThread(client.start_tls, the_certificates().client_context(), ssl_handshake_timeout=1e6)
        assert peer.recv(1)
        closing = InThread(client.close)
        closing.result()
        assert isinstance(starting.error(), ClientClosedError)
        assert client.is_closed()


@needs_fork
def test_blocking_close_in_a_child_process_leaves_the_handshake_to_its_parent() -> None:
    with blocking() as (client, peer):
        starting = InThread(client.start_tls, the_certificates().client_context(), ssl_shutdown_timeout=0.02)
        assert peer.recv(1, socket.MSG_PEEK)
        in_child_process(client.close)
        with shake_hands(peer, the_certificates().server_context()) as tls:
            starting.result()
            client.send_packet("a")
            assert tls.recv(100) == b"a\n"


def test_blocking_close_exchanges_the_alerts() -> None:
    with upgraded(ssl_shutdown_timeout=PATIENCE) as (client, peer):
        closing = InThread(client.close)
        assert peer.recv(100) == b""  # the alert: without one, it would be an error
        assert closing.is_running()
        peer.unwrap().close()
        closing.result()


def test_blocking_protocol_and_encryption_may_change_together() -> None:
    with upgraded() as (client, peer):
        raw = client.set_protocol(StreamProtocol(RawSerializer()))
        data = bytes(range(256)) * 10_000
        sending = InThread(raw.send_packet, data)
        assert receive_exactly(peer, len(data)) == data
        sending.result()
        peer.sendall(b"no line")
        assert raw.recv_packet(timeout=PATIENCE) == b"no line"
