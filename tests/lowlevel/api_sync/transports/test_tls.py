"""The blocking TLS transport. The peer is a TLS socket of the standard library."""

from __future__ import annotations

import contextlib
import errno
import gc
import math
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.blocking import PATIENCE, InThread, Waits, receive_exactly
from tests.support.blocking_tls import cut, raw, send_closing_alert, shakes_hands
from tests.support.certificates import Certificates, the_certificates
from tests.support.descriptors import open_descriptors
from tests.support.lines import line_protocol
from tests.support.sockets import stream_pair

from easynetwork.exceptions import TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SSLStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute, TLSAttribute, enable_socket_linger

MUCH = 1 << 21

Connection = tuple[SSLStreamTransport, ssl.SSLSocket]


def wrap(sock: socket.socket, context: ssl.SSLContext, **options: Any) -> SSLStreamTransport:
    """Do the handshake, as the client unless the options say otherwise."""
    if not options.get("server_side"):
        options.setdefault("server_hostname", "localhost")
    options.setdefault("shutdown_timeout", 0.02)  # the peer seldom answers
    return SSLStreamTransport(sock, context, options.pop("retry_interval", math.inf), **options)


@contextlib.contextmanager
def connected(
    version: str | None = None, *, small_buffers: bool = False, server_side: bool = False, **options: Any
) -> Iterator[Connection]:
    certificates = the_certificates()
    contexts = [certificates.client_context(version), certificates.server_context(version)]
    sock, peer_sock = stream_pair(socket.AF_INET, small_buffers=small_buffers)
    handshake = shakes_hands(peer_sock, contexts[not server_side], server_side=not server_side)
    with wrap(sock, contexts[server_side], server_side=server_side, **options) as transport:
        with handshake.result() as peer:
            yield transport, peer


@pytest.fixture
def connection(waits: Waits) -> Iterator[Connection]:
    with connected(selector_factory=waits) as both:
        yield both


