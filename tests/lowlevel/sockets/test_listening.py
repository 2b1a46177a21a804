"""Bound sockets that a server is given: whether it can use them, and what their backlog is."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from easynetwork.lowlevel._sockets.calls import get_backlog
from easynetwork.lowlevel._sockets.listening import check_bound_socket, is_listening, start_listening

FAMILIES = (socket.AF_INET, socket.AF_INET6)


def test_a_bound_socket_is_good_listening_or_not() -> None:
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="not bound"):
            check_bound_socket(sock, FAMILIES, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
        check_bound_socket(sock, FAMILIES, socket.SOCK_STREAM)
        sock.listen()
        check_bound_socket(sock, FAMILIES, socket.SOCK_STREAM)
    with pytest.raises(ValueError, match="closed"):
        check_bound_socket(sock, FAMILIES, socket.SOCK_STREAM)


def test_a_descriptor_that_belongs_to_something_else_is_refused() -> None:
    with socket.socket() as sock, open("/dev/null") as file:
        sock.bind(("127.0.0.1", 0))
        os.dup2(file.fileno(), sock.fileno())
        with pytest.raises(ValueError, match="cannot be used"):
            check_bound_socket(sock, FAMILIES, socket.SOCK_STREAM)


def test_a_socket_that_does_not_listen_begins_to_with_the_backlog() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert not is_listening(sock)
        assert start_listening(sock, 7) == 7
        assert is_listening(sock)
        if sys.platform == "linux":
            assert get_backlog(sock) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the backlog")
def test_a_listening_socket_keeps_its_backlog() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=3) as sock:
        assert start_listening(sock, 7) == 3
        assert get_backlog(sock) == 3


def test_what_is_not_tcp_has_no_backlog_to_tell() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        assert get_backlog(sock) is None
