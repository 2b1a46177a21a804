"""Closing: what was accepted is still sent, and all waits end."""

from __future__ import annotations

__all__: list[str] = []

import errno
import socket

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.outcomes import Failure, attempt, is_closed_error
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.socket import SocketAttribute


def receiving_is_over(stage: StreamStage, outcome: object) -> bool:
    return is_closed_error(outcome) or (Feature.EOF_AFTER_CLOSE in stage.harness.features and not outcome)


def sending_is_over(outcome: object) -> bool:
    return is_closed_error(outcome) or (isinstance(outcome, Failure) and isinstance(outcome.error, ConnectionError))


@EXCHANGE_CHECKS()
async def a_peer_sees_the_end_when_we_close(stage: StreamStage) -> None:
    await stage.transport.send_all(b"last")
    assert not stage.transport.is_closing()
    async with stage.backend.create_task_group() as group:
        group.start_soon(stage.transport.aclose)
        assert await stage.peer.receive_to_end() == b"last"
        stage.peer.peer.send_eof()
    assert stage.transport.is_closing()


@STREAM_CHECKS(without=Feature.SUCCESSIVE_CLOSE)
async def is_closing_holds_as_soon_as_aclose_was_called(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        assert not stage.transport.is_closing()
        closing = await group.start(stage.transport.aclose)
        await stage.backend.coro_yield()
        assert stage.transport.is_closing()
        await attempt(stage.peer.receive_to_end)
        stage.peer.peer.close()
        await closing.join()
        await sender.wait()


@STREAM_CHECKS(without=Feature.SUCCESSIVE_CLOSE)
async def closing_wakes_who_receives_although_the_peer_does_not(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv, 100)
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        closing = await group.start(stage.transport.aclose)
        assert receiving_is_over(stage, await receiver.join())
        await attempt(stage.peer.receive_to_end)
        stage.peer.peer.close()
        await closing.join()
        await sender.wait()


@EXCHANGE_CHECKS()
async def what_was_accepted_is_sent_before_the_end(stage: StreamStage) -> None:
    piece = stage.rng.randbytes(1 << 12)
    accepted = bytearray()

    async def send() -> None:
        while True:
            await stage.transport.send_all(piece)
            accepted.extend(piece)

    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, send)
        before = -1
        while before < len(accepted):
            before = len(accepted)
            await stage.settle()
        group.start_soon(stage.transport.aclose)
        await stage.settle()
        received = await stage.peer.receive_to_end()
        stage.peer.peer.send_eof()
        await sender.join()
    assert received.startswith(accepted)
    assert piece.startswith(received[len(accepted) :])  # the one that could not be completed


@EXCHANGE_CHECKS(needs=Feature.HALF_CLOSE)
async def closing_after_the_end_of_the_peer_sends_what_was_accepted(stage: StreamStage) -> None:
    stage.peer.peer.send_eof()
    assert await stage.transport.recv(100) == b""
    answer = stage.flood

    async def send() -> None:
        await stage.transport.send_all(answer)
        await stage.transport.aclose()

    async with stage.backend.create_task_group() as group:
        group.start_soon(send)
        await stage.settle()
        assert await stage.peer.receive_to_end() == answer


@STREAM_CHECKS()
async def a_second_close_waits_for_the_first(stage: StreamStage) -> None:
    """Both wait until the peer has received what was accepted, or neither does."""
    finished: list[str] = []

    async def close(name: str) -> None:
        await stage.transport.aclose()
        finished.append(name)

    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        group.start_soon(close, "first")
        await stage.settle()
        group.start_soon(close, "second")
        await stage.settle()
        assert len(finished) in (0, 2)
        await attempt(stage.peer.receive_to_end)
        stage.peer.peer.close()
        await sender.join()
    assert sorted(finished) == ["first", "second"]


@EXCHANGE_CHECKS(needs=Feature.RESET)
async def closing_a_broken_connection_is_harmless(stage: StreamStage) -> None:
    stage.peer.peer.reset()
    await attempt(stage.transport.recv, 1)
    await stage.transport.aclose()
    assert stage.transport.is_closing()


@EXCHANGE_CHECKS(needs=Feature.RESET)
async def closing_a_connection_that_broke_unnoticed_is_harmless(stage: StreamStage) -> None:
    stage.peer.peer.reset()
    await stage.transport.aclose()
    assert stage.transport.is_closing()


