"""A peer that sends TLS messages without data for ever, and peers that only look so."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lowlevel.core.tls_duplex import Duplex, cut
from tests.support.certificates import Certificates
from tests.support.tls_records import RecordMaker

from easynetwork.lowlevel._core.tls_engine import TLSEngine

CHUNK = 256 * 1024  # the most that an event loop delivers at once
RECORD = 16_384
MANY_TIMES = 50


class Sides:
    """What makes the records of one side, and the engine of the other."""

    def __init__(self, certificates: Certificates, receiver: str, key_log: Path, *, with_the_handshake: bool) -> None:
        client_context, server_context = certificates.client_context("TLSv1.3"), certificates.server_context("TLSv1.3")
        client_context.keylog_filename = str(key_log)
        server_context.num_tickets = 0  # they would be records too
        duplex = Duplex(certificates, client_context=client_context, server_context=server_context)
        self.engine: TLSEngine = getattr(duplex, receiver)
        self.last_message = b""
        if with_the_handshake:
            duplex.client.handshake()
            duplex.server.handshake(duplex.client.take_outgoing())
            assert duplex.client.handshake(duplex.server.take_outgoing())
            self.last_message = duplex.client.take_outgoing()
        else:
            duplex.shake_hands()
        self.peer = RecordMaker(duplex.server if receiver == "client" else duplex.client, key_log)

    def receive(self, wire: bytes, pieces: int | None = None) -> bytes:
        return b"".join(self.engine.decrypt(piece) for piece in cut(wire, pieces))

    def assert_refused(self) -> None:
        failure = self.engine.failure
        assert isinstance(failure, ssl.SSLError)
        assert str(failure) == "the peer sent too many TLS messages without data"
        assert self.engine.ended
        assert not self.engine.closed_by_peer
        assert self.receive(self.peer.data(b"more")) == b""


@pytest.fixture(params=["client", "server"])
def sides(request: pytest.FixtureRequest, certificates: Certificates, tmp_path: Path) -> Sides:
    return Sides(certificates, request.param, tmp_path / "keys", with_the_handshake=False)


def fill(record: Callable[[], bytes], size: int = CHUNK) -> bytes:
    """Return as many records as have *size* bytes."""
    wire = bytearray()
    while len(wire) < size:
        wire += record()
    return bytes(wire)


# ------------------------------------------------------------------------------------------------------------- floods


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("pieces", [None, 64 * 1024, 4096, 1448, 27, 10, 1])
def test_flood_of_key_updates_is_refused(sides: Sides, asks: bool, pieces: int | None) -> None:
    wire = fill(lambda: sides.peer.key_update(asks=asks))
    assert sides.receive(wire, pieces) == b""
    sides.assert_refused()


def test_flood_in_a_large_chunk_is_refused_before_all_of_it_is_worked_off(sides: Sides) -> None:
    wire = fill(lambda: sides.peer.key_update(asks=True))
    sides.receive(wire)
    sides.assert_refused()
    assert len(sides.engine.take_outgoing()) < 5000, "each key update has an answer of its size"


def test_flood_behind_data_is_refused_before_all_of_it_is_worked_off(sides: Sides) -> None:
    data = sides.peer.data(b"x" * RECORD)
    wire = data + fill(lambda: sides.peer.key_update(asks=True))
    assert sides.receive(wire) == b"x" * RECORD
    sides.assert_refused()
    assert len(sides.engine.take_outgoing()) <= 64 * 1024


@pytest.mark.parametrize(("size", "every"), [(1, 30), (1, 2), (3000, 200)])
def test_flood_with_some_data_in_it_is_refused(sides: Sides, size: int, every: int) -> None:
    numbers = itertools.count(1)
    wire = fill(lambda: sides.peer.key_update() if next(numbers) % every else sides.peer.data(b"x" * size))
    sides.receive(wire)
    sides.assert_refused()


@pytest.mark.parametrize("pieces", [None, 1448])
@pytest.mark.parametrize("padding", [300, 16_000])
def test_flood_of_large_records_is_refused(sides: Sides, padding: int, pieces: int | None) -> None:
    sides.receive(fill(lambda: sides.peer.key_update(padding=padding)), pieces)
    sides.assert_refused()


def test_flood_behind_the_last_message_of_the_handshake_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    sides = Sides(certificates, "server", tmp_path / "keys", with_the_handshake=True)
    assert sides.engine.handshake(sides.last_message + fill(lambda: sides.peer.key_update(asks=True)))
    assert sides.engine.decrypt(b"") == b""
    sides.assert_refused()
    assert len(sides.engine.take_outgoing()) < 5000


def test_answers_that_cannot_be_sent_are_a_failure_in_the_end(sides: Sides) -> None:
    sides.engine.check_unread(256 * 1024)
    assert sides.engine.failure is None
    sides.engine.check_unread(256 * 1024 + 1)
    assert isinstance(sides.engine.failure, ssl.SSLError)
    assert str(sides.engine.failure) == "the peer requests answers without reading them"


# ------------------------------------------------------------------------------------------------------- honest peers


@pytest.mark.parametrize("pieces", [None, 4096, 1448, 1])
def test_keys_may_be_updated_many_times_between_data(sides: Sides, pieces: int | None) -> None:
    for _ in range(MANY_TIMES):
        updates = b"".join(sides.peer.key_update(asks=True) for _ in range(32))
        assert sides.receive(updates, pieces) == b""
        assert sides.receive(sides.peer.data(b"x"), pieces) == b"x"
        assert sides.engine.failure is None
        assert sides.engine.take_outgoing()


@pytest.mark.parametrize("pieces", [CHUNK, 4096, 1448, 1])
@pytest.mark.parametrize("size", [1, 100, RECORD])
def test_data_in_records_of_any_size_is_no_flood(sides: Sides, size: int, pieces: int) -> None:
    sent = 0

    def record() -> bytes:
        nonlocal sent
        sent += size
        return sides.peer.data(b"x" * size)

    wire = fill(record, 3 * CHUNK if pieces > 1 else 100_000)
    assert sides.receive(wire, pieces) == b"x" * sent
    assert sides.engine.failure is None


@pytest.mark.parametrize("pieces", [CHUNK, 20_000, 1448, 1])
@pytest.mark.parametrize("padding", [0, 230, 1000, RECORD - 1])
def test_padded_data_is_no_flood(sides: Sides, padding: int, pieces: int) -> None:
    """:rfc:`8446`, section 5.4."""
    number = 100 if pieces > 1 else 10
    wire = b"".join(sides.peer.data(b"x", padding=padding) for _ in range(number))
    assert sides.receive(wire, pieces) == b"x" * number
    assert sides.engine.failure is None


@pytest.mark.parametrize("pieces", [CHUNK, 20_000, 1448, 1])
def test_key_updates_between_large_records_are_no_flood(sides: Sides, pieces: int) -> None:
    wire = b"".join(sides.peer.key_update() + sides.peer.data(b"x" * RECORD) for _ in range(100 if pieces > 1 else 10))
    received = sides.receive(wire, pieces)
    assert len(received) == RECORD * (100 if pieces > 1 else 10)
    assert sides.engine.failure is None


@pytest.mark.parametrize("pieces", [None, 4096, 1])
def test_large_records_may_come_in_pieces(certificates: Certificates, tls_version: str, pieces: int | None) -> None:
    duplex = Duplex(certificates, tls_version)
    duplex.shake_hands()
    for _ in range(5):
        duplex.client.encrypt(b"x" * 3 * RECORD)
        wire = duplex.client.take_outgoing()
        assert b"".join(duplex.server.decrypt(piece) for piece in cut(wire, pieces)) == b"x" * 3 * RECORD
        assert duplex.server.failure is None
