"""TLS without any I/O: two engines, and a wire that cuts, alters, repeats and drops what it likes."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lowlevel.core.tls_duplex import Duplex, cut, records
from tests.support.certificates import VERSIONS, Certificates

from easynetwork.lowlevel._core.tls_engine import TLSEngine, check_has_certificate, check_ssl_context

deterministic = settings(derandomize=True, deadline=None, max_examples=60, database=None)
sizes = st.lists(st.sampled_from((1, 2, 4, 5, 6, 17, 100, 1000, 5000)), min_size=1, max_size=6)
versions = st.sampled_from(sorted(VERSIONS))


def send(sender: TLSEngine, receiver: TLSEngine, data: bytes, pieces: list[int] | int | None = None) -> bytes:
    sender.encrypt(data)
    return b"".join(receiver.decrypt(piece) for piece in cut(sender.take_outgoing(), pieces))


@pytest.mark.parametrize("server_side", [True, False])
def test_anything_but_a_tls_context_is_refused(server_side: bool) -> None:
    with pytest.raises(TypeError, match=r"needs an ssl\.SSLContext.*, got True"):
        check_ssl_context(True, server_side=server_side)


def test_a_context_of_the_other_side_is_refused(certificates: Certificates) -> None:
    server, client = certificates.server_context(), certificates.client_context()
    check_ssl_context(server, server_side=True)
    check_ssl_context(client, server_side=False)
    with pytest.raises(ValueError, match="for servers, got one for clients only"):
        check_ssl_context(client, server_side=True)
    with pytest.raises(ValueError, match="for clients, got one for servers only"):
        check_ssl_context(server, server_side=False)


# ------------------------------------------------------------------------------------------------------ certificates


def issue(key: Any, digest: hashes.HashAlgorithm | None) -> bytes:
    """Return *key* and a certificate that it has signed itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial_number=1)
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2120, 1, 1))
        .sign(key, digest)  # type: ignore[arg-type]
    )
    key_format = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return bytes(
        key.private_bytes(serialization.Encoding.PEM, *key_format)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )


