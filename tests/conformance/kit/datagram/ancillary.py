"""File descriptors that travel with datagrams."""

from __future__ import annotations

from tests.conformance.kit.descriptors import receive_message

__all__: list[str] = []

import errno
import itertools
from functools import partial

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.datagram.stage import DATAGRAM_CHECKS, DATAGRAM_EXCHANGE_CHECKS, DatagramStage
from tests.conformance.kit.descriptors import SPACE, TOO_LITTLE_SPACE, Token, few_descriptors_left, many
from tests.conformance.kit.outcomes import attempt, is_busy, is_closed_error


def peer_sends(stage: DatagramStage, data: bytes, token: Token) -> None:
    assert stage.far_socket().sendmsg([data], token.raw) == len(data)


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_are_received_with_their_datagram(stage: DatagramStage) -> None:
    for data in (b"abc", b""):
        token = Token(stage.cleanup)
        peer_sends(stage, data, token)
        received, raw = await stage.transport.recv_with_ancillary(SPACE)
        assert received == data
        assert isinstance(raw, list)
        token.assert_arrived_as(raw)
        await stage.peer_sends(data)
        assert await stage.transport.recv_with_ancillary(SPACE) == (data, [])


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_are_sent_with_their_datagram(stage: DatagramStage) -> None:
    for data in (b"abc", b"", bytearray(b"abc"), memoryview(b"abcdefgh").cast("I")):
        token = Token(stage.cleanup)
        await stage.transport.send_with_ancillary(data, iter(token.raw))
        token.close_what_was_sent()
        received, raw = await receive_message(stage, stage.far_socket())
        assert received == bytes(data)
        token.assert_arrived_as(raw)
    await stage.transport.send_with_ancillary(b"none", [])
    assert await receive_message(stage, stage.far_socket()) == (b"none", [])


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_that_nobody_asks_for_are_closed(stage: DatagramStage) -> None:
    for _ in range(3):
        peer_sends(stage, b"abc", Token(stage.cleanup))
        assert await stage.transport.recv() == b"abc"
    peer_sends(stage, b"never received", Token(stage.cleanup))
    await stage.settle()


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def too_little_room_for_descriptors_is_emsgsize_and_loses_no_datagram(stage: DatagramStage) -> None:
    for space, data in itertools.product(TOO_LITTLE_SPACE, (b"abc", b"")):
        for receive in (
            stage.transport.recv,
            partial(stage.transport.recv_with_ancillary, SPACE),
            partial(stage.transport.recv_with_ancillary, 1),
        ):
            token = Token(stage.cleanup)
            assert stage.far_socket().sendmsg([data], many(token)) == len(data)
            token.close_what_was_sent()
            with pytest.raises(OSError) as info:
                await stage.transport.recv_with_ancillary(space)
            assert info.value.errno == errno.EMSGSIZE
            following = Token(stage.cleanup)
            peer_sends(stage, b"next", following)
            assert await receive() == (data if receive == stage.transport.recv else (data, []))
            received, raw = await stage.transport.recv_with_ancillary(SPACE)
            assert received == b"next"
            following.assert_arrived_as(raw)


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def too_few_free_descriptors_are_emsgsize_and_lose_no_datagram(stage: DatagramStage) -> None:
    for asked in (True, False):
        assert stage.far_socket().sendmsg([b"abc"], many(Token(stage.cleanup))) == 3
        with few_descriptors_left(2):
            if asked:
                with pytest.raises(OSError) as info:
                    await stage.transport.recv_with_ancillary(SPACE)
                assert info.value.errno == errno.EMSGSIZE
            assert await stage.transport.recv() == b"abc"


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def a_datagram_that_was_refused_is_not_received_from_a_closed_transport(stage: DatagramStage) -> None:
    assert stage.far_socket().sendmsg([b"abc"], many(Token(stage.cleanup))) == 3
    with pytest.raises(OSError):
        await stage.transport.recv_with_ancillary(1)
    await stage.transport.aclose()
    assert is_closed_error(await attempt(stage.transport.recv_with_ancillary, SPACE))
    assert is_closed_error(await attempt(stage.transport.recv))


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def a_datagram_too_large_for_its_descriptors_is_emsgsize(stage: DatagramStage) -> None:
    with pytest.raises(OSError) as info:
        await stage.transport.send_with_ancillary(bytes(1 << 20), Token(stage.cleanup).raw)
    assert info.value.errno == errno.EMSGSIZE
    await stage.transport.send(b"kept")
    assert await stage.peer_receives() == b"kept"


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.ANCILLARY)
async def a_closed_transport_refuses_ancillary_data(stage: DatagramStage) -> None:
    await stage.transport.aclose()
    assert is_closed_error(await attempt(stage.transport.recv_with_ancillary, SPACE))
    assert is_closed_error(await attempt(stage.transport.send_with_ancillary, b"x", Token(stage.cleanup).raw))


@DATAGRAM_CHECKS(needs=Feature.ANCILLARY)
async def a_cancelled_reception_loses_no_descriptor(stage: DatagramStage) -> None:
    tokens = [Token(stage.cleanup) for _ in range(40)]
    waiting = list(tokens)

    def feed() -> None:
        if waiting:
            peer_sends(stage, b"with", waiting.pop(0))

    async with stage.backend.create_task_group() as group:
        while tokens:
            task = await group.start(stage.transport.recv_with_ancillary, SPACE)
            steps = [feed, task.cancel]
            stage.rng.shuffle(steps)
            for step in steps:
                await stage.yield_at_random()
                step()
            await task.wait()
            if not task.cancelled():
                data, raw = await task.join()
                assert data == b"with"
                tokens.pop(0).assert_arrived_as(raw)


@DATAGRAM_CHECKS(needs=Feature.ANCILLARY)
async def who_waits_for_descriptors_is_a_receiver_like_any_other(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.recv_with_ancillary, SPACE)
        await stage.settle()
        assert is_busy(await attempt(stage.transport.recv))
        assert is_busy(await attempt(stage.transport.recv_with_ancillary, SPACE))
        await stage.peer_sends(b"x")
        assert await first.join() == (b"x", [])


@DATAGRAM_CHECKS(needs=Feature.ANCILLARY)
async def closing_wakes_who_waits_for_descriptors(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv_with_ancillary, SPACE)
        await stage.settle()
        await stage.transport.aclose()
        assert is_closed_error(await receiver.join())
