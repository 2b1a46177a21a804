"""What all blocking endpoints have in common: streams and datagrams, both directions and one."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.lines import line_protocol, text_protocol

from easynetwork.lowlevel.api_sync.endpoints.datagram import (
    DatagramEndpoint,
    DatagramReceiverEndpoint,
    DatagramSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint, StreamReceiverEndpoint, StreamSenderEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport, SocketStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute

MakeEndpoint = Callable[[socket.socket], Any]

ENDPOINTS: dict[str, MakeEndpoint] = {
    "stream": lambda sock: StreamEndpoint(SocketStreamTransport(sock, 1.0), line_protocol(), 1024),
    "stream receiver": lambda sock: StreamReceiverEndpoint(SocketStreamTransport(sock, 1.0), line_protocol(), 1024),
    "stream sender": lambda sock: StreamSenderEndpoint(SocketStreamTransport(sock, 1.0), line_protocol()),
    "datagram": lambda sock: DatagramEndpoint(SocketDatagramTransport(sock, 1.0), text_protocol()),
    "datagram receiver": lambda sock: DatagramReceiverEndpoint(SocketDatagramTransport(sock, 1.0), text_protocol()),
    "datagram sender": lambda sock: DatagramSenderEndpoint(SocketDatagramTransport(sock, 1.0), text_protocol()),
}

each_endpoint = pytest.mark.parametrize("kind", ENDPOINTS)


def new_socket(kind: str) -> socket.socket:
    """Return a socket whose peer has gone."""
    ours, peer = socket.socketpair(type=socket.SOCK_STREAM if "stream" in kind else socket.SOCK_DGRAM)
    peer.close()
    return ours


@each_endpoint
def test_forgotten_endpoint_warns_once_and_closes(kind: str) -> None:
    sock = new_socket(kind)
    endpoint = ENDPOINTS[kind](sock)
    assert not hasattr(endpoint, "__dict__")
    with pytest.warns(ResourceWarning, match="Endpoint") as caught:
        del endpoint
    assert len(caught) == 1
    assert sock.fileno() == -1


@each_endpoint
def test_half_made_endpoint_is_forgotten_silently(kind: str) -> None:
    with ENDPOINTS[kind](new_socket(kind)) as complete:
        cls: Any = type(complete)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        endpoint: Any = cls.__new__(cls)
        assert cls.__name__ in repr(endpoint)
        del endpoint


@each_endpoint
def test_attributes_are_those_of_the_transport(kind: str) -> None:
    sock = new_socket(kind)
    with ENDPOINTS[kind](sock) as endpoint:
        assert endpoint.extra(SocketAttribute.socket).fileno() == sock.fileno()
        assert endpoint.extra(SocketAttribute.family) is socket.AF_UNIX
