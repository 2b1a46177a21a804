"""What a packet that fails costs: only that packet where the framing is known, else its connection."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.framing_cases import LengthPrefix
from tests.support.lowlevel_stream_servers import Client, Requests, serving

from easynetwork.converter import AbstractPacketConverter
from easynetwork.exceptions import LimitOverrunError, StreamProtocolParseError
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.cbor import CBORSerializer
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

SERVER_LOGGER = "easynetwork.lowlevel.api_async.servers.stream"


@pytest.fixture(params=[StreamProtocol, BufferedStreamProtocol], ids=["chunks", "buffered"])
def protocol_type(request: pytest.FixtureRequest) -> Any:
    return request.param


class Unlucky(AbstractPacketConverter[str, str]):
    """Adds 1, and fails for 13."""

    def create_from_dto_packet(self, packet: str) -> str:
        if packet == "13":
            raise ZeroDivisionError
        return str(int(packet) + 1)

    def convert_to_dto_packet(self, obj: str) -> str:
        return obj


class Answering:
    """Answers each request, and each failure with its name. Notes how the generators end."""

    def __init__(self) -> None:
        self.endings: list[str] = []

    async def __call__(self, client: Client) -> Requests:
        try:
            while True:
                try:
                    request: Any = yield None
                except RuntimeError as exc:
                    request = type(exc.__cause__).__name__
                except StreamProtocolParseError as exc:
                    request = type(exc.error).__name__
                await client.send_packet(request)
        except BaseException as exc:
            self.endings.append(type(exc).__name__)
            raise


class Prefixed(LengthPrefix):
    """Text is received with a length before it, and sent as lines."""

    def incremental_serialize(self, packet: Any) -> Any:
        yield packet.encode() if isinstance(packet, str) else packet
        yield b"\n"


async def test_crash_costs_one_request_where_the_framing_is_known(driver: str, protocol_type: Any) -> None:
    protocol: AnyStreamProtocolType[str, str] = protocol_type(StringLineSerializer(), Unlucky())
    async with serving(Answering(), driver, protocol=protocol) as server:
        peer = await server.connect()
        await peer.send(b"7\n13\n8\n10")
        assert await peer.lines(3) == [b"8", b"ZeroDivisionError", b"9"]
        await peer.send(b"1\n9\n")
        assert await peer.lines(2) == [b"102", b"10"]


async def test_crash_ends_the_connection_where_only_a_generator_knew_the_framing(
    driver: str, protocol_type: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Answering()
    protocol: AnyStreamProtocolType[str, str] = protocol_type(Prefixed())
    async with serving(handler, driver, protocol=protocol) as server:
        other, peer = await server.connect(), await server.connect()
        await peer.send(b"\x01a\x01?\x01b\x01c")
        assert await peer.lines(2) == [b"a", b"ZeroDivisionError"]
        assert await peer.gone()
        assert handler.endings == ["GeneratorExit"]
        await other.send(b"\x01d")
        assert await other.line() == b"d"
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


async def test_answer_to_a_crash_is_sent_before_the_connection_is_closed(driver: str) -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(Prefixed())
    async with serving(Answering(), driver, protocol=protocol) as server:
        peer = await server.connect()
        await peer.send(b"\x01?")
        assert await peer.rest() == b"ZeroDivisionError\n"


async def test_crash_that_the_handler_does_not_catch_is_logged_once(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            await client.send_packet((yield None))

    protocol: StreamProtocol[Any, Any] = StreamProtocol(Prefixed())
    async with serving(handler, driver, protocol=protocol) as server:
        peer = await server.connect()
        await peer.send(b"\x01?\x01b")
        assert await peer.gone()
    [record] = caplog.records
    assert (record.name, record.levelno) == (SERVER_LOGGER, logging.ERROR)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


async def test_rest_of_a_request_over_its_limit_is_not_a_request(driver: str, protocol_type: Any) -> None:
    protocol: AnyStreamProtocolType[str, str] = protocol_type(StringLineSerializer(limit=100))
    async with serving(Answering(), driver, protocol=protocol) as server:
        peer = await server.connect()
        await peer.send(b"x" * 150)
        assert await peer.line() == LimitOverrunError.__name__.encode()
        await peer.send(b"rm -rf /\n")
        assert await peer.ask(b"ls") == b"ls"


async def test_request_over_its_limit_ends_the_connection_if_its_end_is_unknown(
    driver: str, protocol_type: Any
) -> None:
    class Boxes(CBORSerializer):
        def incremental_serialize(self, packet: Any, /) -> Any:
            yield packet.encode() + b"\n"

    handler = Answering()
    protocol: AnyStreamProtocolType[str, str] = protocol_type(Boxes(limit=10))
    async with serving(handler, driver, protocol=protocol) as server:
        peer = await server.connect()
        await peer.send(b"\x61a")
        assert await peer.line() == b"a"
        await peer.send(b"\x58\x40" + b"x" * 20)
        assert await peer.line() == LimitOverrunError.__name__.encode()
        assert await peer.gone()
    assert handler.endings == ["GeneratorExit"]


# ------------------------------------------------------------------------------------- the end of the stream, too early


@pytest.mark.parametrize("sent", [b"a\nincompl", b"a\ni"])
async def test_stream_that_ends_within_a_request_is_one_info_record(
    driver: str, protocol_type: Any, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    handler = Answering()
    async with serving(handler, driver, protocol=protocol_type(StringLineSerializer())) as server:
        peer = await server.connect()
        await peer.send(sent)
        assert await peer.line() == b"a"
        peer.half_close()
        assert await peer.rest() == b""
    assert handler.endings == ["GeneratorExit"]
    [record] = [record for record in caplog.records if record.name == SERVER_LOGGER]
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    size = len(sent) - 2
    expected = f"the stream ended in the middle of a packet ({size} byte{'s' if size > 1 else ''})"
    assert record.getMessage().endswith(f": {expected}")


async def test_other_ends_of_a_stream_are_not_recorded(
    driver: str, protocol_type: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one after a whole request, nor one that this side brought about."""
    caplog.set_level(logging.DEBUG, "easynetwork")

    async def handler(client: Client) -> Requests:
        while (request := (yield None)) != "quit":
            await client.send_packet(request)
        await client.aclose()

    async with serving(handler, driver, protocol=protocol_type(StringLineSerializer())) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        peer.half_close()
        assert await peer.rest() == b""
        peer = await server.connect()
        await peer.send(b"quit\nincompl")
        assert await peer.gone()
    assert not [record for record in caplog.records if record.name == SERVER_LOGGER]
