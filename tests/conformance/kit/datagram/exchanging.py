"""Datagrams arrive as they were sent, whatever their size."""

from __future__ import annotations

__all__: list[str] = []

import array
import errno
from typing import Any

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.datagram.stage import DATAGRAM_CHECKS, DATAGRAM_EXCHANGE_CHECKS, DatagramStage
from tests.conformance.kit.outcomes import Failure, attempt

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.socket import SocketAttribute


@DATAGRAM_EXCHANGE_CHECKS()
async def datagrams_are_received_one_by_one_and_in_order(stage: DatagramStage) -> None:
    sent = [stage.rng.randbytes(stage.rng.randrange(100)) for _ in range(20)]
    for data in sent:
        await stage.peer_sends(data)
    for data in sent:
        received = await stage.transport.recv()
        assert type(received) is bytes
        assert received == data


@DATAGRAM_EXCHANGE_CHECKS()
async def datagrams_are_sent_one_by_one_and_in_order(stage: DatagramStage) -> None:
    sent = [stage.rng.randbytes(stage.rng.randrange(100)) for _ in range(20)]
    for data in sent:
        await stage.transport.send(data)
    for data in sent:
        assert await stage.peer_receives() == data


@DATAGRAM_EXCHANGE_CHECKS()
async def questions_and_answers_alternate(stage: DatagramStage) -> None:
    for _ in range(50):
        question = stage.rng.randbytes(stage.rng.randrange(1, 1000))
        await stage.transport.send(question)
        assert await stage.peer_receives() == question
        await stage.peer_sends(question[::-1])
        assert await stage.transport.recv() == question[::-1]


@DATAGRAM_EXCHANGE_CHECKS()
async def an_empty_datagram_is_one_like_any_other(stage: DatagramStage) -> None:
    for data in (b"", b"x", b"", b""):
        await stage.peer_sends(data)
    assert [await stage.transport.recv() for _ in range(4)] == [b"", b"x", b"", b""]
    empty: list[Any] = [b"", bytearray(), memoryview(b"")]
    for data in empty:
        await stage.transport.send(data)
        assert await stage.peer_receives() == b""
    assert not stage.transport.is_closing()


@DATAGRAM_EXCHANGE_CHECKS()
async def the_largest_datagram_arrives_whole(stage: DatagramStage) -> None:
    data = stage.rng.randbytes(stage.harness.largest)
    await stage.transport.send(data)
    assert await stage.peer_receives() == data
    await stage.peer_sends(data)
    assert await stage.transport.recv() == data


@DATAGRAM_EXCHANGE_CHECKS()
async def a_datagram_too_large_is_refused_and_harmless(stage: DatagramStage) -> None:
    for _ in range(2):
        with pytest.raises(OSError) as info:
            await stage.transport.send(bytes(1 << 20))
        assert info.value.errno == errno.EMSGSIZE
    await stage.transport.send(b"small")
    assert await stage.peer_receives() == b"small"
    await stage.peer_sends(b"answer")
    assert await stage.transport.recv() == b"answer"


@DATAGRAM_EXCHANGE_CHECKS()
async def any_contiguous_buffer_can_be_sent(stage: DatagramStage) -> None:
    data = bytes(range(16))
    buffers: dict[str, Any] = {
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "a part of another buffer": memoryview(b"--" + data + b"--")[2:-2],
        "memoryview of ints": memoryview(data).cast("I"),
        "memoryview of doubles": memoryview(bytearray(data)).cast("d"),
        "memoryview of two dimensions": memoryview(data).cast("B", (4, 4)),
        "memoryview of an array": memoryview(array.array("H", data)),
    }
    for kind, buffer in buffers.items():
        await stage.transport.send(buffer)
        assert await stage.peer_receives() == data, kind


@DATAGRAM_EXCHANGE_CHECKS()
async def a_buffer_is_free_again_once_it_was_sent(stage: DatagramStage) -> None:
    buffer = bytearray(b"before")
    await stage.transport.send(buffer)
    buffer[:] = b"after!"
    buffer.clear()  # a BufferError, if there still were a view of it
    assert await stage.peer_receives() == b"before"


@DATAGRAM_EXCHANGE_CHECKS()
async def what_is_no_buffer_is_refused_and_harmless(stage: DatagramStage) -> None:
    wrong: Any
    for wrong in ("text", 3.5, None, [b"x"]):
        with pytest.raises(TypeError):
            await stage.transport.send(wrong)
    await stage.transport.send(b"kept")
    assert await stage.peer_receives() == b"kept"


@DATAGRAM_EXCHANGE_CHECKS(without=Feature.ANCILLARY)
async def ancillary_data_is_refused_by_who_has_none(stage: DatagramStage) -> None:
    with pytest.raises(UnsupportedOperation):
        await stage.transport.recv_with_ancillary(100)
    with pytest.raises(UnsupportedOperation):
        await stage.transport.send_with_ancillary(b"x", [])
    await stage.transport.send(b"y")
    assert await stage.peer_receives() == b"y"


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.SOCKET)
async def the_name_of_the_peer_is_known(stage: DatagramStage) -> None:
    assert stage.transport.extra(SocketAttribute.peername) == stage.far_socket().getsockname()


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.LATE_REFUSAL)
async def a_refusal_is_told_once(stage: DatagramStage) -> None:
    stage.peer.close()
    await stage.transport.send(b"to nobody")
    await stage.settle()
    with pytest.raises(ConnectionRefusedError):
        await stage.transport.recv()
    await stage.transport.send(b"to nobody")
    await stage.settle()
    with pytest.raises(ConnectionRefusedError):
        await stage.transport.send(b"to nobody")
    await stage.transport.send(b"to nobody")
    assert not stage.transport.is_closing()


@DATAGRAM_CHECKS(needs=Feature.LATE_REFUSAL)
async def a_refusal_wakes_who_receives(stage: DatagramStage) -> None:
    stage.peer.close()
    for _ in range(3):
        async with stage.backend.create_task_group() as group:
            receiver = await group.start(attempt, stage.transport.recv)
            await stage.settle()
            assert not receiver.done()
            await stage.transport.send(b"to nobody")
            outcome = await receiver.join()
            assert isinstance(outcome, Failure)
            assert isinstance(outcome.error, ConnectionRefusedError)


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.REFUSAL)
async def a_peer_that_has_gone_is_an_error_each_time(stage: DatagramStage) -> None:
    stage.peer.close()
    for _ in range(3):
        with pytest.raises(OSError):
            await stage.transport.send(b"to nobody")
    assert not stage.transport.is_closing()
