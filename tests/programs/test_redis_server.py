"""The Redis server of docs/examples, with redis-cli, redis-benchmark and redis-py, and beside the real redis-server."""

from __future__ import annotations

import random
import socket
import subprocess
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
from tests.support.programs import SECONDS_TO_END, Example, example, needs_program
from tests.support.sockets import PATIENCE


@pytest.fixture(scope="module")
def server() -> Iterator[Example]:
    with example("redis_server.py") as server:
        yield server


@pytest.fixture
def client(server: Example) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, protocol=2, socket_timeout=PATIENCE) as client:
        client.flushdb()
        yield client


def cli(server: Example, *words: str, typed: str | None = None) -> str:
    command = [needs_program("redis-cli"), "-p", str(server.port), *words]
    result = subprocess.run(
        command, input=typed, capture_output=True, text=True, timeout=SECONDS_TO_END, check=True, encoding="utf-8"
    )
    assert result.stderr == ""
    return result.stdout


# redis-cli


@pytest.mark.real_client
def test_redis_cli_gets_what_it_has_set(server: Example) -> None:
    assert cli(server, "set", "name", "Ada Lovelace") == "OK\n"
    assert cli(server, "get", "name") == "Ada Lovelace\n"
    assert cli(server, "--no-raw", "mget", "name", "nothing") == '1) "Ada Lovelace"\n2) (nil)\n'


@pytest.mark.real_client
def test_redis_cli_shows_errors(server: Example) -> None:
    assert cli(server, "get") == "ERR wrong number of arguments for 'get' command\n\n"
    assert cli(server, "set", "a", "b", "sometimes") == "ERR syntax error\n\n"


@pytest.mark.real_client
def test_redis_cli_takes_commands_from_its_input(server: Example) -> None:
    assert (
        cli(server, typed='set a "1 2"\nget a\nmulti\nincr n\nincr n\nexec\n') == "OK\n1 2\nOK\nQUEUED\nQUEUED\n1\n2\n"
    )


@pytest.mark.real_client
def test_redis_cli_sends_many_commands_at_once(server: Example) -> None:
    commands = "".join(f"*3\r\n$3\r\nSET\r\n$4\r\nk{i:03}\r\n$1\r\n{i % 10}\r\n" for i in range(1000))
    assert "errors: 0, replies: 1000" in cli(server, "--pipe", typed=commands)


# redis-benchmark


@pytest.mark.real_client
@pytest.mark.parametrize("depth", [1, 16])
def test_redis_benchmark_gets_all_its_replies(server: Example, depth: int) -> None:
    options = ["-p", str(server.port), "-t", "ping,set,get,incr,mset", "-n", "2000", "-P", str(depth), "--csv"]
    output = subprocess.check_output(
        [needs_program("redis-benchmark"), *options], text=True, timeout=SECONDS_TO_END, stderr=subprocess.STDOUT
    )
    for test in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
        assert f'"{test}"' in output
    assert "rror" not in output


# redis-py


@pytest.mark.real_client
def test_redis_py_calls_each_command(client: redis.Redis) -> None:
    assert client.ping() is True
    assert client.echo("hello") == b"hello"
    assert client.set("a", "1") is True
    assert client.get("a") == b"1"
    assert client.get("nothing") is None
    assert client.mset({"b": "2", "c": b"\r\n$3\r\n\0"}) is True
    assert client.mget("a", "nothing", "c") == [b"1", None, b"\r\n$3\r\n\0"]
    assert client.exists("a", "b", "b", "nothing") == 3
    assert client.incr("a") == 2
    assert client.incrby("a", 40) == 42
    assert client.decr("a") == 41
    assert client.decrby("a", 41) == 0
    assert sorted(client.keys("*")) == [b"a", b"b", b"c"]
    assert client.dbsize() == 3
    assert client.delete("a", "b", "nothing") == 2
    assert client.flushdb() is True
    assert client.keys("*") == []


@pytest.mark.real_client
def test_redis_py_sets_conditions_and_deadlines(client: redis.Redis) -> None:
    assert client.set("a", "1", nx=True) is True
    assert client.set("a", "2", nx=True) is None
    assert client.set("b", "2", xx=True) is None
    assert client.set("a", "2", xx=True, get=True) == b"1"
    assert client.ttl("a") == -1
    assert client.ttl("b") == -2
    assert client.expire("b", 100) is False
    assert client.expire("a", 100) is True
    assert 0 < client.ttl("a") <= 100
    assert client.set("a", "3", px=100_000) is True
    assert 0 < client.pttl("a") <= 100_000
    assert client.set("a", "4") is True
    assert client.ttl("a") == -1


