"""Packets over blocking datagram transports."""

from __future__ import annotations

import array
import errno
import math
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.lowlevel.api_sync.endpoints.transports import MinimalTransport
from tests.support.blocking import PATIENCE, InThread, Waits
from tests.support.lines import line_protocol

from easynetwork.exceptions import DatagramProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_sync.endpoints.datagram import (
    DatagramEndpoint,
    DatagramReceiverEndpoint,
    DatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.transports.abc import (
    DatagramReadTransport,
    DatagramTransport,
    DatagramWriteTransport,
)
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

Endpoint = DatagramEndpoint[str, str]
PROTOCOL: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer())
NO_ASCII = "é".encode()
CMSG_SPACE = socket.CMSG_SPACE(array.array("i").itemsize)
RIGHTS = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]).tobytes())]


class Crashing(DatagramProtocol[Any, Any]):
    def make_datagram(self, packet: Any) -> bytes:
        raise LookupError

    def build_packet_from_datagram(self, datagram: bytes) -> Any:
        raise LookupError


CRASHING = Crashing(StringLineSerializer())


class Reader(MinimalTransport, DatagramReadTransport):
    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = list(datagrams)
        self.timeouts: list[float] = []

    def recv(self, timeout: float) -> bytes:
        self.timeouts.append(timeout)
        return self.datagrams.pop(0)


class Writer(MinimalTransport, DatagramWriteTransport):
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, float]] = []

    def send(self, data: Any, timeout: float) -> None:
        self.sent.append((data, timeout))


class Both(Reader, Writer, DatagramTransport):
    def __init__(self, *datagrams: bytes) -> None:
        Writer.__init__(self)
        Reader.__init__(self, *datagrams)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair(type=socket.SOCK_DGRAM)
    peer.settimeout(PATIENCE)
    with ours, peer:
        yield ours, peer


@pytest.fixture
def peer(sockets: tuple[socket.socket, socket.socket]) -> socket.socket:
    return sockets[1]


@pytest.fixture
def endpoint(sockets: tuple[socket.socket, socket.socket], waits: Waits) -> Iterator[Endpoint]:
    with DatagramEndpoint(SocketDatagramTransport(sockets[0], math.inf, selector_factory=waits), PROTOCOL) as endpoint:
        yield endpoint


# --- arguments


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [(DatagramEndpoint, Reader()), (DatagramReceiverEndpoint, Writer()), (DatagramSenderEndpoint, Reader())],
)
def test_transport_of_a_wrong_type_is_refused(cls: Any, wrong: Any) -> None:
    with pytest.raises(TypeError):
        cls(wrong, PROTOCOL)


@pytest.mark.parametrize("cls", [DatagramEndpoint, DatagramReceiverEndpoint, DatagramSenderEndpoint])
@pytest.mark.parametrize("wrong", [None, line_protocol()], ids=["none", "stream"])
def test_protocol_of_a_wrong_type_is_refused_and_the_transport_closed(cls: Any, wrong: Any) -> None:
    transport = Both()
    with pytest.raises(TypeError):
        cls(transport, wrong)
    assert transport.closed


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_bad_time_out_is_refused(endpoint: Endpoint, timeout: float) -> None:
    for call in (
        lambda: endpoint.recv_packet(timeout=timeout),
        lambda: endpoint.recv_packet_with_ancillary(100, lambda raw: None, timeout=timeout),
        lambda: endpoint.send_packet("abc", timeout=timeout),
        lambda: endpoint.send_packet_with_ancillary("abc", [], timeout=timeout),
    ):
        with pytest.raises(ValueError):
            call()


# --- exchanging


def test_packets_are_exchanged(endpoint: Endpoint, peer: socket.socket) -> None:
    endpoint.send_packet("ping")
    assert peer.recv(100) == b"ping"
    peer.send(b"pong")
    assert endpoint.recv_packet() == "pong"


