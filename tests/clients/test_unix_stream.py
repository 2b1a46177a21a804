"""The blocking client of Unix stream sockets: connecting, and control messages."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
import sys
from typing import Any

import pytest
from tests.clients.kinds import KINDS
from tests.support.blocking import PATIENCE, InThread
from tests.support.descriptors import Gift, open_descriptors, received_text, send_message
from tests.support.lines import line_protocol

from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.socket import SocketAncillary, UnixCredentials, UnixSocketAddress

UNIX = KINDS["unix stream"]


def new_client(arg: Any, **options: Any) -> UnixStreamClient[str, str]:
    return UnixStreamClient(arg, line_protocol(), **options)


# ---------------------------------------------------------------------------------------------------------- connecting


@pytest.mark.parametrize("convert", [str, os.fsencode, pathlib.Path, UnixSocketAddress.from_pathname])
def test_it_connects_to_any_kind_of_path(convert: Any) -> None:
    with UNIX.address() as (path, listener), new_client(convert(path)) as client, listener.accept()[0] as peer:
        client.send_packet("hello")
        assert peer.recv(100) == b"hello\n"
        assert client.get_peer_name().as_raw() == path
        assert client.get_local_name().is_unnamed()


@pytest.mark.skipif(sys.platform != "linux", reason="needs abstract names")
def test_it_connects_to_an_abstract_name() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen()
        with new_client(listener.getsockname()) as client:
            assert client.get_peer_name().as_raw() == listener.getsockname()


def test_failure_is_a_plain_oserror_with_the_path_in_it() -> None:
    before = open_descriptors()
    with UNIX.address(listening=False) as (path, _):
        with pytest.raises(ConnectionRefusedError) as refused:
            new_client(path)
        assert path in str(refused.value)
        with pytest.raises(FileNotFoundError):
            new_client(path + ".none")
    assert open_descriptors() == before


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_connecting_has_a_time_limit(timeout: float) -> None:
    with UNIX.address() as (path, listener):
        listener.listen(0)
        with new_client(path):
            before = open_descriptors()
            with pytest.raises(TimeoutError) as caught:
                new_client(path, connect_timeout=timeout)
            assert caught.value.errno == errno.ETIMEDOUT
            assert open_descriptors() == before


@pytest.mark.parametrize("timeout", [PATIENCE, None])
def test_it_waits_for_a_server_that_is_busy(timeout: float | None) -> None:
    with UNIX.address() as (path, listener):
        listener.listen(0)
        with new_client(path):
            connecting = InThread(new_client, path, connect_timeout=timeout)
            first = listener.accept()[0]
            with connecting.result() as client, listener.accept()[0] as peer, first:
                client.send_packet("at last")
                assert peer.recv(100) == b"at last\n"


def test_it_is_bound_to_the_local_path_which_it_never_deletes() -> None:
    with UNIX.address() as (path, listener):
        local_path = path + ".client"
        with new_client(path, local_path=local_path) as client:
            assert client.get_local_name().as_pathname() == pathlib.Path(local_path)
            peer, address = listener.accept()
            peer.close()
            assert address == local_path
        assert os.path.exists(local_path)
        before = open_descriptors()
        with pytest.raises(OSError) as caught:
            new_client(path, local_path=local_path)
        assert caught.value.errno == errno.EADDRINUSE
        assert local_path in str(caught.value)
        assert open_descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs abstract names")
def test_an_empty_local_path_is_chosen_by_the_system() -> None:
    with UNIX.address() as (path, _), new_client(path, local_path="") as client:
        assert client.get_local_name().as_abstract_name()


def test_the_credentials_of_the_peer_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with UNIX.pair() as (client, _):
        credentials = client.get_peer_credentials()
        assert credentials == UnixCredentials(os.getpid(), os.geteuid(), os.getegid())
        monkeypatch.setattr("easynetwork.clients._unix_client.get_peer_credentials", None)
        assert client.get_peer_credentials() is credentials


# ----------------------------------------------------------------------------------------------------- ancillary data


def test_a_packet_received_before_adds_nothing() -> None:
    with UNIX.pair() as (client, peer):
        peer.sendall(b"one\ntwo\n")
        ancillary = SocketAncillary()
        assert client.recv_packet() == "one"
        assert client.recv_packet(ancillary_data=ancillary) == "two"
        assert list(ancillary.iter_fds()) == []


def test_an_incomplete_packet_is_an_eoferror_and_its_descriptors_are_owned_by_the_caller() -> None:
    with UNIX.pair() as (client, peer), Gift() as gift:
        send_message(peer, b"a gi", gift)
        ancillary = SocketAncillary()
        with pytest.raises(EOFError):
            client.recv_packet(ancillary_data=ancillary)
        assert received_text(ancillary) == "gift"
        peer.sendall(b"ft\n")
        assert client.recv_packet() == "a gift"


def test_a_packet_too_big_for_one_call_is_refused() -> None:
    with UNIX.pair(small_buffers=True) as (client, _), pytest.raises(OSError) as caught:
        client.send_packet("x" * (1 << 22), ancillary_data=SocketAncillary())
    assert caught.value.errno == errno.EMSGSIZE


def test_ancillary_calls_have_time_limits_and_notice_the_end() -> None:
    with UNIX.pair() as (client, peer):
        for timeout in (0, 0.001):
            with pytest.raises(TimeoutError):
                client.recv_packet(ancillary_data=SocketAncillary(), timeout=timeout)
        for bad in (-1, float("nan")):
            with pytest.raises(ValueError):
                client.recv_packet(ancillary_data=SocketAncillary(), timeout=bad)
            with pytest.raises(ValueError):
                client.send_packet("x", ancillary_data=SocketAncillary(), timeout=bad)
        peer.close()
        with pytest.raises(ConnectionAbortedError):
            client.recv_packet(ancillary_data=SocketAncillary())
        with pytest.raises(ConnectionAbortedError):
            client.send_packet("x", ancillary_data=SocketAncillary())
        client.close()
        with pytest.raises(ClientClosedError):
            client.recv_packet(ancillary_data=SocketAncillary())
        with pytest.raises(ClientClosedError):
            client.send_packet("x", ancillary_data=SocketAncillary())
