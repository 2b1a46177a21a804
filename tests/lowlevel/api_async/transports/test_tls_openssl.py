"""TLS transports and the program ``openssl`` understand each other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from tests.support.certificates import Certificates
from tests.support.openssl import OpenSSL, needs_openssl, s_client, s_server
from tests.support.tls_connections import PATIENCE, until_closed, wrap

from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

pytestmark = needs_openssl


@contextlib.asynccontextmanager
async def to_server(
    mode: str, certificates: Certificates, version: str, *options: str
) -> AsyncIterator[tuple[AsyncTLSStreamTransport, OpenSSL]]:
    """Connect our client to a server of another kind."""
    with s_server(certificates, version, *options) as (openssl, address):
        sock = socket.create_connection(address)
        async with asyncio.timeout(PATIENCE):
            tls = await wrap(sock, mode, certificates.client_context(version))
            try:
                await asyncio.to_thread(openssl.wait_for_handshake)
                yield tls, openssl
            finally:
                await aclose_forcefully(tls)
        await until_closed(sock)


@contextlib.asynccontextmanager
async def to_client(
    mode: str, certificates: Certificates, version: str, *options: str
) -> AsyncIterator[tuple[AsyncTLSStreamTransport, OpenSSL]]:
    """Connect a client of another kind to our server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with s_client(certificates, version, listener.getsockname(), *options) as openssl:
            sock = (await asyncio.to_thread(listener.accept))[0]
            async with asyncio.timeout(PATIENCE):
                tls = await wrap(sock, mode, certificates.server_context(version), server_side=True)
                try:
                    yield tls, openssl
                finally:
                    await aclose_forcefully(tls)
            await until_closed(sock)


