"""Datagrams from anyone, and to anyone."""

from __future__ import annotations

__all__: list[str] = []

import array
import errno
from typing import Any

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.datagram_listener.stage import DATAGRAM_LISTENER_CHECKS, DatagramListenerStage
from tests.conformance.kit.outcomes import attempt, is_closed_error

from easynetwork.exceptions import TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.socket import SocketAttribute


@DATAGRAM_LISTENER_CHECKS()
async def a_handler_gets_the_datagram_and_where_it_comes_from(stage: DatagramListenerStage) -> None:
    calls: list[tuple[bytes, Any]] = []

    async def handler(data: bytes, address: Any) -> None:
        assert type(data) is bytes
        calls.append((data, address))

    peers = [stage.peer() for _ in range(3)]
    async with stage.serving(handler):
        for number, peer in enumerate(peers):
            assert peer.send(b"%d" % number)
        await stage.until(lambda: len(calls) == 3)
    expected = [(b"%d" % number, stage.address_of(peer)) for number, peer in enumerate(peers)]
    assert sorted(calls) == sorted(expected)
    assert len({hash(address) for _, address in calls}) == 3


@DATAGRAM_LISTENER_CHECKS()
async def handlers_are_started_in_the_order_of_reception(stage: DatagramListenerStage) -> None:
    for private in (True, False):
        calls: list[bytes] = []

        async def handler(data: bytes, address: Any, calls: list[bytes] = calls) -> None:
            calls.append(data)
            await stage.backend.sleep_forever()

        peer = stage.peer()
        sent = [b"%d" % number for number in range(60)]
        for data in sent[:8]:  # the listener does not serve yet
            assert peer.send(data)
        async with stage.serving(handler, private=private):
            for data in sent[8:]:
                await stage.peer_sends(peer, data)
                await stage.yield_at_random()
            await stage.until(lambda: len(calls) == 60)  # noqa: B023 - awaited right here
        assert calls == sent


@DATAGRAM_LISTENER_CHECKS()
async def an_empty_datagram_is_one_like_any_other(stage: DatagramListenerStage) -> None:
    calls: list[bytes] = []

    async def handler(data: bytes, address: Any) -> None:
        calls.append(data)
        await stage.listener.send_to(b"", address)

    async with stage.serving(handler):
        peer = stage.peer()
        assert peer.send(b"")
        assert await stage.received_by(peer) == b""
    assert calls == [b""]


@DATAGRAM_LISTENER_CHECKS()
async def the_largest_datagram_arrives_whole(stage: DatagramListenerStage) -> None:
    data = stage.rng.randbytes(stage.harness.largest)
    async with stage.serving(stage.echo):
        peer = stage.peer()
        assert peer.send(data)
        assert await stage.received_by(peer) == data


@DATAGRAM_LISTENER_CHECKS()
async def a_datagram_too_large_is_refused_and_harmless(stage: DatagramListenerStage) -> None:
    peer = stage.peer()
    async with stage.serving(stage.echo):
        for _ in range(2):
            with pytest.raises(OSError) as info:
                await stage.listener.send_to(bytes(1 << 20), stage.address_of(peer))
            assert info.value.errno == errno.EMSGSIZE
        await stage.assert_works()


@DATAGRAM_LISTENER_CHECKS()
async def any_contiguous_buffer_can_be_sent(stage: DatagramListenerStage) -> None:
    data = bytes(range(16))
    buffers: dict[str, Any] = {
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "memoryview of ints": memoryview(data).cast("I"),
        "memoryview of two dimensions": memoryview(data).cast("B", (4, 4)),
        "memoryview of an array": memoryview(array.array("H", data)),
    }
    peer = stage.peer()
    for kind, buffer in buffers.items():
        await stage.listener.send_to(buffer, stage.address_of(peer))
        assert await stage.received_by(peer) == data, kind


@DATAGRAM_LISTENER_CHECKS()
async def one_may_send_while_nobody_serves(stage: DatagramListenerStage) -> None:
    peers = [stage.peer() for _ in range(3)]
    for number, peer in enumerate(peers):
        await stage.listener.send_to(b"%d" % number, stage.address_of(peer))
    for number, peer in enumerate(peers):
        assert await stage.received_by(peer) == b"%d" % number