def receive_all(transport: SSLStreamTransport, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (chunk := transport.recv(1 << 14, PATIENCE)):
        received += chunk
    return bytes(received)


# --------------------------------------------------------------------------------------------------------- arguments


def test_tls_socket_is_refused_and_closed(certificates: Certificates) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    tls = certificates.client_context().wrap_socket(sock, server_hostname="x", do_handshake_on_connect=False)
    with peer, pytest.raises(TypeError):
        wrap(tls, certificates.client_context())
    assert tls.fileno() == -1


def test_socket_of_another_type_is_refused_and_closed(certificates: Certificates) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with pytest.raises(ValueError):
        wrap(sock, certificates.client_context())
    assert sock.fileno() == -1


@pytest.mark.parametrize("name", ["retry_interval", "handshake_timeout", "shutdown_timeout"])
@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_bad_times_are_refused_and_the_socket_closed(certificates: Certificates, name: str, value: float) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    with peer, pytest.raises(ValueError, match=name):
        wrap(sock, certificates.client_context(), **{name: value})
    assert sock.fileno() == -1


def test_context_that_checks_names_needs_one(certificates: Certificates) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    with peer, pytest.raises(ValueError, match="server_hostname"):
        wrap(sock, certificates.client_context(), server_side=False, server_hostname="")
    assert sock.fileno() == -1


# --------------------------------------------------------------------------------------------------------- handshake


@pytest.mark.parametrize("server_side", [False, True])
def test_question_and_answer(tls_version: str, server_side: bool) -> None:
    with connected(tls_version, server_side=server_side) as (transport, peer):
        for number in range(3):
            transport.send_all(b"question %d" % number, PATIENCE)
            assert peer.recv(100) == b"question %d" % number
            peer.sendall(b"answer %d" % number)
            assert transport.recv(100, PATIENCE) == b"answer %d" % number


def test_without_a_server_name_it_is_the_server(certificates: Certificates) -> None:
    sock, peer_sock = stream_pair(socket.AF_INET)
    handshake = shakes_hands(peer_sock, certificates.client_context(), server_side=False)
    with SSLStreamTransport(sock, certificates.server_context(), 1.0, shutdown_timeout=0) as transport:
        with handshake.result() as peer:
            transport.send_all(b"welcome", PATIENCE)
            assert peer.recv(100) == b"welcome"


@pytest.mark.parametrize("refusal", ["unknown authority", "another name"])
def test_refused_certificate_is_an_error_on_both_sides(certificates: Certificates, refusal: str) -> None:
    sock, peer_sock = stream_pair(socket.AF_INET)
    handshake = shakes_hands(peer_sock, certificates.server_context("TLSv1.2"))
    context = certificates.client_context("TLSv1.2", trusting=refusal != "unknown authority")
    with pytest.raises(ssl.SSLCertVerificationError):
        wrap(sock, context, server_hostname="localhost" if refusal == "unknown authority" else "another.example")
    assert sock.fileno() == -1
    error = handshake.error()
    assert isinstance(error, ssl.SSLError)
    assert "ALERT" in str(error)  # not just the end of the connection


def test_handshake_has_a_time_limit(certificates: Certificates) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    with peer, pytest.raises(TimeoutError):
        wrap(sock, certificates.client_context(), handshake_timeout=0.02)
    assert sock.fileno() == -1


@pytest.mark.parametrize("standard_compatible", [True, False])
def test_peer_that_leaves_during_the_handshake_is_an_error(
    certificates: Certificates, standard_compatible: bool
) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    peer.shutdown(socket.SHUT_WR)
    with peer, pytest.raises(ssl.SSLEOFError):
        wrap(sock, certificates.client_context(), standard_compatible=standard_compatible)
    assert sock.fileno() == -1


def test_plain_text_instead_of_a_handshake_is_an_error(certificates: Certificates) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    with peer, pytest.raises(ssl.SSLError):
        wrap(sock, certificates.client_context())
    assert sock.fileno() == -1


def test_peer_that_resets_during_the_handshake_is_an_error(certificates: Certificates) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    enable_socket_linger(peer, 0)
    peer.close()
    with pytest.raises(ConnectionError):
        wrap(sock, certificates.client_context())
    assert sock.fileno() == -1


def test_session_is_resumed(certificates: Certificates) -> None:
    client, server = certificates.client_context("TLSv1.2"), certificates.server_context("TLSv1.2")
    session = None
    for resumes in (False, True):
        sock, peer_sock = stream_pair(socket.AF_INET)
        handshake = shakes_hands(peer_sock, server)
        with wrap(sock, client, session=session) as transport, handshake.result():
            assert transport._engine.ssl_object.session_reused is resumes
            session = transport._engine.ssl_object.session


# ---------------------------------------------------------------------------------------------- receiving and sending


def test_recv_gives_a_record_in_pieces_and_waits_for_nothing_that_is_there(
    connection: Connection, waits: Waits
) -> None:
    transport, peer = connection
    peer.sendall(b"abcdefghij")
    assert transport.recv(4, PATIENCE) == b"abcd"
    assert transport.recv(4, 0) == b"efgh"
    buffer = bytearray(b"......")
    assert transport.recv_into(buffer, 0) == 2
    assert buffer == b"ij...."


def test_recv_waits_for_bytes_no_longer_than_told(connection: Connection) -> None:
    transport, peer = connection
    for timeout in (0, 0.001):
        with pytest.raises(TimeoutError) as caught:
            transport.recv(100, timeout)
        assert caught.value.errno == errno.ETIMEDOUT
    call = InThread(transport.recv, 100, math.inf)
    peer.sendall(b"at last")
    assert call.result() == b"at last"


def test_recv_of_nothing_waits_for_nothing(connection: Connection) -> None:
    transport, _ = connection
    assert transport.recv(0, math.inf) == b""
    assert transport.recv_into(bytearray(), math.inf) == 0
    with pytest.raises(ValueError):
        transport.recv(-1, 0)


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_bad_time_out_is_refused(connection: Connection, timeout: float) -> None:
    transport, _ = connection
    for call in (
        lambda: transport.recv(10, timeout),
        lambda: transport.recv_into(bytearray(10), timeout),
        lambda: transport.send(b"abc", timeout),
        lambda: transport.send_all(b"abc", timeout),
    ):
        with pytest.raises(ValueError):
            call()


def test_record_that_is_incomplete_is_kept_by_a_time_out(certificates: Certificates) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certificates.server_context("TLSv1.2").wrap_bio(incoming, outgoing, server_side=True)

    def handshake() -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                peer.sendall(outgoing.read())
                incoming.write(peer.recv(1 << 16))
            else:
                return peer.sendall(outgoing.read())

    shaking = InThread(handshake)
    with peer, wrap(sock, certificates.client_context()) as transport:
        shaking.result()
        tls.write(b"a whole record")
        record = outgoing.read()
        peer.sendall(record[:10])
        with pytest.raises(TimeoutError):
            transport.recv(100, 0.01)
        peer.sendall(record[10:])
        assert transport.recv(100, PATIENCE) == b"a whole record"


def test_much_goes_in_both_directions_at_once(tls_version: str, certificates: Certificates) -> None:
    # Both ends are ours: two threads must not use one TLS socket of the standard library, before Python 3.13.
    data = bytes(range(256)) * (MUCH // 256)
    sock, peer_sock = stream_pair(socket.AF_INET, small_buffers=True)
    server = InThread(wrap, peer_sock, certificates.server_context(tls_version), server_side=True)
    with wrap(sock, certificates.client_context(tls_version)) as transport, server.result() as peer:
        received = [InThread(receive_all, end, MUCH) for end in (transport, peer)]
        sent = [InThread(end.send_all, data, math.inf) for end in (transport, peer)]
        for call in sent:
            call.result()
        for reception in received:
            assert reception.result() == data


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda data: memoryview(data).cast("I")])
def test_buffers_of_any_kind_are_sent(connection: Connection, make: Callable[[bytes], Any]) -> None:
    transport, peer = connection
    transport.send_all(make(b"12345678"), PATIENCE)
    assert peer.recv(100) == b"12345678"


