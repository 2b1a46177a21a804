"""The blocking TLS transport and the program ``openssl`` understand each other."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
from tests.support.blocking import PATIENCE, InThread
from tests.support.certificates import Certificates
from tests.support.openssl import OpenSSL, needs_openssl, s_client, s_server

from easynetwork.lowlevel.api_sync.transports.socket import SSLStreamTransport

pytestmark = needs_openssl


@contextlib.contextmanager
def to_server(certificates: Certificates, version: str, *options: str) -> Iterator[tuple[SSLStreamTransport, OpenSSL]]:
    """Connect our client to a server of another kind."""
    with s_server(certificates, version, *options) as (openssl, address):
        with SSLStreamTransport(
            socket.create_connection(address),
            certificates.client_context(version),
            math.inf,
            server_hostname="localhost",
            shutdown_timeout=0.1,
        ) as transport:
            openssl.wait_for_handshake()
            yield transport, openssl


def receive(transport: SSLStreamTransport, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = transport.recv(1 << 16, PATIENCE)
        assert data
        received += data
    return received


def talk(transport: SSLStreamTransport, openssl: OpenSSL) -> None:
    for number in range(3):
        openssl.type(b"a question %d\n" % number)  # a line that begins with a Q would end the conversation
        assert receive(transport, 13) == b"a question %d\n" % number
        transport.send_all(b"answer %d\n" % number, PATIENCE)
        openssl.wait_for(b"answer %d\n" % number)
    sending = InThread(transport.send_all, b"x" * 200_000 + b"\n", PATIENCE)
    openssl.wait_for(b"x" * 200_000 + b"\n")
    sending.result()


def test_client_talks_to_another_server_and_closes(tls_version: str, certificates: Certificates) -> None:
    with to_server(certificates, tls_version) as (transport, openssl):
        talk(transport, openssl)
        transport.close()
        openssl.wait_for(b"CONNECTION CLOSED")


def test_client_sees_that_another_server_leaves(tls_version: str, certificates: Certificates) -> None:
    with to_server(certificates, tls_version) as (transport, openssl):
        talk(transport, openssl)
        openssl.type(b"Q\n")
        with pytest.raises(ssl.SSLEOFError):
            transport.recv(100, PATIENCE)


def test_server_talks_to_another_client_which_closes(tls_version: str, certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with s_client(certificates, tls_version, listener.getsockname()) as openssl:
            sock, _ = listener.accept()
            with SSLStreamTransport(sock, certificates.server_context(tls_version), math.inf) as transport:
                talk(transport, openssl)
                openssl.type(b"Q\n")
                assert transport.recv(100, PATIENCE) == b""


def test_keys_may_be_updated_at_any_time(certificates: Certificates) -> None:
    with to_server(certificates, "TLSv1.3") as (transport, openssl):
        for command in (b"K\n", b"k\n", b"K\n"):
            openssl.type(command)
            time.sleep(0.01)  # so that the command is not taken for a part of what follows
            talk(transport, openssl)


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["update", "update-requested"])
def test_flood_of_key_updates_is_an_error(certificates: Certificates, command: bytes) -> None:
    def type_for_ever() -> None:
        with contextlib.suppress(BrokenPipeError):
            while True:
                openssl.type(command * 10_000)

    with to_server(certificates, "TLSv1.3") as (transport, openssl):
        flood = InThread(type_for_ever)
        for _ in range(2):
            with pytest.raises(ssl.SSLError, match="too many TLS messages without data"):
                transport.recv(100, PATIENCE)
        with pytest.raises(ssl.SSLError, match="too many TLS messages without data"):
            transport.send_all(b"x", PATIENCE)
        transport.close()
        flood.result()


@pytest.mark.parametrize("receives", [True, False], ids=["while another thread receives", "while nobody receives"])
@pytest.mark.parametrize("options", [[], ["-no_cache", "-no_ticket"]], ids=["abbreviated", "full"])
def test_keys_may_be_negotiated_again_at_any_time(
    certificates: Certificates, options: list[str], receives: bool
) -> None:
    with to_server(certificates, "TLSv1.2", *options) as (transport, openssl):
        data = b"".join(b"%d\n" % number for number in range(100_000))

        def send() -> None:
            for start in range(0, len(data), 10_000):
                transport.send_all(data[start : start + 10_000], PATIENCE)

        receiver = InThread(transport.recv, 100, PATIENCE) if receives else None
        sending, printed = InThread(send), InThread(openssl.wait_for, b"\n99999\n")
        for _ in range(3):
            openssl.type(b"r\n")
            time.sleep(0.01)
        sending.result()
        output = printed.result()
        for remark in (b"Secure Renegotiation IS supported\n", b"SSL_do_handshake -> 1\n", b"Read BLOCK\n"):
            output = output.replace(remark, b"")
        assert output == data
        openssl.type(b"the end\n")
        assert (receiver.result() if receiver else transport.recv(100, PATIENCE)) == b"the end\n"