async def receive(tls: AsyncTLSStreamTransport, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = await tls.recv(1 << 16)
        assert data
        received += data
    return received


async def talk(tls: AsyncTLSStreamTransport, openssl: OpenSSL) -> None:
    for number in range(3):
        openssl.type(b"a question %d\n" % number)  # a line that begins with a Q would end the conversation
        assert await receive(tls, 13) == b"a question %d\n" % number
        await tls.send_all(b"answer %d\n" % number)
        await asyncio.to_thread(openssl.wait_for, b"answer %d\n" % number)
    await tls.send_all(b"x" * 200_000 + b"\n")
    await asyncio.to_thread(openssl.wait_for, b"x" * 200_000 + b"\n")


async def test_client_talks_to_another_server_and_closes(
    mode: str, tls_version: str, certificates: Certificates
) -> None:
    async with to_server(mode, certificates, tls_version) as (tls, openssl):
        await talk(tls, openssl)
        await tls.aclose()
        await asyncio.to_thread(openssl.wait_for, b"CONNECTION CLOSED")


async def test_client_sees_that_another_server_closes(mode: str, tls_version: str, certificates: Certificates) -> None:
    with s_server(certificates, tls_version, "-www") as (_, address):
        async with asyncio.timeout(PATIENCE):
            tls = await wrap(socket.create_connection(address), mode, certificates.client_context(tls_version))
            await tls.send_all(b"GET / HTTP/1.0\r\n\r\n")
            page = b""
            while data := await tls.recv(1 << 16):
                page += data
            assert page.startswith(b"HTTP/1.0 200 ok")
            assert b"</HTML>" in page.upper()
            await tls.aclose()


async def test_client_sees_that_another_server_leaves(mode: str, tls_version: str, certificates: Certificates) -> None:
    async with to_server(mode, certificates, tls_version) as (tls, openssl):
        await talk(tls, openssl)
        openssl.type(b"Q\n")
        with pytest.raises(ssl.SSLEOFError):
            await tls.recv(100)
        await tls.aclose()


async def test_server_talks_to_another_client_and_closes(
    mode: str, tls_version: str, certificates: Certificates
) -> None:
    async with to_client(mode, certificates, tls_version) as (tls, openssl):
        await talk(tls, openssl)
        await tls.aclose()
        await asyncio.to_thread(openssl.wait_for, b"closed")


async def test_server_sees_that_another_client_closes(mode: str, tls_version: str, certificates: Certificates) -> None:
    async with to_client(mode, certificates, tls_version) as (tls, openssl):
        await talk(tls, openssl)
        openssl.type(b"Q\n")
        assert await tls.recv(100) == b""
        await tls.aclose()


async def test_keys_may_be_updated_at_any_time(mode: str, certificates: Certificates) -> None:
    async with to_server(mode, certificates, "TLSv1.3") as (tls, openssl):
        for command in (b"K\n", b"k\n", b"K\n"):
            openssl.type(command)
            await asyncio.sleep(0.01)  # so that the command is not taken for a part of what follows
            await talk(tls, openssl)


@pytest.mark.parametrize("options", [[], ["-no_cache", "-no_ticket"]], ids=["abbreviated", "full"])
async def test_keys_may_be_negotiated_again_at_any_time(
    mode: str, certificates: Certificates, options: list[str]
) -> None:
    async with to_server(mode, certificates, "TLSv1.2", *options) as (tls, openssl):
        data = b"".join(b"%d\n" % number for number in range(100_000))

        async def send() -> None:
            for start in range(0, len(data), 10_000):
                await tls.send_all(data[start : start + 10_000])
                await asyncio.sleep(0)

        async def negotiate() -> None:
            for _ in range(3):
                openssl.type(b"r\n")
                await asyncio.sleep(0.01)

        receiver = asyncio.create_task(tls.recv(100))
        printed = asyncio.create_task(asyncio.to_thread(openssl.wait_for, b"\n99999\n"))
        await asyncio.gather(send(), negotiate())
        output = await printed
        for remark in (b"Secure Renegotiation IS supported\n", b"SSL_do_handshake -> 1\n", b"Read BLOCK\n"):
            output = output.replace(remark, b"")
        assert output == data
        openssl.type(b"the end\n")
        assert await receiver == b"the end\n"


class Relay:
    """Carries bytes between two sockets. Holds back what the server sends after its next message, until it is told."""

    def __init__(self) -> None:
        self.asks = False
        self.question = asyncio.Event()
        self.go_on = asyncio.Event()

    async def run(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            for sock in (client, server):
                sock.setblocking(False)
            await asyncio.gather(self._carry(client, server), self._carry(server, client))

    async def _carry(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, 1 << 16):
            await loop.sock_sendall(target, data)
            if self.asks and not self.question.is_set():
                self.question.set()
                await self.go_on.wait()


async def test_sender_waits_for_new_keys(mode: str, certificates: Certificates) -> None:
    """A server that stops in the middle of a new handshake does not make us keep all that is sent meanwhile."""
    with s_server(certificates, "TLSv1.2") as (openssl, address), socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        relay = Relay()
        relaying = asyncio.create_task(relay.run(listener.accept()[0], socket.create_connection(address)))
        async with asyncio.timeout(PATIENCE):
            tls = await wrap(sock, mode, certificates.client_context("TLSv1.2"))
            await asyncio.to_thread(openssl.wait_for_handshake)
            receiver = asyncio.create_task(tls.recv(100))
            sent = 0

            async def send() -> None:
                nonlocal sent
                for number in range(1000):
                    await tls.send_all(b"%0999d\n" % number)
                    sent += 1000
                    await asyncio.sleep(0)

            relay.asks = True
            openssl.type(b"r\n")
            await relay.question.wait()
            sender = asyncio.create_task(send())
            before = -1
            while before < sent:
                before = sent
                await asyncio.sleep(0.01)
            assert not sender.done()
            relay.go_on.set()
            printed = asyncio.create_task(asyncio.to_thread(openssl.wait_for, b"%0999d\n" % 999))
            await sender
            await printed
            openssl.type(b"the end\n")
            assert await receiver == b"the end\n"
            await aclose_forcefully(tls)
            with contextlib.suppress(ConnectionError):
                await relaying
