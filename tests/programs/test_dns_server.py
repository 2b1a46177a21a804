from __future__ import annotations

import ast
import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.programs import EXAMPLES, SECONDS_TO_END, Example, example, needs_program, started

from easynetwork.exceptions import DeserializeError

sys.path.append(str(EXAMPLES))

from dns_server import EXAMPLE
from dnswire import (
    CNAME,
    QUESTION,
    RECORD,
    TXT,
    Name,
    Query,
    Question,
    Rcode,
    Record,
    Reply,
    Type,
    decode_query,
    encode_reply,
    end_of_name,
    read_name,
)

A_QUESTION = b"\3www\7example\4test\0" + struct.pack(">HH", Type.A, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Example]:
    with example("dns_server.py", listeners=2) as server:
        tcp, udp = server.addresses
        assert tcp == udp
        yield server


def dig(server: Example, *arguments: str) -> str:
    command = [needs_program("dig"), f"@{server.address[0]}", "-p", str(server.port), "+tries=1", "+time=20"]
    return subprocess.check_output([*command, *arguments], text=True, timeout=SECONDS_TO_END)


def query(id: int, question: bytes = A_QUESTION, *, flags: int = 0, counts: tuple[int, ...] = (1, 0, 0, 0)) -> bytes:
    return struct.pack(">6H", id, flags, *counts) + question


@contextlib.contextmanager
def udp(server: Example) -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS_TO_END)
        sock.connect(server.address)
        yield sock


@contextlib.contextmanager
def tcp(server: Example) -> Iterator[socket.socket]:
    with socket.create_connection(server.address, SECONDS_TO_END) as sock:
        yield sock


def prefixed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def receive_prefixed(file: IO[bytes]) -> bytes:
    return file.read(int.from_bytes(file.read(2), "big"))


def id_and_rcode(reply: bytes) -> tuple[int, int]:
    id, flags, *_ = struct.unpack_from(">6H", reply)
    assert flags & 0x8000
    return id, flags & 0xF


# ----------------------------------------------------------------------------------------------- with a real client


@pytest.mark.real_client
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize(
    ("name", "type", "lines"),
    [
        ("example.test", "A", ["192.0.2.1"]),
        ("EXAMPLE.Test", "AAAA", ["2001:db8::1"]),
        ("example.test", "NS", ["ns1.EXAMPLE.test.", "ns2.EXAMPLE.test."]),
        ("example.test", "MX", ["10 mail.example.test."]),
        ("example.test", "TXT", ['"v=spf1 mx -all"']),
        ("example.test", "SOA", ["ns1.example.test. hostmaster.example.test. 2026010100 7200 3600 1209600 300"]),
        ("mail.example.test", "A", ["192.0.2.25", "192.0.2.26"]),
        ("www.example.test", "CNAME", ["example.test."]),
        ("www.example.test", "A", ["example.test.", "192.0.2.1"]),
        ("docs.example.test", "AAAA", ["www.example.test.", "example.test.", "2001:db8::1"]),
        ("shop.example.test", "A", ["example.invalid."]),
        ("ns2.example.test", "AAAA", []),
        ("office.example.test", "A", []),
    ],
)
def test_dig_gets_records(server: Example, name: str, type: str, lines: list[str], transport: str) -> None:
    answers = dig(server, "+short", transport, name, type).lower().splitlines()
    assert answers == [line.lower() for line in lines]


@pytest.mark.real_client
def test_an_answer_has_authority_and_the_name_as_it_was_asked(server: Example) -> None:
    output = dig(server, "+norecurse", "wWw.exAMPLE.test", "CNAME")
    assert "status: NOERROR" in output
    assert "flags: qr aa;" in output
    assert ";wWw.exAMPLE.test." in output


@pytest.mark.real_client
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["nothing.example.test"], "NXDOMAIN"),
        (["office.example.test"], "NOERROR"),
        (["example.invalid"], "REFUSED"),
        (["test"], "REFUSED"),
        (["notexample.test"], "REFUSED"),
        (["-c", "CH", "example.test"], "REFUSED"),
        (["+opcode=notify", "example.test"], "NOTIMP"),
        (["+opcode=update", "example.test"], "NOTIMP"),
        (["+edns=1", "+noednsnegotiation", "example.test"], "BADVERS"),
        (["+ednsopt=100:abcd", "+cookie", "example.test"], "NOERROR"),
    ],
)
def test_the_status_of_a_reply(server: Example, arguments: list[str], status: str) -> None:
    assert f"status: {status}," in dig(server, *arguments)


