"""The credentials of the peer of a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import Any

import pytest

from easynetwork.lowlevel._sockets.peer_credentials import get_peer_credentials
from easynetwork.lowlevel.socket import SocketProxy, UnixCredentials

MYSELF = UnixCredentials(os.getpid(), os.geteuid(), os.getegid())
UNKNOWN_ID = 2**32 - 1


def test_the_kernel_tells_who_the_peer_is() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert get_peer_credentials(left) == MYSELF
        assert get_peer_credentials(SocketProxy(right)) == MYSELF


def test_the_peer_may_be_another_process() -> None:
    name = f"\0easynetwork-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        listener.settimeout(30)
        child = os.posix_spawn(
            sys.executable,
            [
                sys.executable,
                "-c",
                f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({name!r}); s.recv(1)",
            ],
            os.environ,
        )
        try:
            connection, _ = listener.accept()
            with connection:
                assert get_peer_credentials(connection) == MYSELF._replace(pid=child)
        finally:
            os.waitpid(child, 0)


def test_a_closed_socket_is_a_bad_descriptor() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        pass
    with pytest.raises(OSError) as info:
        get_peer_credentials(sock)
    assert info.value.errno == errno.EBADF


def test_a_closed_socket_is_asked_nothing_even_if_it_would_answer() -> None:
    with pytest.raises(OSError) as info:
        get_peer_credentials(_answering((1, 2, 3), fd=-1))
    assert info.value.errno == errno.EBADF


def test_an_unconnected_socket_has_no_known_peer() -> None:
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError) as info:
        get_peer_credentials(sock)
    assert info.value.errno == errno.EINVAL


@pytest.mark.parametrize("ids", [(0, 1, 1), (1, UNKNOWN_ID, 1), (1, 1, UNKNOWN_ID)])
def test_what_the_kernel_does_not_know_is_an_error(ids: tuple[int, int, int]) -> None:
    with pytest.raises(OSError) as info:
        get_peer_credentials(_answering(ids))
    assert info.value.errno == errno.EINVAL


def test_root_is_a_known_user() -> None:
    assert get_peer_credentials(_answering((1, 0, 0))) == (1, 0, 0)


def test_large_ids_are_not_negative() -> None:
    assert get_peer_credentials(_answering((1, 2**32 - 2, 2**31))) == (1, 2**32 - 2, 2**31)


def test_an_error_of_the_system_passes_through() -> None:
    class Failing:
        def fileno(self) -> int:
            return 3

        def getsockopt(self, *args: int) -> bytes:
            raise OSError(errno.ENOPROTOOPT, "no")

    sock: Any = Failing()
    with pytest.raises(OSError) as info:
        get_peer_credentials(sock)
    assert info.value.errno == errno.ENOPROTOOPT


def test_credentials_have_no_defaults() -> None:
    incomplete: Any = UnixCredentials
    with pytest.raises(TypeError):
        incomplete(1, 2)
    assert UnixCredentials(pid=None, uid=1, gid=2) == (None, 1, 2)


def _answering(ids: tuple[int, int, int], fd: int = 3) -> Any:
    """A socket about whose peer the kernel says what it never says within one machine."""

    class Socket:
        def fileno(self) -> int:
            return fd

        def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
            assert (level, optname) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
            return struct.pack("@iII", *ids)[:buflen]

    return Socket()
