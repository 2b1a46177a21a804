"""When the event loop accepts connections, and what happens while few descriptors are left."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from easynetwork.lowlevel._sockets.descriptors import DescriptorCounter
from easynetwork.lowlevel.api_async.backend._asyncio.stream import acceptor
from easynetwork.lowlevel.api_async.backend._asyncio.stream.acceptor import LoopAcceptor

PATIENCE = 20
BACKLOG = 300
SEVERAL_CHECKS = 3 * acceptor._CHECK_EVERY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors do not run out")


class Remote:
    """A server that closes each connection after a byte, and connections to it."""

    def __init__(self, sock: socket.socket, protocol: type[_OneByte]) -> None:
        self.address: tuple[str, int] = sock.getsockname()
        self.failures: list[Exception] = []
        self.acceptor = LoopAcceptor(asyncio.get_running_loop(), sock, BACKLOG, protocol, self.failures.append)

    @property
    def is_careful(self) -> bool:
        return self.acceptor.is_careful

    async def connect(self, count: int = 1) -> None:
        for _ in range(count):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(*self.address)
                assert await reader.read() == b"!"
                writer.close()
                await writer.wait_closed()

    async def becomes(self, *, careful: bool) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.is_careful is not careful:
                await asyncio.sleep(0.01)


class _OneByte(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"!")
        transport.close()


@contextlib.asynccontextmanager
async def one_byte_server(protocol: type[_OneByte] = _OneByte) -> AsyncIterator[Remote]:
    remote = Remote(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG), protocol)
    try:
        yield remote
    finally:
        remote.acceptor.close()
        for _ in range(3):  # the loops close their sockets in later turns
            await asyncio.sleep(0)
    assert remote.failures == []


def is_asyncios_own() -> bool:
    return isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)


@pytest.fixture
def free_descriptors(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Tells the acceptors how many descriptors are free."""
    return lambda number: monkeypatch.setattr(DescriptorCounter, "count_free", lambda self: number)


FEW = acceptor._RESERVE - 1
ENOUGH = acceptor._RESERVE


def connections(stack: contextlib.ExitStack, address: Any, count: int) -> list[socket.socket]:
    """So many connections, made while the loop does nothing."""
    return [stack.enter_context(socket.create_connection(address, 5)) for _ in range(count)]


# --- by create_server


async def test_the_loop_accepts_from_the_start() -> None:
    async with one_byte_server() as remote:
        assert not remote.is_careful
        await remote.connect(SEVERAL_CHECKS)
        assert not remote.is_careful


async def test_as_many_connections_as_requested_wait_in_the_system() -> None:
    async with one_byte_server() as remote:
        await remote.connect()
        with contextlib.ExitStack() as stack:
            clients = connections(stack, remote.address, BACKLOG)  # would block if the queue were shorter
            await remote.connect()
            assert {client.recv(1) for client in clients} == {b"!"}


async def test_a_turn_of_the_loop_accepts_a_limited_number_of_connections() -> None:
    loop = asyncio.get_running_loop()
    turn, turns = 0, collections.Counter[int]()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if turns.total() < BACKLOG:
            loop.call_soon(next_turn)

    class Counting(_OneByte):
        def connection_made(self, transport: Any) -> None:
            turns[turn] += 1
            super().connection_made(transport)

    async with one_byte_server(Counting) as remote:
        with contextlib.ExitStack() as stack:
            connections(stack, remote.address, BACKLOG)
            next_turn()
            async with asyncio.timeout(PATIENCE):
                while turns.total() < BACKLOG:
                    await asyncio.sleep(0.01)
    assert max(turns.values()) <= acceptor._BURST + 1  # newer versions of asyncio accept one more


async def test_an_idle_acceptor_sets_no_timer_on_asyncios_own_loop() -> None:
    async with one_byte_server() as remote:
        await remote.connect()
        assert (remote.acceptor._timer is None) is is_asyncios_own()


async def test_a_server_that_cannot_be_created_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def dup(sock: socket.socket) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "dup", dup)
    async with one_byte_server() as remote:
        assert remote.is_careful
        await remote.connect(2)
        assert remote.is_careful
        monkeypatch.undo()
        await remote.connect()
        await remote.becomes(careful=False)


