"""The memcached server of docs/examples, with pymemcache, and with what pymemcache would not send."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest
from pymemcache import Client, MemcacheClientError, MemcacheServerError, PooledClient
from tests.support.programs import Example, example
from tests.support.sockets import PATIENCE

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Example]:
    with example("memcached_server.py") as server:
        yield server


@pytest.fixture
def client(server: Example) -> Iterator[Client]:
    with contextlib.closing(Client(server.address, timeout=PATIENCE)) as client:
        client.flush_all(noreply=False)
        yield client


@pytest.mark.real_client
def test_pymemcache_gets_what_it_has_set(client: Client) -> None:
    assert client.set("name", b"Ada", noreply=False) is True
    assert client.get("name") == b"Ada"
    assert client.get("nothing") is None
    assert client.delete("name", noreply=False) is True
    assert client.delete("name", noreply=False) is False
    assert client.get("name") is None


@pytest.mark.real_client
def test_pymemcache_adds_replaces_and_extends(client: Client) -> None:
    assert client.replace("a", b"1", noreply=False) is False
    assert client.append("a", b"1", noreply=False) is False
    assert client.prepend("a", b"1", noreply=False) is False
    assert client.add("a", b"2", flags=7, noreply=False) is True
    assert client.add("a", b"3", noreply=False) is False
    assert client.append("a", b"3", flags=8, noreply=False) is True
    assert client.prepend("a", b"1", flags=9, noreply=False) is True
    assert client.get("a") == b"123"
    assert client.raw_command("get a", b"END\r\n") == b"VALUE a 7 3\r\n123\r\n"
    assert client.replace("a", b"x", noreply=False) is True
    assert client.get("a") == b"x"


@pytest.mark.real_client
def test_pymemcache_compares_before_it_sets(client: Client) -> None:
    assert client.cas("a", b"1", b"1", noreply=False) is None
    client.set("a", b"1", noreply=False)
    value, unique = client.gets("a")
    assert value == b"1"
    assert client.cas("a", b"2", unique, noreply=False) is True
    assert client.cas("a", b"3", unique, noreply=False) is False
    assert client.get("a") == b"2"


@pytest.mark.real_client
def test_pymemcache_counts(client: Client) -> None:
    assert client.incr("n", 1) is None
    client.set("n", b"10", flags=5, noreply=False)
    assert client.incr("n", 5) == 15
    assert client.decr("n", 6) == 9
    assert client.raw_command("get n", b"END\r\n") == b"VALUE n 5 1\r\n9\r\n"
    assert client.decr("n", 100) == 0
    client.set("n", b"18446744073709551615", noreply=False)
    assert client.incr("n", 2) == 1
    client.set("n", b"a", noreply=False)
    with pytest.raises(MemcacheClientError, match="non-numeric value"):
        client.incr("n", 1)


@pytest.mark.real_client
def test_pymemcache_handles_many_keys(client: Client) -> None:
    values = {f"key-{i}": b"\r\nEND\r\n" * i for i in range(1000)}
    assert client.set_many(values, noreply=False) == []
    assert client.get_many(values) == values
    assert set(client.gets_many(["key-1", "key-2", "nothing"])) == {"key-1", "key-2"}
    assert client.delete_many(["key-1", "key-2"], noreply=False) is True
    assert client.get_many(["key-1", "key-2", "key-3"]) == {"key-3": values["key-3"]}


@pytest.mark.real_client
def test_without_replies_the_next_reply_is_that_of_the_next_command(client: Client) -> None:
    client.set("a", b"1", noreply=True)
    client.add("a", b"2", noreply=True)
    client.append("a", b"0", noreply=True)
    client.incr("a", 5, noreply=True)
    client.touch("a", 100, noreply=True)
    client.set("b", b"1", noreply=True)
    client.delete("b", noreply=True)
    client.replace("b", b"1", noreply=True)
    client.cas("a", b"1", b"1000000", noreply=True)
    assert client.get_many(["a", "b"]) == {"a": b"15"}
    client.flush_all(noreply=True)
    assert client.get("a") is None


@pytest.mark.real_client
def test_values_expire(client: Client) -> None:
    client.set("over", b"1", expire=-1, noreply=False)
    client.set("for-ever", b"1", expire=0, noreply=False)
    client.set("long-ago", b"1", expire=1_000_000_000, noreply=False)
    client.set("later", b"1", expire=100, noreply=False)
    assert client.get_many(["over", "for-ever", "long-ago", "later"]) == {"for-ever": b"1", "later": b"1"}
    assert client.touch("later", -1, noreply=False) is True
    assert client.touch("later", 100, noreply=False) is False
    assert client.get("later") is None


@pytest.mark.real_client
def test_a_flush_may_come_later(client: Client) -> None:
    client.set("a", b"1", noreply=False)
    assert client.flush_all(delay=100, noreply=False) is True
    assert client.get("a") == b"1"
    assert client.flush_all(noreply=False) is True
    assert client.get("a") is None
    client.set("a", b"1", noreply=False)
    assert client.get("a") == b"1"


@pytest.mark.real_client
def test_pymemcache_asks_for_the_version(client: Client) -> None:
    assert client.version().startswith(b"1.")
    assert client.raw_command("verbosity 1") == b"OK"
    client.quit()


@pytest.mark.real_client
def test_a_value_may_have_a_mebibyte(client: Client) -> None:
    value = random.Random(1).randbytes(MEBIBYTE)
    assert client.set("large", value, noreply=False) is True
    assert client.get("large") == value
    with pytest.raises(MemcacheServerError, match="object too large for cache"):
        client.append("large", b"x", noreply=False)
    with pytest.raises(MemcacheServerError, match="object too large for cache"):
        client.set("larger", value + b"x", noreply=False)
    with pytest.raises(MemcacheServerError, match="object too large for cache"):
        client.set("larger", value * 5, noreply=False)
    assert client.get_many(["large", "larger"]) == {"large": value}


@pytest.mark.real_client
def test_a_pool_of_clients_shares_the_values(server: Example) -> None:
    with contextlib.closing(PooledClient(server.address, max_pool_size=3, timeout=PATIENCE)) as pool:
        pool.set("shared", b"1", noreply=False)
        assert pool.get("shared") == b"1"


# Bytes


def replies_to(server: Example, sent: bytes) -> bytes:
    """Return all that the server answers until it ends the connection, or to the command ``version`` at the end."""
    end = b"VERSION 1.6.0\r\n"
    with socket.create_connection(server.address, PATIENCE) as peer:
        peer.sendall(b"flush_all noreply\r\n" + sent + b"version\r\n")
        received = b""
        while not received.endswith(end) and (chunk := peer.recv(1 << 16)):
            received += chunk
    return received.removesuffix(end)


BAD_LINE = b"CLIENT_ERROR bad command line format\r\n"
BAD_DELTA = b"CLIENT_ERROR invalid numeric delta argument\r\n"
BAD_TIME = b"CLIENT_ERROR invalid exptime argument\r\n"
LONG = b"k" * 250
TOO_LONG = b"k" * 251


@pytest.mark.parametrize(
    ("sent", "replies"),
    [
        (b"nonsense\r\n", b"ERROR\r\n"),
        (b"\r\n", b"ERROR\r\n"),
        (b"GET a\r\n", b"ERROR\r\n"),
        (b"get\r\n", b"ERROR\r\n"),
        (b"set a 0 0\r\n", b"ERROR\r\n"),
        (b"delete\r\n", b"ERROR\r\n"),
        (b"incr a\r\n", b"ERROR\r\n"),
        (b"verbosity\r\n", b"ERROR\r\n"),
        (b"set a 0 0 x\r\n", BAD_LINE),
        (b"set a 0 0 -1\r\n", BAD_LINE),
        (b"set a 0 0 99999999999999999999\r\n", BAD_LINE),
        (b"set a x 0 1\r\n1\r\n", BAD_LINE),
        (b"set a -1 0 1\r\n1\r\n", BAD_LINE),
        (b"set a 4294967296 0 1\r\n1\r\n", BAD_LINE),
        (b"set a 0 x 1\r\n1\r\n", BAD_LINE),
        (b"set %b 0 0 1\r\n1\r\n" % TOO_LONG, BAD_LINE),
        (b"set %b 0 0 1 noreply\r\n1\r\n" % TOO_LONG, b""),
        (b"get a %b\r\n" % TOO_LONG, BAD_LINE),
        (b"incr %b 1\r\n" % TOO_LONG, BAD_LINE),
        (b"delete %b\r\n" % TOO_LONG, BAD_LINE),
        (b"cas a 0 0 1 x\r\n1\r\n", BAD_LINE),
        (
            b"set a 0 0 1\r\n1\r\nincr a x\r\nincr a -1\r\nincr a 18446744073709551616\r\n",
            b"STORED\r\n" + 3 * BAD_DELTA,
        ),
        (b"touch a x\r\nflush_all x\r\n", 2 * BAD_TIME),
        (b"set a 0 0 3\r\nabcd\r\n", b"CLIENT_ERROR bad data chunk\r\nERROR\r\n"),
        (b"set a 0 0 1\na\nget a\r\n", b"CLIENT_ERROR bad data chunk\r\nERROR\r\n"),
        (b"set a 0 0 5\r\nget a\r\nget a\r\n", b"STORED\r\nVALUE a 0 5\r\nget a\r\nEND\r\n"),
        (b"set a 0 0 1 noreply\r\nabc\r\nget a\r\n", b"ERROR\r\nEND\r\n"),
    ],
    ids=lambda sent: ascii(sent[:40]),
)
def test_bad_input_gets_an_error_and_the_next_command_its_reply(server: Example, sent: bytes, replies: bytes) -> None:
    assert replies_to(server, sent) == replies


@pytest.mark.parametrize(
    ("sent", "replies"),
    [
        (b"get a\n", b"END\r\n"),
        (b"set %b 1 0 0\r\n\r\nget %b\r\n" % (LONG, LONG), b"STORED\r\nVALUE %b 1 0\r\n\r\nEND\r\n" % LONG),
        (b"set a 4294967295 0 2\r\n\r\n\r\nget a\r\n", b"STORED\r\nVALUE a 4294967295 2\r\n\r\n\r\nEND\r\n"),
        (b"set noreply 0 0 1\r\n1\r\nget noreply\r\n", b"STORED\r\nVALUE noreply 0 1\r\n1\r\nEND\r\n"),
        (b"delete a 0\r\n", b"NOT_FOUND\r\n"),
    ],
    ids=lambda sent: ascii(sent[:40]),
)
def test_odd_input_is_taken(server: Example, sent: bytes, replies: bytes) -> None:
    assert replies_to(server, sent) == replies


def test_whatever_arrives_the_server_goes_on(server: Example, rng: random.Random) -> None:
    commands = [
        b"set a 1 0 5\r\nhello\r\n",
        b"set n 0 0 1 noreply\r\n1\r\n",
        b"cas a 0 0 2 1\r\nxy\r\n",
        b"get a b\r\n",
        b"incr n 1\r\n",
        b"touch a 10\r\n",
        b"flush_all 5\r\n",
        b"delete a noreply\r\n",
    ]
    for _ in range(300):
        sent = bytearray(b"".join(rng.choices(commands, k=4)))
        for _ in range(rng.randrange(1, 4)):
            position = rng.randrange(len(sent))
            sent[position : position + rng.randrange(2)] = bytes(rng.choices(b"0159\r\n- x\0\xff", k=rng.randrange(2)))
        with socket.create_connection(server.address, PATIENCE) as peer:
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
    assert "Traceback" not in server.output


def test_quit_ends_the_connection(server: Example) -> None:
    with socket.create_connection(server.address, PATIENCE) as peer:
        peer.sendall(b"quit\r\n")
        assert peer.recv(100) == b""


def test_a_line_without_an_end_ends_the_connection(server: Example) -> None:
    with socket.create_connection(server.address, PATIENCE) as peer:
        peer.sendall(b"x" * 100_000)
        assert peer.recv(100).startswith(b"SERVER_ERROR ")
        assert peer.recv(100) == b""


def test_commands_may_arrive_byte_by_byte(server: Example) -> None:
    with socket.create_connection(server.address, PATIENCE) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"set a 0 0 3\r\nabc\r\nget a\r\n":
            peer.sendall(bytes([byte]))
        expected = b"STORED\r\nVALUE a 0 3\r\nabc\r\nEND\r\n"
        received = b""
        while len(received) < len(expected):
            received += peer.recv(100)
        assert received == expected
