"""Streams that end too early: cut by the peer, or given up because nothing says where the next request begins."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.support.background import until
from tests.support.certificates import Certificates
from tests.support.framing_cases import LengthPrefix
from tests.support.lines import line_protocol
from tests.support.stream_servers import Client, Handler, Noting, Requests, run, serving
from tests.support.tls_servers import connect

from easynetwork.lowlevel.socket import new_socket_address
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

EVERY_BACKEND = True

LOGGER = logging.getLogger("easynetwork.tests.cuts")


class Greeting(Noting):
    """Waits for a request in ``on_connection()`` already."""

    async def on_connection(self, client: Client, /) -> Any:
        await client.send_packet((yield None))
        yield None


def cuts(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    return [
        (record.name, record.levelno, record.getMessage())
        for record in caplog.records
        if " stream " in record.getMessage()
    ]


@pytest.mark.parametrize("handler_type", [Noting, Greeting])
async def test_stream_that_ends_within_a_request_is_one_info_record(
    handler_type: type[Handler], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    handler = handler_type()
    async with serving(handler, logger=LOGGER) as it:
        peer = await it.connect()
        address = new_socket_address(peer.sock.getsockname(), peer.sock.family)
        await peer.send(b"a\nincompl")
        assert await peer.line() == b"a"
        peer.half_close()
        assert await peer.rest() == b""
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
    if handler_type is Noting:
        assert handler.diary == ["connected", "GeneratorExit", "disconnected"]
    assert cuts(caplog) == [
        (LOGGER.name, logging.INFO, f"{address}: the stream ended in the middle of a packet (7 bytes)")
    ]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize("end", ["half_close", "reset"])
async def test_other_ends_are_not_recorded(end: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    handler = Noting()
    async with serving(handler, logger=LOGGER) as it:
        peer = await it.connect()
        await peer.send(b"a\n" if end == "half_close" else b"a\nincompl")
        assert await peer.line() == b"a"
        getattr(peer, end)()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
    assert handler.diary == ["connected", "GeneratorExit", "disconnected"]
    assert cuts(caplog) == []


async def test_unix_stream_that_ends_within_a_request_is_one_info_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    server: AsyncUnixStreamServer[str, str] = AsyncUnixStreamServer(
        tmp_path / "socket", line_protocol(), Noting(), logger=LOGGER
    )
    async with run(server) as it:
        peer = await it.connect()
        await peer.send(b"incompl")
        peer.half_close()
        assert await peer.rest() == b""
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
    [(name, level, message)] = cuts(caplog)
    assert (name, level) == (LOGGER.name, logging.INFO)
    assert message.endswith(": the stream ended in the middle of a packet (7 bytes)")


@pytest.mark.parametrize("pending", [b"", b"incompl"])
@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_tls_stream_that_was_cut_is_one_info_record(
    certificates: Certificates,
    pending: bytes,
    is_cut: bool,
    standard_compatible: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    handler = Noting()
    context = certificates.server_context()
    async with serving(handler, ssl=context, ssl_standard_compatible=standard_compatible, logger=LOGGER) as it:
        peer = await connect(it)
        address = new_socket_address(peer.sock.getsockname(), peer.sock.family)
        await peer.send(b"a\n" + pending)
        assert await peer.line() == b"a"
        if is_cut:
            peer.half_close()
        else:
            await peer.below.close_tls()
        assert await peer.gone()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
    assert handler.diary == ["connected", "GeneratorExit", "disconnected"]
    what = "TLS stream was cut" if is_cut and standard_compatible else "stream ended"
    expected = [(LOGGER.name, logging.INFO, f"{address}: the {what} in the middle of a packet (7 bytes)")]
    if not pending:
        what = f"{address}: the TLS stream was cut without a closing alert"
        expected = [(LOGGER.name, logging.INFO, what)] if is_cut and standard_compatible else []
    assert cuts(caplog) == expected
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


class Surviving(Handler):
    """Catches crashes of the protocol, with one generator for each request."""

    async def handle(self, client: Client, /) -> Requests:
        try:
            await client.send_packet((yield None))
        except RuntimeError as exc:
            self.diary.append(type(exc.__cause__).__name__)
        except BaseException as exc:
            self.diary.append(type(exc).__name__)
            raise


@pytest.mark.parametrize("protocol_type", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("is_caught", [True, False])
async def test_stream_that_cannot_continue_after_a_crash_is_closed(
    protocol_type: Any, is_caught: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Surviving() if is_caught else Noting()
    server: AsyncTCPNetworkServer[Any, Any] = AsyncTCPNetworkServer(
        "127.0.0.1", 0, protocol_type(LengthPrefix()), handler, logger=LOGGER
    )
    async with run(server) as it:
        peer = await it.connect()
        await peer.send(b"\x02a\n\x01?\x02b\n")
        assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)
    if is_caught:
        assert handler.diary == ["connected", "ZeroDivisionError", "GeneratorExit", "disconnected"]
        assert not [record for record in caplog.records if record.levelno > logging.INFO]
    else:
        assert handler.diary == ["connected", "RuntimeError", "disconnected"]
        [record] = [record for record in caplog.records if record.exc_info]
        assert record.levelno == logging.ERROR
    assert cuts(caplog) == []
