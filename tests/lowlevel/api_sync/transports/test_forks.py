"""Transports and endpoints that a child process has inherited: their connections are those of the parent."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.forks import in_child_process, needs_fork
from tests.support.lines import line_protocol
from tests.support.sockets import stream_pair

from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint, DatagramReceiverEndpoint
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint, StreamReceiverEndpoint, StreamSenderEndpoint
from easynetwork.lowlevel.api_sync.transports.composite import StapledDatagramTransport, StapledStreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport, SocketStreamTransport
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

STREAM, DATAGRAM = line_protocol(), DatagramProtocol(StringLineSerializer())

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "transport": lambda transport: transport,
    "stapled": lambda transport: (
        StapledStreamTransport(transport, transport)
        if isinstance(transport, SocketStreamTransport)
        else StapledDatagramTransport(transport, transport)
    ),
    "endpoint": lambda transport: (
        StreamEndpoint(transport, STREAM, 100)
        if isinstance(transport, SocketStreamTransport)
        else DatagramEndpoint(transport, DATAGRAM)
    ),
    "receiver": lambda transport: (
        StreamReceiverEndpoint(transport, STREAM, 100)
        if isinstance(transport, SocketStreamTransport)
        else DatagramReceiverEndpoint(transport, DATAGRAM)
    ),
}


@needs_fork
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_closing_in_a_child_process_drops_the_descriptor_only(kind: str, wrapper: str) -> None:
    transport: SocketStreamTransport | SocketDatagramTransport
    if kind == "stream":
        ours, theirs = stream_pair(socket.AF_INET)
        transport = SocketStreamTransport(ours, math.inf)
    else:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        transport = SocketDatagramTransport(ours, math.inf)
    closeable = WRAPPERS[wrapper](transport)

    def close() -> None:
        closeable.close()
        assert closeable.is_closed()
        assert ours.fileno() < 0

    with theirs:
        in_child_process(close)
        transport.send(b"from the parent", math.inf)
        assert theirs.recv(100) == b"from the parent"
        theirs.send(b"for the parent")
        assert ours.recv(100) == b"for the parent"
        closeable.close()


@needs_fork
def test_a_sender_that_a_child_process_closes_still_sends_in_the_parent() -> None:
    ours, theirs = stream_pair(socket.AF_INET)
    with theirs, StreamSenderEndpoint(SocketStreamTransport(ours, math.inf), STREAM) as endpoint:
        in_child_process(endpoint.close)
        endpoint.send_packet("hello")
        assert theirs.recv(100) == b"hello\n"