@pytest.mark.real_client
@pytest.mark.parametrize("name", ["nothing.example.test", "office.example.test"])
def test_what_does_not_exist_is_denied_for_a_time(server: Example, name: str) -> None:
    [line] = dig(server, "+noall", "+authority", name).splitlines()
    assert line.split()[:4] == ["example.test.", "300", "IN", "SOA"]


@pytest.mark.real_client
@pytest.mark.parametrize("options", [["+noedns"], ["+bufsize=100"], ["+bufsize=65000"]])
def test_dig_repeats_over_tcp_what_does_not_fit_in_a_datagram(server: Example, options: list[str]) -> None:
    assert "flags: qr aa tc" in dig(server, "+ignore", *options, "large.example.test", "TXT")
    output = dig(server, *options, "large.example.test", "TXT")
    assert "Truncated, retrying in TCP mode." in output
    assert "(TCP)" in output
    assert output.count("\tIN\tTXT\t") == 8


@pytest.mark.real_client
def test_a_datagram_may_be_as_large_as_the_client_says(server: Example) -> None:
    assert "flags: qr aa tc" in dig(server, "+noedns", "+ignore", "medium.example.test", "TXT")
    assert "flags: qr aa rd;" in dig(server, "+bufsize=1232", "+ignore", "medium.example.test", "TXT")


@pytest.mark.real_client
def test_a_transfer_of_the_zone_is_refused(server: Example) -> None:
    assert "Transfer failed." in dig(server, "example.test", "AXFR")
    assert "Transfer failed." in dig(server, "example.test", "IXFR=1")


@pytest.mark.parametrize("type", [Type.AXFR, Type.IXFR])
def test_a_refused_transfer_says_so(server: Example, type: Type) -> None:
    with tcp(server) as sock, sock.makefile("rb") as file:
        sock.sendall(prefixed(query(1, b"\7example\4test\0" + struct.pack(">HH", type, 1))))
        assert id_and_rcode(receive_prefixed(file)) == (1, Rcode.REFUSED)


@pytest.mark.real_client
def test_a_query_for_everything_gets_a_little(server: Example) -> None:
    lines = dig(server, "+noall", "+answer", "+notcp", "example.test", "ANY").splitlines()
    assert len({line.split()[3] for line in lines}) == 1


@pytest.mark.real_client
def test_dig_sends_several_queries_over_one_connection(server: Example) -> None:
    output = dig(server, "+tcp", "+keepopen", "+short", "example.test", "A", "ns1.example.test", "A")
    assert output.splitlines() == ["192.0.2.1", "192.0.2.53"]


# ------------------------------------------------------------------------------------------------------- bad input


def test_queries_in_one_segment_are_all_answered(server: Example) -> None:
    with tcp(server) as sock, sock.makefile("rb") as file:
        sock.sendall(b"".join(prefixed(query(id)) for id in range(100)))
        replies = [receive_prefixed(file) for _ in range(100)]
    assert {id_and_rcode(reply) for reply in replies} == {(id, Rcode.NOERROR) for id in range(100)}


def test_a_query_may_arrive_byte_by_byte(server: Example) -> None:
    with tcp(server) as sock, sock.makefile("rb") as file:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in prefixed(query(7)):
            sock.sendall(bytes([byte]))
        assert id_and_rcode(receive_prefixed(file)) == (7, Rcode.NOERROR)


OPT = b"\0" + struct.pack(">HHIH", Type.OPT, 1232, 0, 0)

