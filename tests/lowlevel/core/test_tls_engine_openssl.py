"""What only another implementation can ask for: new keys, and new handshakes within a connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from tests.lowlevel.core.tls_duplex import cut
from tests.support.certificates import Certificates
from tests.support.openssl import OpenSSL, needs_openssl, s_server

from easynetwork.lowlevel._core.tls_engine import TLSEngine

pytestmark = needs_openssl


class Connection:
    """An engine, and the socket under it."""

    def __init__(self, engine: TLSEngine, sock: socket.socket) -> None:
        self.engine = engine
        self._socket = sock

    def receive(self) -> bytes:
        return self._socket.recv(1 << 16)

    def flush(self) -> None:
        self._socket.sendall(self.engine.take_outgoing())

    def shake_hands(self) -> None:
        data = b""
        while not self.engine.handshake(data):
            self.flush()
            data = self.receive()
        self.flush()

    def read_until(self, end: bytes, pieces: int | None = None) -> bytes:
        plaintext = b""
        while not plaintext.endswith(end):
            for piece in cut(self.receive(), pieces):
                plaintext += self.engine.decrypt(piece)
            assert not self.engine.ended
            self.flush()
        return plaintext


@contextlib.contextmanager
def connected(certificates: Certificates, version: str, *options: str) -> Iterator[tuple[OpenSSL, Connection]]:
    with s_server(certificates, version, *options) as (openssl, address):
        with socket.create_connection(address, timeout=10) as sock:
            engine = TLSEngine(certificates.client_context(version), server_side=False, server_hostname="localhost")
            connection = Connection(engine, sock)
            connection.shake_hands()
            openssl.wait_for_handshake()
            yield openssl, connection


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["update", "update-requested"])
@pytest.mark.parametrize("pieces", [None, 1])
def test_keys_can_be_updated(certificates: Certificates, command: bytes, pieces: int | None) -> None:
    """:rfc:`8446`, section 4.6.3."""
    with connected(certificates, "TLSv1.3", "-num_tickets", "0") as (openssl, connection):
        for number in range(3):
            openssl.type(command)
            for piece in cut(connection.receive(), pieces):
                assert connection.engine.decrypt(piece) == b""
            openssl.type(b"after %d\n" % number)
            assert connection.read_until(b"\n", pieces) == b"after %d\n" % number
            connection.engine.encrypt(b"answer %d\n" % number)
            connection.flush()
            openssl.wait_for(b"answer %d\n" % number)


@pytest.mark.parametrize("options", [[], ["-no_cache", "-no_ticket"]], ids=["abbreviated", "full"])
@pytest.mark.parametrize("pieces", [None, 1])
def test_keys_can_be_negotiated_again(certificates: Certificates, options: list[str], pieces: int | None) -> None:
    """:rfc:`5246`, section 7.4.1.1."""
    with connected(certificates, "TLSv1.2", *options) as (openssl, connection):
        engine = connection.engine
        openssl.type(b"r\n")
        while not engine.has_outgoing:
            assert engine.decrypt(connection.receive()) == b""
        engine.encrypt(b"during")
        engine.encrypt(b" the handshake\n")
        assert engine.must_receive
        connection.flush()
        while engine.must_receive:
            for piece in cut(connection.receive(), pieces):
                assert engine.decrypt(piece) == b""
            connection.flush()
        openssl.wait_for(b"during the handshake\n")
        openssl.type(b"and after\n")
        assert connection.read_until(b"\n", pieces) == b"and after\n"


def test_plaintext_that_waits_leaves_when_the_new_keys_come_together_with_data(certificates: Certificates) -> None:
    with connected(certificates, "TLSv1.2", "-no_cache", "-no_ticket") as (openssl, connection):
        engine = connection.engine
        openssl.type(b"r\n")
        while not engine.has_outgoing:
            engine.decrypt(connection.receive())
        engine.encrypt(b"during\n")
        connection.flush()
        while not engine.has_outgoing:  # the server's half of the handshake, up to where it waits for ours
            engine.decrypt(connection.receive())
        connection.flush()
        received = connection.receive()  # the end of the handshake
        openssl.type(b"data\n")
        while b"\x17\x03\x03" not in received[-40:]:
            received += connection.receive()
        assert engine.decrypt(received) == b"data\n"
        assert not engine.must_receive
        connection.flush()
        openssl.wait_for(b"during\n")
