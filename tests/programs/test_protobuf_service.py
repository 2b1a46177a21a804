"""The protobuf service of docs/examples, with a client that uses only sockets and protobuf, and with bad input."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import proto
from tests.support.programs import EXAMPLES, SECONDS_TO_END, example, output_of

CLIENT = str(EXAMPLES / "protobuf_client.py")


def generated_module() -> Any:
    spec = importlib.util.spec_from_file_location("weather_pb2", EXAMPLES / "weather_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


weather = generated_module()


class Peer:
    """A client of the service."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._file: Any = sock.makefile("rwb")

    def send(self, request: Any) -> None:
        proto.serialize_length_prefixed(request, self._file)
        self._file.flush()

    def receive(self) -> Any:
        return proto.parse_length_prefixed(weather.Reply, self._file)

    def ask(self, request: Any) -> Any:
        self.send(request)
        return self.receive()


@pytest.fixture
def port() -> Iterator[int]:
    with example("protobuf_service.py") as server:
        yield server.port


@contextmanager
def connected(port: int) -> Iterator[Peer]:
    with socket.create_connection(("127.0.0.1", port), SECONDS_TO_END) as sock:
        yield Peer(sock)


def reading(station: str, degrees: float) -> Any:
    return weather.Request(reading=weather.Reading(station=station, degrees=degrees))


def question(station: str) -> Any:
    return weather.Request(question=weather.Question(station=station))


def summary(station: str, count: int, lowest: float, highest: float) -> Any:
    return weather.Reply(summary=weather.Summary(station=station, count=count, lowest=lowest, highest=highest))


@pytest.mark.real_client
def test_the_service_summarizes_the_readings_of_each_station(port: int) -> None:
    with connected(port) as peer:
        assert peer.ask(reading("north", 21.5)) == summary("north", 1, 21.5, 21.5)
        assert peer.ask(reading("south", 5)) == summary("south", 1, 5, 5)
        assert peer.ask(reading("north", -3.25)) == summary("north", 2, -3.25, 21.5)
    with connected(port) as peer:
        assert peer.ask(question("north")) == summary("north", 2, -3.25, 21.5)
        assert peer.ask(question("west")) == weather.Reply(error="an unknown station")


@pytest.mark.real_client
def test_many_requests_may_be_in_flight_and_are_answered_in_order(port: int) -> None:
    with connected(port) as peer:
        for number in range(1000):
            peer.send(reading("north", number))
        assert [peer.receive() for _ in range(1000)] == [
            summary("north", count, 0, count - 1) for count in range(1, 1001)
        ]


def test_a_request_may_arrive_byte_by_byte(port: int) -> None:
    data = reading("north", 21.5).SerializeToString()
    with connected(port) as peer:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in bytes([len(data)]) + data:
            peer.sock.sendall(bytes([byte]))
        assert peer.receive() == summary("north", 1, 21.5, 21.5)


@pytest.mark.parametrize("message", [b"", b"\x1a\x00", b"\x92\x06\x01x"])
def test_a_request_of_a_kind_that_is_unknown_is_refused(port: int, message: bytes) -> None:
    with connected(port) as peer:
        peer.sock.sendall(bytes([len(message)]) + message)
        assert peer.receive() == weather.Reply(error="an unknown request")


@pytest.mark.parametrize(
    "frame",
    [
        b"\x01\xff",
        b"\x04\x0a\x05ab",  # a field that is longer than the message
        b"\x05\x0a\x03\x0a\x01\xff",  # not UTF-8
        b"\x01\x0c",  # a group that begins with its end
        b"\x81\x80\x04" + b"x" * 65_537,  # a message that is too large
    ],
)
def test_a_bad_message_is_refused_and_the_next_is_answered(port: int, frame: bytes) -> None:
    with connected(port) as peer:
        peer.sock.sendall(frame)
        assert peer.receive().WhichOneof("reply") == "error"
        assert peer.ask(reading("north", 1)) == summary("north", 1, 1, 1)


def test_a_size_that_is_not_a_number_ends_the_connection_and_no_other(port: int) -> None:
    with connected(port) as peer, connected(port) as other:
        peer.sock.sendall(b"\xff" * 11)
        assert peer.receive().WhichOneof("reply") == "error"
        assert peer.receive() is None
        assert other.ask(reading("north", 1)) == summary("north", 1, 1, 1)


def test_its_own_client_prints_the_replies(port: int, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return output_of([CLIENT, "--port", str(port), *arguments], tmp_path)

    assert 'station: "north"' in run("north", "21.5", "19")
    assert run("north").splitlines()[2:] == ["  count: 2", "  lowest: 19", "  highest: 21.5", "}"]
    assert run("west") == 'error: "an unknown station"\n'
