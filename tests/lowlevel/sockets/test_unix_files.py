"""The files of Unix sockets: making them, and deleting only one's own."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easynetwork.lowlevel._sockets.unix_files import SocketFile, bind_to_path


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        yield sock


def bound(path: str, sock: socket.socket) -> SocketFile:
    file = bind_to_path(sock, path)
    assert file is not None
    return file


def test_the_bound_file_is_found_at_its_path(path: str, sock: socket.socket) -> None:
    file = bound(path, sock)
    assert sock.getsockname() == path == file.path
    assert SocketFile.at(path) == file


def test_a_relative_path_and_one_in_bytes_name_a_file_too(
    tmp_path: Path, sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = bind_to_path(sock, b"socket")
    assert file == SocketFile.at("socket")
    assert file is not None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have pathnames only")
@pytest.mark.parametrize("name", ["", b"\0abstract-%d" % os.getpid()], ids=["automatic", "abstract"])
def test_an_abstract_name_has_no_file(name: str | bytes, sock: socket.socket) -> None:
    assert bind_to_path(sock, name, 0o600) is None
    assert sock.getsockname().startswith(b"\0")


def test_a_removed_file_is_gone_and_removing_it_again_does_nothing(path: str, sock: socket.socket) -> None:
    file = bound(path, sock)
    file.remove()
    assert not os.path.exists(path)
    file.remove()


def test_the_file_of_another_socket_at_the_same_path_is_left_alone(path: str, sock: socket.socket) -> None:
    file = bound(path, sock)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        file.remove()
        assert SocketFile.at(path) not in (None, file)


def test_a_file_that_is_no_socket_is_left_alone(path: str, sock: socket.socket) -> None:
    file = bound(path, sock)
    os.unlink(path)
    Path(path).write_text("precious")
    file.remove()
    assert Path(path).read_text() == "precious"
    assert SocketFile.at(path) is None


def test_a_symbolic_link_to_the_file_is_not_the_file(path: str, sock: socket.socket) -> None:
    file = bound(path, sock)
    os.rename(path, path + ".moved")
    os.symlink(path + ".moved", path)
    file.remove()
    assert os.path.islink(path)


@pytest.mark.parametrize("existing", ["live socket", "dead socket", "regular file"])
def test_an_existing_path_is_never_taken_over(existing: str, path: str, sock: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        if existing == "regular file":
            Path(path).touch()
        else:
            other.bind(path)
        if existing == "dead socket":
            other.close()
        before = os.lstat(path)
        with pytest.raises(OSError, match="socket") as failure:
            bind_to_path(sock, path, 0o600)
        assert failure.value.errno == errno.EADDRINUSE
        after = os.lstat(path)
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o777])
def test_the_file_has_exactly_the_asked_permissions(mode: int, path: str, sock: socket.socket) -> None:
    umask = os.umask(0o027)
    try:
        bind_to_path(sock, path, mode)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat(path).st_mode) == mode


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the permissions are those of the umask until chmod()")
def test_the_file_is_at_no_moment_more_open_than_asked(
    path: str, sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "chmod", lambda path, mode: seen.append(stat.S_IMODE(os.stat(path).st_mode)))
    umask = os.umask(0)
    try:
        bind_to_path(sock, path, 0o600)
    finally:
        os.umask(umask)
    assert seen == [0o600]


def test_no_file_is_left_if_its_permissions_cannot_be_set(
    path: str, sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, mode: int) -> None:
        raise PermissionError(errno.EPERM, "not today")

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(PermissionError):
        bind_to_path(sock, path, 0o600)
    assert not os.path.lexists(path)


def test_a_directory_that_does_not_exist_is_told(path: str, sock: socket.socket) -> None:
    with pytest.raises(FileNotFoundError):
        bind_to_path(sock, path + "/nowhere/socket")
