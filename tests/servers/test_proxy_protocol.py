"""Servers behind proxies that send PROXY headers, with plain sockets in their place."""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.background import settle, sleep, spawn, until
from tests.support.certificates import Certificates
from tests.support.network_servers import problems
from tests.support.peers import PATIENCE, Peer
from tests.support.proxy_headers import LOCAL, SIGNATURE, UNKNOWN, block, line, proxied
from tests.support.stream_servers import Client, Handler, Noting, Requests, Serving, serving
from tests.support.tls_servers import TLSClient

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.api_async.transports._hooks import innermost
from easynetwork.lowlevel.api_async.transports._proxied import ProxiedListener
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.socket import INETSocketAttribute, IPv4SocketAddress, IPv6SocketAddress, TLSAttribute
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import AsyncTCPNetworkServer, ProxyProtocol, ServerLimits, StandaloneTCPNetworkServer
from easynetwork.servers.handlers import INETClientAttribute, ProxyAttribute

EVERY_BACKEND = True

SHORT = 0.1
"""Seconds of a time limit that a test waits for."""

CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.7", 443)
HEADERS = {
    "v1": line(CLIENT, SERVER),
    "v2": proxied(CLIENT, SERVER),
    "v2-tlvs": proxied(CLIENT, SERVER, [(0x05, b"id"), (0x02, b"example.com")]),
}

TRUSTED = ProxyProtocol(trusted=["127.0.0.1", "10.0.0.0/8"])


@pytest.fixture(params=list(HEADERS.values()), ids=list(HEADERS))
def header(request: pytest.FixtureRequest) -> bytes:
    data: bytes = request.param
    return data


@asynccontextmanager
async def behind_a_proxy(handler: Handler, settings: ProxyProtocol = TRUSTED, **options: Any) -> AsyncIterator[Serving]:
    async with serving(handler, proxy_protocol=settings, **options) as it:
        yield it


async def connect_from(host: str, it: Serving) -> Peer:
    sock = socket.socket()
    sock.bind((host, 0))
    peer = Peer(sock)
    it._peers.append(peer)
    [address] = it.server.get_addresses()
    await peer.connect(tuple(address))
    return peer


async def secure(peer: Peer, context: ssl.SSLContext) -> TLSClient:
    client = TLSClient(peer.sock, context)
    await client.below.handshake()
    return client


def messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class Facts(Noting):
    """Notes what the client's attributes are before and after its connection."""

    async def on_connection(self, client: Client, /) -> None:
        await super().on_connection(client)
        self.before = self._read(client)

    async def on_disconnection(self, client: Client, /) -> None:
        self.after = self._read(client)
        await super().on_disconnection(client)

    def _read(self, client: Client) -> list[Any]:
        keys: Sequence[Any] = (
            INETClientAttribute.remote_address,
            ProxyAttribute.proxy_address,
            ProxyAttribute.destination_address,
            ProxyAttribute.version,
            ProxyAttribute.tlvs,
        )
        return [client.extra(key, None) for key in keys]


