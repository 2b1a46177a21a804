"""Mocks made with ``spec=`` of the abstract classes work with nothing configured but the documented methods."""

from __future__ import annotations

import math
import socket
from typing import Any
from unittest.mock import ANY, Mock, call

import pytest
from tests.support.lines import buffered_line_protocol, line_protocol
from tests.support.sockets import stream_pair

from easynetwork.exceptions import IncompletePacketError
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint, StreamReceiverEndpoint, StreamSenderEndpoint
from easynetwork.lowlevel.api_sync.transports.abc import (
    DatagramTransport,
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
)
from easynetwork.lowlevel.api_sync.transports.composite import StapledStreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

ROOM = 1024

CHUNKS: StreamProtocol[str, str] = line_protocol()
BUFFER: BufferedStreamProtocol[str, str, Any] = buffered_line_protocol()
DATAGRAM: DatagramProtocol[str, str] = DatagramProtocol(StringLineSerializer())

either_protocol = pytest.mark.parametrize("protocol", [CHUNKS, BUFFER], ids=["chunks", "buffer"])


def new_mock(cls: type[Any]) -> Any:
    mock = Mock(spec=cls)
    mock.is_closed.return_value = False
    mock.close.side_effect = lambda: mock.is_closed.configure_mock(return_value=True)
    return mock


def receiving(mock: Any, protocol: Any, *chunks: bytes, ancillary_data: Any = None) -> Any:
    """Let *mock* receive *chunks*, by the methods that *protocol* wants. Any other receiving method fails the test."""
    remaining = [*chunks, b"", b""]

    def recv(bufsize: int, timeout: float) -> bytes:
        assert bufsize == ROOM
        return remaining.pop(0)

    def recv_into(buffer: Any, timeout: float) -> int:
        chunk = remaining.pop(0)
        memoryview(buffer)[: len(chunk)] = chunk
        return len(chunk)

    wrong = AssertionError("not the method for this protocol object")
    by_chunks = isinstance(protocol, StreamProtocol)
    mock.recv.side_effect = recv if by_chunks else wrong
    mock.recv_into.side_effect = wrong if by_chunks else recv_into
    mock.recv_with_ancillary.side_effect = (
        (lambda bufsize, room, timeout: (recv(bufsize, timeout), ancillary_data)) if by_chunks else wrong
    )
    mock.recv_with_ancillary_into.side_effect = (
        wrong if by_chunks else lambda buffer, room, timeout: (recv_into(buffer, timeout), ancillary_data)
    )
    return mock


def reads(mock: Any) -> int:
    """Return how many receiving calls there were."""
    methods = (mock.recv, mock.recv_into, mock.recv_with_ancillary, mock.recv_with_ancillary_into)
    return sum(method.call_count for method in methods)


def sent(mock: Any) -> list[tuple[bytes, float]]:
    assert mock.send_all.mock_calls == mock.send_all_with_ancillary.mock_calls == mock.send.mock_calls == []
    return [(b"".join(args[0][0]), args[0][1]) for args in mock.send_all_from_iterable.call_args_list]


@either_protocol
@pytest.mark.parametrize(
    ("cls", "kind"), [(StreamSenderEndpoint, StreamWriteTransport), (StreamEndpoint, StreamTransport)]
)
def test_an_endpoint_sends_each_packet_in_one_call(cls: Any, kind: Any, protocol: Any) -> None:
    transport = new_mock(kind)
    with cls(transport, protocol, *([ROOM] if cls is StreamEndpoint else [])) as endpoint:
        endpoint.send_packet("abc")
        endpoint.send_packet("def", timeout=3)
    assert sent(transport) == [(b"abc\n", math.inf), (b"def\n", 3)]


@either_protocol
@pytest.mark.parametrize(
    ("cls", "kind"), [(StreamReceiverEndpoint, StreamReadTransport), (StreamEndpoint, StreamTransport)]
)
def test_an_endpoint_receives_by_one_method_only(cls: Any, kind: Any, protocol: Any) -> None:
    transport = receiving(new_mock(kind), protocol, b"ab", b"c\nde", b"f\ngh")
    with cls(transport, protocol, ROOM) as endpoint:
        assert endpoint.recv_packet() == "abc"
        assert reads(transport) == 2
        assert endpoint.recv_packet(timeout=3) == "def"
        assert reads(transport) == 3
        with pytest.raises(IncompletePacketError):
            endpoint.recv_packet()
    method = transport.recv if protocol is CHUNKS else transport.recv_into
    what = ROOM if protocol is CHUNKS else ANY
    assert method.call_args_list == [call(what, math.inf)] * 2 + [call(what, 3)] + [call(what, math.inf)]


@either_protocol
def test_packets_are_sent_after_the_peer_has_closed_its_side(protocol: Any) -> None:
    transport = receiving(new_mock(StreamTransport), protocol)
    with StreamEndpoint(transport, protocol, ROOM) as endpoint:
        with pytest.raises(ConnectionAbortedError):
            endpoint.recv_packet()
        endpoint.send_packet("abc")
    assert sent(transport) == [(b"abc\n", math.inf)]


