"""The blocking client of Unix datagram sockets: connecting, and control messages."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
import sys
from typing import Any

import pytest
from tests.clients.kinds import KINDS
from tests.support.blocking import InThread
from tests.support.descriptors import Gift, open_descriptors, received_text, send_message

from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.exceptions import DatagramProtocolParseError
from easynetwork.lowlevel.socket import SocketAncillary, UnixSocketAddress
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

UNIX = KINDS["unix datagram"]


def new_client(arg: Any, **options: Any) -> UnixDatagramClient[str, str]:
    return UnixDatagramClient(arg, DatagramProtocol(StringLineSerializer()), **options)


@pytest.mark.parametrize("convert", [str, os.fsencode, pathlib.Path, UnixSocketAddress.from_pathname])
def test_it_talks_to_any_kind_of_path(convert: Any) -> None:
    with UNIX.address() as (path, server), new_client(convert(path), local_path=path + ".client") as client:
        client.send_packet("hello")
        assert server.recvfrom(100) == (b"hello", path + ".client")
        server.sendto(b"welcome", path + ".client")
        assert client.recv_packet() == "welcome"
        assert client.get_peer_name().as_raw() == path
        assert client.get_local_name().as_raw() == path + ".client"


@pytest.mark.skipif(sys.platform != "linux", reason="needs abstract names")
@pytest.mark.parametrize("options", [{}, {"local_path": None}, {"local_path": ""}, {"local_path": UnixSocketAddress()}])
def test_without_a_local_path_the_system_chooses_a_name(options: dict[str, Any]) -> None:
    with UNIX.address() as (path, server), new_client(path, **options) as client:
        assert client.get_local_name().as_abstract_name()
        client.send_packet("hello")
        data, address = server.recvfrom(100)
        server.sendto(data, address)
        assert client.recv_packet() == "hello"


def test_where_the_system_chooses_no_names_a_local_path_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "another")
    with UNIX.address() as (path, _), pytest.raises(ValueError, match="local_path"):
        new_client(path)


def test_failure_is_a_plain_oserror() -> None:
    before = open_descriptors()
    with UNIX.address() as (path, _):
        with pytest.raises(FileNotFoundError):
            new_client(path + ".none")
        with pytest.raises(OSError) as caught:
            new_client(path, local_path=path)
        assert caught.value.errno == errno.EADDRINUSE
    assert open_descriptors() == before


def test_the_local_path_is_never_deleted() -> None:
    with UNIX.address() as (path, _):
        with new_client(path, local_path=path + ".client"):
            pass
        assert os.path.exists(path + ".client")


def test_sending_waits_for_a_peer_whose_queue_is_full() -> None:
    with UNIX.pair() as (client, peer):
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                client.send_packet(f"{sent}", timeout=0.01)
                sent += 1
        sending = InThread(client.send_packet, "one more")
        received = [peer.recv(100) for _ in range(sent + 1)]
        sending.result()
        assert received == [b"%d" % number for number in range(sent)] + [b"one more"]


def test_oversized_datagram_is_refused() -> None:
    with UNIX.pair() as (client, _), pytest.raises(OSError) as caught:
        client.send_packet("x" * (1 << 23))
    assert caught.value.errno == errno.EMSGSIZE


def test_peer_that_has_gone_is_an_error_as_it_is() -> None:
    with UNIX.pair() as (client, peer):
        peer.close()
        with pytest.raises(ConnectionRefusedError):
            client.send_packet("hello")
        assert not client.is_closed()


def test_descriptors_of_an_invalid_datagram_are_owned_by_the_caller() -> None:
    with UNIX.pair(StringLineSerializer(encoding="ascii")) as (client, peer), Gift() as gift:
        send_message(peer, b"\xe9", gift)
        received = SocketAncillary()
        with pytest.raises(DatagramProtocolParseError):
            client.recv_packet(ancillary_data=received)
        assert received_text(received) == "gift"


def test_datagram_of_another_sender_does_not_come() -> None:
    with UNIX.pair() as (client, peer), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        with pytest.raises(PermissionError):
            stranger.sendto(b"spam", client.get_local_name().as_raw())
        peer.send(b"fine")
        assert client.recv_packet() == "fine"