def test_pieces_are_sent_as_one_record(connection: Connection) -> None:
    transport, peer = connection
    pieces: list[bytes | bytearray | memoryview] = [b"ab", bytearray(b"cd"), memoryview(b"ef")]
    transport.send_all_from_iterable(iter(pieces), PATIENCE)
    assert peer.recv(100) == b"abcdef"
    transport.send_all_from_iterable([], PATIENCE)
    transport.send_all(b"", PATIENCE)
    transport.send_all(b"g", PATIENCE)
    assert peer.recv(100) == b"g"


def test_error_in_an_iterable_sends_nothing(connection: Connection) -> None:
    transport, peer = connection

    def pieces() -> Iterator[bytes]:
        yield b"abc"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transport.send_all_from_iterable(pieces(), PATIENCE)
    transport.send_all(b"def", PATIENCE)
    assert peer.recv(100) == b"def"


def test_send_gives_up_in_time_if_the_peer_does_not_read() -> None:
    with connected(small_buffers=True) as (transport, _):
        with pytest.raises(TimeoutError):
            transport.send_all(bytes(MUCH * 4), 0.02)
        with pytest.raises(TimeoutError):
            transport.send(b"more", 0)


def test_what_was_sent_in_part_goes_on_where_it_stopped() -> None:
    with connected(small_buffers=True) as (transport, peer):
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                transport.send(b"%0999d\n" % sent, 0)
                sent += 1
        received = InThread(receive_exactly, peer, (sent + 2) * 1000)
        transport.send_all(b"%0999d\n" % (sent + 1), PATIENCE)
        assert received.result() == b"".join(b"%0999d\n" % number for number in range(sent + 2))


def test_what_tls_cannot_do_leaves_the_connection_usable(connection: Connection) -> None:
    transport, peer = connection
    for call in (
        transport.send_eof,
        lambda: transport.recv_with_ancillary(10, 10, 0),
        lambda: transport.recv_with_ancillary_into(bytearray(10), 10, 0),
        lambda: transport.send_all_with_ancillary([b"abc"], [], 0),
    ):
        with pytest.raises(UnsupportedOperation):
            call()
    transport.send_all(b"abc", PATIENCE)
    assert peer.recv(100) == b"abc"


# ------------------------------------------------------------------------------------------------ the end of the stream


@pytest.mark.parametrize("standard_compatible", [True, False])
def test_closing_alert_is_the_end_of_the_stream(tls_version: str, standard_compatible: bool) -> None:
    with connected(tls_version, standard_compatible=standard_compatible) as (transport, peer):
        peer.sendall(b"last words")
        send_closing_alert(peer)
        assert transport.recv(100, PATIENCE) == b"last words"
        for _ in range(3):
            assert transport.recv(100, PATIENCE) == b""
            assert transport.recv_into(bytearray(10), PATIENCE) == 0
        assert not transport.is_closed()
        transport.send_all(b"the answer", PATIENCE)  # the alert ends one direction
        assert peer.recv(100) == b"the answer"
        transport.close()
        if standard_compatible:
            with pytest.raises(ssl.SSLZeroReturnError):
                peer.recv(100)
        else:
            with raw(peer) as below:  # what SSLSocket makes of such an end depends on the version of Python
                assert below.recv(100) == b""