def test_empty_datagram_is_a_packet(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.send(b"")
    peer.send(b"next")
    assert [endpoint.recv_packet(), endpoint.recv_packet()] == ["", "next"]
    endpoint.send_packet("")
    endpoint.send_packet("next")
    assert [peer.recv(100), peer.recv(100)] == [b"", b"next"]


def test_transport_gets_the_time_out() -> None:
    transport = Both(b"one", b"two")
    with DatagramEndpoint(transport, PROTOCOL) as endpoint:
        assert [endpoint.recv_packet(), endpoint.recv_packet(timeout=0)] == ["one", "two"]
        assert transport.timeouts == [math.inf, 0]
        endpoint.send_packet("one")
        endpoint.send_packet("two", timeout=3)
        assert transport.sent == [(b"one", math.inf), (b"two", 3)]


def test_halves_do_the_same() -> None:
    writer = Writer()
    with DatagramReceiverEndpoint(Reader(b"one"), PROTOCOL) as receiver:
        assert receiver.recv_packet() == "one"
    with DatagramSenderEndpoint(writer, PROTOCOL) as sender:
        sender.send_packet("two")
    assert writer.sent == [(b"two", math.inf)]
    assert writer.closed


def test_recv_packet_waits(endpoint: Endpoint, peer: socket.socket, waits: Waits) -> None:
    call: InThread[str] = InThread(endpoint.recv_packet)
    waits.wait_for_start()
    peer.send(b"abc")
    assert call.result() == "abc"


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_recv_packet_gives_up_in_time(endpoint: Endpoint, timeout: float) -> None:
    with pytest.raises(TimeoutError) as caught:
        endpoint.recv_packet(timeout=timeout)
    assert caught.value.errno == errno.ETIMEDOUT


def test_invalid_datagram_is_used_up(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.send(NO_ASCII)
    peer.send(b"next")
    with pytest.raises(DatagramProtocolParseError):
        endpoint.recv_packet()
    assert endpoint.recv_packet() == "next"


def test_crash_while_parsing_is_a_runtime_error_and_the_datagram_used_up() -> None:
    transport = Both(b"one")
    with DatagramEndpoint(transport, CRASHING) as endpoint:
        with pytest.raises(RuntimeError) as caught:
            endpoint.recv_packet()
        assert isinstance(caught.value.__cause__, LookupError)
    assert transport.datagrams == []


def test_crash_while_encoding_is_a_runtime_error_and_sends_nothing() -> None:
    transport = Both()
    with DatagramEndpoint(transport, CRASHING) as endpoint:
        with pytest.raises(RuntimeError) as caught:
            endpoint.send_packet("abc")
        assert isinstance(caught.value.__cause__, LookupError)
        with pytest.raises(RuntimeError) as caught:
            endpoint.send_packet_with_ancillary("abc", [])
        assert isinstance(caught.value.__cause__, LookupError)
    assert transport.sent == []


def test_errors_of_the_transport_go_through(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.close()
    with pytest.raises(ConnectionError):
        endpoint.send_packet("abc")


# --- ancillary data


def test_descriptors_are_exchanged(endpoint: Endpoint, peer: socket.socket) -> None:
    received: list[Any] = []
    endpoint.send_packet_with_ancillary("abc", iter(RIGHTS), timeout=PATIENCE)
    data, raw, _, _ = peer.recvmsg(100, CMSG_SPACE)
    peer.sendmsg([data], raw)
    assert endpoint.recv_packet_with_ancillary(CMSG_SPACE, received.append, timeout=PATIENCE) == "abc"
    for _, _, fd in (*raw, *received[0]):
        os.close(array.array("i", fd)[0])


def test_ancillary_data_is_handed_over_before_the_packet_is_parsed(endpoint: Endpoint, peer: socket.socket) -> None:
    received: list[Any] = []
    peer.send(NO_ASCII)
    with pytest.raises(DatagramProtocolParseError):
        endpoint.recv_packet_with_ancillary(CMSG_SPACE, received.append)
    assert received == [[]]


def test_callback_that_fails_is_a_runtime_error(endpoint: Endpoint, peer: socket.socket) -> None:
    def fail(raw: Any) -> None:
        raise LookupError

    peer.send(b"abc")
    peer.send(b"next")
    with pytest.raises(RuntimeError) as caught:
        endpoint.recv_packet_with_ancillary(CMSG_SPACE, fail)
    assert isinstance(caught.value.__cause__, LookupError)
    assert endpoint.recv_packet() == "next"


def test_transport_may_not_support_ancillary_data() -> None:
    with DatagramEndpoint(Both(b"one"), PROTOCOL) as endpoint:
        with pytest.raises(UnsupportedOperation):
            endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: None)
        with pytest.raises(UnsupportedOperation):
            endpoint.send_packet_with_ancillary("abc", [])


# --- closing, facts


def test_close_closes_the_transport(endpoint: Endpoint) -> None:
    assert not endpoint.is_closed()
    endpoint.close()
    endpoint.close()
    assert endpoint.is_closed()
    for call in (endpoint.recv_packet, lambda: endpoint.send_packet("abc")):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EBADF
