"""TLS that starts on a blocking transport after an exchange of plaintext."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.blocking import PATIENCE, InThread, Waits
from tests.support.blocking_tls import shakes_hands
from tests.support.certificates import Certificates
from tests.support.descriptors import open_descriptors
from tests.support.forks import in_child_process, needs_fork
from tests.support.sockets import stream_pair

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport, SSLStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute, TLSAttribute

Connection = tuple[SocketStreamTransport, socket.socket]

FAMILIES = [pytest.param(socket.AF_INET, id="TCP"), pytest.param(socket.AF_UNIX, id="Unix")]


@pytest.fixture(params=FAMILIES)
def connection(request: pytest.FixtureRequest, waits: Waits) -> Iterator[Connection]:
    """Our transport and the peer's socket, after an exchange of plaintext."""
    ours, theirs = stream_pair(request.param)
    with theirs, SocketStreamTransport(ours, math.inf, selector_factory=waits) as plain:
        plain.send_all(b"STARTTLS\n", PATIENCE)
        assert theirs.recv(100) == b"STARTTLS\n"
        theirs.sendall(b"go\n")
        assert plain.recv(100, PATIENCE) == b"go\n"
        yield plain, theirs


def start(
    plain: SocketStreamTransport, context: ssl.SSLContext, received: bytes = b"", **options: Any
) -> SSLStreamTransport:
    """Start TLS, as the client unless the options say otherwise."""
    if not options.get("server_side"):
        options.setdefault("server_hostname", "localhost")
    options.setdefault("shutdown_timeout", 0.02)  # the peer seldom answers
    return SSLStreamTransport._start(plain, context, received=received, **options)


@pytest.mark.parametrize("server_side", [False, True])
def test_question_and_answer(connection: Connection, certificates: Certificates, server_side: bool) -> None:
    plain, theirs = connection
    contexts = [certificates.client_context(), certificates.server_context()]
    contexts[0].set_alpn_protocols(["x"])
    contexts[1].set_alpn_protocols(["x"])
    handshake = shakes_hands(theirs, contexts[not server_side], server_side=not server_side)
    with start(plain, contexts[server_side], server_side=server_side) as tls, handshake.result() as peer:
        tls.send_all(b"question", PATIENCE)
        assert peer.recv(100) == b"question"
        peer.sendall(b"answer")
        assert tls.recv(100, PATIENCE) == b"answer"
        assert tls.extra(TLSAttribute.server_name) == "localhost"
        assert tls.extra(TLSAttribute.alpn_protocol) == "x"
        with pytest.raises(TypedAttributeLookupError):
            plain.extra(TLSAttribute.sslcontext)


@pytest.mark.parametrize("size", [1, 5, 6, 100, None])
def test_bytes_that_were_taken_from_the_transport_begin_the_handshake(
    connection: Connection, certificates: Certificates, size: int | None
) -> None:
    plain, theirs = connection
    client = TLSEngine(certificates.client_context(), server_side=False, server_hostname="localhost")
    client.handshake()
    hello = client.take_outgoing()
    if size is not None:
        theirs.sendall(hello[size:])
    starting = InThread(start, plain, certificates.server_context(), hello[:size], server_side=True)
    while not client.handshake(theirs.recv(1 << 16)):
        pass
    client.encrypt(b"question")
    theirs.sendall(client.take_outgoing())
    with starting.result() as tls:
        assert tls.recv(100, PATIENCE) == b"question"


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize("where", ["taken", "unread"])
def test_plaintext_before_the_handshake_is_refused_and_closes_the_connection(
    connection: Connection, certificates: Certificates, server_side: bool, where: str
) -> None:
    plain, theirs = connection
    context = certificates.server_context() if server_side else certificates.client_context()
    if where == "unread":
        theirs.sendall(b"injected\n")
    with pytest.raises(ssl.SSLError, match="9 bytes of plaintext arrived before the TLS handshake"):
        start(plain, context, b"injected\n" if where == "taken" else b"", server_side=server_side)
    assert plain.is_closed()
    with contextlib.suppress(ConnectionError):
        while theirs.recv(100):
            pass


def test_handshake_that_takes_too_long_closes_the_connection(
    connection: Connection, certificates: Certificates
) -> None:
    plain, _ = connection
    with pytest.raises(TimeoutError):
        start(plain, certificates.client_context(), handshake_timeout=0.02)
    assert plain.is_closed()


@pytest.mark.parametrize("name", ["handshake_timeout", "shutdown_timeout"])
def test_bad_times_are_refused(connection: Connection, certificates: Certificates, name: str) -> None:
    plain, _ = connection
    options: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=name):
        start(plain, certificates.client_context(), **options)
    assert plain.is_closed()


def test_socket_stays_the_same(connection: Connection, certificates: Certificates) -> None:
    plain, theirs = connection
    view, descriptors = plain.extra(SocketAttribute.socket), open_descriptors()
    handshake = shakes_hands(theirs, certificates.server_context())
    tls = start(plain, certificates.client_context())
    del plain
    with tls, handshake.result():
        assert open_descriptors() == descriptors
        assert tls.extra(SocketAttribute.socket).fileno() == view.fileno() >= 0
        assert view.getpeername() == tls.extra(SocketAttribute.peername)
    assert view.fileno() == -1


def test_plain_transport_may_be_dropped(certificates: Certificates) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    handshake = shakes_hands(theirs, certificates.server_context())
    with start(SocketStreamTransport(ours, math.inf), certificates.client_context()) as tls:
        with handshake.result() as peer:
            tls.send_all(b"question", PATIENCE)
            assert peer.recv(100) == b"question"
    assert ours.fileno() == -1


def test_dropped_transport_warns_once_and_closes(certificates: Certificates) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    handshake = shakes_hands(theirs, certificates.server_context())
    tls = start(SocketStreamTransport(ours, math.inf), certificates.client_context())
    with handshake.result():
        with pytest.warns(ResourceWarning, match="unclosed transport <SSLStreamTransport") as record:
            del tls
        assert len(record) == 1
        assert ours.fileno() == -1


def test_closing_the_plain_transport_ends_the_handshake(connection: Connection, certificates: Certificates) -> None:
    """The object that owns the plain transport can be closed while another thread starts TLS."""
    plain, theirs = connection
    starting = InThread(start, plain, certificates.client_context())
    assert theirs.recv(1)  # it has begun
    plain.close()
    assert isinstance(starting.error(), OSError)


def test_waits_use_the_selector_of_the_plain_transport(
    connection: Connection, waits: Waits, certificates: Certificates
) -> None:
    plain, _ = connection
    waits.timeouts.clear()
    with pytest.raises(TimeoutError):
        start(plain, certificates.client_context(), handshake_timeout=0.02)
    assert waits.timeouts


@needs_fork
def test_child_process_that_starts_tls_leaves_the_connection_of_its_parent(certificates: Certificates) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    handshake = shakes_hands(theirs, certificates.server_context())
    with SocketStreamTransport(ours, math.inf) as plain:

        def start_and_close() -> None:
            start(plain, certificates.client_context()).close()

        in_child_process(start_and_close)
        with handshake.result() as peer:
            peer.settimeout(0.02)
            with pytest.raises(TimeoutError):
                peer.recv(1)  # neither a closing alert nor the end of the stream