KEYS: dict[str, Callable[[], tuple[Any, hashes.HashAlgorithm | None]]] = {
    "RSA": lambda: (rsa.generate_private_key(65537, 2048), hashes.SHA256()),
    "P-256": lambda: (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()),
    "P-521": lambda: (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
    "secp256k1": lambda: (ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()),
    "brainpoolP384r1": lambda: (ec.generate_private_key(ec.BrainpoolP384R1()), hashes.SHA384()),
    "Ed25519": lambda: (ed25519.Ed25519PrivateKey.generate(), None),
    "Ed448": lambda: (ed448.Ed448PrivateKey.generate(), None),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_certificate_of_any_kind_is_found(key: str, tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    file.write_bytes(issue(*KEYS[key]()))
    for version in (None, *VERSIONS.values()):
        for verify_mode in ssl.VerifyMode:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            context.verify_mode = verify_mode
            if version is not None:
                context.minimum_version = context.maximum_version = version
            check_has_certificate(context)


CIPHERS = [None, "HIGH", "ALL", "PSK", "aNULL"]


def bare_context(version: str | None, ciphers: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version is not None:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


@pytest.mark.parametrize("version", [None, *VERSIONS])
@pytest.mark.parametrize("ciphers", CIPHERS)
def test_a_context_without_a_certificate_is_refused(version: str | None, ciphers: str | None) -> None:
    context = bare_context(version, ciphers)
    check_ssl_context(context, server_side=True)
    with pytest.raises(ValueError, match="has no certificate"):
        check_has_certificate(context)


def test_a_context_that_trusts_authorities_but_has_no_certificate_is_refused(certificates: Certificates) -> None:
    with certificates.authority_file() as authority:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    with pytest.raises(ValueError, match="has no certificate"):
        check_has_certificate(context)


def test_a_context_for_clients_is_refused_whether_it_has_a_certificate_or_not(certificates: Certificates) -> None:
    for with_certificate in (False, True):
        with pytest.raises(ValueError, match="for clients only"):
            check_has_certificate(certificates.client_context(with_certificate=with_certificate))


def test_a_context_without_authentication_needs_no_certificate() -> None:
    check_has_certificate(bare_context("TLSv1.2", "aNULL:@SECLEVEL=0"))
    with pytest.raises(ValueError, match="has no certificate"):
        check_has_certificate(bare_context("TLSv1.3", "aNULL:@SECLEVEL=0"))


@pytest.mark.skipif(not getattr(ssl, "HAS_PSK", False), reason="this Python has no pre-shared keys")
@pytest.mark.parametrize("version", [None, *VERSIONS])
@pytest.mark.parametrize("ciphers", CIPHERS)
def test_a_context_with_pre_shared_keys_needs_no_certificate(version: str | None, ciphers: str | None) -> None:
    context: Any = bare_context(version, ciphers)
    asked: list[str] = []
    context.set_psk_server_callback(asked.append, "hint")
    if version == "TLSv1.2" and ciphers in (None, "aNULL"):  # which use no such keys
        with pytest.raises(ValueError, match="has no certificate"):
            check_has_certificate(context)
    else:
        check_has_certificate(context)
    assert asked == []


def test_the_search_for_a_certificate_changes_nothing(certificates: Certificates, tmp_path: Path) -> None:
    asked: list[str | None] = []

    def choose(connection: object, name: str | None, context: object) -> None:
        asked.append(name)

    for context in (certificates.server_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)):
        context.sni_callback = choose
        check_has_certificate(context)
        assert context.sni_callback is choose
    context = certificates.server_context()
    context.keylog_filename = str(tmp_path / "keys")
    before = (context.get_ciphers(), context.options, context.minimum_version, context.maximum_version)
    check_has_certificate(context)
    assert (context.get_ciphers(), context.options, context.minimum_version, context.maximum_version) == before
    assert "SECRET" not in (tmp_path / "keys").read_text()
    assert asked == []


# --------------------------------------------------------------------------------------------------------- handshake


@deterministic
@given(versions, sizes)
def test_handshake_comes_in_pieces_of_any_size(certificates: Certificates, version: str, pieces: list[int]) -> None:
    duplex = Duplex(certificates, version)
    duplex.shake_hands(pieces)
    assert duplex.client.ssl_object.version() == duplex.server.ssl_object.version() == version
    assert send(duplex.client, duplex.server, b"question") == b"question"
    assert send(duplex.server, duplex.client, b"answer") == b"answer"


def test_plaintext_that_comes_with_the_last_message_of_the_handshake_is_kept(
    certificates: Certificates, tls_version: str
) -> None:
    duplex = Duplex(certificates, tls_version)
    first, last = duplex.client, duplex.server  # which side is done first, and which waits for the other's last message
    is_done = first.handshake()
    while not is_done:
        last.handshake(first.take_outgoing())
        first, last = last, first
        is_done = first.handshake(last.take_outgoing())
    first.encrypt(b"x" * 20_000)
    first.encrypt(b"y")
    assert last.handshake(first.take_outgoing())
    assert last.decrypt(b"") == b"x" * 20_000 + b"y"


@pytest.mark.parametrize("standard_compatible", [True, False])
@pytest.mark.parametrize("hide_eof", [True, False])
@pytest.mark.parametrize("received", [0, 3, 30])
def test_end_of_the_stream_during_the_handshake_is_an_error(
    certificates: Certificates, tls_version: str, standard_compatible: bool, hide_eof: bool, received: int
) -> None:
    context = certificates.client_context(tls_version)
    if hide_eof:
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    duplex = Duplex(certificates, tls_version, client_context=context, standard_compatible=standard_compatible)
    assert not duplex.client.handshake()
    assert not duplex.server.handshake(duplex.client.take_outgoing())
    assert not duplex.client.handshake(duplex.server.take_outgoing()[:received])
    for engine in (duplex.client, duplex.server):
        engine.feed_eof()
        for _ in range(2):
            with pytest.raises(ssl.SSLEOFError) as info:
                engine.handshake()
            assert info.value.reason == "UNEXPECTED_EOF_WHILE_READING"


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 100])
def test_plain_text_is_no_handshake(certificates: Certificates, garbage: bytes) -> None:
    duplex = Duplex(certificates)
    duplex.client.handshake()
    for engine in (duplex.client, duplex.server):
        with pytest.raises(ssl.SSLError):
            engine.handshake(garbage)


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("data", [b"QUIT\r\n", b"\x17\x03\x03\0\x01x", b"\x16\x02\0\0", b"\0"])
def test_plaintext_after_an_exchange_of_plaintext_is_an_injection(
    certificates: Certificates, side: str, data: bytes
) -> None:
    engine = getattr(Duplex(certificates, follows_plaintext=True), side)
    assert not engine.handshake()
    with pytest.raises(ssl.SSLError, match=f"{len(data)} bytes of plaintext arrived before the TLS handshake.*CVE-"):
        engine.handshake(data)


@pytest.mark.parametrize("follows_plaintext", [True, False])
@pytest.mark.parametrize("data", [b"\x16\x03\x01\0\x10" + b"x" * 100, b"\x16", b"\x15\x03\x03\0\x02\x02\x28"])
def test_bytes_that_begin_a_record_are_for_the_tls_library(
    certificates: Certificates, follows_plaintext: bool, data: bytes
) -> None:
    duplex = Duplex(certificates, follows_plaintext=follows_plaintext)
    duplex.client.handshake()
    reasons: list[str | None] = []
    for engine in (duplex.client, duplex.server):
        try:
            engine.handshake(data)
        except ssl.SSLError as exc:
            reasons.append(exc.reason)
    assert None not in reasons, "the error is not from OpenSSL"


@pytest.mark.parametrize("pieces", [1, 3, None])
def test_handshake_after_an_exchange_of_plaintext_comes_in_pieces(
    certificates: Certificates, tls_version: str, pieces: int | None
) -> None:
    duplex = Duplex(certificates, tls_version, follows_plaintext=True)
    duplex.shake_hands(pieces)
    assert send(duplex.client, duplex.server, b"QUIT\r\n") == b"QUIT\r\n"


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("localhost", "localhost"),
        ("Server.Example", "server.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("127.0.0.1", None),
        ("::1", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("pieces", [1, None])
def test_both_sides_tell_the_server_name_that_was_sent(
    certificates: Certificates, tls_version: str, given_name: str | None, name: str | None, pieces: int | None
) -> None:
    client_context, server_context = certificates.client_context(tls_version), certificates.server_context(tls_version)
    client_context.check_hostname = False
    told: list[str | None] = []
    server_context.sni_callback = lambda _tls, name, _context: told.append(name)
    duplex = Duplex(
        certificates, client_context=client_context, server_context=server_context, server_hostname=given_name
    )
    assert duplex.server.server_name is None
    duplex.shake_hands(pieces)
    assert duplex.client.server_name == duplex.server.server_name == name
    assert [told_name and told_name.lower() for told_name in told] == [name]


def test_server_name_may_choose_the_certificate(certificates: Certificates) -> None:
    first, second = certificates.server_context(), certificates.server_context()

    def choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = second

    first.sni_callback = choose
    duplex = Duplex(certificates, server_context=first)
    duplex.shake_hands()
    assert duplex.server.ssl_object.context is second
    assert duplex.server.server_name == "localhost"


def test_server_name_is_that_of_the_first_message_after_a_retry(certificates: Certificates) -> None:
    """The server wants a key of another group, and the client repeats its message: :rfc:`8446`, section 4.1.4."""
    server_context = certificates.server_context("TLSv1.3")
    server_context.set_ecdh_curve("secp521r1")
    duplex = Duplex(certificates, "TLSv1.3", server_context=server_context)
    duplex.shake_hands()
    assert duplex.server.server_name == "localhost"


def refuse(duplex: Duplex) -> tuple[Exception | None, Exception | None]:
    """Do a handshake that fails. Return the errors of the client and of the server."""
    errors: dict[TLSEngine, Exception] = {}
    data, sender, receiver = b"", duplex.server, duplex.client
    done: set[TLSEngine] = set()
    for _ in range(8):
        try:
            if receiver in done:
                receiver.decrypt(data)
                if receiver.failure is not None:
                    errors.setdefault(receiver, receiver.failure)
            elif receiver not in errors and receiver.handshake(data):
                done.add(receiver)
        except ssl.SSLError as exc:
            errors[receiver] = exc
        data = receiver.take_outgoing()
        sender, receiver = receiver, sender
    return errors.get(duplex.client), errors.get(duplex.server)


@pytest.mark.parametrize("reason", ["authority", "name"])
def test_refused_certificate_is_told_to_the_server(certificates: Certificates, tls_version: str, reason: str) -> None:
    context = certificates.client_context(tls_version, trusting=reason != "authority")
    name = "other.example" if reason == "name" else "localhost"
    client, server = refuse(Duplex(certificates, tls_version, client_context=context, server_hostname=name))
    assert isinstance(client, ssl.SSLCertVerificationError)
    assert isinstance(server, ssl.SSLError)
    assert "ALERT" in server.reason


def test_missing_certificate_of_a_client_is_told_to_it(certificates: Certificates, tls_version: str) -> None:
    context = certificates.server_context(tls_version, ask_client=True)
    client, server = refuse(Duplex(certificates, tls_version, server_context=context))
    assert isinstance(server, ssl.SSLError)
    assert server.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert isinstance(client, ssl.SSLError)
    assert "ALERT" in client.reason


def test_both_sides_see_the_certificates(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(
        certificates,
        tls_version,
        client_context=certificates.client_context(tls_version, with_certificate=True),
        server_context=certificates.server_context(tls_version, ask_client=True),
    )
    duplex.shake_hands()
    assert ("DNS", "localhost") in get_certificate(duplex.client)["subjectAltName"]
    assert ("email", "client@example.org") in get_certificate(duplex.server)["subjectAltName"]


def get_certificate(engine: TLSEngine) -> Any:
    return engine.ssl_object.getpeercert()


def test_server_learns_the_name_that_the_client_asks_for(certificates: Certificates, tls_version: str) -> None:
    names: list[str | None] = []
    context = certificates.server_context(tls_version)
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    Duplex(certificates, tls_version, server_context=context, server_hostname="server.example").shake_hands()
    nameless = certificates.client_context(tls_version)
    nameless.check_hostname = False
    Duplex(certificates, tls_version, server_context=context, client_context=nameless, server_hostname="").shake_hands()
    assert names == ["server.example", None]


def test_session_is_resumed(certificates: Certificates) -> None:
    client_context, server_context = certificates.client_context("TLSv1.2"), certificates.server_context("TLSv1.2")
    first = Duplex(certificates, client_context=client_context, server_context=server_context)
    first.shake_hands()
    session = first.client.ssl_object.session
    second = Duplex(certificates, client_context=client_context, server_context=server_context, session=session)
    second.shake_hands()
    assert [first.client.ssl_object.session_reused, second.client.ssl_object.session_reused] == [False, True]
    assert send(second.client, second.server, b"x") == b"x"


def test_name_that_is_to_be_checked_has_to_be_given(certificates: Certificates) -> None:
    for name in (None, ""):
        with pytest.raises(ValueError, match="server_hostname"):
            TLSEngine(certificates.client_context(), server_side=False, server_hostname=name)


# -------------------------------------------------------------------------------------------------------------- data


@deterministic
@given(versions, st.lists(st.tuples(st.booleans(), st.integers(0, 20_000)), max_size=5), sizes)
def test_plaintext_arrives_however_records_are_cut_and_joined(
    certificates: Certificates, version: str, messages: list[tuple[bool, int]], pieces: list[int]
) -> None:
    duplex = Duplex(certificates, version)
    duplex.shake_hands()
    for sender, receiver in ((duplex.client, duplex.server), (duplex.server, duplex.client)):
        rng = random.Random(0)
        wire, sent = b"", b""
        for is_taken, size in messages:
            data = rng.randbytes(size)
            sender.encrypt(data)
            sent += data
            if is_taken:
                wire += sender.take_outgoing()
        wire += sender.take_outgoing()
        assert b"".join(receiver.decrypt(piece) for piece in cut(wire, pieces)) == sent
        assert not receiver.ended


def test_records_can_be_cut_at_any_byte(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    for at in range(80):
        duplex.client.encrypt(b"%010d" % at)
        duplex.client.encrypt(b"%010d" % -at)
        wire = duplex.client.take_outgoing()
        received = duplex.server.decrypt(wire[:at]) + duplex.server.decrypt(wire[at:])
        assert received == b"%010d%010d" % (at, -at)


@pytest.mark.parametrize("size", [16_384, 16_385, 1_000_000])
def test_large_plaintext_is_many_records(certificates: Certificates, tls_version: str, size: int) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    data = random.Random(1).randbytes(size)
    duplex.server.encrypt(data)
    wire = duplex.server.take_outgoing()
    assert len(records(wire)) == -(-size // 16_384)
    assert duplex.client.decrypt(wire) == data


def test_nothing_to_encrypt_makes_no_record(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.encrypt(b"")
    assert not duplex.client.has_outgoing
    assert duplex.client.decrypt(b"") == b""
    assert not duplex.client.ended


# ----------------------------------------------------------------------------------------------------------- closing


def test_closing_alert_ends_the_stream_after_what_was_sent_before(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    for engine, peer in ((duplex.client, duplex.server), (duplex.server, duplex.client)):
        engine.encrypt(b"last words")
        engine.close()
        assert peer.decrypt(engine.take_outgoing()) == b"last words"
        assert peer.ended
        assert peer.closed_by_peer
        assert peer.failure is None
    assert not duplex.server.has_outgoing


def test_closing_alert_alone_ends_the_stream(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.close()
    assert not duplex.client.ended
    for byte in cut(duplex.client.take_outgoing(), 1):
        assert not duplex.server.ended
        assert duplex.server.decrypt(byte) == b""
    assert duplex.server.closed_by_peer
    duplex.server.feed_eof()
    assert duplex.server.failure is None


def test_both_can_close_at_once(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    for engine in (duplex.client, duplex.server):
        engine.encrypt(b"x")
        engine.close()
    to_server, to_client = duplex.client.take_outgoing(), duplex.server.take_outgoing()
    duplex.server.decrypt(to_server)
    duplex.client.decrypt(to_client)
    for engine in (duplex.client, duplex.server):
        assert engine.closed_by_peer
        assert engine.failure is None


def test_receiving_goes_on_until_the_peer_closes_too(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.close()
    for size in (10, 100_000):
        assert send(duplex.server, duplex.client, b"x" * size, 999) == b"x" * size
    assert not duplex.client.ended
    duplex.server.close()
    duplex.client.decrypt(duplex.server.take_outgoing())
    assert duplex.client.closed_by_peer
    assert duplex.client.failure is None


def test_sending_goes_on_after_the_closing_alert_of_the_peer(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    for engine, peer in ((duplex.client, duplex.server), (duplex.server, duplex.client)):
        engine.close()
        peer.decrypt(engine.take_outgoing())
        if not engine.closed_by_peer:
            assert send(peer, engine, b"x" * 100_000, 999) == b"x" * 100_000
        assert peer.failure is None


def test_closing_alert_in_the_midst_of_a_renegotiation_is_a_failure(certificates: Certificates) -> None:
    """Plaintext that waits for its end cannot be sent any more."""
    duplex = Duplex(certificates, "TLSv1.2")
    duplex.shake_hands()
    duplex.client.close()
    duplex.server._unsent.append(b"waits")  # as if the client had begun one; Python cannot
    duplex.server.decrypt(duplex.client.take_outgoing())
    assert isinstance(duplex.server.failure, ConnectionResetError)
    assert not duplex.server.must_receive


# Python cannot begin a renegotiation, in which OpenSSL does not take plaintext. So the tests say that one has begun.


def test_plaintext_waits_for_the_end_of_a_renegotiation(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    duplex = Duplex(certificates, "TLSv1.2")
    duplex.shake_hands()
    client, server = duplex.client, duplex.server
    taken: list[bytes] = []

    def write(plaintext: bytes) -> int:
        if taken:
            raise ssl.SSLWantReadError
        taken.append(plaintext)
        return server.ssl_object.write(plaintext[:2])

    with monkeypatch.context() as patch:
        patch.setattr(server, "_write", write)
        server.encrypt(b"abc")
        assert server.must_receive
        server.encrypt(b"def")
        assert len(taken) == 1
    client.encrypt(b"the end of it")
    assert server.decrypt(client.take_outgoing()) == b"the end of it"
    assert not server.must_receive
    assert client.decrypt(server.take_outgoing()) == b"abcdef"


def test_plaintext_that_would_wait_for_a_peer_that_has_closed_is_a_failure(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(plaintext: bytes) -> int:
        raise ssl.SSLWantReadError

    duplex = Duplex(certificates, "TLSv1.2")
    duplex.shake_hands()
    duplex.client.close()
    duplex.server.decrypt(duplex.client.take_outgoing())
    monkeypatch.setattr(duplex.server, "_write", write)
    duplex.server.encrypt(b"abc")
    assert isinstance(duplex.server.failure, ConnectionResetError)
    assert not duplex.server.must_receive


def test_plaintext_that_cannot_be_encrypted_is_a_failure(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ssl.SSLError(ssl.SSL_ERROR_SSL, "broken")

    def write(plaintext: bytes) -> int:
        raise error

    duplex = Duplex(certificates)
    duplex.shake_hands()
    monkeypatch.setattr(duplex.server, "_write", write)
    duplex.server.encrypt(b"abc")
    assert duplex.server.failure is error
    assert duplex.server.ended


def test_plaintext_arrives_however_little_openssl_takes_at_once(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    duplex = Duplex(certificates)
    duplex.shake_hands()
    server = duplex.server
    monkeypatch.setattr(server, "_write", lambda plaintext: server.ssl_object.write(plaintext[:2]))
    server.encrypt(b"abcde")
    assert duplex.client.decrypt(server.take_outgoing()) == b"abcde"


def test_closing_before_the_handshake_is_a_failure(certificates: Certificates) -> None:
    client = Duplex(certificates).client
    client.close()
    assert client.failure is not None


def test_nothing_is_kept_of_what_comes_after_the_end(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.close()
    end = duplex.client.take_outgoing()
    duplex.server.decrypt(end)
    for _ in range(10):
        assert duplex.server.decrypt(b"\x17\x03\x03\x10\x00" + b"x" * 4096) == b""
    assert duplex.server._incoming.pending == 0
    assert duplex.server.failure is None


# ------------------------------------------------------------------------------------------------------- ragged ends


@pytest.mark.parametrize("standard_compatible", [True, False])
@pytest.mark.parametrize("hide_eof", [True, False])
@pytest.mark.parametrize("is_cut", [True, False])
def test_end_without_a_closing_alert_is_an_error_if_tls_is_to_be_standard_compatible(
    certificates: Certificates, tls_version: str, standard_compatible: bool, hide_eof: bool, is_cut: bool
) -> None:
    context = certificates.server_context(tls_version)
    if hide_eof:
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    duplex = Duplex(certificates, tls_version, server_context=context, standard_compatible=standard_compatible)
    duplex.shake_hands()
    assert send(duplex.client, duplex.server, b"whole") == b"whole"
    if is_cut:
        duplex.client.encrypt(b"half")
        assert duplex.server.decrypt(duplex.client.take_outgoing()[:10]) == b""
    for _ in range(2):
        duplex.server.feed_eof()
        assert duplex.server.ended
        assert not duplex.server.closed_by_peer
        if standard_compatible:
            assert isinstance(duplex.server.failure, ssl.SSLEOFError)
        else:
            assert duplex.server.failure is None


def test_end_of_the_stream_after_our_closing_alert_alone_is_an_error(
    certificates: Certificates, tls_version: str
) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.close()
    duplex.client.feed_eof()
    assert isinstance(duplex.client.failure, ssl.SSLEOFError)


# ------------------------------------------------------------------------------------------------------ bad records


def broken(duplex: Duplex, wire: bytes) -> tuple[bytes, Exception | None]:
    """Return what the server gets out of *wire* and the end of the stream after it."""
    received = duplex.server.decrypt(wire)
    duplex.server.feed_eof()
    return received, duplex.server.failure


@deterministic
@given(versions, st.integers(0, 60), st.integers(1, 255))
def test_altered_record_is_refused_and_what_came_before_is_kept(
    certificates: Certificates, version: str, position: int, change: int
) -> None:
    duplex = Duplex(certificates, version)
    duplex.shake_hands()
    duplex.client.encrypt(b"one")
    duplex.client.encrypt(b"two" * 30)
    first, second = records(duplex.client.take_outgoing())
    altered = bytearray(second)
    altered[position] ^= change
    received, failure = broken(duplex, first + altered)
    assert received == b"one"
    assert isinstance(failure, ssl.SSLError)


def test_altered_record_is_answered_by_an_alert(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.encrypt(b"one")
    wire = duplex.client.take_outgoing()
    assert duplex.server.decrypt(wire[:-1] + bytes([wire[-1] ^ 1])) == b""
    assert isinstance(duplex.server.failure, ssl.SSLError)
    duplex.client.decrypt(duplex.server.take_outgoing())
    assert isinstance(duplex.client.failure, ssl.SSLError)
    assert "ALERT" in duplex.client.failure.reason


@pytest.mark.parametrize("order", [[0, 0], [0, 2], [1, 0], [0, 1, 1], [0, 1, 0]])
def test_replayed_missing_or_swapped_records_are_refused(
    certificates: Certificates, tls_version: str, order: list[int]
) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    for packet in (b"zero", b"one", b"two"):
        duplex.client.encrypt(packet)
    wire = records(duplex.client.take_outgoing())
    received, failure = broken(duplex, b"".join(wire[index] for index in order))
    in_order = [index for place, index in enumerate(order) if order[: place + 1] == list(range(place + 1))]
    assert received == b"".join((b"zero", b"one", b"two")[index] for index in in_order)
    assert isinstance(failure, ssl.SSLError)
    assert not isinstance(failure, ssl.SSLEOFError)


def test_first_failure_is_the_reason_for_ever(certificates: Certificates, tls_version: str) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    duplex.client.encrypt(b"x")
    good = duplex.client.take_outgoing()
    duplex.server.decrypt(b"nonsense" * 10)
    reason = duplex.server.failure
    assert reason is not None
    duplex.server.take_outgoing()
    assert duplex.server.decrypt(good) == b""
    duplex.server.encrypt(b"secret")
    duplex.server.feed_eof()
    duplex.server.close()
    assert duplex.server.failure is reason
    assert duplex.server.ended
    assert not duplex.server.closed_by_peer
    assert not duplex.server.has_outgoing


# --------------------------------------------------------------------------------------- messages after the handshake


def test_session_tickets_are_not_plaintext(certificates: Certificates) -> None:
    duplex = Duplex(certificates, "TLSv1.3")
    client, server = duplex.client, duplex.server
    client.handshake()
    server.handshake(client.take_outgoing())
    assert client.handshake(server.take_outgoing())
    assert server.handshake(client.take_outgoing())
    server.encrypt(b"hello")
    *tickets, last = records(server.take_outgoing())
    assert tickets
    for ticket in tickets:
        assert client.decrypt(ticket) == b""
        assert not client.ended
    assert client.decrypt(last) == b"hello"


def test_a_client_awaits_the_tickets_of_a_server(certificates: Certificates) -> None:
    duplex = Duplex(certificates, "TLSv1.3")
    client, server = duplex.client, duplex.server
    client.handshake()
    server.handshake(client.take_outgoing())
    assert client.handshake(server.take_outgoing())
    assert client.awaits_tickets
    assert server.handshake(client.take_outgoing())
    client.decrypt(server.take_outgoing())
    assert not client.awaits_tickets
    assert not server.awaits_tickets


def test_no_tickets_are_awaited_where_they_come_with_the_handshake(certificates: Certificates) -> None:
    duplex = Duplex(certificates, "TLSv1.2")
    duplex.shake_hands()
    assert not duplex.client.awaits_tickets


@pytest.mark.parametrize("has_certificate", [True, False])
def test_receiving_may_have_to_send(certificates: Certificates, has_certificate: bool) -> None:
    """A server that asks for a certificate after the handshake: :rfc:`8446`, section 4.6.2."""
    client_context = certificates.client_context("TLSv1.3", with_certificate=has_certificate)
    client_context.post_handshake_auth = True
    server_context = certificates.server_context("TLSv1.3", ask_client=True)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.post_handshake_auth = True
    duplex = Duplex(certificates, client_context=client_context, server_context=server_context)
    client, server = duplex.client, duplex.server
    duplex.shake_hands()
    assert get_certificate(server) is None
    server.ssl_object.verify_client_post_handshake()
    server.encrypt(b"who are you?")
    assert client.decrypt(server.take_outgoing()) == b"who are you?"
    assert client.has_outgoing
    client.encrypt(b"me")
    received = server.decrypt(client.take_outgoing())
    if has_certificate:
        assert received == b"me"
        assert ("email", "client@example.org") in get_certificate(server)["subjectAltName"]
        assert send(server, client, b"x") == b"x"
    else:
        assert received == b""
        assert isinstance(server.failure, ssl.SSLError)