@either_protocol
def test_stapled_mocks_are_asked_the_same_way(protocol: Any) -> None:
    receiver = receiving(new_mock(StreamReadTransport), protocol, b"abc\n")
    sender = new_mock(StreamWriteTransport)
    with StreamEndpoint(StapledStreamTransport(sender, receiver), protocol, ROOM) as endpoint:
        assert endpoint.recv_packet() == "abc"
        endpoint.send_packet("def")
    assert reads(receiver) == 1
    assert sent(sender) == [(b"def\n", math.inf)]


@either_protocol
def test_ancillary_data_comes_by_one_method_only(protocol: Any) -> None:
    data = object()
    transport = receiving(new_mock(StreamTransport), protocol, b"a\nb\n", b"c", ancillary_data=data)
    claimed: list[Any] = []
    with StreamEndpoint(transport, protocol, ROOM) as endpoint:
        assert endpoint.recv_packet_with_ancillary(100, claimed.append) == "a"
        assert claimed == [data]
        assert endpoint.recv_packet_with_ancillary(100, claimed.append) == "b"
        assert reads(transport) == 1  # that one was complete already
        with pytest.raises(EOFError):
            endpoint.recv_packet_with_ancillary(100, claimed.append, timeout=3)
        with pytest.raises(ConnectionAbortedError):
            endpoint.recv_packet_with_ancillary(100, claimed.append)
    assert claimed == [data, data]
    method = transport.recv_with_ancillary if protocol is CHUNKS else transport.recv_with_ancillary_into
    what = ROOM if protocol is CHUNKS else ANY
    assert method.call_args_list == [call(what, 100, math.inf), call(what, 100, 3), call(what, 100, math.inf)]


@either_protocol
def test_bytes_are_kept_if_incomplete_and_lost_if_the_callback_fails(protocol: Any) -> None:
    transport = receiving(new_mock(StreamTransport), protocol, b"ab", b"c\n", b"def\n", b"ghi\n")
    with StreamEndpoint(transport, protocol, ROOM) as endpoint:
        with pytest.raises(EOFError):
            endpoint.recv_packet_with_ancillary(100, Mock())
        assert endpoint.recv_packet() == "abc"
        with pytest.raises(RuntimeError):
            endpoint.recv_packet_with_ancillary(100, Mock(side_effect=LookupError))
        assert endpoint.recv_packet() == "ghi"


def test_a_datagram_endpoint_works_on_mocks() -> None:
    transport = new_mock(DatagramTransport)
    transport.recv.return_value = b"def"
    with DatagramEndpoint(transport, DATAGRAM) as endpoint:
        endpoint.send_packet("abc")
        assert endpoint.recv_packet(timeout=3) == "def"
    assert transport.send.call_args_list == [call(b"abc", math.inf)]
    assert transport.recv.call_args_list == [call(3)]


@pytest.mark.parametrize("kind", [StreamTransport, DatagramTransport])
def test_an_endpoint_that_is_forgotten_warns_and_closes_its_transport(kind: Any) -> None:
    transport = new_mock(kind)
    endpoint: Any = (
        StreamEndpoint(transport, CHUNKS, ROOM) if kind is StreamTransport else DatagramEndpoint(transport, DATAGRAM)
    )
    with pytest.warns(ResourceWarning, match="unclosed endpoint"):
        del endpoint
    assert transport.close.call_count == 1


def test_forgotten_endpoint_closes_stapled_transports_by_the_way_of_each() -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    sender, receiver = SocketStreamTransport(ours, 1), new_mock(StreamReadTransport)
    with theirs, theirs.dup() as keeper:
        endpoint: Any = StreamEndpoint(StapledStreamTransport(sender, receiver), CHUNKS, ROOM)
        other = ours.dup()
        with other:
            with pytest.warns(ResourceWarning, match="unclosed endpoint"):
                del endpoint
            assert ours.fileno() < 0
            other.sendall(b"x")  # the connection was not shut down: another process may use it
            assert keeper.recv(1) == b"x"
    assert receiver.close.call_count == 1


class Counting(SocketStreamTransport):
    """A subclass as a user may write it."""

    __slots__ = ("calls",)

    calls: list[str]

    def recv(self, bufsize: int, timeout: float) -> bytes:
        self.calls.append("recv")
        return super().recv(bufsize, timeout)

    def recv_into(self, buffer: Any, timeout: float) -> int:
        self.calls.append("recv_into")
        return super().recv_into(buffer, timeout)

    def send_all_from_iterable(self, iterable_of_data: Any, timeout: float) -> None:
        self.calls.append("send")
        super().send_all_from_iterable(iterable_of_data, timeout)

    def close(self) -> None:
        self.calls.append("close")
        super().close()


@either_protocol
def test_overridden_methods_of_our_transport_are_honoured(protocol: Any) -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    with theirs:
        transport = Counting(ours, 1)
        calls: list[str] = []
        transport.calls = calls
        endpoint: Any = StreamEndpoint(transport, protocol, ROOM)
        endpoint.send_packet("abc")
        theirs.sendall(b"def\n")
        assert endpoint.recv_packet() == "def"
        with pytest.warns(ResourceWarning):
            del endpoint
        del transport
    assert calls == ["send", "recv" if protocol is CHUNKS else "recv_into", "close"]
