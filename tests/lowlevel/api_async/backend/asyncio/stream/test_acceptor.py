"""When an event loop that is not asyncio's own may accept connections by itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend._asyncio.stream import acceptor
from easynetwork.lowlevel.api_async.backend._asyncio.stream.acceptor import LoopAcceptor

PATIENCE = 20
BURST = 4 * acceptor._BURST


@pytest.fixture(autouse=True)
def any_rate_is_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine as well."""
    monkeypatch.setattr(acceptor, "_CHECK_INTERVAL", 1.0)


class Remote:
    """A server that closes each connection after a byte, and connections to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.address: tuple[str, int] = sock.getsockname()
        self.acceptor = LoopAcceptor(asyncio.get_running_loop(), _OneByte, self._fail)

    def _fail(self, exc: OSError) -> None:
        raise AssertionError("cannot accept") from exc

    @property
    def is_careful(self) -> bool:
        return self.acceptor._server is None

    async def connect(self, count: int) -> None:
        for _ in range(count):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(*self.address)
                assert await reader.read() == b"!"
                writer.close()
                await writer.wait_closed()

    async def becomes_careful(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.is_careful:
                await asyncio.sleep(0.01)


class _OneByte(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"!")
        transport.close()


@contextlib.asynccontextmanager
async def one_byte_server() -> AsyncIterator[Remote]:
    sock = socket.create_server(("127.0.0.1", 0))
    remote = Remote(sock)
    await remote.acceptor.start(sock, 100)
    try:
        yield remote
    finally:
        remote.acceptor.close()
        await asyncio.sleep(0)  # uvloop closes its own at the next turn
        await asyncio.sleep(0)


def is_asyncios_own() -> bool:
    return isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)


async def test_the_loop_accepts_during_a_burst_only() -> None:
    async with one_byte_server() as remote:
        assert remote.is_careful
        await remote.connect(BURST)
        assert remote.is_careful is is_asyncios_own()
        await remote.becomes_careful()
        await remote.connect(1)
        assert remote.is_careful


@pytest.mark.parametrize("check", ["by number", "by clock"])
async def test_a_shortage_during_a_burst_is_noticed_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, check: str
) -> None:
    def dup(fd: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    if check == "by number":
        monkeypatch.setattr(acceptor, "_CHECK_INTERVAL", 1000.0)
    async with one_byte_server() as remote:
        if is_asyncios_own():
            pytest.skip("never accepts by itself")
        await remote.connect(BURST)
        assert not remote.is_careful
        monkeypatch.setattr(os, "dup", dup)
        if check == "by number":
            await remote.connect(BURST)
        await remote.becomes_careful()
        monkeypatch.undo()
        await remote.connect(1)
        [record] = caplog.records
        assert record.levelname == "ERROR"
        assert "may have closed connections" in record.getMessage()


@pytest.mark.parametrize("during", ["a burst", "a quiet time"])
async def test_a_closed_acceptor_leaves_nothing_open(during: str, open_files: Callable[[], int]) -> None:
    async with one_byte_server() as remote:  # the loop keeps some for itself
        await remote.connect(BURST)
    before = open_files()
    async with one_byte_server() as remote:
        await remote.connect(BURST if during == "a burst" else 1)
    async with asyncio.timeout(PATIENCE):
        while open_files() > before:
            await asyncio.sleep(0.01)


async def test_many_connections_of_one_turn_begin_one_burst(open_files: Callable[[], int]) -> None:
    async with one_byte_server() as remote:
        await remote.connect(BURST)  # the loop keeps some descriptors for itself
        await remote.becomes_careful()
        before = open_files()
        with contextlib.ExitStack() as stack:
            for _ in range(3 * acceptor._BURST):  # all of them wait when the acceptor looks
                stack.enter_context(socket.create_connection(remote.address, PATIENCE))
            await remote.connect(1)
        await remote.becomes_careful()
        async with asyncio.timeout(PATIENCE):
            while open_files() > before:
                await asyncio.sleep(0.01)


@pytest.fixture
def open_files() -> Callable[[], int]:
    return lambda: len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))
