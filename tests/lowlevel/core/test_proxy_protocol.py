"""The header of the PROXY protocol, byte by byte."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.proxy_headers import LOCAL, SIGNATURE, UNKNOWN, block, line, proxied

from easynetwork.lowlevel._core.proxy_protocol import ProxyHeader, ProxyHeaderError, ProxyHeaderReader

CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.7", 443)
CLIENT_6, SERVER_6 = ("2001:db8::1", 56324), ("2001:db8::2", 443)

LONGEST_LINE = (
    b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
)


def read(data: bytes, *, piece: int = 10_000, max_size: int = 4096) -> tuple[ProxyHeader, bytes, int]:
    """Return the header of *data*, what follows it, and the number of reads."""
    reader = ProxyHeaderReader(max_size)
    taken = reads = 0
    while (header := reader.header) is None:
        wanted = min(reader.wanted(), piece)
        assert wanted > 0
        part = data[taken : taken + wanted]
        if not part:
            raise EOFError
        reader.feed(part)
        taken += len(part)
        reads += 1
    assert reader.wanted() == 0
    assert reader.nbytes == taken
    return header, data[taken:], reads


# ----------------------------------------------------------------------------------------------------------- version 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (line(CLIENT, SERVER), ProxyHeader(1, CLIENT, SERVER)),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 0\r\n", ProxyHeader(1, ("1.1.1.1", 1), ("2.2.2.2", 0))),
        (line(CLIENT_6, SERVER_6), ProxyHeader(1, (*CLIENT_6, 0, 0), (*SERVER_6, 0, 0))),
        (b"PROXY TCP6 :: ::1 1 65535\r\n", ProxyHeader(1, ("::", 1, 0, 0), ("::1", 65535, 0, 0))),
        (b"PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2\r\n", ProxyHeader(1, ("2001:db8::1", 1, 0, 0), ("::1", 2, 0, 0))),
        (UNKNOWN, ProxyHeader(1)),
        (b"PROXY UNKNOWN \r\n", ProxyHeader(1)),
        (b"PROXY UNKNOWN what ever\r \xff\r\n", ProxyHeader(1)),
        (LONGEST_LINE, ProxyHeader(1)),
    ],
)
def test_line(data: bytes, expected: ProxyHeader) -> None:
    for piece in (1, 2, 7, 200):
        for rest in (b"", b"\r\n", b"GET /\r\n"):
            assert read(data + rest, piece=piece)[:2] == (expected, rest)


def test_line_takes_few_reads() -> None:
    assert read(line(CLIENT, SERVER))[2] <= 9
    assert read(line(("203.113.114.115", 56324), ("203.113.114.116", 65535)))[2] <= 9


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"P",
        b"PROXY\r\n",
        b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
        b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2 padding\r\n",
        b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1_0 2\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 \xd9\xa1\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2\x001 2 3\r\n",
        b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP6 ::1 ::1::1 1 2\r\n",
        b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        LONGEST_LINE[:-2] + b"5\r\n",
        b"PROXY UNKNOWN " + b"x" * 200,
        b"PROXY TCP4 " + b" " * 200,
        b"PROXY TCP4 " + b"1" * 200,
    ],
)
def test_invalid_line(data: bytes) -> None:
    for piece in (1, 200):
        with pytest.raises((ProxyHeaderError, EOFError) if data == b"P" else ProxyHeaderError):
            read(data, piece=piece)


def test_what_is_not_a_header_is_refused_at_its_first_bytes() -> None:
    for data in (b"\x16", b"GET", b"PROXX", b"PROXY T", b"PROXY TCP4", b"\r\n\r\n\0", SIGNATURE):
        reader = ProxyHeaderReader(4096)
        if data in (b"PROXY T", b"PROXY TCP4", b"\r\n\r\n\0", SIGNATURE):
            reader.feed(data)
            assert reader.header is None
        else:
            with pytest.raises(ProxyHeaderError, match="missing"):
                reader.feed(data)


# ----------------------------------------------------------------------------------------------------------- version 2

PATHS = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (proxied(CLIENT, SERVER), ProxyHeader(2, CLIENT, SERVER)),
        (proxied(CLIENT_6, SERVER_6), ProxyHeader(2, (*CLIENT_6, 0, 0), (*SERVER_6, 0, 0))),
        (proxied(("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.2", 2)), ProxyHeader(2, ("192.0.2.1", 1), ("192.0.2.2", 2))),
        (
            proxied(CLIENT, SERVER, [(0x05, b"id"), (0xE0, b"")]),
            ProxyHeader(2, CLIENT, SERVER, ((5, b"id"), (0xE0, b""))),
        ),
        (proxied(CLIENT, SERVER, [(0x04, bytes(9)), (0x05, b"id")]), ProxyHeader(2, CLIENT, SERVER, ((5, b"id"),))),
        (LOCAL, ProxyHeader(2)),
        (block(0x77, b"anything", command=0), ProxyHeader(2)),
        (block(0x11, proxied(CLIENT, SERVER)[16:], command=0), ProxyHeader(2)),
        (block(0x00, b""), ProxyHeader(2)),
        (block(0x00, b"\x05\0\x02id"), ProxyHeader(2, tlvs=((5, b"id"),))),
        (block(0x00, b"no such thing"), ProxyHeader(2)),
        (block(0x10, bytes(12)), ProxyHeader(2, tlvs=((0, b""),) * 4)),
        (block(0x31, PATHS), ProxyHeader(2, b"/run/client", b"/run/server")),
        (block(0x12, proxied(CLIENT, SERVER)[16:]), ProxyHeader(2, CLIENT, SERVER)),
    ],
)
def test_block(data: bytes, expected: ProxyHeader) -> None:
    for piece in (1, 2, 7, 1000):
        for rest in (b"", b"\x16\x03\x01", SIGNATURE):
            assert read(data + rest, piece=piece)[:2] == (expected, rest)
    assert read(data)[2] <= 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (SIGNATURE + b"\x11\x11\0\0", "version"),
        (SIGNATURE + b"\x22\x11\0\0", "command"),
        (SIGNATURE + b"\x21\x11\x10\x00", "4112 bytes"),
        (block(0x41, bytes(300)), "family"),
        (block(0x13, bytes(300)), "family"),
        (block(0x11, bytes(11)), "addresses"),
        (block(0x21, bytes(35)), "addresses"),
        (block(0x31, bytes(215)), "addresses"),
        (proxied(CLIENT, SERVER, [(5, b"id")])[:14] + b"\0\x10" + bytes(12) + b"\5\0\2i", "additions"),
        (block(0x11, bytes(14)), "additions"),
        (b"\r\n\r\n\0\r\nQUIT\r\r\r\r\r", "missing"),
    ],
)
def test_invalid_block(data: bytes, reason: str) -> None:
    for piece in (1, 1000):
        with pytest.raises(ProxyHeaderError, match=reason):
            read(data, piece=piece)


def test_block_has_a_limit() -> None:
    data = proxied(CLIENT, SERVER, [(0xE0, bytes(100))])
    assert read(data, max_size=len(data))[0].tlvs == ((0xE0, bytes(100)),)
    with pytest.raises(ProxyHeaderError, match=f"more than {len(data) - 1}"):
        read(data[:16], max_size=len(data) - 1)


def test_checksum_is_checked() -> None:
    google_crc32c = pytest.importorskip("google_crc32c")
    blank = proxied(CLIENT, SERVER, [(0x03, bytes(4)), (0x05, b"id")])
    checksum = google_crc32c.value(blank).to_bytes(4, "big")
    data = proxied(CLIENT, SERVER, [(0x03, checksum), (0x05, b"id")])
    assert read(data)[0] == ProxyHeader(2, CLIENT, SERVER, ((3, checksum), (5, b"id")))
    for wrong in (data[:-1] + b"x", blank, proxied(CLIENT, SERVER, [(0x03, checksum[:3])])):
        with pytest.raises(ProxyHeaderError, match="checksum"):
            read(wrong)


# ------------------------------------------------------------------------------------------------------------ any input

PORTS = st.integers(0, 65535)
HOSTS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
)
TLVS = st.lists(st.tuples(st.integers(0xE0, 0xEF), st.binary(max_size=40)), max_size=4)


def normal(host: Any, port: int) -> tuple[Any, ...]:
    mapped = getattr(host, "ipv4_mapped", None)
    if mapped is not None:
        host = mapped
    return (str(host), port) if host.version == 4 else (str(host), port, 0, 0)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(HOSTS, PORTS, PORTS, TLVS, st.integers(1, 60), st.binary(max_size=20))
@example((ipaddress.ip_address("::ffff:1.2.3.4"), ipaddress.ip_address("::")), 0, 65535, [], 1, b"\r\n")
def test_headers_round_trip_in_any_pieces(
    hosts: tuple[Any, Any], source_port: int, destination_port: int, tlvs: list[Any], piece: int, rest: bytes
) -> None:
    source, destination = (str(hosts[0]), source_port), (str(hosts[1]), destination_port)
    expected = ProxyHeader(1, normal(hosts[0], source_port), normal(hosts[1], destination_port))
    assert read(line(source, destination) + rest, piece=piece)[:2] == (expected, rest)
    expected = expected._replace(version=2, tlvs=tuple(tlvs))
    assert read(proxied(source, destination, tlvs) + rest, piece=piece)[:2] == (expected, rest)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from(
        [line(CLIENT, SERVER), line(CLIENT_6, SERVER_6), LONGEST_LINE, proxied(CLIENT, SERVER, [(3, b"1234")])]
    )
    | st.just(block(0x31, PATHS))
    | st.binary(max_size=40),
    st.integers(0, 2**32),
    st.integers(1, 60),
)
def test_damaged_headers_raise_the_documented_error(data: bytes, seed: int, piece: int) -> None:
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        position = rng.randrange(len(damaged) + 1)
        damaged[position : position + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    outcomes = []
    for size in (piece, 1):
        try:
            outcomes.append(str(read(bytes(damaged), piece=size)[:2]))
        except (ProxyHeaderError, EOFError) as exc:
            outcomes.append(type(exc).__name__)
    assert outcomes[0] == outcomes[1]
