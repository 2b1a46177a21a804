"""Accepting: each connection has a task of its own, and none stops the others."""

from __future__ import annotations

__all__: list[str] = []

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.listener.stage import LISTENER_CHECKS, ListenerStage, owned
from tests.conformance.kit.peers import PeerDriver

from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute


@LISTENER_CHECKS()
async def each_connection_is_handed_over(stage: ListenerStage) -> None:
    for private in (True, False):
        async with stage.serving(stage.echo, private=private):
            peers = [stage.connect() for _ in range(10)]
            stage.rng.shuffle(peers)
            for number, peer in enumerate(peers):
                await peer.send(b"%04d" % number)
            stage.rng.shuffle(peers)
            answers = [await peer.receive(4) for peer in peers]
            assert sorted(answers) == [b"%04d" % number for number in range(10)]
            for peer in peers:
                peer.peer.send_eof()
                assert await peer.receive_to_end() == b""


@LISTENER_CHECKS()
async def connections_made_before_serving_are_served(stage: ListenerStage) -> None:
    peers = [stage.connect() for _ in range(5)]
    for peer in peers:
        peer.peer.send(memoryview(b"early"))
    async with stage.serving(stage.echo):
        for peer in peers:
            if Feature.TLS in stage.harness.features:  # nothing was sent before the handshake
                await peer.send(b"early")
            assert await peer.receive(5) == b"early"


@LISTENER_CHECKS()
async def connections_are_served_one_after_the_other(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(10):
            await stage.assert_works()


@LISTENER_CHECKS()
async def a_handler_gets_a_transport_of_the_same_backend(stage: ListenerStage) -> None:
    seen: list[str] = []

    async def handler(transport: AsyncStreamTransport) -> None:
        async with owned(transport):
            assert isinstance(transport, AsyncStreamTransport)
            assert transport.backend() is stage.backend
            assert not transport.is_closing()
            seen.append(repr(transport))
            await transport.send_all(b"hello")

    async with stage.serving(handler):
        peer = stage.connect()
        assert await peer.receive(5) == b"hello"
    assert len(seen) == 1


@LISTENER_CHECKS(needs=Feature.SOCKET)
async def a_handler_knows_whom_it_talks_to(stage: ListenerStage) -> None:
    seen: list[tuple[object, object]] = []

    async def handler(transport: AsyncStreamTransport) -> None:
        async with owned(transport):
            seen.append((transport.extra(SocketAttribute.sockname), transport.extra(SocketAttribute.peername)))
            await transport.send_all(b"hello")

    async with stage.serving(handler):
        for _ in range(3):
            peer = stage.connect()
            sock = peer.peer.socket
            assert isinstance(sock, socket.socket)
            assert await peer.receive(5) == b"hello"
            assert seen.pop() == (sock.getpeername(), sock.getsockname())


@LISTENER_CHECKS()
async def each_handler_has_a_task_of_its_own(stage: ListenerStage) -> None:
    tasks: set[int] = set()

    async def handler(transport: AsyncStreamTransport) -> None:
        tasks.add(stage.backend.get_current_task().id)
        await stage.greet(transport)
        await stage.until(lambda: len(tasks) == 5)

    async with stage.serving(handler):
        peers = [stage.connect() for _ in range(5)]
        for peer in peers:
            assert await peer.receive(5) == b"hello"
    assert len(tasks) == 5


@LISTENER_CHECKS()
async def a_slow_handler_does_not_stop_accepting(stage: ListenerStage) -> None:
    connected = 0

    async def handler(transport: AsyncStreamTransport) -> None:
        nonlocal connected
        async with owned(transport):
            connected += 1
            await transport.send_all(b"hello")
            await stage.backend.sleep_forever()

    for private in (True, False):
        connected = 0
        async with stage.serving(handler, private=private):
            peers = [stage.connect() for _ in range(20)]
            for peer in peers:
                assert await peer.receive(5) == b"hello"
            assert connected == 20


@LISTENER_CHECKS(needs=Feature.RESET)
async def connections_that_are_reset_at_once_are_survived(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(20):
            stage.connect().peer.reset()
            await stage.yield_at_random()
        await stage.assert_works()


@LISTENER_CHECKS(needs=Feature.RESET)
async def connections_that_were_reset_before_serving_are_survived(stage: ListenerStage) -> None:
    for _ in range(5):
        stage.connect().peer.reset()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@LISTENER_CHECKS()
async def connections_that_are_closed_at_once_are_survived(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(20):
            stage.connect().peer.close()
            await stage.yield_at_random()
        await stage.assert_works()


@LISTENER_CHECKS()
async def what_a_peer_sends_before_it_leaves_is_received(stage: ListenerStage) -> None:
    received: list[bytes] = []

    async def handler(transport: AsyncStreamTransport) -> None:
        async with owned(transport):
            data = b""
            while piece := await transport.recv(1000):
                data += piece
            received.append(data)

    async with stage.serving(handler):
        for number in range(5):
            peer = stage.connect()
            await peer.send(b"%d" % number)
            peer.peer.send_eof()
        await stage.until(lambda: len(received) == 5)
    assert sorted(received) == [b"0", b"1", b"2", b"3", b"4"]


@LISTENER_CHECKS(needs=Feature.RESET)
async def peers_of_all_sorts_do_not_disturb_each_other(stage: ListenerStage) -> None:
    async def visit() -> None:
        peer = stage.connect()
        await stage.yield_at_random()
        match stage.rng.choice(["reset", "close", "silent", "echo", "echo", "echo"]):
            case "reset":
                peer.peer.reset()
            case "close":
                peer.peer.close()
            case "echo":
                for _ in range(stage.rng.randrange(1, 5)):
                    data = stage.rng.randbytes(stage.rng.randrange(1, 100))
                    await peer.send(data)
                    assert await peer.receive(len(data)) == data
                peer.peer.send_eof()
                assert await peer.receive_to_end() == b""

    async with stage.serving(stage.echo):
        async with stage.backend.create_task_group() as group:
            for _ in range(60):
                group.start_soon(visit)


@LISTENER_CHECKS(needs=Feature.SOCKET)
async def running_out_of_descriptors_does_not_end_serving(stage: ListenerStage) -> None:
    """What cannot be accepted now is accepted later, and the logs tell."""
    peers: list[PeerDriver] = []
    with few_descriptors_left(20) as restore, errors_logged() as errors:
        async with stage.serving(stage.echo):
            with contextlib.suppress(OSError):  # there are none left for the peers either
                while True:
                    peers.append(stage.connect())
            await stage.until(lambda: bool(errors))
            restore()
            for peer in peers:
                await peer.send(b"x")
                assert await peer.receive(1) == b"x"
            await stage.assert_works()
    assert len(peers) > 1


@contextlib.contextmanager
def few_descriptors_left(count: int) -> Iterator[Callable[[], None]]:
    """Lowers the limit so that about *count* more can be opened. Gives what raises it again."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def restore() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    with open(os.devnull) as lowest:
        limit = lowest.fileno() + count
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    try:
        yield restore
    finally:
        restore()


@contextlib.contextmanager
def errors_logged() -> Iterator[list[str]]:
    """Gives a list that gets what the library logs as an error."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(record.getMessage())

    errors: list[str] = []
    handler = Handler(logging.ERROR)
    logger = logging.getLogger("easynetwork")
    logger.addHandler(handler)
    try:
        yield errors
    finally:
        logger.removeHandler(handler)