def test_end_without_a_closing_alert_is_an_error_for_ever(tls_version: str) -> None:
    with connected(tls_version) as (transport, peer):
        peer.sendall(b"last words")
        cut(peer)
        assert transport.recv(100, PATIENCE) == b"last words"
        for _ in range(3):
            with pytest.raises(ssl.SSLEOFError):
                transport.recv(100, PATIENCE)
        assert not transport.is_closed()


def test_end_without_a_closing_alert_can_be_tolerated(tls_version: str) -> None:
    with connected(tls_version, standard_compatible=False) as (transport, peer):
        peer.sendall(b"last words")
        cut(peer)
        assert transport.recv(100, PATIENCE) == b"last words"
        for _ in range(3):
            assert transport.recv(100, PATIENCE) == b""
        transport.send_all(b"an answer", PATIENCE)
        assert peer.recv(100) == b"an answer"


def test_bad_record_ends_both_directions(connection: Connection) -> None:
    transport, peer = connection
    with raw(peer) as below:
        below.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    for _ in range(2):
        with pytest.raises(ssl.SSLError) as caught:
            transport.recv(100, PATIENCE)
        assert not isinstance(caught.value, ssl.SSLEOFError)
    with pytest.raises(ssl.SSLError):
        transport.send_all(b"abc", PATIENCE)


def test_reset_is_an_error(connection: Connection) -> None:
    transport, peer = connection
    enable_socket_linger(peer, 0)
    peer.close()
    with pytest.raises(ConnectionResetError):
        transport.recv(100, PATIENCE)
    with pytest.raises(OSError):
        transport.send_all(bytes(MUCH), PATIENCE)


# ----------------------------------------------------------------------------------------------------------- closing


def test_closing_sends_an_alert_and_waits_for_that_of_the_peer(tls_version: str, waits: Waits) -> None:
    with connected(tls_version, shutdown_timeout=PATIENCE, selector_factory=waits) as (transport, peer):
        transport.send_all(b"last words", PATIENCE)
        waits.timeouts.clear()
        closing = InThread(transport.close)
        assert peer.recv(100) == b"last words"
        assert peer.recv(100) == b""  # the alert: without one, it would be an error
        while not waits.timeouts:
            assert closing.is_running()
        assert not transport.is_closed()
        peer.sendall(b"what nobody wants to know any more")
        plain = peer.unwrap()
        closing.result()
        assert transport.is_closed()
        assert plain.recv(10) == b""
        plain.close()


def test_peer_that_does_not_close_is_not_waited_for_long(connection: Connection) -> None:
    transport, peer = connection
    transport.close()
    assert transport.is_closed()
    assert peer.recv(10) == b""


def test_peer_that_does_not_read_is_not_waited_for_long() -> None:
    with connected(small_buffers=True) as (transport, _):
        with pytest.raises(TimeoutError):
            transport.send_all(bytes(MUCH * 4), 0.01)
        transport.close()
        assert transport.is_closed()


def test_no_alert_is_sent_if_that_is_not_wanted() -> None:
    with connected(standard_compatible=False, shutdown_timeout=PATIENCE) as (transport, peer):
        transport.close()
        with raw(peer) as below:  # what SSLSocket makes of such an end depends on the version of Python
            assert below.recv(100) == b""


@pytest.mark.parametrize("kind", ["cut", "bad record", "reset"])
def test_broken_connection_is_closed_without_an_error(kind: str) -> None:
    with connected(shutdown_timeout=PATIENCE) as (transport, peer):
        if kind == "cut":
            cut(peer)
        elif kind == "bad record":
            with raw(peer) as below:
                below.sendall(bytes(50))
        else:
            enable_socket_linger(peer, 0)
            peer.close()
        transport.close()
        assert transport.is_closed()