MALFORMED = {
    "no question": query(1, b"", counts=(0, 0, 0, 0)),
    "two questions": query(1, A_QUESTION * 2, counts=(2, 0, 0, 0)),
    "missing question": query(1, b""),
    "name without an end": query(1, b"\3www"),
    "no type": query(1, b"\3www\0"),
    "reserved label": query(1, b"\x41" + b"a" * 65 + b"\0\0\1\0\1"),
    "name of 256 bytes": query(1, (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"),
    "pointer to itself": query(1, b"\xc0\x0c\0\1\0\1"),
    "pointer to the label before it": query(1, b"\1a\xc0\x0c\0\1\0\1"),
    "pointer forwards": query(1, b"\xc0\x0e\xc0\x0c\0\1\0\1"),
    "pointer into the header": query(1, b"\xc0\x00\0\1\0\1"),
    "half a pointer": query(1, b"\1a\xc0"),
    "bytes after the end": query(1, A_QUESTION + b"\0"),
    "missing record": query(1, counts=(1, 0, 0, 1)),
    "missing data": query(1, A_QUESTION + OPT[:-1] + b"\1", counts=(1, 0, 0, 1)),
    "two OPT records": query(1, A_QUESTION + OPT * 2, counts=(1, 0, 0, 2)),
    "OPT record with a name": query(1, A_QUESTION + b"\1a" + OPT, counts=(1, 0, 0, 1)),
    "65535 announced records": query(1, counts=(1, 65535, 65535, 65535)),
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_query_is_answered_as_such(server: Example, message: bytes) -> None:
    only_a_header = struct.pack(">6H", 1, 0x8000 | Rcode.FORMERR, 0, 0, 0, 0)
    with udp(server) as sock:
        sock.send(message)
        assert sock.recv(65536) == only_a_header
    with tcp(server) as sock, sock.makefile("rb") as file:
        sock.sendall(prefixed(message) + prefixed(query(2)))
        assert receive_prefixed(file) == only_a_header


IGNORED = {
    "nothing": b"",
    "shorter than a header": query(1)[:11],
    "a response": query(1, flags=0x8000),
    "a malformed response": query(1, b"", flags=0x8000),
}


@pytest.mark.parametrize("message", IGNORED.values(), ids=IGNORED)
def test_what_is_not_a_query_is_ignored(server: Example, message: bytes) -> None:
    with udp(server) as sock:
        sock.send(message)
        sock.send(query(2))
        assert id_and_rcode(sock.recv(65536)) == (2, Rcode.NOERROR)


def test_a_query_that_cannot_be_answered_is_ignored(server: Example) -> None:
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("needs the right to forge an address")
    with raw:
        from_port_0 = struct.pack(">4H", 0, server.port, 8 + len(query(1)), 0)
        raw.sendto(from_port_0 + query(1), (server.address[0], 0))
    with udp(server) as sock:
        sock.send(query(2))
        assert id_and_rcode(sock.recv(65536)) == (2, Rcode.NOERROR)
    assert "ERROR" not in server.output


@pytest.mark.parametrize("message", [b"", query(1)[:11]])
def test_a_connection_with_less_than_a_header_is_closed(server: Example, message: bytes) -> None:
    with tcp(server) as sock:
        sock.sendall(prefixed(message) + prefixed(query(2)))
        assert sock.recv(1) == b""


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    impatient = f"import sys; sys.path.append({str(EXAMPLES)!r}); import dns_server as it; it.PATIENCE = 0.1; it.main()"
    with started(["-c", impatient, "--port", "0"], tmp_path) as (_, address):
        with socket.create_connection(ast.literal_eval(address), SECONDS_TO_END) as sock:
            sock.sendall(prefixed(query(1))[:-1])
            assert sock.recv(1) == b""


def test_an_answer_over_tcp_is_ignored(server: Example) -> None:
    with tcp(server) as sock, sock.makefile("rb") as file:
        sock.sendall(prefixed(query(1, flags=0x8000)) + prefixed(query(2)))
        assert id_and_rcode(receive_prefixed(file)) == (2, Rcode.NOERROR)


# ---------------------------------------------------------------------------------------------------- the messages

LABELS = st.binary(min_size=1, max_size=63)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(tuple).filter(lambda name: sum(map(len, name)) + len(name) < 255)


@given(st.one_of(st.binary(), st.binary(min_size=12).map(lambda data: data[:4] + b"\0\1\0\0\0\0\0\1" + data[12:])))
def test_any_bytes_are_a_query_or_shorter_than_a_header(data: bytes) -> None:
    try:
        query = decode_query(data)
    except DeserializeError:
        assert len(data) < 12
    else:
        for reply in EXAMPLE.reply_to(query), Reply(query, Rcode.REFUSED, size_limit=512):
            assert encode_reply(reply)[:2] == data[:2]


@given(st.lists(NAMES, min_size=1, max_size=20))
def test_names_are_the_same_after_compression(names: list[Name]) -> None:
    query = Query(1, 0, Question(names[0], Type.TXT, 1), None)
    data = encode_reply(Reply(query, Rcode.NOERROR, answers=[Record(name, 0, TXT("")) for name in names]))
    position = 12
    size_of_data = 1
    for index, name in enumerate([names[0], *names]):
        read = read_name(data, position)
        assert [label.lower() for label in read] == [label.lower() for label in name]
        position = end_of_name(data, position) + (RECORD.size + size_of_data if index else QUESTION.size)
    assert position == len(data)


@given(st.integers(0, 5000))
def test_a_reply_over_the_limit_is_only_its_question(limit: int) -> None:
    query = Query(1, 0, Question((b"x",), Type.TXT, 1), None)
    records = [Record((b"x",), 0, TXT("a" * 1000)), Record((b"x",), 0, CNAME("y"))]
    data = encode_reply(Reply(query, Rcode.NOERROR, answers=records, size_limit=limit))
    is_truncated = bool(int.from_bytes(data[2:4], "big") & 0x0200)
    assert is_truncated == (len(data) == 12 + 7)
    assert is_truncated or len(data) <= limit
