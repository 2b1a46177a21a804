"""Servers behind the real HAProxy: it sends the PROXY headers, and it checks their health."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import HOW_TO
from tests.support.background import sleep, until
from tests.support.certificates import Certificates
from tests.support.network_servers import problems
from tests.support.peers import Peer
from tests.support.programs import SECONDS_TO_END, needs_program, running
from tests.support.sockets import unused_address
from tests.support.stream_servers import Client, Noting, Serving, serving
from tests.support.tls_servers import TLSClient

from easynetwork.lowlevel.socket import IPv4SocketAddress
from easynetwork.servers import ProxyProtocol, ServerLimits
from easynetwork.servers.handlers import INETClientAttribute, ProxyAttribute

EVERY_BACKEND = True

CONFIGURATION = """\
global
    maxconn 100
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{front} {bind}
    {more}
    default_backend back
backend back
    {checks}
    server the_server 127.0.0.1:{back} {options}
"""

CHECKS = """\
option tcp-check
    tcp-check connect default
    tcp-check send hello\\n
    tcp-check expect string hello"""
"""Checks that wait for an answer. Others leave with a reset, which may overtake their header."""

TYPE_AUTHORITY, TYPE_CRC32C, TYPE_UNIQUE_ID, TYPE_SSL = 0x02, 0x03, 0x05, 0x20


class Facts(Noting):
    """Notes what the header of each connection tells."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[tuple[Any, ...]] = []

    async def on_connection(self, client: Client, /) -> None:
        await super().on_connection(client)
        keys: tuple[Any, ...] = (
            INETClientAttribute.remote_address,
            ProxyAttribute.proxy_address,
            ProxyAttribute.destination_address,
            ProxyAttribute.version,
            ProxyAttribute.tlvs,
        )
        self.facts.append(tuple(client.extra(key, None) for key in keys))


class Proxied:
    """A server behind HAProxy."""

    def __init__(self, it: Serving, front: int) -> None:
        self.it = it
        self.front = IPv4SocketAddress("127.0.0.1", front)

    async def connect(self) -> Peer:
        """Connect to HAProxy, from an address that is not its own."""
        sock = socket.socket()
        sock.bind(("127.0.0.9", 0))
        peer = Peer(sock)
        self.it._peers.append(peer)
        await peer.connect(tuple(self.front))
        return peer


@asynccontextmanager
async def behind_haproxy(
    handler: Facts,
    folder: Path,
    options: str,
    *,
    bind: str = "",
    more: str = "",
    checks: str = "",
    **server_options: Any,
) -> AsyncIterator[Proxied]:
    """Serve behind HAProxy.

    Parameters:
        handler: the handler of the server.
        folder: a folder for the files of HAProxy.
        options: those of HAProxy towards the server.
        bind: those of HAProxy towards the clients.
        more: another line about the clients.
        checks: more lines about the server.
        server_options: those of the server.
    """
    program = needs_program("haproxy")
    settings = ProxyProtocol(trusted=["127.0.0.1"])
    async with serving(handler, proxy_protocol=settings, **server_options) as it:
        [address] = it.server.get_addresses()
        proxied = Proxied(it, unused_address()[1])
        file = folder / "haproxy.cfg"
        file.write_text(
            CONFIGURATION.format(
                front=proxied.front.port, back=address.port, bind=bind, more=more, checks=checks, options=options
            )
        )
        with running([program, "-db", "-f", str(file)], folder) as haproxy:
            deadline = time.monotonic() + SECONDS_TO_END
            while not is_listening(proxied.front):
                assert haproxy.process.poll() is None, haproxy.output
                assert time.monotonic() < deadline, haproxy.output
                await sleep(0.02)
            yield proxied
            it.hang_up()


