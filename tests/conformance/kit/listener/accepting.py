"""Accepting: whatever the peers do, each connection is handed over, and none disturbs the others."""

from __future__ import annotations

__all__: list[str] = []

import contextlib
import logging
import socket
from collections.abc import Iterator

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.descriptors import few_descriptors_left
from tests.conformance.kit.listener.stage import LISTENER_CHECKS, ListenerStage, owned
from tests.conformance.kit.outcomes import Failure, attempt
from tests.conformance.kit.peers import PeerDriver

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute


@LISTENER_CHECKS()
async def each_connection_is_handed_over(stage: ListenerStage) -> None:
    for private in (True, False):
        async with stage.serving(stage.echo, private=private):
            peers = [stage.ring() for _ in range(10)]
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
        peer = stage.ring()
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
            peer = stage.ring()
            sock = peer.peer.socket
            assert isinstance(sock, socket.socket)
            assert await peer.receive(5) == b"hello"
            assert seen.pop() == (sock.getpeername(), sock.getsockname())


@LISTENER_CHECKS(needs=Feature.RESET)
async def connections_that_are_reset_at_once_are_survived(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(20):
            stage.ring().peer.reset()
            await stage.yield_at_random()
        await stage.assert_works()


@LISTENER_CHECKS(needs=Feature.RESET)
async def connections_that_were_reset_before_serving_are_survived(stage: ListenerStage) -> None:
    for _ in range(5):
        stage.ring().peer.reset()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@LISTENER_CHECKS()
async def connections_that_are_closed_at_once_are_survived(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(20):
            stage.ring().peer.close()
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
            peer = stage.ring()
            await peer.send(b"%d" % number)
            peer.peer.send_eof()
        await stage.until(lambda: len(received) == 5)
    assert sorted(received) == [b"0", b"1", b"2", b"3", b"4"]


@LISTENER_CHECKS(needs=Feature.RESET)
async def peers_of_all_sorts_do_not_disturb_each_other(stage: ListenerStage) -> None:
    async def visit() -> None:
        peer = stage.ring()
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


@LISTENER_CHECKS()
async def a_connection_is_served_or_closed_when_serve_is_cancelled_meanwhile(stage: ListenerStage) -> None:
    """At any moment: it is in the backlog, handed over, or it is closed. None is forgotten."""
    peers: list[PeerDriver] = []
    for _ in range(5):
        async with stage.serving(stage.echo) as task:
            for _ in range(stage.rng.randrange(5)):
                peers.append(stage.ring())
                await stage.yield_at_random()
            task.cancel()
            await stage.yield_at_random()
    await stage.listener.aclose()
    for peer in peers:
        await attempt(peer.receive_to_end)


@LISTENER_CHECKS()
async def a_connection_in_the_backlog_ends_with_the_listener(stage: ListenerStage) -> None:
    peer = stage.ring()
    await stage.settle()
    await stage.listener.aclose()
    outcome = await attempt(peer.receive_to_end)
    assert outcome == b"" or isinstance(outcome, Failure)


@LISTENER_CHECKS(needs=Feature.SOCKET)
async def a_listener_has_no_peer(stage: ListenerStage) -> None:
    with pytest.raises(TypedAttributeLookupError):
        stage.listener.extra(SocketAttribute.peername)


@LISTENER_CHECKS(needs=Feature.SOCKET)
async def running_out_of_descriptors_does_not_end_serving(stage: ListenerStage) -> None:
    """What cannot be accepted now is accepted later, and the logs tell."""
    peers: list[PeerDriver] = []
    with few_descriptors_left(20) as restore, errors_logged() as errors:
        async with stage.serving(stage.echo):
            with contextlib.suppress(OSError):  # the peers need descriptors too
                while True:
                    peers.append(stage.ring())
            await stage.until(lambda: bool(errors))
            restore()
            for peer in peers:
                await peer.send(b"x")
                assert await peer.receive(1) == b"x"
            await stage.assert_works()
    assert len(peers) > 1


@contextlib.contextmanager
def errors_logged() -> Iterator[list[str]]:
    """Give a list that gets what the library logs as an error."""

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
