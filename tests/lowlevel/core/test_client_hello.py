"""The server name in the first message of a TLS client: found wherever the message is cut, whatever it contains."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lowlevel.core.tls_duplex import cut, records
from tests.support.certificates import Certificates

from easynetwork.lowlevel._core.client_hello import ServerNameReader
from easynetwork.lowlevel._core.tls_engine import TLSEngine

deterministic = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def first_flight(context: ssl.SSLContext, name: str | None) -> bytes:
    engine = TLSEngine(context, server_side=False, server_hostname=name)
    engine.handshake()
    return engine.take_outgoing()


def hello(certificates: Certificates, name: str | None = "server.example", version: str | None = None) -> bytes:
    """Return what a client sends first."""
    context = certificates.client_context(version)
    if name is None:
        context.check_hostname = False
    return first_flight(context, name)


def in_records(message: bytes, size: int) -> bytes:
    """Return a handshake message in records of at most *size* bytes."""
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in cut(message, size))


def message_of(ciphertext: bytes) -> bytes:
    return b"".join(record[5:] for record in records(ciphertext))


def built_hello(extensions: bytes) -> bytes:
    """Return a ClientHello by hand, in one record: no session identifier, one cipher suite."""
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + len(extensions).to_bytes(2) + extensions
    return in_records(b"\x01" + len(body).to_bytes(3) + body, 1 << 14)


def server_name_extension(name: bytes, kind: int = 0) -> bytes:
    entry = bytes([kind]) + len(name).to_bytes(2) + name
    names = len(entry).to_bytes(2) + entry
    return b"\0\0" + len(names).to_bytes(2) + names


def name_in(data: bytes, pieces: int | list[int] | None = None) -> str | None:
    """Feed *data*, which must contain all that the reader needs."""
    reader = ServerNameReader()
    answers = [reader.feed(piece) for piece in cut(data, pieces)]
    assert True in answers
    return reader.name


@deterministic
@given(
    st.sampled_from(("server.example", "localhost", "x" * 63 + ".example", None)),
    st.sampled_from((1, 3, 50, 1 << 14)),
    st.lists(st.sampled_from((1, 2, 5, 6, 100, 1000)), min_size=1, max_size=5),
)
def test_name_is_found_wherever_the_message_is_cut(
    certificates: Certificates, name: str | None, record_size: int, pieces: list[int]
) -> None:
    data = in_records(message_of(hello(certificates, name)), record_size)
    reader = ServerNameReader()
    answers = [reader.feed(piece) for piece in cut(data, pieces)]
    assert answers == [False] * (len(answers) - 1) + [True]
    assert reader.name == name


def test_reader_is_done_with_the_last_byte(certificates: Certificates, tls_version: str) -> None:
    reader = ServerNameReader()
    *others, last = hello(certificates, version=tls_version)
    assert not any(reader.feed(bytes([byte])) for byte in others)
    assert reader.name is None
    assert reader.feed(bytes([last]))
    assert reader.name == "server.example"


def test_what_follows_the_message_does_not_matter(certificates: Certificates) -> None:
    assert name_in(hello(certificates) + b"\x17\x03\x03\0\x05early") == "server.example"


def test_name_comes_after_other_extensions() -> None:
    others = b"\x0a\x0a\0\0" + b"\xff\x01\0\x01\0"
    assert name_in(built_hello(others + server_name_extension(b"a.example") + others)) == "a.example"


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param(b"", id="none"),
        pytest.param(server_name_extension(b""), id="empty name"),
        pytest.param(server_name_extension("bücher".encode()), id="not ASCII"),
        pytest.param(server_name_extension(b"a.example", kind=1), id="unknown type of name"),
        pytest.param(b"\0\0\0\0", id="empty extension"),
        pytest.param(b"\0\0\0\x05\0\x03\0\0\x09", id="name longer than its extension"),
        pytest.param(b"\xff\x01\xff\xff\0", id="extension longer than the message"),
        pytest.param(b"\0\0\0", id="half an extension"),
    ],
)
def test_message_without_a_proper_name_has_none(extensions: bytes) -> None:
    assert name_in(built_hello(extensions)) is None


def test_message_of_an_old_client_has_no_extensions_at_all() -> None:
    body = b"\x03\x01" + bytes(32) + b"\0" + b"\0\x02\0\x2f" + b"\x01\0"
    assert name_in(in_records(b"\x01" + len(body).to_bytes(3) + body, 100)) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x15\x03\x01\0\x02\x02\x28", id="alert"),
        pytest.param(b"\x16\x02\x01\0\x02\x01\0", id="other version"),
        pytest.param(b"\x16\x03\x01\0\0\x01\0", id="empty record"),
        pytest.param(b"\x16\x03\x01\x40\x01\x01\0", id="long record"),
        pytest.param(b"\x16\x03\x01\0\x04\x02\0\0\0", id="other message"),
        pytest.param(b"\x16\x03\x01\0\x04\x01\xff\xff\xff", id="long message"),
        pytest.param(b"GET / HTTP/1.1", id="plaintext"),
    ],
)
def test_anything_else_ends_the_reader(data: bytes) -> None:
    assert name_in(data, 1) is None


def damaged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    for _ in range(2000):
        copy = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        yield bytes(copy)


def test_damaged_message_does_no_harm(certificates: Certificates, rng: random.Random) -> None:
    names = set()
    for data in damaged(hello(certificates, "a.example"), rng):
        reader = ServerNameReader()
        reader.feed(data)
        names.add(reader.name)
    assert names >= {None, "a.example"}


def test_reader_keeps_a_limited_number_of_bytes() -> None:
    reader = ServerNameReader()
    endless = in_records(b"\x01\0\xff\xff" + bytes(1 << 17), 1 << 14)
    answers = [reader.feed(piece) for piece in cut(endless, 1024)]
    assert answers.index(True) <= 64 + 16  # KiB: the longest message, and the record that exceeds it
