"""UDP listeners on asyncio: what they promise besides what tests of every backend check."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn, cast

import pytest
import uvloop
from tests.support.background import settle, until
from tests.support.descriptors import all_closed
from tests.support.full_sockets import FullSocket
from tests.support.peers import turns_of_the_loop
from tests.support.sockets import PATIENCE, udp_socket, unused_address

from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.backend._asyncio.datagram import udp_listener as module
from easynetwork.lowlevel.api_async.backend._asyncio.datagram.udp_listener import AsyncioUDPListener


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with udp_socket() as sock:
        yield sock


@pytest.fixture
async def sock(peer: socket.socket) -> AsyncIterator[FullSocket]:
    async with all_closed():
        sock = FullSocket(type=socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        peer.connect(sock.getsockname())
        yield sock


@pytest.fixture
async def listener(sock: FullSocket) -> AsyncIterator[AsyncioUDPListener]:
    async with AsyncioUDPListener(AsyncIOBackend(), sock) as listener:
        yield listener


class Received:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []

    async def __call__(self, data: bytes, address: Any) -> None:
        self.datagrams.append(data)


def is_closed_error(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EBADF


# --- receiving


async def test_only_the_transport_of_the_loop_watches_the_socket(
    monkeypatch: pytest.MonkeyPatch, listener: AsyncioUDPListener, peer: socket.socket
) -> None:
    def fail(*args: Any) -> NoReturn:
        pytest.fail("no callback of our own")

    for loop in (uvloop.Loop, asyncio.SelectorEventLoop):
        monkeypatch.setattr(loop, "add_reader", fail)
        monkeypatch.setattr(loop, "add_writer", fail)
    received = Received()
    serving = asyncio.create_task(listener.serve(received))
    peer.send(b"x")
    await until(lambda: received.datagrams)
    serving.cancel()


async def test_serving_again_and_again_loses_no_datagram(
    listener: AsyncioUDPListener, peer: socket.socket, rng: random.Random
) -> None:
    received = Received()
    sent = 0
    for _ in range(300):
        for _ in range(rng.randrange(4)):
            peer.send(b"%d" % sent)
            sent += 1
        async with listener.backend().create_task_group() as tasks:  # with its own, serve() would cancel its handlers
            serving = asyncio.create_task(listener.serve(received, tasks))
            await turns_of_the_loop(rng.randrange(8))
            serving.cancel()
            await asyncio.wait([serving])
    serving = asyncio.create_task(listener.serve(received))
    await until(lambda: len(received.datagrams) >= sent)
    serving.cancel()
    assert received.datagrams == [b"%d" % number for number in range(sent)]


async def test_no_datagram_is_handled_after_closing(listener: AsyncioUDPListener, peer: socket.socket) -> None:
    class Closing:
        """A task group that closes the listener in the callback that receives the first datagram."""

        def start_soon(self, handler: Any, data: bytes, address: Any) -> None:
            received.append(data)
            with contextlib.suppress(StopIteration):
                listener.aclose().send(None)

    received: list[bytes] = []
    for number in range(10):
        peer.send(b"%d" % number)
    with pytest.raises(OSError) as info:
        await listener.serve(Received(), cast("Any", Closing()))
    assert is_closed_error(info.value)
    assert received == [b"0"]


async def test_a_listener_whose_transport_the_loop_has_closed_ends_serve(listener: AsyncioUDPListener) -> None:
    serving = asyncio.create_task(listener.serve(Received()))
    await until(lambda: listener._protocol.transport is not None)
    listener._protocol.transport.abort()
    [outcome] = await asyncio.gather(serving, return_exceptions=True)
    assert isinstance(outcome, OSError | ExceptionGroup)


async def test_closing_ends_a_pause_after_errors_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ERROR_DELAY", 100 * PATIENCE)
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect(address := unused_address(socket.SOCK_DGRAM))
    backend = AsyncIOBackend()
    async with backend.create_task_group() as tasks:
        listener = AsyncioUDPListener(backend, sock)
        serving = asyncio.create_task(listener.serve(Received(), tasks))
        for count in (1, 2):
            await listener.send_to(b"anybody?", address)
            await until(lambda: len(caplog.records) == count)  # noqa: B023 - awaited right here
        await settle()
        await listener.aclose()
        [outcome] = await asyncio.gather(serving, return_exceptions=True)
        assert is_closed_error(outcome)


async def test_a_pause_goes_on_while_descriptors_are_short(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    listener: AsyncioUDPListener,
    sock: FullSocket,
    peer: socket.socket,
) -> None:
    def fail(self: FullSocket) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "ERROR_DELAY", 0.002)
    received = Received()
    serving = asyncio.create_task(listener.serve(received))
    await until(lambda: listener._protocol.transport is not None)
    with monkeypatch.context() as patch:
        patch.setattr(FullSocket, "dup", fail)
        for _ in range(2):
            listener._protocol.error_received(OSError(errno.ENOBUFS, "No buffer space available"))
        peer.send(b"x")
        await until(lambda: len(caplog.records) > 5)
        assert received.datagrams == []
    await until(lambda: received.datagrams)
    serving.cancel()
    await asyncio.wait([serving])


async def test_serve_fails_without_a_descriptor(monkeypatch: pytest.MonkeyPatch, listener: AsyncioUDPListener) -> None:
    def fail(self: FullSocket) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(FullSocket, "dup", fail)
    async with listener.backend().create_task_group() as tasks:
        with pytest.raises(OSError) as info:
            await listener.serve(Received(), tasks)
    assert info.value.errno == errno.EMFILE


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancelled_serve_leaves_no_socket(
    listener: AsyncioUDPListener, peer: socket.socket, turns: int
) -> None:
    async with all_closed():
        serving = asyncio.create_task(listener.serve(Received()))
        await turns_of_the_loop(turns)
        serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled()


# --- sending


@pytest.mark.parametrize("serves", [False, True])
async def test_datagrams_for_a_full_socket_keep_their_order(
    listener: AsyncioUDPListener, sock: FullSocket, peer: socket.socket, serves: bool
) -> None:
    if serves:
        serving = asyncio.create_task(listener.serve(Received()))
        await until(lambda: listener._protocol.transport is not None)
    sock.is_full = True
    sent = [b"1", b"", b"2", b"", b"", b"3"]

    async def send() -> None:
        for datagram in sent:
            await listener.send_to(datagram, peer.getsockname())

    sending = asyncio.create_task(send())
    await settle()
    assert not sending.done()
    sock.is_full = False
    await sending
    assert [peer.recv(100) for _ in sent] == sent
    if serves:
        serving.cancel()
        await asyncio.wait([serving])


async def test_an_error_of_a_datagram_that_had_to_wait_is_raised_by_its_send(
    listener: AsyncioUDPListener, sock: FullSocket, peer: socket.socket
) -> None:
    serving = asyncio.create_task(listener.serve(Received()))
    await until(lambda: listener._protocol.transport is not None)
    sock.is_full = True
    with pytest.raises(OSError) as info:
        await listener.send_to(bytes(65508), peer.getsockname())
    assert info.value.errno == errno.EMSGSIZE
    sock.is_full = False
    await listener.send_to(b"short", peer.getsockname())
    assert peer.recv(100) == b"short"
    serving.cancel()
    await asyncio.wait([serving])


@pytest.mark.parametrize("data", [b"x", b""])
@pytest.mark.parametrize("serves", [False, True])
async def test_closing_refuses_what_waits_to_be_sent(
    listener: AsyncioUDPListener, peer: socket.socket, serves: bool, data: bytes
) -> None:
    if serves:
        serving = asyncio.create_task(listener.serve(Received()))
        await until(lambda: listener._protocol.transport is not None)
    listener._protocol.pause_writing()
    sending = [asyncio.create_task(listener.send_to(data, peer.getsockname())) for _ in range(3)]
    await settle()
    await listener.aclose()
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert all(is_closed_error(outcome) for outcome in outcomes)
    if serves:
        await asyncio.wait([serving])
        serving.exception()


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (("127.0.0.1", "80"), TypeError),
        (("127.0.0.1", 1.5), TypeError),
        (("127.0.0.1", 70_000), OverflowError),
        (("127.0.0.1", 80, 1), TypeError),
        (("127.0.0.1", 0), OSError),
        (("255.255.255.255", 80), PermissionError),
    ],
)
async def test_a_bad_address_is_an_error_of_its_call_only(
    listener: AsyncioUDPListener, peer: socket.socket, address: Any, error: type[Exception]
) -> None:
    """asyncio's transport would close."""
    received = Received()
    serving = asyncio.create_task(listener.serve(received))
    await until(lambda: listener._protocol.transport is not None)
    with pytest.raises(error):
        await listener.send_to(b"x", address)
    peer.send(b"still there")
    await until(lambda: received.datagrams)
    serving.cancel()
    await asyncio.wait([serving])
