"""The msgspec service of docs/examples, with a client that knows nothing but sockets and JSON, and with bad input."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.programs import EXAMPLES, SECONDS_TO_END, example, output_of

CLIENT = str(EXAMPLES / "msgspec_client.py")


class Peer:
    """A client of the service."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._lines = sock.makefile("rb")

    def send(self, *requests: object) -> None:
        self.sock.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def receive(self) -> Any:
        line = self._lines.readline()
        assert line.endswith(b"\n")
        return json.loads(line)

    def ask(self, request: object) -> Any:
        self.send(request)
        return self.receive()


@pytest.fixture
def port() -> Iterator[int]:
    with example("msgspec_service.py") as server:
        yield server.port


@contextmanager
def connected(port: int) -> Iterator[Peer]:
    with socket.create_connection(("127.0.0.1", port), SECONDS_TO_END) as sock:
        yield Peer(sock)


def articles(**counts: int) -> object:
    return {"type": "articles", "articles": counts}


@pytest.mark.real_client
def test_the_service_keeps_a_stock(port: int) -> None:
    with connected(port) as peer:
        assert peer.ask({"type": "list"}) == articles()
        assert peer.ask({"type": "put", "article": "tea", "count": 5}) == articles(tea=5)
        assert peer.ask({"type": "put", "article": "milk"}) == articles(milk=1)
        assert peer.ask({"type": "take", "article": "tea", "count": 2}) == articles(tea=3)
        assert peer.ask({"type": "take", "article": "milk"}) == articles(milk=0)
        assert peer.ask({"type": "list"}) == articles(tea=3)
    with connected(port) as peer:
        assert peer.ask({"type": "list"}) == articles(tea=3)


def test_what_is_not_there_is_refused(port: int) -> None:
    with connected(port) as peer:
        peer.ask({"type": "put", "article": "tea"})
        assert peer.ask({"type": "take", "article": "tea", "count": 2}) == {
            "type": "refusal",
            "reason": "there are 1 of 'tea'",
        }
        assert peer.ask({"type": "list"}) == articles(tea=1)


@pytest.mark.real_client
def test_many_requests_may_be_in_flight_and_are_answered_in_order(port: int) -> None:
    with connected(port) as peer:
        peer.send(*[{"type": "put", "article": "tea"}] * 1000)
        assert [peer.receive() for _ in range(1000)] == [articles(tea=count) for count in range(1, 1001)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"type":"put","article":"tea","count":"five"}', "$.count"),
        (b'{"type":"put","article":"tea","count":0}', "$.count"),
        (b'{"type":"put","article":"tea","count":99999999999}', "$.count"),
        (b'{"type":"put","article":""}', "$.article"),
        (b'{"type":"put"}', "article"),
        (b'{"type":"pay"}', "$.type"),
        (b'{"article":"tea"}', "type"),
        (b"[]", "Expected `object`"),
        (b'{"type":"list"', "truncated"),
        (b"", "truncated"),
        (b'{"type":"put","article":"\xff"}', "UTF-8"),
        (b"GET / HTTP/1.1\r", "malformed"),
        (b'{"type":"put","article":"' + b"x" * 70_000 + b'"}', "limit"),
    ],
)
def test_a_bad_line_is_refused_with_the_place_of_the_fault_and_the_next_is_answered(
    port: int, line: bytes, reason: str
) -> None:
    with connected(port) as peer:
        peer.sock.sendall(line + b"\n")
        refusal = peer.receive()
        assert refusal["type"] == "refusal"
        assert reason in refusal["reason"]
        assert peer.ask({"type": "list"}) == articles()


def test_its_own_client_prints_the_replies(port: int, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return output_of([CLIENT, "--port", str(port), *arguments], tmp_path)

    assert run("put", "tea", "5") == "Articles(articles={'tea': 5})\n"
    assert run("take", "tea") == "Articles(articles={'tea': 4})\n"
    assert run("take", "milk") == "Refusal(reason=\"there are 0 of 'milk'\")\n"
    assert run("list") == "Articles(articles={'tea': 4})\n"
