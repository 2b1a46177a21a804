"""What the constructors of blocking clients refuse, and what they do with an adopted socket."""

from __future__ import annotations

import errno
import gc
import math
import socket
import warnings
from typing import Any
from unittest.mock import Mock

import pytest
from tests.clients.kinds import KINDS, Kind, kinds, stream_kinds, wrong_protocols
from tests.support.descriptors import open_descriptors
from tests.support.lines import line_protocol

ADDRESS_OPTIONS: dict[str, dict[str, Any]] = {
    "tcp": {"local_address": ("127.0.0.1", 0), "connect_timeout": 1.0},
    "udp": {"local_address": ("127.0.0.1", 0), "family": socket.AF_INET},
    "unix stream": {"local_path": "x", "connect_timeout": 1.0},
    "unix datagram": {"local_path": "x"},
}


@kinds
def test_wrong_protocol_is_refused_before_anything_is_opened(kind: Kind) -> None:
    before = open_descriptors()
    for protocol in wrong_protocols(kind):
        with pytest.raises(TypeError):
            kind.cls("nowhere", protocol)
    assert open_descriptors() == before


@kinds
@pytest.mark.parametrize("arg", [None, 12, ("h", 1, 2), ("h", "1"), (1, 1), (b"h", 1)])
def test_first_argument_is_a_socket_or_an_address(kind: Kind, arg: Any) -> None:
    with pytest.raises(TypeError):
        kind.cls(arg, kind.protocol())


@stream_kinds
@pytest.mark.parametrize("value", [0, -1, 1.5, "1"])
def test_max_recv_size_must_be_a_strictly_positive_integer(kind: Kind, value: Any) -> None:
    ours, theirs = kind.sockets()
    with ours, theirs, pytest.raises(ValueError, match="max_recv_size"):
        kind.cls(ours, kind.protocol(), max_recv_size=value)


@kinds
@pytest.mark.parametrize("value", [0, -1.0, math.nan])
def test_retry_interval_must_be_above_zero(kind: Kind, value: float) -> None:
    ours, theirs = kind.sockets()
    with theirs, pytest.raises(ValueError, match="retry_interval"):
        kind.cls(ours, kind.protocol(), retry_interval=value)
    assert ours.fileno() == -1  # it was handed over
    with kind.address() as (address, _), pytest.raises(ValueError, match="retry_interval"):
        kind.cls(address, kind.protocol(), retry_interval=value)


@pytest.mark.parametrize("name", ["udp", "unix datagram"])
def test_datagram_socket_is_closed_if_the_protocol_is_wrong(name: str) -> None:
    ours, theirs = KINDS[name].sockets()
    with theirs, pytest.raises(TypeError, match="DatagramProtocol"):
        KINDS[name].cls(ours, line_protocol())
    assert ours.fileno() == -1


@stream_kinds
@pytest.mark.parametrize("value", [-1, math.nan])
def test_connect_timeout_is_not_negative(kind: Kind, value: float) -> None:
    with kind.address() as (address, _), pytest.raises(ValueError):
        kind.cls(address, kind.protocol(), connect_timeout=value)


@kinds
def test_unknown_arguments_are_refused(kind: Kind) -> None:
    ours, theirs = kind.sockets()
    with ours, theirs, kind.address() as (address, _):
        for arg in (address, ours):
            with pytest.raises(TypeError):
                kind.cls(arg, kind.protocol(), unknown=1)


@pytest.mark.parametrize("name", KINDS)
def test_arguments_of_an_address_are_refused_with_a_socket(name: str) -> None:
    kind = KINDS[name]
    for option, value in ADDRESS_OPTIONS[name].items():
        ours, theirs = kind.sockets()
        with ours, theirs:
            ours.settimeout(7)
            untouched = Mock(wraps=ours, spec=ours)
            for sock in (ours, untouched):
                with pytest.raises(TypeError, match=option):
                    kind.cls(sock, kind.protocol(), **{option: value})
            assert ours.fileno() >= 0
            assert ours.gettimeout() == 7
            assert untouched.mock_calls == []


@kinds
def test_socket_of_the_wrong_type_or_family_is_refused_and_closed(kind: Kind) -> None:
    for other in KINDS.values():
        if other != kind:
            ours, theirs = other.sockets()
            with theirs, pytest.raises(ValueError):
                kind.cls(ours, kind.protocol())
            assert ours.fileno() == -1


@kinds
def test_socket_that_is_not_connected_is_refused_and_closed(kind: Kind) -> None:
    sock = socket.socket(kind.family, kind.type)
    with pytest.raises(OSError) as caught:
        kind.cls(sock, kind.protocol())
    assert caught.value.errno == errno.ENOTCONN
    assert sock.fileno() == -1


@kinds
def test_closed_socket_is_refused(kind: Kind) -> None:
    sock = socket.socket(kind.family, kind.type)
    sock.close()
    with pytest.raises(OSError) as caught:
        kind.cls(sock, kind.protocol())
    assert caught.value.errno == errno.EBADF


def test_datagram_socket_without_a_name_is_refused_and_closed() -> None:
    kind = KINDS["unix datagram"]
    with kind.address() as (address, _):
        sock = socket.socket(kind.family, kind.type)
        sock.connect(address)
        with pytest.raises(ValueError):
            kind.cls(sock, kind.protocol())
        assert sock.fileno() == -1


@pytest.mark.parametrize("name", ["unix stream", "unix datagram"])
@pytest.mark.parametrize("path", ["a\0b", b"a\0b"])
def test_path_with_a_nul_is_refused(name: str, path: Any) -> None:
    kind = KINDS[name]
    for arg, options in ((path, {}), ("nowhere", {"local_path": path})):
        with pytest.raises(ValueError):
            kind.cls(arg, kind.protocol(), **options)


@pytest.mark.parametrize("family", [socket.AF_UNIX, -5, 1234])
def test_family_is_an_internet_family(family: int) -> None:
    kind = KINDS["udp"]
    with pytest.raises(ValueError):
        kind.cls(("127.0.0.1", 9), kind.protocol(), family=family)


@kinds
def test_adopted_socket_becomes_non_blocking_and_is_owned(kind: Kind) -> None:
    ours, theirs = kind.sockets()
    with theirs, kind.cls(ours, kind.protocol()) as client:
        assert ours.gettimeout() == 0
        assert client.fileno() == ours.fileno()
        client.send_packet("hello")
        assert theirs.recv(100) == kind.wire("hello")
    assert ours.fileno() == -1


@kinds
def test_refused_client_is_forgotten_silently(kind: Kind) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = kind.cls.__new__(kind.cls)
        assert kind.cls.__name__ in repr(client)
        del client
        with pytest.raises(TypeError):
            kind.cls(None, kind.protocol())
        gc.collect()


@kinds
def test_there_is_no_instance_dict_but_there_are_weak_references(kind: Kind) -> None:
    import weakref

    with kind.pair() as (client, _):
        assert not hasattr(client, "__dict__")
        assert weakref.ref(client)() is client
