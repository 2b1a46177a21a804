"""The blocking TCP client with TLS. The peer is a TLS socket of the standard library."""

from __future__ import annotations

import contextlib
import gc
import math
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.blocking import PATIENCE, InThread
from tests.support.blocking_tls import cut, raw, send_closing_alert, shake_hands, shakes_hands
from tests.support.certificates import Certificates, the_certificates
from tests.support.descriptors import open_descriptors
from tests.support.forks import in_child_process, needs_fork
from tests.support.lines import line_protocol
from tests.support.openssl import needs_openssl, s_server
from tests.support.sockets import stream_pair

from easynetwork.clients import TCPNetworkClient
from easynetwork.exceptions import ClientClosedError, UnsupportedOperation
from easynetwork.lowlevel.socket import enable_socket_linger
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

Client = TCPNetworkClient[str, str]


def new_client(arg: Any, protocol: Any = None, **options: Any) -> Client:
    return TCPNetworkClient(arg, protocol or line_protocol(), **options)


class Remote:
    """A server that accepts one connection, in a thread."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        self.names: list[str | None] = []
        context.sni_callback = lambda _tls, name, _context: self.names.append(name)
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self.handshake = InThread(lambda: shake_hands(listener.accept()[0], context))


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext | None = None) -> Iterator[Remote]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        remote = Remote(listener, context or the_certificates().server_context())
        yield remote
        with contextlib.suppress(OSError):
            remote.handshake.result().close()


@contextlib.contextmanager
def connected(version: str | None = None, **options: Any) -> Iterator[tuple[Client, ssl.SSLSocket]]:
    options.setdefault("ssl", the_certificates().client_context(version))
    options.setdefault("ssl_shutdown_timeout", 0.02)  # the peer seldom answers
    with tls_server(the_certificates().server_context(version)) as remote:
        with new_client(remote.address, **options) as client:
            yield client, remote.handshake.result()


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("wrong", ["type", "family", "not connected", "an option"])
def test_the_socket_is_checked_before_the_default_context_is_made(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda: pytest.fail("it was made"))
    sock = socket.socket(
        socket.AF_UNIX if wrong == "family" else socket.AF_INET,
        socket.SOCK_DGRAM if wrong == "type" else socket.SOCK_STREAM,
    )
    options = {"connect_timeout": 1} if wrong == "an option" else {}
    with sock, pytest.raises((OSError, TypeError, ValueError)):
        new_client(sock, ssl=True, server_hostname="localhost", **options)


@pytest.mark.parametrize("use_tls", [True, "context"])
@pytest.mark.parametrize("address", [("", 9), "a socket"])
def test_tls_without_any_host_name_is_refused(certificates: Certificates, use_tls: Any, address: Any) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    with theirs, ours, pytest.raises(ValueError, match="server_hostname"):
        new_client(
            ours if address == "a socket" else address,
            ssl=certificates.client_context() if use_tls == "context" else True,
        )


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [-1, math.nan])
def test_times_are_not_negative(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        new_client(("127.0.0.1", 9), ssl=True, **{name: value})
    ours, theirs = stream_pair(socket.AF_INET)
    with theirs, pytest.raises(ValueError, match=name):
        new_client(ours, ssl=True, server_hostname="localhost", **{name: value})
    assert ours.fileno() == -1  # it was handed over


@pytest.mark.parametrize("server_hostname", [None, "localhost", "server.example"])
def test_server_has_to_have_the_right_name(certificates: Certificates, server_hostname: str | None) -> None:
    with tls_server() as remote:
        address = ("localhost", remote.address[1])
        with new_client(
            address, ssl=certificates.client_context(), server_hostname=server_hostname, ssl_shutdown_timeout=0
        ):
            remote.handshake.result()
        assert remote.names == [server_hostname or "localhost"]


@pytest.mark.usefixtures("local_names")
@pytest.mark.parametrize(("host", "name"), [("server.example.", "server.example"), ("127.0.0.1%lo", None)])
def test_default_name_has_neither_a_final_dot_nor_a_zone(
    certificates: Certificates, host: str, name: str | None
) -> None:
    with tls_server() as remote:
        address = (host, remote.address[1])
        with new_client(address, ssl=certificates.client_context(), ssl_shutdown_timeout=0):
            remote.handshake.result()
        assert remote.names == [name]


def test_server_of_another_name_is_refused(certificates: Certificates) -> None:
    before = open_descriptors()
    with tls_server() as remote, pytest.raises(ssl.SSLCertVerificationError):
        new_client(remote.address, ssl=certificates.client_context(), server_hostname="another.example")
    gc.collect()
    assert open_descriptors() == before


def test_default_context_trusts_no_unknown_authority() -> None:
    with tls_server() as remote, pytest.raises(ssl.SSLCertVerificationError):
        new_client(remote.address, ssl=True)


def test_without_a_name_none_is_sent_or_checked(monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    context = certificates.client_context()
    monkeypatch.setattr(ssl, "create_default_context", lambda: context)
    with tls_server() as remote:
        with new_client(remote.address, ssl=True, server_hostname="", ssl_shutdown_timeout=0):
            remote.handshake.result()
        assert remote.names == [None]
    assert not context.check_hostname


def test_connected_socket_is_adopted(certificates: Certificates) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    handshake = shakes_hands(theirs, certificates.server_context())
    with new_client(
        ours, ssl=certificates.client_context(), server_hostname="localhost", ssl_shutdown_timeout=0
    ) as client:
        with handshake.result() as peer:
            client.send_packet("hello")
            assert peer.recv(100) == b"hello\n"
    assert ours.fileno() == -1


# --------------------------------------------------------------------------------------------------------- handshake


def test_handshake_has_a_time_limit(certificates: Certificates) -> None:
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimeoutError):
        new_client(listener.getsockname(), ssl=certificates.client_context(), ssl_handshake_timeout=0.02)
    gc.collect()
    assert open_descriptors() == before


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("standard_compatible", [True, False])
def test_server_that_leaves_during_the_handshake_is_connection_aborted(
    certificates: Certificates, reset: bool, standard_compatible: bool
) -> None:
    ours, theirs = stream_pair(socket.AF_INET)

    def leave() -> None:
        assert theirs.recv(1 << 16)
        if reset:
            enable_socket_linger(theirs, 0)
        theirs.close()

    leaving = InThread(leave)
    with pytest.raises(ConnectionAbortedError) as caught:
        new_client(
            ours,
            ssl=certificates.client_context(),
            server_hostname="localhost",
            ssl_standard_compatible=standard_compatible,
        )
    assert caught.value.__cause__ is not None
    assert ours.fileno() == -1
    leaving.result()


# ----------------------------------------------------------------------------------------------------------- packets


@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
def test_packets_go_both_ways(tls_version: str, protocol_class: Any) -> None:
    with connected(tls_version, protocol=protocol_class(StringLineSerializer())) as (client, peer):
        for number in range(3):
            client.send_packet(f"question {number}")
            assert peer.recv(100) == b"question %d\n" % number
            peer.sendall(b"answer %d\nmore %d\nins" % (number, number))
            assert client.recv_packet() == f"answer {number}"
            assert client.recv_packet(timeout=0) == f"more {number}"
            with pytest.raises(TimeoutError):
                client.recv_packet(timeout=0.001)
            peer.sendall(b"erted\n")
            assert client.recv_packet() == "inserted"


def test_big_packets_go_through() -> None:
    with connected() as (client, peer):
        text = "x" * 1_000_000
        sending = InThread(client.send_packet, text)
        received = b""
        while not received.endswith(b"\n"):
            received += peer.recv(1 << 16)
        sending.result()
        assert received == text.encode() + b"\n"


def test_iterator_gives_what_is_there() -> None:
    with connected() as (client, peer):
        peer.sendall(b"".join(b"%d\n" % number for number in range(10_000)))
        numbers = [int(client.recv_packet())]
        while len(numbers) < 10_000:
            numbers += map(int, client.iter_received_packets(timeout=0.01))
        assert numbers == list(range(10_000))


def test_one_direction_alone_cannot_be_closed() -> None:
    with connected() as (client, peer):
        for _ in range(2):
            with pytest.raises(UnsupportedOperation):
                client.send_eof()
        client.send_packet("still here")
        assert peer.recv(100) == b"still here\n"


# ---------------------------------------------------------------------------------------------------------------- ends


@pytest.mark.parametrize("standard_compatible", [True, False, None])
def test_server_that_closes_tls_ends_its_direction(standard_compatible: bool | None) -> None:
    with connected(ssl_standard_compatible=standard_compatible) as (client, peer):
        peer.sendall(b"last words\n")
        send_closing_alert(peer)
        assert client.recv_packet() == "last words"
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError):
                client.recv_packet()
        client.send_packet("goodbye")
        assert peer.recv(100) == b"goodbye\n"
        assert not client.is_closed()


@pytest.mark.parametrize("standard_compatible", [True, False])
def test_server_that_just_leaves_ends_the_connection(standard_compatible: bool) -> None:
    with connected(ssl_standard_compatible=standard_compatible) as (client, peer):
        peer.sendall(b"last words\n")
        cut(peer)
        assert client.recv_packet() == "last words"
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError) as caught:
                client.recv_packet()
            assert isinstance(caught.value.__cause__, ssl.SSLEOFError if standard_compatible else ConnectionError)


def test_bad_record_is_an_error_as_it_is() -> None:
    with connected() as (client, peer):
        with raw(peer) as below:
            below.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError) as caught:
            client.recv_packet()
        assert not isinstance(caught.value, ssl.SSLEOFError)


def test_client_closes_tls_and_waits_for_the_server(tls_version: str) -> None:
    with connected(tls_version, ssl_shutdown_timeout=PATIENCE) as (client, peer):
        closing = InThread(client.close)
        assert peer.recv(100) == b""  # the alert: without one, it would be an error
        assert closing.is_running()
        peer.unwrap().close()
        closing.result()
        assert client.is_closed()


def test_threads_that_receive_are_told_that_the_client_was_closed() -> None:
    with connected() as (client, _):
        receiving = [InThread(client.recv_packet) for _ in range(2)]
        while client._receive_lock.lock.acquire(blocking=False):
            client._receive_lock.lock.release()
        client.close()
        for call in receiving:
            assert isinstance(call.error(), ClientClosedError)


def test_forgotten_client_waits_for_nobody() -> None:
    with tls_server() as remote:
        client = new_client(remote.address, ssl=the_certificates().client_context(), ssl_shutdown_timeout=1e6)
        with remote.handshake.result() as peer:
            with pytest.warns(ResourceWarning):
                del client
            with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):  # a reset, if it had not read all
                peer.recv(100)


@needs_openssl
def test_it_talks_to_openssl(tls_version: str, certificates: Certificates) -> None:
    with s_server(certificates, tls_version) as (openssl, address):
        with new_client(address, ssl=certificates.client_context(tls_version), server_hostname="localhost") as client:
            openssl.wait_for_handshake()
            client.send_packet("hello")
            openssl.wait_for(b"hello\n")
            openssl.type(b"a greeting\n")
            assert client.recv_packet(timeout=PATIENCE) == "a greeting"
        openssl.wait_for(b"CONNECTION CLOSED")


# -------------------------------------------------------------------------------------------------------------- forks


@needs_fork
@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_child_process_sends_no_closing_alert_and_leaves_the_connection_to_its_parent(
    tls_version: str, how: str
) -> None:
    with tls_server(the_certificates().server_context(tls_version)) as remote:
        client = new_client(remote.address, ssl=the_certificates().client_context(tls_version), ssl_shutdown_timeout=0)
        peer = remote.handshake.result()

        def end() -> None:
            nonlocal client
            if how == "closed":
                client.close()
                assert client.is_closed()
            else:
                with pytest.warns(ResourceWarning, match="unclosed client"):
                    del client

        in_child_process(end)
        client.send_packet("from the parent")
        assert peer.recv(100) == b"from the parent\n"
        peer.sendall(b"for the parent\n")
        assert client.recv_packet(timeout=PATIENCE) == "for the parent"
        client.close()
