"""File descriptors that travel with datagrams from anyone, and to anyone."""

from __future__ import annotations

from tests.conformance.kit.descriptors import receive_message

__all__: list[str] = []

import errno
from typing import Any

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.datagram_listener.stage import DATAGRAM_LISTENER_CHECKS, DatagramListenerStage
from tests.conformance.kit.descriptors import SPACE, TOO_LITTLE_SPACE, Token, many
from tests.conformance.kit.outcomes import attempt, is_closed_error
from tests.conformance.kit.peers import DatagramPeer

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute


def send(stage: DatagramListenerStage, peer: DatagramPeer, data: bytes, token: Token) -> None:
    assert peer.socket is not None
    address = stage.listener.extra(SocketAttribute.sockname)
    assert peer.socket.sendmsg([data], token.raw, 0, address) == len(data)


@DATAGRAM_LISTENER_CHECKS(needs=Feature.ANCILLARY)
async def a_handler_gets_descriptors_with_their_datagram(stage: DatagramListenerStage) -> None:
    calls: list[tuple[bytes, Any, Any]] = []

    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        calls.append((data, ancillary_data, address))

    peer = stage.peer()
    tokens = [Token(stage.cleanup) for _ in range(5)]
    with stage.backend.open_cancel_scope() as scope:
        async with stage.backend.create_task_group() as group:
            group.start_soon(stage.listener.serve_with_ancillary, handler, SPACE)
            for token in tokens:
                send(stage, peer, b"with", token)
                assert peer.send(b"without")
            await stage.until(lambda: len(calls) == 10)
            scope.cancel()
    for (data, raw, address), token in zip(calls[::2], tokens, strict=True):
        assert (data, address) == (b"with", stage.address_of(peer))
        token.assert_arrived_as(raw)
    for data, raw, address in calls[1::2]:
        assert (data, raw or None, address) == (b"without", None, stage.address_of(peer))


@DATAGRAM_LISTENER_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_that_nobody_asks_for_are_closed(stage: DatagramListenerStage) -> None:
    async with stage.serving(stage.echo):
        for _ in range(3):
            peer = stage.peer()
            send(stage, peer, b"abc", Token(stage.cleanup))
            assert await stage.received_by(peer) == b"abc"
    send(stage, stage.peer(), b"never received", Token(stage.cleanup))


@DATAGRAM_LISTENER_CHECKS(needs=Feature.ANCILLARY)
async def truncated_descriptors_are_emsgsize_for_the_handler_that_looks_at_them(stage: DatagramListenerStage) -> None:
    calls: list[tuple[bytes, Any]] = []

    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        calls.append((data, ancillary_data))

    peer = stage.peer()
    with stage.backend.open_cancel_scope() as scope:
        async with stage.backend.create_task_group() as group:
            group.start_soon(stage.listener.serve_with_ancillary, handler, TOO_LITTLE_SPACE[-1])
            assert peer.socket is not None
            address = stage.listener.extra(SocketAttribute.sockname)
            assert peer.socket.sendmsg([b"abc"], many(Token(stage.cleanup)), 0, address) == 3
            assert peer.send(b"without")
            await stage.until(lambda: len(calls) == 2)
            scope.cancel()
    (data, messages), following = calls
    assert data == b"abc"
    with pytest.raises(OSError) as info:
        SocketAncillary().update_from_raw(messages)
    assert info.value.errno == errno.EMSGSIZE
    assert following == (b"without", [])


@DATAGRAM_LISTENER_CHECKS(needs=Feature.ANCILLARY)
async def descriptors_are_sent_to_anyone(stage: DatagramListenerStage) -> None:
    for data in (b"abc", b""):
        peer, token = stage.peer(), Token(stage.cleanup)
        await stage.listener.send_with_ancillary_to(data, iter(token.raw), stage.address_of(peer))
        token.close_what_was_sent()
        assert peer.socket is not None
        received, raw = await receive_message(stage, peer.socket)
        assert received == data
        token.assert_arrived_as(raw)


@DATAGRAM_LISTENER_CHECKS(needs=Feature.ANCILLARY)
async def there_is_one_way_of_serving_at_a_time(stage: DatagramListenerStage) -> None:
    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        await stage.listener.send_to(data, address)

    async with stage.serving(stage.echo):
        with pytest.raises(BusyResourceError):
            await stage.listener.serve_with_ancillary(handler, SPACE)
        await stage.assert_works()
    with stage.backend.open_cancel_scope() as scope:
        async with stage.backend.create_task_group() as group:
            await group.start(stage.listener.serve_with_ancillary, handler, SPACE)
            await stage.settle()
            with pytest.raises(BusyResourceError):
                await stage.listener.serve(stage.echo)
            await stage.assert_works()
            scope.cancel()


@DATAGRAM_LISTENER_CHECKS(needs=Feature.ANCILLARY)
async def a_closed_listener_refuses_ancillary_data(stage: DatagramListenerStage) -> None:
    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        raise AssertionError

    peer, token = stage.peer(), Token(stage.cleanup)
    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve_with_ancillary, handler, SPACE)
        await stage.settle()
        await stage.listener.aclose()
        assert is_closed_error(await serving.join())
    assert is_closed_error(await attempt(stage.listener.serve_with_ancillary, handler, SPACE))
    address = stage.address_of(peer)
    assert is_closed_error(await attempt(stage.listener.send_with_ancillary_to, b"x", token.raw, address))
