"""The Redis client of docs/examples, with the real redis-server."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.support.programs import EXAMPLES, SECONDS_TO_END, running
from tests.support.sockets import PATIENCE


def client(port: int, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "redis_client.py"), "--port", str(port), *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_END,
        check=False,
    )


def output(port: int, *words: str, typed: str = "") -> str:
    result = client(port, *words, typed=typed)
    assert result.stderr == ""
    assert result.returncode == 0
    return result.stdout


@pytest.mark.real_client
def test_it_runs_one_command(real_redis: int) -> None:
    assert output(real_redis, "set", "name", "Ada Lovelace") == "OK\n"
    assert output(real_redis, "get", "name") == "b'Ada Lovelace'\n"
    assert output(real_redis, "get", "nothing") == "None\n"
    assert output(real_redis, "strlen", "name") == "12\n"


@pytest.mark.real_client
def test_it_tells_what_the_server_refuses(real_redis: int) -> None:
    result = client(real_redis, "get")
    assert result.stderr == "error: ERR wrong number of arguments for 'get' command\n"
    assert result.returncode == 1


@pytest.mark.real_client
def test_it_prints_lists_in_lists(real_redis: int) -> None:
    assert output(real_redis, "rpush", "list", "a", "b") == "2\n"
    assert output(real_redis, "lrange", "list", "0", "-1") == "[b'a', b'b']\n"
    assert output(real_redis, "lrange", "nothing", "0", "-1") == "[]\n"
    script = "return {1, {'two', {3, {}, false, redis.error_reply('FOUR 4')}}, redis.status_reply('five')}"
    expected = "[1, [b'two', [3, [], None, RedisError('FOUR 4')]], 'five']\n"
    assert output(real_redis, "eval", script, "0") == expected
    (info,) = ast.literal_eval(output(real_redis, "command", "info", "get"))
    assert info[:3] == [b"get", 2, ["readonly", "fast"]]


@pytest.mark.real_client
def test_it_sends_many_commands_at_once(real_redis: int) -> None:
    commands = [f"set key-{i} {'x' * i}\nget key-{i}\n" for i in range(2000)]
    replies = [f"OK\n{b'x' * i!r}\n" for i in range(2000)]
    replies[0] = "RedisError(\"ERR wrong number of arguments for 'set' command\")\nNone\n"
    assert output(real_redis, typed="".join(commands)) == "".join(replies)


@pytest.mark.real_client
def test_it_runs_transactions(real_redis: int) -> None:
    commands = "del n\nmulti\nincr n\nlpush n x\nget n\nexec\n"
    wrong_kind = "RedisError('WRONGTYPE Operation against a key holding the wrong kind of value')"
    replies = output(real_redis, typed=commands).splitlines()
    assert replies[1:] == ["OK", "QUEUED", "QUEUED", "QUEUED", f"[1, {wrong_kind}, b'1']"]


@pytest.mark.real_client
def test_it_prints_what_a_channel_says(real_redis: int, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "redis_client.py"), "--port", str(real_redis), "subscribe", "news"]
    with running(command, tmp_path) as subscriber, redis.Redis(port=real_redis, socket_timeout=PATIENCE) as publisher:
        while not publisher.publish("news", "hello"):
            pass
        publisher.publish("other", "nothing")
        publisher.publish("news", b"\r\n+OK\r\n")
        subscriber.wait_for(r"\+OK")
        assert subscriber.output == "b'news' b'hello'\nb'news' b'\\r\\n+OK\\r\\n'\n"
        subscriber.interrupt()


# Servers that are wrong


@pytest.fixture
def saying(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that says the same to every client, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(PATIENCE)
                peer.recv(1000)
                peer.sendall(request.param)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1000):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    "saying",
    [
        b"hello\r\n",
        b"$x\r\n",
        b"*2\r\n:1\r\n!\r\n",
        b":1x\r\n",
        b"*1\r\n" * 100_000 + b":1\r\n",
        b"$9999999\r\n",
        b"+OK",
    ],
    indirect=True,
    ids=lambda said: ascii(said[:20]),
)
def test_a_reply_that_is_not_one_is_an_error(saying: int) -> None:
    result = client(saying, "ping")
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert result.returncode == 1


@pytest.mark.parametrize(
    "saying", [b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"], indirect=True, ids=["end"]
)
def test_a_subscriber_notices_the_end_of_the_connection(saying: int) -> None:
    result = client(saying, "subscribe", "news")
    assert result.stdout == "b'news' b'hello'\n"
    assert result.stderr.startswith("error: ")
    assert result.returncode == 1
