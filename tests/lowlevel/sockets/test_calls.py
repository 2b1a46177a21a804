"""Calls of sockets, and what their errors mean."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from easynetwork.lowlevel._sockets.calls import (
    bind_socket,
    check_plain_socket,
    count_dropped_datagrams,
    count_waiting_connections,
    is_connected,
    raise_saved_error,
)


@pytest.fixture
def stream_socket() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        yield sock


@pytest.fixture
def datagram_socket() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        yield sock


def test_a_socket_of_the_right_type_is_accepted(stream_socket: socket.socket, datagram_socket: socket.socket) -> None:
    stream_socket.setblocking(False)  # adds a flag to the type that the system knows
    check_plain_socket(stream_socket, socket.SOCK_STREAM)
    check_plain_socket(datagram_socket, socket.SOCK_DGRAM)


def test_a_socket_of_another_type_is_a_value_error(
    stream_socket: socket.socket, datagram_socket: socket.socket
) -> None:
    with pytest.raises(ValueError, match="SOCK_DGRAM"):
        check_plain_socket(stream_socket, socket.SOCK_DGRAM)
    with pytest.raises(ValueError, match="SOCK_STREAM"):
        check_plain_socket(datagram_socket, socket.SOCK_STREAM)


def test_a_tls_socket_is_a_type_error(stream_socket: socket.socket) -> None:
    context = ssl.create_default_context()
    with context.wrap_socket(stream_socket, server_hostname="localhost") as tls_socket, pytest.raises(TypeError):
        check_plain_socket(tls_socket, socket.SOCK_STREAM)


def test_a_socket_is_connected_while_it_has_a_peer(stream_socket: socket.socket) -> None:
    assert not is_connected(stream_socket)
    stream_socket.bind(("127.0.0.1", 0))
    assert not is_connected(stream_socket)
    stream_socket.listen()
    assert not is_connected(stream_socket)
    with socket.create_connection(stream_socket.getsockname()) as client:
        assert is_connected(client)


def test_a_unix_socket_with_an_unnamed_peer_is_connected() -> None:
    first, second = socket.socketpair(socket.AF_UNIX)
    with first, second:
        assert is_connected(first)


def test_a_closed_socket_is_an_error_and_not_unconnected(stream_socket: socket.socket) -> None:
    stream_socket.close()
    with pytest.raises(OSError) as exc_info:
        is_connected(stream_socket)
    assert exc_info.value.errno == errno.EBADF


def test_the_error_of_a_refused_datagram_is_raised_once(datagram_socket: socket.socket) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        datagram_socket.connect(nobody.getsockname())
    raise_saved_error(datagram_socket)
    datagram_socket.send(b"hello")
    with pytest.raises(ConnectionRefusedError) as exc_info:
        raise_saved_error(datagram_socket)
    assert exc_info.value.errno == errno.ECONNREFUSED
    raise_saved_error(datagram_socket)


def test_a_failed_bind_names_the_address_and_keeps_its_errno(stream_socket: socket.socket) -> None:
    with pytest.raises(OSError, match=r"198\.51\.100\.1.*5432") as exc_info:
        bind_socket(stream_socket, ("198.51.100.1", 5432))
    assert exc_info.value.errno == errno.EADDRNOTAVAIL
    assert isinstance(exc_info.value.__cause__, OSError)


def test_a_failed_bind_of_a_unix_socket_has_the_subclass_of_its_errno(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "s")
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError, match="missing"):
        bind_socket(sock, path)


def test_a_failed_bind_without_errno_is_einval() -> None:
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError) as exc_info:
        bind_socket(sock, "x" * 200)  # Python itself refuses it: "AF_UNIX path too long"
    assert exc_info.value.errno == errno.EINVAL
    assert "x" * 200 in str(exc_info.value)


def test_a_bind_that_works_says_nothing(stream_socket: socket.socket) -> None:
    address: Any = ("127.0.0.1", 0)
    bind_socket(stream_socket, address)
    assert stream_socket.getsockname()[1] != 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_dropped_datagrams_are_counted_exactly(datagram_socket: socket.socket) -> None:
    datagram_socket.bind(("127.0.0.1", 0))
    datagram_socket.setblocking(False)
    assert count_dropped_datagrams(datagram_socket) == 0
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for _ in range(2000):
            sender.sendto(bytes(1000), datagram_socket.getsockname())
    received = 0
    with pytest.raises(BlockingIOError):
        while datagram_socket.recv(1000):
            received += 1
    assert received + count_dropped_datagrams(datagram_socket) == 2000
    assert received < 2000


def test_a_closed_socket_does_not_tell_what_it_dropped(datagram_socket: socket.socket) -> None:
    datagram_socket.close()
    with pytest.raises(OSError):
        count_dropped_datagrams(datagram_socket)


def test_connections_that_wait_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        assert count_waiting_connections(listening) == (3 if sys.platform == "linux" else None)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        assert count_waiting_connections(sock) is None