@pytest.mark.real_client
def test_values_expire(client: redis.Redis) -> None:
    client.set("soon", "1", px=1)
    client.set("later", "1", ex=100)
    while client.get("soon") is not None:
        pass
    assert client.exists("soon") == 0
    assert client.delete("soon") == 0
    assert client.keys() == [b"later"]
    assert client.expire("later", 0) is True
    assert client.dbsize() == 0


@pytest.mark.real_client
def test_redis_py_sends_pipelines(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for i in range(1000):
            pipeline.set(f"key {i}", b"x" * i)
            pipeline.get(f"key {i}")
        replies = pipeline.execute()
    assert replies == [reply for i in range(1000) for reply in (True, b"x" * i)]


@pytest.mark.real_client
def test_redis_py_runs_transactions(client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        pipeline.set("a", "x").mget("a", "b").incr("a").incr("c")
        replies = pipeline.execute(raise_on_error=False)
    assert replies[:2] == [True, [b"x", None]]
    assert isinstance(replies[2], redis.ResponseError)
    assert replies[3] == 1
    with client.pipeline() as pipeline:
        pipeline.set("a", "y").execute_command("NOPE")
        with pytest.raises(redis.ResponseError, match="unknown command"):
            pipeline.execute()
    assert client.get("a") == b"x"


@pytest.mark.real_client
def test_redis_py_stores_large_values(client: redis.Redis) -> None:
    value = random.Random(1).randbytes(1_000_000)
    assert client.set("large", value) is True
    assert client.get("large") == value


@pytest.mark.real_client
async def test_redis_py_works_with_asyncio(server: Example) -> None:
    async with redis.asyncio.Redis(port=server.port, protocol=2, socket_timeout=PATIENCE) as client:
        assert await client.set("by", "asyncio") is True
        assert await client.get("by") == b"asyncio"
        async with client.pipeline() as pipeline:
            assert await pipeline.incr("count").incrby("count", 2).delete("count").execute() == [1, 3, 1]


# Bytes, compared with the real redis-server


END = b"*2\r\n$4\r\nECHO\r\n$8\r\nthe end!\r\n"
ECHO = b"$8\r\nthe end!\r\n"


def reply_to(port: int, sent: bytes, end: bytes = END) -> bytes:
    """Return what a server answers to some bytes, on a connection of their own."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
        peer.sendall(sent + end)
        received = b""
        while not received.endswith(ECHO) and (chunk := peer.recv(1 << 16)):
            received += chunk
    return received


def encoded(*command: bytes) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in command)


LINES = """
PING
PING hello
PING a b
ECHO hello
ECHO
set a 1
GET a
SET a 2 NX
SET a 2 XX GET
SET a 3 GET NX
SET b 1 XX
SET a 1 NX XX
SET a 1 EX
SET a 1 EX 0
SET a 1 EX x
SET a 1 PX -5
SET a 1 EX 10 PX 10
SET a 1 EX 9223372036854775807
SET a 1 sometimes
SET a
INCR a
INCRBY a 10
INCRBY a 1.5
DECR a
DECRBY a 3
DECRBY a x
GET a
SET text hello
INCR text
SET n 9223372036854775807
INCR n
DECR n
SET n -9223372036854775808
DECR n
SET n 01
INCR n
SET n 9223372036854775808
INCR n
MSET a 1 b 2
MSET a 1 b
MSET a
MGET a b nothing
MGET
EXISTS a b nothing a
DEL a nothing
DEL
TTL b
TTL nothing
EXPIRE nothing 10
EXPIRE b x
EXPIRE b 0
EXISTS b
SET c 1 EX 100
SET c 2
TTL c
DBSIZE
KEYS c
KEYS tex?
KEYS [abt]ext
SELECT 0
SELECT 999
SELECT x
HELLO 4
MULTI
MULTI
SET t 1
INCR t
GET nothing
MGET t nothing
EXEC
MULTI
SET t 3
NOPE
GET
EXEC
MULTI
SET t 3
DISCARD
GET t
EXEC
DISCARD
NOPE
nope a 'b c' "d e"
GET
GET a b
FLUSHDB
DBSIZE
FLUSHALL
CONFIG GET save
"""


@pytest.mark.real_client
def test_replies_are_those_of_redis(server: Example, real_redis: int) -> None:
    lines = LINES.strip().encode().splitlines()
    by_line = b"FLUSHALL\r\n" + b"\r\n".join(lines) + b"\r\n"
    assert reply_to(server.port, by_line).split(b"\r\n") == reply_to(real_redis, by_line).split(b"\r\n")
    by_list = encoded(b"FLUSHALL") + b"".join(encoded(*line.split()) for line in lines)
    assert reply_to(server.port, by_list).split(b"\r\n") == reply_to(real_redis, by_list).split(b"\r\n")


@pytest.mark.real_client
def test_replies_to_random_commands_are_those_of_redis(server: Example, real_redis: int, rng: random.Random) -> None:
    names = b"GET SET DEL EXISTS INCR DECR INCRBY DECRBY MGET MSET TTL DBSIZE ECHO NOPE".split()
    alone = [b"PING"], [b"MULTI"], [b"EXEC"], [b"DISCARD"]
    words = [
        b"a",
        b"b",
        b"",
        b"1",
        b"-1",
        b"007",
        b"9223372036854775807",
        b"\r\n\xff",
        b"NX",
        b"xx",
        b"get",
        b"x" * 30,
    ]
    for _ in range(30):
        commands = [[rng.choice(names), *rng.choices(words, k=rng.randrange(4))] for _ in range(100)]
        commands += [rng.choice(alone) for _ in range(20)]
        rng.shuffle(commands)
        sent = b"".join(encoded(*command) for command in [[b"FLUSHALL"], *commands, [b"EXEC"]])
        assert reply_to(server.port, sent).split(b"\r\n") == reply_to(real_redis, sent).split(b"\r\n")


BAD = [
    b"*x\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"* 1\r\n$4\r\nPING\r\n",
    b"*1_0\r\n",
    b"*99999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:1\r\n",
    b"*3\r\n$3\r\nSET\r\n*1\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$1x\r\n",
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$999999999\r\n",
    b"PING\r\n*1\r\n$4\r\nPING\r\n*1\r\n!\r\n",
    b"GET 'a\r\n",
    b'GET "a\r\n',
]


@pytest.mark.real_client
@pytest.mark.parametrize("sent", BAD, ids=lambda sent: ascii(sent[:30]))
def test_bad_input_is_refused_as_by_redis(server: Example, real_redis: int, sent: bytes) -> None:
    reply = reply_to(server.port, sent)
    assert b"-ERR Protocol error: " in reply
    assert reply == reply_to(real_redis, sent)


GOOD = [
    b"PING\n",
    b"\r\n\n PING  \r\n",
    b"*0\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*1\r\n$0\r\n\r\n",
    b'SET a "x y"\r\nGET a\r\n',
    b"GET 'x y'\r\n",
    b"get\ta\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    encoded(b"GET", b"x" * 1_000_000),
]


@pytest.mark.real_client
@pytest.mark.parametrize("sent", GOOD, ids=lambda sent: ascii(sent[:30]))
def test_odd_input_is_taken_as_by_redis(server: Example, real_redis: int, sent: bytes) -> None:
    reply = reply_to(server.port, sent)
    assert reply.endswith(ECHO)
    assert reply == reply_to(real_redis, sent)


@pytest.mark.real_client
def test_quit_ends_the_connection(server: Example, real_redis: int) -> None:
    for quit_ in (b"QUIT\r\n", encoded(b"quit"), b"MULTI\r\nQUIT\r\n"):
        assert reply_to(server.port, quit_) == reply_to(real_redis, quit_)


@pytest.mark.real_client
def test_a_line_without_an_end_is_refused_as_by_redis(server: Example, real_redis: int) -> None:
    reply = reply_to(server.port, b"x" * 70_000, end=b"")
    assert reply == reply_to(real_redis, b"x" * 70_000, end=b"") == b"-ERR Protocol error: too big inline request\r\n"


def test_a_command_over_the_limit_is_refused(server: Example) -> None:
    sent = encoded(b"MSET", *[b"x" * 10_000] * 200)
    assert reply_to(server.port, sent).startswith(b"-ERR Protocol error: A frame of ")


def test_commands_may_arrive_byte_by_byte(server: Example) -> None:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in encoded(b"ECHO", b"hello") + b"PING\r\n":
            peer.sendall(bytes([byte]))
        expected = b"$5\r\nhello\r\n+PONG\r\n"
        received = b""
        while len(received) < len(expected):
            received += peer.recv(100)
        assert received == expected
