"""Listening Unix stream sockets: accepting, and whose path it is."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import socket
import stat
import warnings
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.conformance.kit.descriptors import few_descriptors_left
from tests.support.background import Running, running_task
from tests.support.descriptors import all_closed
from tests.support.platforms import needs_abstract_names

from easynetwork.exceptions import BusyResourceError, TypedAttributeLookupError
from easynetwork.lowlevel._sockets import accepting
from easynetwork.lowlevel.api_async.backend._asyncio.stream.unix_loop_transport import SocketTransport
from easynetwork.lowlevel.api_async.backend._trio.stream.unix import TrioUnixStreamTransport
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True

Listener = AsyncListener[AsyncStreamTransport]


@pytest.fixture
@contextlib.asynccontextmanager
async def listener(backend: AsyncBackend, path: str) -> AsyncIterator[Listener]:
    async with all_closed(), await backend.create_unix_stream_listener(path, 10) as listener:
        yield listener


async def echo(transport: AsyncStreamTransport) -> None:
    async with transport:
        while data := await transport.recv(100):
            await transport.send_all(data)


@contextlib.asynccontextmanager
async def serving_in_task(listener: Listener, handler: Any = echo) -> AsyncIterator[Running[NoReturn]]:
    async with running_task(listener.backend(), partial(listener.serve, handler)) as server:
        await listener.backend().coro_yield()
        yield server


@contextlib.contextmanager
def connected(path: str | bytes) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(path)
        yield sock


async def ask(sock: socket.socket, question: bytes) -> bytes:
    sock.sendall(question)
    return await receive(sock)


async def receive(sock: socket.socket) -> bytes:
    return await ensure_backend(None).run_in_thread(sock.recv, 100)


# --- accepting


async def test_it_accepts_many_clients_at_once(listener: Listener, path: str) -> None:
    async with serving_in_task(listener):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connected(path)) for _ in range(10)]
            answers = await listener.backend().gather(
                *(ask(client, b"%d" % number) for number, client in enumerate(clients))
            )
        assert answers == [b"%d" % number for number in range(10)]


async def test_clients_that_come_before_serving_are_accepted(listener: Listener, path: str) -> None:
    with connected(path) as client:
        async with serving_in_task(listener):
            assert await ask(client, b"early") == b"early"


async def test_it_can_be_served_again(listener: Listener, path: str) -> None:
    for _ in range(2):
        async with serving_in_task(listener):
            with connected(path) as client:
                assert await ask(client, b"hello") == b"hello"


async def test_it_tells_its_address(listener: Listener, backend: AsyncBackend, path: str) -> None:
    assert listener.extra(SocketAttribute.sockname) == path
    assert listener.extra(SocketAttribute.family) is socket.AF_UNIX
    assert listener.backend() is backend
    with pytest.raises(TypedAttributeLookupError):
        listener.extra(SocketAttribute.peername)


async def test_a_second_serve_is_refused(listener: Listener) -> None:
    async with serving_in_task(listener):
        with pytest.raises(BusyResourceError):
            await listener.serve(echo)


@pytest.mark.parametrize("when", ["while serving", "before"])
async def test_a_closed_listener_does_not_serve(listener: Listener, when: str) -> None:
    if when == "before":
        await listener.aclose()
    async with serving_in_task(listener) as server:
        await listener.aclose()
        with pytest.raises(OSError) as info:
            await server.result()
    assert info.value.errno == errno.EBADF
    assert listener.is_closing()
    await listener.aclose()


async def test_a_slow_handler_does_not_stop_accepting(listener: Listener, path: str) -> None:
    begun = 0

    async def handler(transport: AsyncStreamTransport) -> None:
        nonlocal begun
        begun += 1
        async with transport:
            await listener.backend().sleep(10)

    async with serving_in_task(listener, handler):
        with connected(path), connected(path), connected(path):
            while begun < 3:
                await listener.backend().sleep(0.001)


async def test_a_failing_handler_ends_serving_in_a_private_group(listener: Listener, path: str) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        async with transport:
            raise ZeroDivisionError

    async with serving_in_task(listener, handler) as server:
        with connected(path), pytest.raises(ExceptionGroup) as info:
            await server.result()
    assert info.group_contains(ZeroDivisionError)


async def test_a_connection_that_cannot_be_set_up_is_closed_and_the_listener_goes_on(
    listener: Listener, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise ZeroDivisionError

    async with serving_in_task(listener):
        with monkeypatch.context() as patch, connected(path) as client:
            patch.setattr(SocketTransport, "__init__", broken)
            patch.setattr(TrioUnixStreamTransport, "__init__", broken)
            assert await receive(client) == b""
        with connected(path) as client:
            assert await ask(client, b"next") == b"next"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_it_goes_on_after_running_out_of_descriptors(
    listener: Listener, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_in_task(listener):
        with connected(path) as client:
            with few_descriptors_left(0):
                await listener.backend().sleep(0.15)
                client.sendall(b"patient")
            assert await receive(client) == b"patient"
    assert 1 <= len(caplog.records) <= 3
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


async def test_it_can_be_closed_while_it_is_out_of_descriptors(listener: Listener, path: str) -> None:
    async with serving_in_task(listener) as server:
        with connected(path):
            with few_descriptors_left(0):
                await listener.backend().sleep(0.02)
                await listener.aclose()
            with pytest.raises(OSError) as info:
                await server.result()
            assert info.value.errno == errno.EBADF


async def test_errors_of_one_connection_are_passed_over(
    listener: Listener, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = socket.socket.accept
    errors = [ConnectionAbortedError(errno.ECONNABORTED, "on purpose"), InterruptedError(errno.EINTR, "on purpose")]

    def accept(self: socket.socket) -> Any:
        if errors:
            raise errors.pop(0)
        return original(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    async with serving_in_task(listener):
        with connected(path) as client:
            assert await ask(client, b"hello") == b"hello"
    assert not errors
    assert not caplog.records


async def test_other_errors_of_accept_end_serving(
    listener: Listener, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accept(self: socket.socket) -> Any:
        raise OSError(errno.EINVAL, "on purpose")

    monkeypatch.setattr(socket.socket, "accept", accept)
    async with serving_in_task(listener) as server:
        with connected(path), pytest.raises(OSError) as info:
            await server.result()
    assert info.value.errno == errno.EINVAL
    assert not listener.is_closing()


async def test_a_burst_of_clients_lets_others_run(
    backend: AsyncBackend, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "STEPS_PER_TURN", 2)
    accepted_per_turn: list[int] = []
    turn = 0

    async def handler(transport: AsyncStreamTransport) -> None:
        accepted_per_turn.append(turn)
        await transport.aclose()

    async def count() -> None:
        nonlocal turn
        while len(accepted_per_turn) < 10:
            turn += 1
            await backend.coro_yield()

    async with all_closed(), await backend.create_unix_stream_listener(path, 10) as listener:
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(connected(path))
            async with serving_in_task(listener, handler):
                await count()
    assert max(accepted_per_turn) - min(accepted_per_turn) >= 3


async def test_a_client_accepted_as_serving_ends_is_cut_off(listener: Listener, path: str) -> None:
    async with serving_in_task(listener) as server:
        await listener.backend().sleep(0.01)
        with connected(path) as client:
            server.cancel()
            await server.wait()
            assert server.error is None
            client.settimeout(0.05)
            with pytest.raises((TimeoutError, ConnectionError)):  # still in the backlog, or reset
                if client.recv(1) == b"":
                    raise ConnectionResetError


async def test_a_forgotten_listener_warns_and_closes_its_socket(backend: AsyncBackend, path: str) -> None:
    async with all_closed():
        listener = await backend.create_unix_stream_listener(path, 10)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del listener
            gc.collect()
        assert [str(item.message).split()[0] for item in caught] == ["unclosed"]


# --- paths


@pytest.mark.parametrize("mode", [0o600, 0o666])
async def test_the_file_gets_the_mode_that_is_asked_for(backend: AsyncBackend, path: str, mode: int) -> None:
    async with await backend.create_unix_stream_listener(path, 10, mode=mode):
        assert stat.S_IMODE(os.stat(path).st_mode) == mode


async def test_the_file_stays_when_the_listener_closes(backend: AsyncBackend, path: str) -> None:
    async with await backend.create_unix_stream_listener(path, 10):
        pass
    assert os.path.exists(path)


async def test_the_path_of_a_dead_server_is_taken_over(backend: AsyncBackend, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    inode = os.stat(path).st_ino
    os.link(path, path + ".old")  # so that the number of the inode is not used again
    async with await backend.create_unix_stream_listener(path, 10, mode=0o600) as listener, serving_in_task(listener):
        assert os.stat(path).st_ino != inode
        with connected(path) as client:
            assert await ask(client, b"new") == b"new"


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "full backlog"])
async def test_a_live_server_keeps_its_path(backend: AsyncBackend, path: str, is_busy: bool) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        with connected(path) if is_busy else contextlib.nullcontext():
            async with all_closed():
                with pytest.raises(OSError, match=path) as info:
                    await backend.create_unix_stream_listener(path, 10)
        assert info.value.errno == errno.EADDRINUSE
        server.accept()[0].close()
        with connected(path):
            pass


@pytest.mark.parametrize("kind", ["file", "folder", "live datagram socket", "link to a dead server"])
async def test_whatever_else_is_there_is_left_alone(backend: AsyncBackend, path: str, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "file":
            Path(path).write_text("precious")
        elif kind == "folder":
            os.mkdir(path)
        elif kind == "live datagram socket":
            stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(path)
        else:
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(path + ".target")
            os.symlink(path + ".target", path)
        before = os.lstat(path)
        async with all_closed():
            with pytest.raises(OSError) as info:
                await backend.create_unix_stream_listener(path, 10)
        assert info.value.errno == errno.EADDRINUSE
        assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == (before.st_ino, before.st_mode)


async def test_a_path_in_a_folder_that_does_not_exist_is_an_oserror(backend: AsyncBackend, path: str) -> None:
    async with all_closed():
        with pytest.raises(FileNotFoundError):
            await backend.create_unix_stream_listener(path + "/socket", 10)


async def test_nothing_is_left_if_listening_fails(
    backend: AsyncBackend, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(self: socket.socket, backlog: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "on purpose")

    monkeypatch.setattr(socket.socket, "listen", listen)
    async with all_closed():
        with pytest.raises(OSError, match="on purpose"):
            await backend.create_unix_stream_listener(path, 10)
    assert not os.path.exists(path)


@needs_abstract_names
@pytest.mark.parametrize("name", ["", b"\0easynetwork-test-%d" % os.getpid()], ids=["automatic", "abstract"])
async def test_it_listens_at_an_abstract_name(backend: AsyncBackend, name: str | bytes) -> None:
    async with await backend.create_unix_stream_listener(name, 10) as listener, serving_in_task(listener):
        address = listener.extra(SocketAttribute.sockname)
        assert address.startswith(b"\0")
        assert name in ("", address)
        with connected(address) as client:
            assert await ask(client, b"hello") == b"hello"


@pytest.mark.parametrize("backlog", [0, -1])
async def test_a_backlog_below_one_is_refused(backend: AsyncBackend, path: str, backlog: int) -> None:
    with pytest.raises(ValueError, match="backlog"):
        await backend.create_unix_stream_listener(path, backlog)
    assert not os.path.exists(path)
