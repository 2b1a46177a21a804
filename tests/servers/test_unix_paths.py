"""The paths of servers on Unix sockets: which are taken, and what becomes of the file."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.kinds import Kind
from tests.support.background import settle, spawn, until
from tests.support.descriptors import all_closed
from tests.support.network_servers import problems, run_in_task
from tests.support.platforms import needs_abstract_names

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel.socket import SocketProxy, UnixSocketAddress

EVERY_BACKEND = True

pytestmark = pytest.mark.parametrize("kind", ["unix-stream", "unix-datagram"], indirect=True)


def unix_socket(kind: Kind) -> socket.socket:
    return socket.socket(socket.AF_UNIX, kind.socket_type)


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("wrong", [None, 12, ("host", 80)])
async def test_a_wrong_path_is_refused(kind: Kind, wrong: Any) -> None:
    with pytest.raises(TypeError):
        kind.new_server(None, wrong)


async def test_a_path_with_a_nul_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match="NUL"):
        kind.new_server(None, "a\0b")


async def test_an_empty_path_is_refused_where_the_system_chooses_none(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ValueError, match="path"):
        kind.new_server(None, "")


@pytest.mark.parametrize("form", [str, os.fsencode, Path, UnixSocketAddress.from_pathname])
async def test_a_path_may_have_any_form(kind: Kind, form: Callable[[str], Any]) -> None:
    async with kind.new_server(None, form(kind.path)) as server:
        assert server.get_addresses() == (UnixSocketAddress.from_pathname(kind.path),)
        [sock] = server.get_sockets()
        assert isinstance(sock, SocketProxy)
        assert sock.type == kind.socket_type
        assert sock.getsockname() == kind.path
    assert server.get_addresses() == ()
    assert server.get_sockets() == ()


@needs_abstract_names
@pytest.mark.parametrize("name", [b"", b"\0easynetwork-test-%d" % os.getpid()], ids=["automatic", "abstract"])
async def test_abstract_names_leave_no_file(kind: Kind, name: bytes) -> None:
    server = kind.new_server(None, name)
    async with run_in_task(server):
        [address] = server.get_addresses()
        assert address.as_abstract_name()
        assert await kind.is_served(server)


# -------------------------------------------------------------------------------------------------- our file, theirs


@pytest.mark.parametrize("mode", [0o600, 0o666])
async def test_the_file_has_the_mode_that_is_asked_for_and_is_deleted_in_the_end(kind: Kind, mode: int) -> None:
    async with kind.new_server(mode=mode):
        assert stat.S_IMODE(os.stat(kind.path).st_mode) == mode
    assert not os.path.lexists(kind.path)


async def test_the_file_stays_between_two_runs(kind: Kind) -> None:
    server = kind.new_server()
    for _ in range(2):
        task = spawn(server.serve_forever())
        await until(server.is_serving)
        await server.shutdown()
        await task.result()
        assert os.path.exists(kind.path)
    await server.server_close()
    assert not os.path.lexists(kind.path)
    with pytest.raises(ServerClosedError):
        await server.server_activate()


async def test_a_file_that_has_replaced_ours_is_left_alone(kind: Kind) -> None:
    async with kind.new_server():
        os.rename(kind.path, kind.path + ".moved")
        Path(kind.path).write_text("precious")
    assert Path(kind.path).read_text() == "precious"


async def test_the_socket_of_a_server_that_has_replaced_ours_is_left_alone(kind: Kind) -> None:
    async with kind.new_server():
        os.rename(kind.path, kind.path + ".moved")
        async with kind.new_server() as successor:
            pass
        with unix_socket(kind) as sock:
            sock.bind(kind.path)
            inode = os.stat(kind.path).st_ino
            assert not successor.is_listening()
    assert os.stat(kind.path).st_ino == inode


async def test_a_file_that_has_gone_already_is_not_an_error(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    async with kind.new_server():
        os.unlink(kind.path)
    assert problems(caplog.records) == []


async def test_a_file_that_cannot_be_deleted_is_logged_and_the_server_closed(
    kind: Kind, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(path: str) -> None:
        raise PermissionError(errno.EACCES, "on purpose")

    async with kind.new_server() as server:
        monkeypatch.setattr(os, "unlink", unlink)
    assert not server.is_listening()
    with pytest.raises(ConnectionRefusedError), unix_socket(kind) as sock:
        sock.connect(kind.path)
    [record] = problems(caplog.records)
    assert record.levelno == logging.ERROR
    assert record.name == server.logger.name
    assert kind.path in record.getMessage()


async def test_a_cancelled_close_deletes_the_file_and_closes_the_socket(kind: Kind) -> None:
    async with all_closed():
        server = kind.new_server()
        await server.server_activate()
        closing = spawn(server.server_close())
        await settle()
        closing.cancel()
        await closing.wait()
    assert not os.path.lexists(kind.path)
    assert not server.is_listening()


# ------------------------------------------------------------------------------------------------- what is there yet


async def test_a_file_at_the_path_is_in_use_and_left_alone(kind: Kind) -> None:
    Path(kind.path).write_text("precious")
    async with all_closed():
        server = kind.new_server()
        with pytest.raises(OSError) as info:
            await server.server_activate()
        assert info.value.errno == errno.EADDRINUSE
        assert not server.is_listening()
        await server.server_close()
    assert Path(kind.path).read_text() == "precious"


async def test_a_live_server_is_not_disturbed(kind: Kind) -> None:
    server = kind.new_server()
    async with run_in_task(server):
        sock = kind.connect(server)
        assert await kind.ask(sock, "one") == "one"
        async with all_closed():
            second = kind.new_server()
            with pytest.raises(OSError, match=kind.path) as info:
                await second.server_activate()
            assert not second.is_listening()
            await second.server_close()
        assert info.value.errno == errno.EADDRINUSE
        assert await kind.ask(sock, "two") == "two"
        assert await kind.is_served(server)


async def test_the_path_of_a_dead_server_is_taken_over(kind: Kind) -> None:
    with unix_socket(kind) as dead:
        dead.bind(kind.path)
        if kind.is_stream:
            dead.listen()
    server = kind.new_server()
    async with run_in_task(server):
        assert await kind.is_served(server)
    assert not os.path.lexists(kind.path)


async def test_a_failed_activation_is_a_plain_error_and_may_be_repeated(kind: Kind) -> None:
    server = kind.new_server(None, kind.path + "/socket")
    with pytest.raises(FileNotFoundError):
        await server.server_activate()
    os.mkdir(kind.path)
    async with server:
        assert server.is_listening()
    assert not os.path.lexists(kind.path + "/socket")
