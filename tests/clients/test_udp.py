"""Connecting the blocking UDP client; what it does then, it shares with others (``test_blocking_*.py``)."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from tests.clients.kinds import KINDS

from easynetwork.clients import UDPNetworkClient
from easynetwork.lowlevel.socket import IPv4SocketAddress
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

UDP = KINDS["udp"]


def new_client(arg: Any, **options: Any) -> UDPNetworkClient[str, str]:
    return UDPNetworkClient(arg, DatagramProtocol(StringLineSerializer()), **options)


def test_it_is_connected_at_once() -> None:
    with UDP.address() as (address, server), new_client(address) as client:
        assert client.get_remote_address() == address
        assert isinstance(client.get_local_address(), IPv4SocketAddress)
        client.send_packet("hello")
        assert server.recvfrom(100) == (b"hello", client.get_local_address())
        server.sendto(b"welcome", client.get_local_address())
        assert client.recv_packet() == "welcome"


def test_only_the_peer_is_heard() -> None:
    with UDP.address() as (address, server), new_client(address) as client:
        with socket.socket(type=socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"spam", client.get_local_address())
        server.sendto(b"welcome", client.get_local_address())
        assert client.recv_packet() == "welcome"


def test_addresses_of_another_family_are_not_used() -> None:
    with UDP.address() as (address, _):
        with new_client(address, family=socket.AF_INET) as client:
            assert client.socket.family == socket.AF_INET
        with pytest.raises(socket.gaierror):
            new_client(address, family=socket.AF_INET6)


def test_oversized_datagram_is_refused() -> None:
    with UDP.pair() as (client, peer):
        with pytest.raises(OSError) as caught:
            client.send_packet("x" * (1 << 16))
        assert caught.value.errno == errno.EMSGSIZE
        client.send_packet("fine")
        assert peer.recv(100) == b"fine"


def test_empty_datagram_is_a_packet() -> None:
    with UDP.pair() as (client, peer):
        client.send_packet("")
        assert peer.recv(100) == b""
        peer.send(b"")
        assert client.recv_packet() == ""


def test_sending_tells_at_once_that_nobody_is_there() -> None:
    with UDP.pair() as (client, peer):
        peer.close()
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                client.send_packet("hello")
        assert not client.is_closed()


def test_receiving_tells_that_nobody_is_there() -> None:
    with UDP.pair() as (client, peer):
        with socket.socket(fileno=socket.dup(client.fileno())) as same:
            peer.close()
            same.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            client.recv_packet(timeout=5)