async def test_a_loop_without_create_server_ends_accepting() -> None:
    class Loop:
        def __getattr__(self, name: str) -> Any:
            return getattr(loop, name)

        async def create_server(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    loop, failures = asyncio.get_running_loop(), list[Exception]()
    sock = socket.create_server(("127.0.0.1", 0))
    remote = LoopAcceptor(Loop(), sock, BACKLOG, _OneByte, failures.append)  # type: ignore[arg-type]
    remote.close()
    assert [type(exc) for exc in failures] == [NotImplementedError]


# --- from one way to the other


async def test_an_acceptor_is_careful_while_few_descriptors_are_left(free_descriptors: Callable[[int], None]) -> None:
    free_descriptors(FEW)
    async with one_byte_server() as remote:
        assert remote.is_careful
        await remote.connect(SEVERAL_CHECKS)
        assert remote.is_careful
        free_descriptors(ENOUGH)
        await remote.connect()
        await remote.becomes(careful=False)
        await remote.connect()


@pytest.mark.parametrize("check", ["by number", "by clock"])
async def test_a_loop_that_does_not_tell_is_watched(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    free_descriptors: Callable[[int], None],
    check: str,
) -> None:
    if is_asyncios_own():
        pytest.skip("asyncio tells")
    monkeypatch.setattr(acceptor, "_CHECK_INTERVAL", 1000.0 if check == "by number" else 0.01)
    async with one_byte_server() as remote:
        free_descriptors(FEW)
        if check == "by number":
            await remote.connect(acceptor._CHECK_EVERY)
        await remote.becomes(careful=True)
        await remote.connect()
    assert caplog.records == []


async def test_connections_that_the_loop_may_have_closed_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free_descriptors: Callable[[int], None]
) -> None:
    if is_asyncios_own():
        pytest.skip("asyncio closes none")
    monkeypatch.setattr(acceptor, "_CHECK_INTERVAL", 0.01)
    async with one_byte_server() as remote:
        free_descriptors(0)
        await remote.becomes(careful=True)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "may have closed connections" in record.getMessage()


async def test_asyncios_own_loop_tells_of_an_accept_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free_descriptors: Callable[[int], None]
) -> None:
    if not is_asyncios_own():
        pytest.skip("only asyncio tells")
    accept = socket.socket.accept

    def fail(sock: socket.socket) -> Any:
        monkeypatch.setattr(socket.socket, "accept", accept)
        free_descriptors(FEW)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with one_byte_server() as remote:
        monkeypatch.setattr(socket.socket, "accept", fail)
        await remote.connect()
        assert remote.is_careful
        await remote.connect()
    assert caplog.records == []  # the loop did not notice, and the acceptor has succeeded at once


async def test_an_accept_that_will_always_fail_ends_accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with one_byte_server() as remote:
        remote.acceptor._become_careful()

        def fail(sock: socket.socket) -> Any:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(socket.socket, "accept", fail)
        with socket.create_connection(remote.address, 5):
            async with asyncio.timeout(PATIENCE):
                while not remote.failures:
                    await asyncio.sleep(0.01)
        [failure] = remote.failures
        assert isinstance(failure, OSError)
        assert failure.errno == errno.EINVAL
        remote.failures.clear()


# --- the end


@pytest.fixture
def open_files() -> Callable[[], int]:
    return lambda: len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


@pytest.mark.parametrize("free", [FEW, ENOUGH])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("waiting", [0, 1, 3])
async def test_a_closed_acceptor_leaves_nothing_open(
    free: int, turns: int, waiting: int, open_files: Callable[[], int], free_descriptors: Callable[[int], None]
) -> None:
    async with one_byte_server() as remote:  # the loop keeps some for itself
        await remote.connect()
    free_descriptors(free)
    before = open_files()
    with contextlib.ExitStack() as stack:
        async with one_byte_server() as remote:
            await remote.connect()
            connections(stack, remote.address, waiting)
            for _ in range(turns):
                await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        while open_files() > before:
            await asyncio.sleep(0.01)


async def test_a_connection_accepted_in_the_turn_of_the_close_is_closed(
    free_descriptors: Callable[[int], None],
) -> None:
    free_descriptors(FEW)
    loop = asyncio.get_running_loop()
    async with one_byte_server() as remote:
        await remote.connect()
        waits_for = remote.acceptor._accepted
        assert waits_for is not None
        with socket.create_connection(remote.address, 5) as client:
            waits_for.add_done_callback(lambda _: None)
            async with asyncio.timeout(PATIENCE):
                while not waits_for.done():  # its callback runs in the next turn
                    await asyncio.sleep(0)
            remote.acceptor.close()
            received = await loop.run_in_executor(None, client.recv, 1)
            assert received in (b"", b"!")