def test_closing_is_idempotent_and_what_is_closed_refuses(connection: Connection) -> None:
    transport, _ = connection
    for _ in range(2):
        transport.close()
    for call in (
        lambda: transport.recv(10, PATIENCE),
        lambda: transport.recv_into(bytearray(10), PATIENCE),
        lambda: transport.send(b"abc", PATIENCE),
        lambda: transport.send_all(b"abc", PATIENCE),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("standard_compatible", [True, False])
def test_close_wakes_a_thread_that_receives(waits: Waits, standard_compatible: bool) -> None:
    with connected(selector_factory=waits, standard_compatible=standard_compatible) as (transport, _):
        while waits.timeouts:
            waits.wait_for_start()
            waits.timeouts.pop()
        call = InThread(transport.recv, 100, math.inf)
        waits.wait_for_start()
        transport.close()
        error = call.error()
        assert error is None or (isinstance(error, OSError) and error.errno == errno.EBADF)


def test_forgotten_transport_warns_and_closes(certificates: Certificates) -> None:
    sock, peer_sock = stream_pair(socket.AF_INET)
    handshake = shakes_hands(peer_sock, certificates.server_context())
    transport = wrap(sock, certificates.client_context())
    with handshake.result():
        with pytest.warns(ResourceWarning, match="SSLStreamTransport"):
            del transport
        assert sock.fileno() == -1


def test_forgotten_endpoint_waits_for_nobody(certificates: Certificates) -> None:
    sock, peer_sock = stream_pair(socket.AF_INET)
    handshake = shakes_hands(peer_sock, certificates.server_context())
    transport = wrap(sock, certificates.client_context(), shutdown_timeout=1e6)
    endpoint: StreamEndpoint[str, str] = StreamEndpoint(transport, line_protocol(), 100)
    with handshake.result():
        with pytest.warns(ResourceWarning, match="StreamEndpoint"):
            del endpoint
        assert transport.is_closed()


def test_half_made_transport_is_forgotten_silently(certificates: Certificates) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SSLStreamTransport.__new__(SSLStreamTransport)
        with pytest.raises(ValueError):
            SSLStreamTransport(socket.socket(), certificates.client_context(), 0)
        gc.collect()


def test_no_descriptor_is_left(certificates: Certificates) -> None:
    before = open_descriptors()
    with connected() as (transport, peer):
        transport.send_all(b"abc", PATIENCE)
        assert peer.recv(10) == b"abc"
    sock, peer_sock = stream_pair(socket.AF_INET)
    with peer_sock, pytest.raises(TimeoutError):
        wrap(sock, certificates.client_context(), handshake_timeout=0)
    gc.collect()
    assert open_descriptors() == before


# ------------------------------------------------------------------------------------------------------------- facts


def test_attributes_are_those_of_the_socket_and_of_tls(tls_version: str, certificates: Certificates) -> None:
    sock, peer_sock = stream_pair(socket.AF_INET)
    context = certificates.client_context(tls_version)
    handshake = shakes_hands(peer_sock, certificates.server_context(tls_version))
    with wrap(sock, context, standard_compatible=False) as transport, handshake.result() as peer:
        assert transport.extra(SocketAttribute.peername) == peer.getsockname()
        assert transport.extra(TLSAttribute.sslcontext) is context
        assert ("DNS", "localhost") in transport.extra(TLSAttribute.peercert)["subjectAltName"]
        assert transport.extra(TLSAttribute.cipher) == peer.cipher()
        assert transport.extra(TLSAttribute.tls_version) == tls_version
        assert transport.extra(TLSAttribute.standard_compatible) is False
        with pytest.raises(TypedAttributeLookupError):
            transport.extra(TLSAttribute.compression)
    with pytest.raises(TypedAttributeLookupError):
        transport.extra(SocketAttribute.peername)


def test_there_is_no_instance_dict(connection: Connection) -> None:
    assert not hasattr(connection[0], "__dict__")


def test_threads_ask_for_facts_while_others_send_and_receive(connection: Connection) -> None:
    transport, peer = connection
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            transport.extra(TLSAttribute.cipher)
            transport.extra(TLSAttribute.peercert)

    asking = InThread(ask)
    for number in range(200):
        transport.send_all(b"%d" % number, PATIENCE)
        assert peer.recv(100) == b"%d" % number
        peer.sendall(b"%d" % number)
        assert transport.recv(100, PATIENCE) == b"%d" % number
    stop.set()
    asking.result()