# ---------------------------------------------------------------------------------------------------------- attributes


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_header_tells_the_addresses(
    header: bytes, has_tls: bool, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    handler = Facts()
    async with behind_a_proxy(handler, ssl=certificates.server_context() if has_tls else None) as it:
        peer = await it.connect()
        await peer.send(header)
        if has_tls:
            peer = await secure(peer, certificates.client_context())
        assert await peer.ask(b"a") == b"a"
        proxy = IPv4SocketAddress(*peer.sock.getsockname())
        assert handler.client.extra(INETSocketAttribute.peername) == proxy
        assert handler.client.extra(INETClientAttribute.socket).getpeername() == proxy
        peer.close()
        await until(lambda: "disconnected" in handler.diary)
    is_old = header.startswith(b"P")
    tlvs = ((5, b"id"), (2, b"example.com")) if header == HEADERS["v2-tlvs"] else ()
    facts = [IPv4SocketAddress(*CLIENT), proxy, IPv4SocketAddress(*SERVER), 1 if is_old else 2, tlvs]
    assert handler.before == handler.after == facts
    assert "Accepted new connection from ('192.0.2.1', 56324)" in messages(caplog, logging.INFO)
    assert "('192.0.2.1', 56324) disconnected" in messages(caplog, logging.INFO)


@pytest.mark.parametrize(
    ("header", "version"),
    [(UNKNOWN, 1), (LOCAL, 2), (block(0x00, b""), 2), (block(0x31, bytes(216)), 2)],
    ids=["UNKNOWN", "LOCAL", "UNSPEC", "UNIX"],
)
async def test_header_without_addresses_is_accepted(header: bytes, version: int) -> None:
    handler = Facts()
    async with behind_a_proxy(handler) as it:
        peer = await it.connect()
        await peer.send(header)
        assert await peer.ask(b"a") == b"a"
        proxy = IPv4SocketAddress(*peer.sock.getsockname())
        assert handler.before == [proxy, proxy, None, version, ()]
        with pytest.raises(TypedAttributeLookupError, match="the client connected to"):
            handler.client.extra(ProxyAttribute.destination_address)


async def test_client_may_have_an_ipv6_address() -> None:
    handler = Facts()
    async with behind_a_proxy(handler) as it:
        peer = await it.connect()
        await peer.send(line(("2001:db8::1", 5), ("::ffff:198.51.100.7", 6)))
        assert await peer.ask(b"a") == b"a"
    assert handler.before[0] == IPv6SocketAddress("2001:db8::1", 5)
    assert handler.before[2] == IPv4SocketAddress("198.51.100.7", 6)


async def test_attributes_outlive_start_tls(certificates: Certificates) -> None:
    class Upgrading(Facts):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            await client.start_tls(certificates.server_context())
            await client.send_packet((yield None))

    handler = Upgrading()
    async with behind_a_proxy(handler) as it:
        peer = await it.connect()
        await peer.send(HEADERS["v2-tlvs"])
        assert await peer.ask(b"a") == b"a"
        client = await secure(peer, certificates.client_context())
        assert await client.ask(b"b") == b"b"
        assert handler._read(handler.client) == handler.before
        assert handler.client.extra(TLSAttribute.standard_compatible)
    assert handler.after == handler.before


# ----------------------------------------------------------------------------------------------------- bytes on the way


async def test_header_may_come_in_pieces(header: bytes) -> None:
    async with behind_a_proxy(Noting()) as it:
        peer = await it.connect()
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header + b"hello\nwor":
            await peer.send(bytes([byte]))
            await settle()
        assert await peer.line() == b"hello"
        assert await peer.ask(b"ld") == b"world"


@pytest.mark.parametrize("greets", [False, True], ids=["handle", "on_connection"])
async def test_requests_may_follow_in_the_same_segment(header: bytes, greets: bool) -> None:
    class Slow(Noting):
        async def on_connection(self, client: Client, /) -> None:
            await sleep(SHORT)  # more arrives meanwhile

    async with behind_a_proxy(Slow() if greets else Noting()) as it:
        peer = await it.connect()
        await peer.send(header + b"a\nb\nc\r")
        await settle()
        await peer.send(b"d\n")
        await sleep(SHORT / 5)
        await peer.send(b"e\n")
        peer.half_close()
        assert await peer.rest() == b"a\nb\nc\rd\ne\n"


async def test_tls_may_follow_in_the_same_segment(header: bytes, certificates: Certificates) -> None:
    async with behind_a_proxy(Noting(), ssl=certificates.server_context()) as it:
        peer = await it.connect()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        await peer.send(header + outgoing.read())
        for call in (client.do_handshake, lambda: client.write(b"a\n"), lambda: client.read(100)):
            while True:
                try:
                    result = call()
                    break
                except ssl.SSLWantReadError:
                    await peer.send(outgoing.read())
                    incoming.write(await peer._receive())
        assert result == b"a\n"


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_header_changes_nothing_on_the_way_of_later_packets(has_tls: bool, certificates: Certificates) -> None:
    async def parts(peer: Peer) -> list[type[Any]]:
        if has_tls:
            peer = await secure(peer, certificates.client_context())
        assert await peer.ask(b"a") == b"a"
        client: Any = handler.client
        return [type(part) for part in (client._transport, innermost(client._transport), client._driver, client._batch)]

    handler = Noting()
    settings = ProxyProtocol(trusted=["127.0.0.1"], is_required=False)
    async with behind_a_proxy(handler, settings, ssl=certificates.server_context() if has_tls else None) as it:
        proxied_peer = await it.connect()
        await proxied_peer.send(HEADERS["v1"])
        assert await parts(proxied_peer) == await parts(await connect_from("127.0.0.2", it))


async def test_server_may_speak_first() -> None:
    class Greeting(Noting):
        async def on_connection(self, client: Client, /) -> None:
            await client.send_packet("hello")

    async with behind_a_proxy(Greeting()) as it:
        peer = await it.connect()
        await peer.send(HEADERS["v1"])
        assert await peer.line() == b"hello"
        assert await peer.ask(b"a") == b"a"


async def test_large_header_within_the_limit() -> None:
    handler = Facts()
    async with behind_a_proxy(handler, ProxyProtocol(trusted=["127.0.0.1"], max_size=60_000)) as it:
        peer = await it.connect()
        await peer.send(proxied(CLIENT, SERVER, [(0xE0, bytes(50_000))]) + b"a\n")
        assert await peer.line() == b"a"
    assert handler.before[4] == ((0xE0, bytes(50_000)),)


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it is missing"),
        (b"\x16\x03\x01\x02\x00\x01", "it is missing"),
        (b"PROXY TCP4 evil\x1b[31m evil 1 2\r\n", "its line is invalid: b'PROXY TCP4 evil\\x1b[31m evil 1 2'"),
        (b"PROXY UNKNOWN " + b"x" * 100, "its line is longer than 107 bytes"),
        (SIGNATURE + b"\x21\x11\xff\xff", "it has 65551 bytes, more than 4096"),
        (SIGNATURE + b"\x31\x11\x00\x00", "its version is 3"),
    ],
)
async def test_invalid_header_ends_the_connection(data: bytes, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    async with behind_a_proxy(handler) as it:
        peer = await it.connect()
        await peer.send(data)
        assert await peer.gone()
        name = str(IPv4SocketAddress(*peer.sock.getsockname()))
        await until(lambda: problems(caplog.records))
        good = await it.connect()
        await good.send(HEADERS["v2"])
        assert await good.ask(b"a") == b"a"
    assert messages(caplog) == [f"{name}: no valid PROXY header: {reason}"]
    assert caplog.records[0].__dict__["peer"] == name
    assert caplog.records[0].name == "easynetwork.servers.async_tcp"
    assert handler.diary == ["connected", "disconnected"]


@pytest.mark.parametrize("sent", [b"", HEADERS["v1"][:20], HEADERS["v2"][:20]], ids=["nothing", "half v1", "half v2"])
async def test_late_header_ends_the_connection(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    async with behind_a_proxy(handler, ProxyProtocol(trusted=["127.0.0.1"], timeout=SHORT)) as it:
        peer = await it.connect()
        await peer.send(sent)
        assert await peer.gone()
        await until(lambda: problems(caplog.records))
    [text] = messages(caplog)
    assert text.endswith(": no valid PROXY header: it is late")
    assert handler.diary == []


async def test_bytes_that_drip_do_not_extend_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async with behind_a_proxy(Handler(), ProxyProtocol(trusted=["127.0.0.1"], timeout=2 * SHORT)) as it:
        peer = await it.connect()
        await peer.send(b"PROXY UNKNOWN ")
        await peer.drip(b"x", SHORT / 10)
        await until(lambda: problems(caplog.records))
    assert "late" in messages(caplog)[0]


@pytest.mark.parametrize("ends", ["close", "half_close", "reset"])
async def test_proxy_that_only_connects_is_no_news(ends: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with behind_a_proxy(Handler()) as it:
        peer = await it.connect()
        await sleep(SHORT / 5)
        getattr(peer, ends)()
        await until(lambda: any("no valid PROXY header" in text for text in messages(caplog, logging.DEBUG)))
    assert problems(caplog.records) == []


async def test_header_that_ends_in_its_middle_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with behind_a_proxy(Handler()) as it:
        peer = await it.connect()
        await peer.send(HEADERS["v2"][:-1])
        peer.half_close()
        assert await peer.gone()
        await until(lambda: problems(caplog.records))
    assert messages(caplog)[0].endswith("the connection ended in the middle of it")


# ------------------------------------------------------------------------------------------------------------- trust


async def test_untrusted_peer_is_refused_if_the_header_is_required(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    async with behind_a_proxy(handler) as it:
        for _ in range(2):
            peer = await connect_from("127.0.0.2", it)
            name = str(IPv4SocketAddress(*peer.sock.getsockname()))
            try:
                await peer.send(HEADERS["v2"] + b"a\n")
            except ConnectionError:
                pass
            assert await peer.gone()
        await until(lambda: len(problems(caplog.records)) == 2)
    assert messages(caplog)[1] == f"{name}: refused, it is not a trusted proxy"
    assert caplog.records[1].__dict__["peer"] == name
    assert handler.diary == []


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_untrusted_peer_is_served_without_a_header_if_it_is_optional(
    has_tls: bool, certificates: Certificates
) -> None:
    handler = Facts()
    settings = ProxyProtocol(trusted=["127.0.0.1"], is_required=False)
    async with behind_a_proxy(handler, settings, ssl=certificates.server_context() if has_tls else None) as it:
        peer = await connect_from("127.0.0.2", it)
        if has_tls:
            peer = await secure(peer, certificates.client_context())
        assert await peer.ask(b"a") == b"a"
        assert handler.before == [IPv4SocketAddress(*peer.sock.getsockname()), None, None, None, None]
        with pytest.raises(TypedAttributeLookupError):
            handler.client.extra(ProxyAttribute.proxy_address)
        # What looks like a header is a request, and forges nothing.
        assert await peer.ask(b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r") == b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r"


async def test_trusted_peer_needs_a_header_even_if_it_is_optional(caplog: pytest.LogCaptureFixture) -> None:
    async with behind_a_proxy(Handler(), ProxyProtocol(trusted=["127.0.0.1"], is_required=False)) as it:
        peer = await it.connect()
        await peer.send(b"hello\n")
        assert await peer.gone()
        await until(lambda: problems(caplog.records))


# ------------------------------------------------------------------------------------------------------------- limits


def over_limits(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in messages(caplog) if text.startswith("Over the limits")]


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_address_of_the_client_counts(
    has_tls: bool, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect(header: bytes) -> Peer:
        peer = await it.connect()
        await peer.send(header)
        return await secure(peer, certificates.client_context()) if has_tls else peer

    limits = ServerLimits(connections_per_address=1)
    context = certificates.server_context() if has_tls else None
    async with behind_a_proxy(Handler(), limits=limits, ssl=context) as it:
        first = await connect(line(("192.0.2.1", 1), SERVER))
        assert await first.ask(b"a") == b"a"
        second = await connect(line(("192.0.2.2", 1), SERVER))
        assert await second.ask(b"b") == b"b"
        for unknown in (UNKNOWN, LOCAL, LOCAL):  # they do not count
            assert await (await connect(unknown)).ask(b"c") == b"c"
        third = await it.connect()
        await third.send(proxied(("192.0.2.1", 2), SERVER))
        assert await third.gone()
        first.close()
        admission: Any = it.server._servers[0]._admission  # type: ignore[index]
        await until(lambda: "192.0.2.1" not in admission._per_network)
        assert await (await connect(line(("192.0.2.1", 3), SERVER))).ask(b"d") == b"d"
    assert over_limits(caplog) == ["Over the limits: connections_per_address: 1"]
    assert not admission._per_network
    assert not admission._networks
    assert not admission._in_handshake


async def test_untrusted_addresses_count_too(caplog: pytest.LogCaptureFixture) -> None:
    settings = ProxyProtocol(trusted=["127.0.0.1"], is_required=False)
    async with behind_a_proxy(Handler(), settings, limits=ServerLimits(connections_per_address=1)) as it:
        first = await connect_from("127.0.0.2", it)
        assert await first.ask(b"a") == b"a"
        assert await (await connect_from("127.0.0.2", it)).gone()
        through = await it.connect()
        await through.send(line(("127.0.0.2", 1), SERVER))  # the same client, through the proxy
        assert await through.gone()
    assert over_limits(caplog) == ["Over the limits: connections_per_address: 2"]


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_headers_that_are_not_complete_count_as_handshakes(
    has_tls: bool, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    context = certificates.server_context() if has_tls else None
    async with behind_a_proxy(Handler(), limits=ServerLimits(handshakes=2), ssl=context) as it:
        admission: Any = it.server._servers[0]._admission  # type: ignore[index]
        silent = [await it.connect() for _ in range(2)]
        await until(lambda: len(admission._in_handshake) == 2)
        assert await (await it.connect()).gone()
        await silent[0].send(HEADERS["v2"])
        client = await secure(silent[0], certificates.client_context()) if has_tls else silent[0]
        assert await client.ask(b"a") == b"a"
        await until(lambda: len(admission._in_handshake) == 1)
        silent[1].close()
        await until(lambda: not admission._in_handshake)
    assert over_limits(caplog) == ["Over the limits: handshakes: 1"]


async def test_failed_handshake_names_the_client(certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    async with behind_a_proxy(Handler(), ssl=certificates.server_context()) as it:
        peer = await it.connect()
        await peer.send(HEADERS["v1"] + b"this is not TLS\n")
        assert await peer.gone()
        await until(lambda: problems(caplog.records))
    assert messages(caplog)[0].startswith("('192.0.2.1', 56324): the TLS handshake failed: ")


class Foreign(AsyncListener[AsyncStreamTransport]):
    """A listener as users write it: it knows nothing of admissions."""

    def __init__(self, listener: AsyncListener[AsyncStreamTransport]) -> None:
        self.listener = listener

    async def serve(self, handler: Any, task_group: Any = None) -> Any:
        await self.listener.serve(handler, task_group)

    async def aclose(self) -> None:
        await self.listener.aclose()

    def is_closing(self) -> bool:
        return self.listener.is_closing()

    def backend(self) -> Any:
        return self.listener.backend()

    @property
    def extra_attributes(self) -> Any:
        return self.listener.extra_attributes


async def test_listener_need_not_know_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrapped(self: ProxiedListener, listener: Any, *args: Any, **kwargs: Any) -> None:
        original(self, Foreign(listener), *args, **kwargs)

    original = ProxiedListener.__init__
    monkeypatch.setattr(ProxiedListener, "__init__", wrapped)
    async with behind_a_proxy(Handler(), limits=ServerLimits(connections_per_address=1)) as it:
        first = await it.connect()
        await first.send(HEADERS["v1"])
        assert await first.ask(b"a") == b"a"
        second = await it.connect()
        await second.send(line(("192.0.2.9", 1), SERVER))
        assert await second.ask(b"b") == b"b"
        third = await it.connect()
        await third.send(HEADERS["v2"])
        assert await third.gone()


# ------------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_shutdown_does_not_wait_for_headers(has_tls: bool, certificates: Certificates) -> None:
    settings = ProxyProtocol(trusted=["127.0.0.1"], timeout=60)
    context = certificates.server_context() if has_tls else None
    async with behind_a_proxy(Handler(), settings, ssl=context, limits=ServerLimits(connections=10)) as it:
        admission: Any = it.server._servers[0]._admission  # type: ignore[index]
        peers = [await it.connect() for _ in range(3)]
        await peers[1].send(HEADERS["v1"][:20])
        await until(lambda: len(admission._networks) == 3)
        await it.server.shutdown()
        for peer in peers:
            assert await peer.gone()
    assert not admission._networks


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_server_that_drains_takes_the_header_and_answers(has_tls: bool, certificates: Certificates) -> None:
    handler = Noting()
    context = certificates.server_context() if has_tls else None
    async with behind_a_proxy(handler, ssl=context, limits=ServerLimits(connections=10)) as it:
        admission: Any = it.server._servers[0]._admission  # type: ignore[index]
        peer = await it.connect()
        await until(lambda: admission._networks)
        draining = spawn(it.server.drain(PATIENCE))
        await until(it.server.is_draining)
        if has_tls:
            await peer.send(HEADERS["v2"])
            peer = await secure(peer, certificates.client_context())
        else:
            await peer.send(HEADERS["v2"] + b"a\n")
            assert await peer.line() == b"a"
        assert await peer.rest() == b""
        peer.close()
        report = await draining.result()
        assert (sum(report), report.cut) == (1, 0)


# --------------------------------------------------------------------------------------------------------- the settings


def test_trusted_networks() -> None:
    settings = ProxyProtocol(
        trusted=["10.0.0.0/8", "192.0.2.1", ipaddress.ip_address("2001:db8::1"), ipaddress.ip_network("fe80::/10")]
    )
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8::1", "fe80::1", "fe80::1%eth0"):
        assert settings._trusts(host), host
    for host in ("11.0.0.1", "192.0.2.2", "::ffff:192.0.2.2", "2001:db8::2", "::1"):
        assert not settings._trusts(host), host
    mapped = ProxyProtocol(trusted=["::ffff:192.0.2.0/120"])
    assert mapped._trusts("192.0.2.7")
    assert mapped._trusts("::ffff:192.0.2.7")
    assert not mapped._trusts("192.0.3.7")
    assert mapped == ProxyProtocol(trusted=iter(["192.0.2.0/24"]))
    assert hash(mapped)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, TypeError),
        ({"trusted": "10.0.0.0/8"}, TypeError),
        ({"trusted": None}, TypeError),
        ({"trusted": [5]}, TypeError),
        ({"trusted": []}, ValueError),
        ({"trusted": ["proxy.example"]}, ValueError),
        ({"trusted": ["10.0.0.1/8"]}, ValueError),
        ({"trusted": ["::1"], "is_required": "optional"}, TypeError),
        ({"trusted": ["::1"], "timeout": 0}, ValueError),
        ({"trusted": ["::1"], "timeout": float("nan")}, ValueError),
        ({"trusted": ["::1"], "timeout": None}, TypeError),
        ({"trusted": ["::1"], "max_size": 51}, ValueError),
        ({"trusted": ["::1"], "max_size": 100.5}, TypeError),
    ],
)
def test_settings_are_checked(fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ProxyProtocol(**fields)


async def test_servers_check_the_type_of_the_settings() -> None:
    protocol = StreamProtocol(StringLineSerializer())
    wrong: Any = ["127.0.0.1"]
    with pytest.raises(TypeError, match="ProxyProtocol"):
        AsyncTCPNetworkServer("127.0.0.1", 0, protocol, Handler(), proxy_protocol=wrong)
    StandaloneTCPNetworkServer("127.0.0.1", 0, protocol, Handler(), proxy_protocol=TRUSTED)


def test_settings_can_be_changed() -> None:
    changed = dataclasses.replace(TRUSTED, timeout=1)
    assert (changed.trusted, changed.timeout) == (TRUSTED.trusted, 1)