@EXCHANGE_CHECKS()
async def closing_with_unread_data_does_not_wait_for_it(stage: StreamStage) -> None:
    await stage.peer.send(b"never read" * 100)
    await stage.settle()
    async with stage.backend.create_task_group() as group:
        group.start_soon(stage.transport.aclose)
        await stage.settle()
        stage.peer.peer.close()
    assert stage.transport.is_closing()


@EXCHANGE_CHECKS()
async def a_closed_transport_refuses_everything(stage: StreamStage) -> None:
    await stage.peer.send(b"never read")
    assert await stage.transport.recv(1) == b"n"
    stage.peer.peer.close()
    await stage.transport.aclose()
    for _ in range(2):
        assert receiving_is_over(stage, await attempt(stage.transport.recv, 100))
        assert receiving_is_over(stage, await attempt(stage.transport.recv_into, bytearray(100)))
        assert sending_is_over(await attempt(stage.transport.send_all, b"x"))
        assert sending_is_over(await attempt(stage.transport.send_all_from_iterable, [b"x", b"y"]))


@EXCHANGE_CHECKS()
async def send_eof_on_a_closed_transport_is_harmless(stage: StreamStage) -> None:
    stage.peer.peer.close()
    await stage.transport.aclose()
    outcome = await attempt(stage.transport.send_eof)
    if Feature.HALF_CLOSE in stage.harness.features:
        assert outcome is None
    else:
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, UnsupportedOperation)


@STREAM_CHECKS()
async def closing_wakes_a_task_that_receives(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv, 100)
        await stage.settle()
        group.start_soon(stage.transport.aclose)
        assert receiving_is_over(stage, await receiver.join())
        stage.peer.peer.close()


@STREAM_CHECKS()
async def closing_wakes_a_task_that_receives_into_a_buffer(stage: StreamStage) -> None:
    buffer = bytearray(100)
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv_into, buffer)
        await stage.settle()
        group.start_soon(stage.transport.aclose)
        assert receiving_is_over(stage, await receiver.join())
        buffer.clear()  # a BufferError, if there still were a view of it
        stage.peer.peer.close()


@STREAM_CHECKS()
async def closing_completes_or_refuses_a_task_that_sends(stage: StreamStage) -> None:
    flood = stage.flood
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, flood)
        await stage.settle()
        group.start_soon(stage.transport.aclose)
        await stage.settle()
        received = await attempt(stage.peer.receive_to_end)
        stage.peer.peer.close()
        outcome = await sender.join()
    if outcome is None:
        assert received == flood
    else:
        assert sending_is_over(outcome)
        assert isinstance(received, Failure) or flood.startswith(received)


@STREAM_CHECKS()
async def the_close_of_a_peer_that_never_receives_has_a_deadline(stage: StreamStage) -> None:
    shortened = stage.harness.shorten_close_timeout()
    if shortened is None:
        return
    with shortened:
        await stage.reopen()
        async with stage.backend.create_task_group() as group:
            sender = await group.start(attempt, stage.transport.send_all, stage.flood)
            await stage.settle()
            await stage.transport.aclose()
            assert sending_is_over(await sender.join())


@EXCHANGE_CHECKS(needs=Feature.SOCKET | Feature.RESET)
async def a_connection_that_the_network_gives_up_is_aborted(stage: StreamStage) -> None:
    """Not by a `TimeoutError`, which Python makes of ``ETIMEDOUT``: no time-out was asked for."""
    stage.transport.extra(SocketAttribute.socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv, 1)
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        outcomes = [await receiver.join(), await sender.join()]
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failure)]
    assert errno.ETIMEDOUT in [
        getattr(error.__cause__, "errno", None) for error in errors if isinstance(error, ConnectionAbortedError)
    ]
    assert not [error for error in errors if isinstance(error, TimeoutError)]


@EXCHANGE_CHECKS(needs=Feature.SOCKET)
async def what_was_accepted_arrives_although_the_peer_was_still_sending(stage: StreamStage) -> None:
    """A system that closes a socket with unread bytes resets the connection, and drops what is under way."""
    data = stage.flood
    received = bytearray()

    async def receive() -> None:
        while len(received) < len(data):
            received.extend(await stage.peer.receive_some())

    async with stage.backend.create_task_group() as group:
        receiving = await group.start(receive)
        await stage.transport.send_all(data[: len(data) // 2])
        await stage.peer.send(b"never read" * 1000)
        await stage.settle()
        await stage.transport.send_all(data[len(data) // 2 :])
        closing = await group.start(stage.transport.aclose)
        await receiving.join()
        assert await stage.peer.receive_to_end() == b""
        stage.peer.peer.close()
        await closing.join()
    assert received == data
