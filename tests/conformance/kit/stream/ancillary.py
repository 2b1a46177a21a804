"""File descriptors that travel with the bytes of a stream."""

from __future__ import annotations

from tests.conformance.kit.descriptors import receive_message

__all__: list[str] = []

import errno
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.descriptors import SPACE, TOO_LITTLE_SPACE, Token, few_descriptors_left, many
from tests.conformance.kit.outcomes import Failure, attempt, is_busy, is_closed_error
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage

from easynetwork.lowlevel.constants import SC_IOV_MAX


def peer_sends(stage: StreamStage, data: bytes, token: Token) -> None:
    assert stage.far_socket().sendmsg([data], token.raw) == len(data)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_are_received_with_their_bytes(stage: StreamStage) -> None:
    for size in (1, 100):
        token = Token(stage.cleanup)
        peer_sends(stage, b"x" * size, token)
        data, raw = await stage.transport.recv_with_ancillary(1000, SPACE)
        assert data == b"x" * size
        assert isinstance(raw, list)
        token.assert_arrived_as(raw)

        token = Token(stage.cleanup)
        peer_sends(stage, b"y" * size, token)
        buffer = bytearray(1000)
        count, raw = await stage.transport.recv_with_ancillary_into(buffer, SPACE)
        assert buffer[:count] == b"y" * size
        token.assert_arrived_as(raw)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def bytes_without_descriptors_come_with_an_empty_list(stage: StreamStage) -> None:
    await stage.peer.send(b"abc")
    assert await stage.transport.recv_with_ancillary(2, SPACE) == (b"ab", [])
    assert await stage.transport.recv_with_ancillary_into(bytearray(10), SPACE) == (1, [])
    stage.peer.peer.send_eof()
    for _ in range(2):
        assert await stage.transport.recv_with_ancillary(100, SPACE) == (b"", [])
        assert await stage.transport.recv_with_ancillary_into(bytearray(10), SPACE) == (0, [])


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_wait_for_who_asks_for_them(stage: StreamStage) -> None:
    """They belong to the bytes that they were sent with, not to those before, nor to those after."""
    tokens = [Token(stage.cleanup) for _ in range(3)]
    await stage.peer.send(b"before")
    for token in tokens:
        peer_sends(stage, b"with", token)
        await stage.peer.send(b"after")
    await stage.settle()
    assert await stage.transport.recv(6) == b"before"
    for token in tokens:
        data, raw = await stage.transport.recv_with_ancillary(4, SPACE)
        assert data == b"with"
        token.assert_arrived_as(raw)
        assert await stage.transport.recv(5) == b"after"


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_that_nobody_asks_for_are_closed(stage: StreamStage) -> None:
    for _ in range(3):
        token = Token(stage.cleanup)
        peer_sends(stage, b"abc", token)
        assert await stage.transport.recv(100) == b"abc"
        peer_sends(stage, b"abc", token)
        assert await stage.transport.recv_into(bytearray(100)) == 3


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_that_are_never_received_are_closed(stage: StreamStage) -> None:
    for _ in range(3):
        peer_sends(stage, b"abc", Token(stage.cleanup))
    await stage.settle()