@DATAGRAM_LISTENER_CHECKS()
async def many_may_send_at_once(stage: DatagramListenerStage) -> None:
    peers = [stage.peer() for _ in range(5)]
    async with stage.serving(stage.echo):
        async with stage.backend.create_task_group() as group:
            for number in range(50):
                group.start_soon(stage.listener.send_to, b"%d" % number, stage.address_of(peers[number % 5]))
            for first, peer in enumerate(peers):
                received = {await stage.received_by(peer) for _ in range(10)}
                assert received == {b"%d" % number for number in range(first, 50, 5)}


@DATAGRAM_LISTENER_CHECKS(needs=Feature.RELIABLE)
async def a_peer_that_does_not_receive_stops_nobody_else(stage: DatagramListenerStage) -> None:
    full, other = stage.peer(), stage.peer()
    async with stage.serving(stage.echo):
        async with stage.backend.create_task_group() as group:
            senders = [
                await group.start(stage.listener.send_to, b"%d" % number, stage.address_of(full))
                for number in range(400)
            ]
            await stage.settle()
            assert not all(sender.done() for sender in senders)
            await stage.listener.send_to(b"x", stage.address_of(other))
            assert await stage.received_by(other) == b"x"
            await stage.assert_works()
            received = {await stage.received_by(full) for _ in range(400)}
    assert received == {b"%d" % number for number in range(400)}


@DATAGRAM_LISTENER_CHECKS()
async def peers_that_have_gone_stop_nobody_else(stage: DatagramListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(5):
            peer = stage.peer()
            address = stage.address_of(peer)
            peer.close()
            await attempt(stage.listener.send_to, b"to nobody", address)
            await stage.settle()
            await attempt(stage.listener.send_to, b"to nobody", address)
            await stage.assert_works()
    assert not stage.listener.is_closing()


@DATAGRAM_LISTENER_CHECKS()
async def a_flood_is_survived(stage: DatagramListenerStage) -> None:
    """Only datagrams without room may be lost."""
    received = 0

    async def handler(data: bytes, address: Any) -> None:
        nonlocal received
        received += 1

    async with stage.serving(handler):
        peer = stage.peer()
        for number in range(3000):
            peer.send(bytes(100))
            if number % 100 == 0:
                await stage.backend.coro_yield()
        before = -1
        while before < received:
            before = received
            await stage.settle()
    assert received > 0
    async with stage.serving(stage.echo):
        await stage.assert_works()


@DATAGRAM_LISTENER_CHECKS()
async def sending_after_closing_is_ebadf(stage: DatagramListenerStage) -> None:
    peer = stage.peer()
    await stage.listener.aclose()
    for _ in range(2):
        assert is_closed_error(await attempt(stage.listener.send_to, b"x", stage.address_of(peer)))
        assert is_closed_error(await attempt(stage.listener.send_to, b"", stage.address_of(peer)))


@DATAGRAM_LISTENER_CHECKS(needs=Feature.RELIABLE)
async def closing_wakes_the_tasks_that_send(stage: DatagramListenerStage) -> None:
    peer = stage.peer()
    async with stage.backend.create_task_group() as group:
        senders = [await group.start(attempt, stage.listener.send_to, b"x", stage.address_of(peer)) for _ in range(400)]
        await stage.settle()
        assert not all(sender.done() for sender in senders)
        await stage.listener.aclose()
        outcomes = [await sender.join() for sender in senders]
    assert all(outcome is None or is_closed_error(outcome) for outcome in outcomes)
    assert any(is_closed_error(outcome) for outcome in outcomes)


@DATAGRAM_LISTENER_CHECKS(without=Feature.ANCILLARY)
async def ancillary_data_is_refused_by_who_has_none(stage: DatagramListenerStage) -> None:
    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        raise AssertionError

    with pytest.raises(UnsupportedOperation):
        await stage.listener.serve_with_ancillary(handler, 100)
    peer = stage.peer()
    with pytest.raises(UnsupportedOperation):
        await stage.listener.send_with_ancillary_to(b"x", [], stage.address_of(peer))
    async with stage.serving(stage.echo):
        await stage.assert_works()


@DATAGRAM_LISTENER_CHECKS(needs=Feature.SOCKET)
async def a_listener_has_no_peer(stage: DatagramListenerStage) -> None:
    with pytest.raises(TypedAttributeLookupError):
        stage.listener.extra(SocketAttribute.peername)
