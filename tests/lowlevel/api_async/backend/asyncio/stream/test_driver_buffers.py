"""The inline driver that lends the buffer of the decoder to the loop."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import (
    Connection,
    Handler,
    echo,
    ended_in_words,
    suspending,
)
from tests.support.manual_loop import ManualLoop

from easynetwork.lowlevel.api_async.backend._asyncio.stream.driver import OwnBufferDriver
from easynetwork.lowlevel.api_async.backend._asyncio.stream.watermarks import HIGH_WATER
from easynetwork.protocol import BufferedStreamProtocol
from easynetwork.serializers.line import StringLineSerializer


class Lending(StringLineSerializer):
    """Notes the buffers that it makes. Fails with `error`."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[Any] = []
        self.error: BaseException | None = None

    def create_deserializer_buffer(self, sizehint: int) -> Any:
        if self.error is not None:
            raise self.error
        self.buffers.append(super().create_deserializer_buffer(sizehint))
        return self.buffers[-1]


def lending(loop: ManualLoop, handler: Handler) -> tuple[Connection, OwnBufferDriver, Lending]:
    serializer = Lending()
    protocol: BufferedStreamProtocol[str, str, Any] = BufferedStreamProtocol(serializer)
    connection = Connection(loop, "own buffer", handler, protocol=protocol)
    assert isinstance(connection.driver, OwnBufferDriver)
    return connection, connection.driver, serializer


def test_loop_reads_into_the_buffer_of_the_decoder_while_the_handler_waits(loop: ManualLoop) -> None:
    connection, driver, serializer = lending(loop, echo)
    buffer = loop.call(driver.get_buffer, -1)
    buffer[:2] = b"a\n"
    assert serializer.buffers[0][:2] == b"a\n"
    loop.call(driver.buffer_updated, 2)
    assert connection.handled == ["a"]


def test_loop_reads_into_a_buffer_of_its_own_while_the_handler_is_busy(loop: ManualLoop) -> None:
    gate = loop.create_future()
    connection, driver, serializer = lending(loop, suspending(gate))
    connection.transport.receive(b"wait\nrest")
    before = bytes(serializer.buffers[0])
    first = loop.call(driver.get_buffer, -1)
    assert len(first) == HIGH_WATER
    first[:2] = b"s\n"
    loop.call(driver.buffer_updated, 2)
    assert loop.call(driver.get_buffer, -1) is not first
    assert bytes(serializer.buffers[0]) == before
    loop.call(driver.buffer_updated, 0)
    gate.set_result(None)
    loop.settle()
    assert connection.handled == ["wait", "rests"]


def test_waiting_connection_holds_no_buffer(loop: ManualLoop) -> None:
    connection, driver, _ = lending(loop, echo)
    connection.transport.receive(b"a\n")
    assert not hasattr(driver, "_buffer")


def test_bytes_in_a_lent_buffer_are_copied_if_another_task_runs(loop: ManualLoop) -> None:
    connection, driver, _ = lending(loop, echo)

    async def deliver() -> None:
        driver.get_buffer(-1)[:4] = b"a\nxx"
        driver.buffer_updated(2)

    assert loop.start(deliver()).done()
    assert connection.handled == ["a"]
    connection.transport.receive(b"b\n")
    assert connection.handled == ["a", "b"]


def test_buffer_that_cannot_be_made_is_an_error_for_the_handler(loop: ManualLoop) -> None:
    connection, _, serializer = lending(loop, ended_in_words)
    serializer.error = LookupError()
    connection.transport.receive(b"a\n")
    serializer.error = None
    loop.settle()
    connection.transport.receive(b"b\n")
    assert connection.handled[0] == "LookupError"
    assert connection.handled[-2:] == ["a", "b"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_process_is_raised_to_the_loop_that_asks_for_a_buffer(
    loop: ManualLoop, error: BaseException
) -> None:
    connection, driver, serializer = lending(loop, echo)
    serializer.error = error
    with pytest.raises(type(error)):
        loop.call(driver.get_buffer, -1)
    serializer.error = None
    connection.transport.receive(b"a\n")
    assert connection.handled == ["a"]