async def assert_truncated(stage: StreamStage, space: int) -> None:
    """Check that descriptors that do not fit are an error, and that their bytes are kept."""
    for receive in (
        lambda: stage.transport.recv_with_ancillary(100, space),
        lambda: stage.transport.recv_with_ancillary_into(bytearray(100), space),
    ):
        token = Token(stage.cleanup)
        assert stage.far_socket().sendmsg([b"abcdef"], many(token)) == 6
        token.close_what_was_sent()
        with pytest.raises(OSError) as info:
            await receive()
        assert info.value.errno == errno.EMSGSIZE
        # The bytes are there for the next call, whichever that is, and nothing is read ahead of its descriptors.
        following = Token(stage.cleanup)
        peer_sends(stage, b"next", following)
        assert await stage.transport.recv(1) == b"a"
        buffer = bytearray(2)
        assert await stage.transport.recv_into(buffer) == 2
        assert buffer == b"bc"
        assert await stage.transport.recv_with_ancillary_into(buffer[:1], SPACE) == (1, [])
        assert await stage.transport.recv_with_ancillary(10, SPACE) == (b"ef", [])
        await stage.settle()
        data, raw = await stage.transport.recv_with_ancillary(10, SPACE)
        assert data == b"next"
        following.assert_arrived_as(raw)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def too_little_room_for_descriptors_is_emsgsize_and_loses_no_bytes(stage: StreamStage) -> None:
    for space in TOO_LITTLE_SPACE:
        await assert_truncated(stage, space)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def too_few_free_descriptors_are_emsgsize_and_lose_no_bytes(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    assert stage.far_socket().sendmsg([b"abc"], many(token)) == 3
    with few_descriptors_left(2), pytest.raises(OSError) as info:
        await stage.transport.recv_with_ancillary(100, SPACE)
    assert info.value.errno == errno.EMSGSIZE
    assert await stage.transport.recv(100) == b"abc"


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def too_many_descriptors_that_nobody_asks_for_are_closed_in_silence(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    assert stage.far_socket().sendmsg([b"abc"], many(token)) == 3
    with few_descriptors_left(2):
        assert await stage.transport.recv(100) == b"abc"


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def bytes_that_were_refused_are_not_received_from_a_closed_transport(stage: StreamStage) -> None:
    assert stage.far_socket().sendmsg([b"abc"], many(Token(stage.cleanup))) == 3
    with pytest.raises(OSError):
        await stage.transport.recv_with_ancillary(100, 1)
    await stage.transport.aclose()
    assert is_closed_error(await attempt(stage.transport.recv_with_ancillary, 100, SPACE))


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_are_sent_with_all_bytes_at_once(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    await stage.transport.send_all_with_ancillary([b"abc", bytearray(b"de"), memoryview(b"f")], token.raw)
    data, raw = await receive_message(stage, stage.far_socket())
    assert data == b"abcdef"
    token.assert_arrived_as(raw)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def iterators_will_do_for_both(stage: StreamStage) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"abc"
        yield b""
        yield b"def"

    token = Token(stage.cleanup)
    await stage.transport.send_all_with_ancillary(pieces(), iter(token.raw))
    data, raw = await receive_message(stage, stage.far_socket())
    assert data == b"abcdef"
    token.assert_arrived_as(raw)
    await stage.transport.send_all_with_ancillary([b"none"], [])
    assert await receive_message(stage, stage.far_socket()) == (b"none", [])


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def a_descriptor_may_be_closed_once_it_was_sent(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    await stage.transport.send_all_with_ancillary([b"abc"], token.raw)
    token.close_what_was_sent()
    data, raw = await receive_message(stage, stage.far_socket())
    assert data == b"abc"
    token.assert_arrived_as(raw)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def what_does_not_fit_in_one_call_is_emsgsize(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    with pytest.raises(OSError) as info:
        await stage.transport.send_all_with_ancillary([b"x"] * (SC_IOV_MAX + 1), token.raw)
    assert info.value.errno == errno.EMSGSIZE
    await stage.transport.send_all(b"kept")
    assert (await stage.peer.receive(4)) == b"kept"
    with pytest.raises(OSError) as info:
        await stage.transport.send_all_with_ancillary([stage.flood], token.raw)
    assert info.value.errno == errno.EMSGSIZE


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def as_many_buffers_as_one_call_takes_are_sent(stage: StreamStage) -> None:
    await stage.transport.send_all_with_ancillary([b"y"] * SC_IOV_MAX, [])
    assert await stage.peer.receive(SC_IOV_MAX) == b"y" * SC_IOV_MAX


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def asking_for_no_bytes_neither_waits_nor_takes_a_descriptor(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    for has_arrived in (False, True):
        if has_arrived:
            peer_sends(stage, b"with", token)
            await stage.settle()
        assert await stage.transport.recv_with_ancillary(0, SPACE) == (b"", [])
        assert await stage.transport.recv_with_ancillary_into(bytearray(), SPACE) == (0, [])
    data, raw = await stage.transport.recv_with_ancillary(100, SPACE)
    assert data == b"with"
    token.assert_arrived_as(raw)


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def a_negative_bufsize_is_refused_and_takes_no_descriptor(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    peer_sends(stage, b"with", token)
    with pytest.raises(ValueError, match="-1"):
        await stage.transport.recv_with_ancillary(-1, SPACE)
    data, raw = await stage.transport.recv_with_ancillary(100, SPACE)
    assert data == b"with"
    token.assert_arrived_as(raw)


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def sending_descriptors_after_send_eof_is_an_error(stage: StreamStage) -> None:
    await stage.transport.send_eof()
    for _ in range(2):
        outcome = await attempt(stage.transport.send_all_with_ancillary, [b"late"], Token(stage.cleanup).raw)
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, BrokenPipeError)
    assert await stage.peer.receive_to_end() == b""


@EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def a_closed_transport_refuses_ancillary_data(stage: StreamStage) -> None:
    token = Token(stage.cleanup)
    stage.hang_up()
    await stage.transport.aclose()
    assert is_closed_error(await attempt(stage.transport.recv_with_ancillary, 100, SPACE))
    assert is_closed_error(await attempt(stage.transport.recv_with_ancillary_into, bytearray(10), SPACE))
    assert is_closed_error(await attempt(stage.transport.send_all_with_ancillary, [b"x"], token.raw))


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_are_sent_after_what_waits_before_them(stage: StreamStage) -> None:
    flood = stage.flood
    token = Token(stage.cleanup)
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.send_all, flood)
        await stage.settle()
        second = await group.start(attempt, stage.transport.send_all_with_ancillary, [b"with"], token.raw)
        await stage.settle()
        assert await stage.peer.receive(len(flood)) == flood
        await first.join()
        if is_busy(await second.join()):
            await stage.transport.send_all_with_ancillary([b"with"], token.raw)
    data, raw = await receive_message(stage, stage.far_socket())
    assert data == b"with"
    token.assert_arrived_as(raw)


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_that_wait_to_be_sent_are_not_sent_if_cancelled(stage: StreamStage) -> None:
    flood = stage.flood
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.send_all, flood)
        await stage.settle()
        second = await group.start(
            attempt, stage.transport.send_all_with_ancillary, [b"lost"], Token(stage.cleanup).raw
        )
        await stage.settle()
        second.cancel()
        await second.wait()
        assert await stage.peer.receive(len(flood)) == flood
        await first.join()
    await stage.transport.send_all(b"kept")
    assert await stage.peer.receive_some() == b"kept"


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def a_cancelled_reception_loses_no_descriptor(stage: StreamStage) -> None:
    """Nor does a cancelled one that does not ask for it."""

    async def receive(into: bytearray | None, *, asks: bool) -> tuple[bytes, Any]:
        if asks and into is not None:
            count, raw = await stage.transport.recv_with_ancillary_into(into, SPACE)
            return bytes(into[:count]), raw
        if asks:
            return await stage.transport.recv_with_ancillary(4, SPACE)
        if into is not None:
            return bytes(into[: await stage.transport.recv_into(into)]), None
        return await stage.transport.recv(4), None

    tokens = [Token(stage.cleanup) for _ in range(40)]
    waiting = list(tokens)
    async with stage.backend.create_task_group() as group:
        while tokens:
            asks = stage.rng.random() < 0.5
            task = await group.start(partial(receive, stage.rng.choice([None, bytearray(4)]), asks=asks))

            def feed() -> None:
                if waiting:
                    peer_sends(stage, b"with", waiting.pop(0))

            steps = [feed, task.cancel]
            stage.rng.shuffle(steps)
            for step in steps:
                await stage.yield_at_random()
                step()
            await task.wait()
            if not task.cancelled():
                data, raw = await task.join()
                assert data == b"with"
                token = tokens.pop(0)
                if asks:
                    token.assert_arrived_as(raw)


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def who_waits_for_descriptors_is_a_reader_like_any_other(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.recv_with_ancillary, 100, SPACE)
        await stage.settle()
        assert is_busy(await attempt(stage.transport.recv, 100))
        assert is_busy(await attempt(stage.transport.recv_with_ancillary, 100, SPACE))
        await stage.peer.send(b"x")
        assert await first.join() == (b"x", [])
        second = await group.start(stage.transport.recv, 100)
        await stage.settle()
        assert is_busy(await attempt(stage.transport.recv_with_ancillary, 100, SPACE))
        await stage.peer.send(b"y")
        assert await second.join() == b"y"


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def closing_wakes_who_waits_for_descriptors(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv_with_ancillary, 100, SPACE)
        await stage.settle()
        group.start_soon(stage.transport.aclose)
        assert is_closed_error(await receiver.join())
        stage.hang_up()


@STREAM_CHECKS(needs=Feature.ANCILLARY)
async def closing_ends_who_waits_to_send_descriptors(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        first = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        second = await group.start(
            attempt, stage.transport.send_all_with_ancillary, [b"with"], Token(stage.cleanup).raw
        )
        await stage.settle()
        group.start_soon(stage.transport.aclose)
        await stage.settle()
        stage.hang_up()
        await first.join()
        outcome = await second.join()
    assert outcome is None or isinstance(outcome, Failure)