def is_listening(address: IPv4SocketAddress) -> bool:
    """Return whether something is bound to *address*, without a connection to it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(tuple(address))
        except OSError:
            return True
    return False


async def secure(peer: Peer, context: ssl.SSLContext) -> TLSClient:
    client = TLSClient(peer.sock, context)
    await client.below.handshake()
    return client


@pytest.mark.parametrize("page", ["behind-a-proxy.md", "many-machines.md"])
def test_configuration_in_the_documentation_is_valid(page: str, tmp_path: Path) -> None:
    command = [needs_program("haproxy"), "-c", "-f", "haproxy.cfg"]
    [block] = re.findall(r"```text\n(defaults\n.*?)```", (HOW_TO / page).read_text(), re.DOTALL)
    (tmp_path / "haproxy.cfg").write_text(block)
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("option", "version"), [("send-proxy", 1), ("send-proxy-v2", 2)])
async def test_haproxy_tells_the_address_of_the_client(
    option: str,
    version: int,
    has_tls: bool,
    tmp_path: Path,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    handler = Facts()
    options = f"{option} ssl verify none" if has_tls else option
    context = certificates.server_context() if has_tls else None
    async with behind_haproxy(handler, tmp_path, options, ssl=context) as proxied:
        for _ in range(3):
            peer = await proxied.connect()
            assert await peer.ask(b"hello") == b"hello"
            [*_, (client, proxy, destination, found, tlvs)] = handler.facts
            assert client == IPv4SocketAddress(*peer.sock.getsockname())
            assert client.host == "127.0.0.9"
            assert proxy.host == "127.0.0.1"
            assert destination == proxied.front
            assert (found, tlvs) == (version, ())
            assert f"Accepted new connection from {client}" in caplog.messages
    assert problems(caplog.records) == []


async def test_haproxy_passes_tls_through(tmp_path: Path, certificates: Certificates) -> None:
    handler = Facts()
    async with behind_haproxy(handler, tmp_path, "send-proxy-v2", ssl=certificates.server_context()) as proxied:
        peer = await secure(await proxied.connect(), certificates.client_context())
        assert await peer.ask(b"hello") == b"hello"
        assert handler.facts[0][0] == IPv4SocketAddress(*peer.sock.getsockname())


async def test_haproxy_sends_a_checksum_and_a_unique_id(tmp_path: Path) -> None:
    handler = Facts()
    options = "send-proxy-v2 proxy-v2-options crc32c,unique-id"
    async with behind_haproxy(handler, tmp_path, options, more="unique-id-format %ci_%cp") as proxied:
        peer = await proxied.connect()
        assert await peer.ask(b"hello") == b"hello"
        host, port = peer.sock.getsockname()
        tlvs = dict(handler.facts[0][4])
        assert tlvs[TYPE_UNIQUE_ID] == f"{host}_{port}".encode()
        assert len(tlvs[TYPE_CRC32C]) == 4  # the header would be refused if it were wrong


async def test_haproxy_tells_about_tls_that_it_ends(tmp_path: Path, certificates: Certificates) -> None:
    handler = Facts()
    with certificates.server_file() as bundle:
        bind = f"ssl crt {bundle}"
        options = "send-proxy-v2-ssl proxy-v2-options authority"
        async with behind_haproxy(handler, tmp_path, options, bind=bind) as proxied:
            peer = await secure(await proxied.connect(), certificates.client_context())
            assert await peer.ask(b"hello") == b"hello"
            tlvs = dict(handler.facts[0][4])
            assert tlvs[TYPE_SSL][0] & 1  # the client uses TLS
            assert tlvs[TYPE_AUTHORITY] == b"localhost"


async def test_health_checks_of_haproxy_are_accepted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handler = Facts()
    limits = ServerLimits(connections_per_address=1)  # checks do not count
    options = "send-proxy-v2 check inter 50ms"
    async with behind_haproxy(handler, tmp_path, options, checks=CHECKS, limits=limits) as proxied:
        peer = await proxied.connect()
        assert await peer.ask(b"hello") == b"hello"
        await until(lambda: len(handler.facts) >= 4)
        checks = [fact for fact in handler.facts if fact[2] is None]
        assert len(checks) >= 3
        assert {fact[3:] for fact in checks} == {(2, ())}
        assert all(client == proxy for client, proxy, *_ in checks)
        assert await peer.ask(b"hello") == b"hello"
    assert problems(caplog.records) == []


async def test_limits_count_the_clients_of_haproxy(tmp_path: Path) -> None:
    limits = ServerLimits(connections_per_address=1)
    async with behind_haproxy(Facts(), tmp_path, "send-proxy", limits=limits) as proxied:
        first = await proxied.connect()
        assert await first.ask(b"hello") == b"hello"
        second = await proxied.connect()
        assert await second.gone()
