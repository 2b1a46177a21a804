"""Ancillary data of blocking clients on Unix sockets, of streams and of datagrams."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from tests.clients.kinds import Kind, unix_kinds
from tests.support.blocking import PATIENCE, InThread
from tests.support.descriptors import Gift, give, open_descriptors, receive_message, received_text

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.socket import SocketAncillary


@unix_kinds
def test_descriptors_are_sent_with_a_packet_and_stay_in_the_container(kind: Kind) -> None:
    with kind.pair() as (client, peer), Gift() as gift:
        ancillary = gift.ancillary
        client.send_packet("a gift", ancillary_data=ancillary)
        assert receive_message(peer) == (kind.wire("a gift"), "gift")
        assert list(ancillary.iter_fds()) == [gift.fd]


@unix_kinds
def test_received_descriptors_are_added_to_the_container(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        give(peer, kind.wire("a gift"), "gift")
        ancillary = SocketAncillary()
        assert client.recv_packet(ancillary_data=ancillary, timeout=PATIENCE) == "a gift"
        assert received_text(ancillary) == "gift"


@unix_kinds
def test_descriptors_without_a_container_are_closed(kind: Kind) -> None:
    with kind.pair() as (client, peer), Gift():
        before = open_descriptors()
        give(peer, kind.wire("a gift"))
        assert client.recv_packet() == "a gift"
        assert open_descriptors() == before


@unix_kinds
def test_too_little_room_for_ancillary_data_is_an_error_and_the_packet_is_kept(kind: Kind) -> None:
    with kind.pair() as (client, peer), Gift() as gift:
        ancillary = SocketAncillary()
        ancillary.add_fds([gift.fd] * 10)
        peer.sendmsg([kind.wire("gifts")], ancillary.as_raw())
        received = SocketAncillary()
        with pytest.raises(OSError) as exc_info:
            client.recv_packet(ancillary_data=received, ancillary_bufsize=socket.CMSG_SPACE(4))
        assert exc_info.value.errno == errno.EMSGSIZE
        assert client.recv_packet(ancillary_data=received) == "gifts"
        assert not received.as_raw()


@unix_kinds
def test_room_without_a_container_is_refused(kind: Kind) -> None:
    with kind.pair() as (client, _), pytest.raises(ValueError):
        client.recv_packet(ancillary_bufsize=100)


@unix_kinds
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_room_must_be_a_strictly_positive_integer(kind: Kind, value: Any) -> None:
    with kind.pair() as (client, _), pytest.raises(ValueError):
        client.recv_packet(ancillary_data=SocketAncillary(), ancillary_bufsize=value)


@unix_kinds
def test_closing_tells_a_thread_that_waits_for_descriptors(kind: Kind) -> None:
    with kind.pair() as (client, _):
        receiving = InThread(client.recv_packet, ancillary_data=SocketAncillary())
        while client._receive_lock.lock.acquire(blocking=False):
            client._receive_lock.lock.release()
        client.close()
        assert isinstance(receiving.error(), ClientClosedError)
